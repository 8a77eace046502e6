/**
 * Schemas as JSON, the form in which events keep them and models get them. An object of a zod schema that is not loose
 * says that it has no other keys, so that a provider which enforces schemas sends none. What is sent may be weaker than
 * what is checked and never stronger: formats and patterns that providers refuse are left out (`sent-schema.ts`), and
 * so is a pattern that JSON can not say as it is meant.
 */
import * as z from 'zod';
import { messageOf } from '../../core/errors.ts';
import { refusal } from '../../core/options.ts';
import { isPlainObject } from '../../core/plain-object.ts';
import { faultOf } from './json-keywords.ts';
import { sendable } from './sent-schema.ts';
import { saysAll } from './zod-schema.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Notes at the root of a zod schema's JSON, in a standard keyword, so that whoever else reads the event takes no harm:
 * that objects drop keys that they do not have, and that the schema says more than its JSON (refinements, transforms,
 * coercions, defaults).
 */
const notes = { drops: 'unknown keys are dropped', more: 'the schema says more than this' } as const;

/** The JSON Schema of a zod schema (as what is read, so defaults are optional), or the JSON Schema itself. */
export const jsonSchemaOf = (schema: z.ZodType | JsonSchema, option = 'outputSchema'): JsonSchema => {
  if (typeof schema !== 'object' || schema === null) throw refusal(option, rule, schema);
  return isZod(schema) ? converted(schema, option).json : checked(schema, option);
};

const rule = 'a schema of zod 4 or a JSON Schema';

/** Most schemas are written down once and sent with every request. */
const fitting = new WeakSet<JsonSchema>();

/** A JSON Schema as it came. Throws a `TypeError` when it is none. */
const checked = (schema: JsonSchema, option: string): JsonSchema => {
  if (fitting.has(schema)) return schema;
  const foreign = foreignSchema(schema);
  if (foreign !== undefined) throw new TypeError(`Expected \`${option}\` to be ${rule}, got ${foreign}`);
  const fault = faultOf(schema);
  if (fault !== undefined)
    throw new TypeError(`Expected \`${option}\` to be ${rule}; it is none at \`${fault.at}\`: ${fault.why}`);
  fitting.add(schema);
  return schema;
};

/** What was given in the place of a schema: that of another library, or the parts of one. */
const foreignSchema = (schema: JsonSchema): string | undefined => {
  if (hasChecks(schema)) return 'one of zod 3: take that of zod 4, `import * as z from "zod"` with `npm install zod@4`';
  const standard = schema['~standard'];
  if (isPlainObject(standard)) return `one of ${String(standard['vendor'])}`;
  const parts = isPlainObject(schema) ? Object.values(schema) : [];
  return parts.some(hasChecks) ? 'an object of zod schemas: make one of it by `z.object({ ... })`' : undefined;
};

/** Of a JSON Schema it would be a keyword, and no JSON holds a function. */
const hasChecks = (schema: unknown): boolean =>
  typeof schema === 'object' && schema !== null && 'safeParse' in schema && typeof schema.safeParse === 'function';

/** The same with the notes that say how an answer is read. `sentSchema` takes them off. */
export const outputSchemaOf = (schema: z.ZodType | JsonSchema, option = 'outputSchema'): JsonSchema => {
  if (typeof schema !== 'object' || schema === null || !isZod(schema)) return jsonSchemaOf(schema, option);
  return converted(schema, option).output;
};

/** Whether keys that the schema does not have are dropped when an answer is read. */
export const dropsUnknown = ({ $comment }: JsonSchema): boolean =>
  typeof $comment === 'string' && $comment.includes(notes.drops);

/** Whether the zod schema behind it checks or changes what its JSON does not say. */
export const saysMore = ({ $comment }: JsonSchema): boolean =>
  typeof $comment === 'string' && $comment.includes(notes.more);

/** What the provider gets. */
export const sentSchema = (schema: JsonSchema): JsonSchema => {
  const sent = sendable(schema);
  if (!dropsUnknown(schema) && !saysMore(schema)) return sent;
  const { $comment: _note, ...rest } = sent;
  return rest;
};

export const isZod = (schema: z.ZodType | JsonSchema): schema is z.ZodType => '_zod' in schema;

interface Converted {
  readonly json: JsonSchema;
  /** With its notes. */
  readonly output: JsonSchema;
}

/** Most schemas are written down once and sent with every request. */
const conversions = new WeakMap<z.ZodType, Converted>();

