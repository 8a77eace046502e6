/**
 * Schemas as JSON, the form in which events keep them and models get them. An object of a zod schema that is not loose says that it has no
 * other keys, so that a provider which enforces schemas sends none.
 */
import * as z from 'zod';
import { refusal } from '../core/options.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Stands at the root of a schema whose objects drop unknown keys when they are read, as zod's do; without it such keys are refused. A
 * standard keyword, so that whoever else reads the event takes no harm.
 */
const dropsUnknownKeys = 'unknown keys are dropped';

/** The JSON Schema of a zod schema (as what is read, so defaults are optional), or the JSON Schema itself. */
export const jsonSchemaOf = (schema: z.ZodType | JsonSchema, option = 'outputSchema'): JsonSchema => {
  if (typeof schema !== 'object' || schema === null) throw refusal(option, 'a zod schema or a JSON Schema', schema);
  return isZod(schema) ? converted(schema).json : schema;
};

/** The same, with a note on what becomes of unknown keys. `sentSchema` takes the note off. */
export const outputSchemaOf = (schema: z.ZodType | JsonSchema): JsonSchema => {
  if (typeof schema !== 'object' || schema === null || !isZod(schema)) return jsonSchemaOf(schema);
  return converted(schema).output;
};

/** Whether keys that the schema does not have are dropped when an answer is read. */
export const dropsUnknown = ({ $comment }: JsonSchema): boolean => $comment === dropsUnknownKeys;

/** What the provider gets. */
export const sentSchema = (schema: JsonSchema): JsonSchema => {
  if (!dropsUnknown(schema)) return schema;
  const { $comment: _note, ...sent } = schema;
  return sent;
};

const isZod = (schema: z.ZodType | JsonSchema): schema is z.ZodType => '_zod' in schema;

interface Converted {
  readonly json: JsonSchema;
  /** With the note, where its objects drop unknown keys. */
  readonly output: JsonSchema;
}

/** Most schemas are written down once and sent with every request. */
const conversions = new WeakMap<z.ZodType, Converted>();

const converted = (schema: z.ZodType): Converted => {
  const found = conversions.get(schema);
  if (found !== undefined) return found;
  const closed = convert(schema, () => true);
  // Closed members of an `allOf` that could not be folded into one object would refuse each other's keys.
  const isFolded = !JSON.stringify(closed.json).includes('"allOf"');
  const { json, isStrict } = isFolded ? closed : convert(schema, (path) => !path.includes('allOf'));
  const made = { json, output: isStrict ? json : { ...json, $comment: dropsUnknownKeys } };
  conversions.set(schema, made);
  return made;
};

interface Conversion {
  readonly json: JsonSchema;
  /** An object of it refuses unknown keys. */
  readonly isStrict: boolean;
}

const convert = (schema: z.ZodType, closes: (path: readonly (string | number)[]) => boolean): Conversion => {
  let isStrict = false;
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    override({ zodSchema, jsonSchema, path }) {
      const { def } = zodSchema._zod;
      if (def.type !== 'object') return;
      if (def.catchall === undefined && closes(path)) jsonSchema.additionalProperties = false;
      if (def.catchall?._zod.def.type === 'never') isStrict = true;
    },
  });
  return { json, isStrict };
};