const converted = (schema: z.ZodType, option: string): Converted => {
  const found = conversions.get(schema);
  if (found !== undefined) return found;
  const closed = convert(schema, option, () => true);
  // Closed members of an `allOf` that could not be folded into one object would refuse each other's keys.
  const isFolded = !JSON.stringify(closed.json).includes('"allOf"');
  const {
    json: full,
    isStrict,
    isMixed,
  } = isFolded ? closed : convert(schema, option, (path) => !path.includes('allOf'));
  const json = sendable(full);
  // Strict objects beside others: what is read back could not tell them apart.
  const isAll = json === full && saysAll(schema) && !(isStrict && isMixed);
  const noted = [...(isStrict ? [] : [notes.drops]), ...(isAll ? [] : [notes.more])];
  const made = { json, output: noted.length === 0 ? json : { ...json, $comment: noted.join('; ') } };
  conversions.set(schema, made);
  return made;
};

interface Conversion {
  readonly json: JsonSchema;
  /** An object of it refuses unknown keys. */
  readonly isStrict: boolean;
  /** Another object of it drops them. */
  readonly isMixed: boolean;
}

const convert = (
  schema: z.ZodType,
  option: string,
  closes: (path: readonly (string | number)[]) => boolean,
): Conversion => {
  let isStrict = false;
  let isMixed = false;
  try {
    const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
      io: 'input',
      override({ zodSchema, jsonSchema, path }) {
        loosen(zodSchema, jsonSchema);
        const { def } = zodSchema._zod;
        if (def.type !== 'object') return;
        if (def.catchall === undefined) isMixed = true;
        if (def.catchall === undefined && closes(path)) jsonSchema.additionalProperties = false;
        if (def.catchall?._zod.def.type === 'never') isStrict = true;
      },
    });
    return { json, isStrict, isMixed };
  } catch (error) {
    throw untold(schema, option, error);
  }
};

/** Takes off what the JSON says more strictly than the zod schema means it. */
const loosen = (schema: z.core.$ZodType, json: z.core.JSONSchema.BaseSchema): void => {
  const { def } = schema._zod;
  if (def.type !== 'string') return;
  const checks = def.checks ?? [];
  // A pattern with flags (`i`, `s`, `v` ...) means something else without them, and one behind `toLowerCase` is about
  // other text.
  const isOther = checks.some(
    ({ _zod: { def: check } }) => check.check === 'overwrite' || hasFlags((check as { pattern?: unknown }).pattern),
  );
  // Formats have a pattern, other strings have none.
  if (isOther || hasFlags((def as { pattern?: unknown }).pattern)) {
    delete json.pattern;
    delete json.allOf;
  }
  // JSON Schema wants an offset behind a time, `z.iso.time()` refuses one, and `local` takes a date without.
  if (json.format === 'time' || (json.format === 'date-time' && (def as { local?: boolean }).local === true))
    delete json.format;
};

const hasFlags = (pattern: unknown): boolean =>
  pattern instanceof RegExp && pattern.flags !== '' && pattern.flags !== 'u';

/** The refusal of a schema that can not be told to a model, with the field that is the reason. */
const untold = (schema: z.ZodType, option: string, error: unknown): TypeError => {
  let path: readonly (string | number)[] = [];
  let reason = messageOf(error);
  try {
    z.toJSONSchema(schema, {
      io: 'input',
      unrepresentable(found) {
        path = found.path;
        reason = found.message;
        return 'throw';
      },
    });
  } catch {
    // The first field that can not be told is the one to name.
  }
  const field = fieldOf(path);
  const hint = 'take text or a number and make the value of it by `.transform(...)`, or read it in the action';
  // Without a cause, so that it counts as the mistake in code that it is.
  return new TypeError(
    `Expected \`${option}\` to be a schema that a model can be told, got${field === '' ? '' : ` at \`${field}\``}: ${reason}; ${hint}`,
  );
};

/** The steps of a path in a JSON Schema as the field that they lead to. */
const fieldOf = (path: readonly (string | number)[]): string => {
  let field = '';
  for (let at = 0; at < path.length; at += 1) {
    const step = path[at];
    if (step === 'properties') {
      at += 1;
      field += `${field === '' ? '' : '.'}${String(path[at])}`;
    } else if (step === 'items' || step === 'additionalProperties') field += '[]';
    else if (step === 'prefixItems') {
      at += 1;
      field += `[${String(path[at])}]`;
    }
  }
  return field;
};
