/**
 * Validates values by a JSON Schema, with Ajv, which is loaded when the first schema is compiled. What one `$ref` says
 * of an object is kept for the length of a check: a recursive `anyOf` would else ask twice as often with each level of
 * the value.
 */
import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import * as z from 'zod';
import { messageOf } from '../../core/errors.ts';
import { isPlainObject } from '../../core/plain-object.ts';
import { escaped, partAt } from './json-pointer.ts';
import type { JsonSchema } from './json-schema.ts';
import { mapParts } from './schema-parts.ts';

type DataValidationCxt = NonNullable<Parameters<ValidateFunction>[1]>;

export interface Validator {
  /** Why a value does not fit, in few words; undefined when it does. */
  refusal(value: unknown): string | undefined;
  /** Whether a value fits the part of the schema at a JSON pointer such as `#/anyOf/0`. */
  fitsAt(pointer: string, value: unknown): boolean;
}

/** Validators made so far, by the schema's JSON; past the bound the oldest is forgotten (I10). */
const made = new Map<string, Promise<Validator>>();
const madeMax = 200;

/** Rejects with a `TypeError` when the schema is not one. */
export const validatorOf = (schema: JsonSchema): Promise<Validator> => {
  const id = JSON.stringify(schema);
  const found = made.get(id);
  if (found !== undefined) return found;
  const validator = compile(schema);
  if (made.size >= madeMax) made.delete(made.keys().next().value ?? '');
  made.set(id, validator);
  validator.catch(() => made.delete(id)); // Whoever asked is told.
  return validator;
};

/** The name of the whole schema within its validator. */
const root = 'root';
/** Stands for `$ref`, and remembers. */
const keyword = 'millraceRef';

const compile = async (given: JsonSchema): Promise<Validator> => {
  const ajv = await ajvFor(given['$schema']);
  const refs = new Set<string>();
  const { $id: _id, $schema: _draft, ...schema } = given;
  const text = JSON.stringify(schema);
  // A base of its own, or keys that count what a reference has looked at: those references are followed as the standard
  // says.
  const remembers = !text.includes('"$id"') && !text.includes('"unevaluated') && !text.includes('"$dynamic');
  const target = (ref: string): ValidateFunction => {
    const found = ajv.getSchema(`${root}${ref}`);
    if (found === undefined) throw new TypeError(`there is nothing at \`${ref}\``);
    return found;
  };
  const said = new Said();
  ajv.addKeyword({ keyword, schemaType: 'string', compile: (ref: string) => said.follows(ref, target) });
  try {
    ajv.addSchema(remembers ? withRefs(schema, refs) : schema, root);
    const validate = target('');
    for (const ref of refs) target(ref);
    return {
      refusal: (value) => said.during(() => (validate(value) ? undefined : reasonOf(validate.errors ?? []))),
      fitsAt: (pointer, value) => said.during(() => target(pointer)(value)),
    };
  } catch (cause) {
    throw new TypeError(`it is not a JSON Schema that can be checked: ${messageOf(cause)}`, { cause });
  }
};

/** A validator of the draft that a schema says it is in. */
const ajvFor = async (draft: unknown): Promise<Ajv> => {
  const options = {
    strict: false,
    logger: false,
    code: { regExp: Object.assign(pattern, { code: 'pattern' }) },
  } as const;
  const name = typeof draft === 'string' ? draft : '';
  const ajv = /draft-0[67]/.test(name)
    ? new (await import('ajv')).Ajv(options)
    : name.includes('2019-09')
      ? new (await import('ajv/dist/2019.js')).Ajv2019(options)
      : new (await import('ajv/dist/2020.js')).Ajv2020(options);
  for (const [format, of] of Object.entries(formats))
    ajv.addFormat(format, (text: string) => of.safeParse(text).success);
  return ajv;
};

/**
 * The standard's patterns are of Unicode; many are written without a thought of it, and with an escape that Unicode
 * refuses.
 */
const pattern = (source: string): RegExp => {
  try {
    return new RegExp(source, 'u');
  } catch {
    return new RegExp(source);
  }
};

/** Formats that are checked; others are notes for the reader, as the standard has it. */
const formats: Readonly<Record<string, z.ZodType>> = {
  'date-time': z.iso.datetime({ offset: true }),
  date: z.iso.date(),
  time: z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:z|[+-]\d\d:\d\d)$/i),
  duration: z.iso.duration(),
  email: z.email(),
  hostname: z.hostname(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  uri: z.url(),
  uuid: z.guid(),
};

const withRefs = (schema: JsonSchema, refs: Set<string>): JsonSchema => {
  const { $ref, ...rest } = mapParts(schema, (part) => withRefs(part, refs));
  if (typeof $ref !== 'string') return $ref === undefined ? rest : { ...rest, $ref };
  if ($ref !== '#' && !$ref.startsWith('#/')) return { ...rest, $ref };
  refs.add($ref);
  return { ...rest, [keyword]: $ref };
};

// ---------- what was said

/**
 * What references have said of objects, within one check: undefined while one is asked, else why the object does not
 * fit.
 */
class Said {
  #known: Map<string, Map<object, readonly ErrorObject[] | undefined>> | undefined;

  during<R>(check: () => R): R {
    const outer = this.#known;
    this.#known ??= new Map();
    try {
      return check();
    } finally {
      this.#known = outer;
    }
  }

  follows(
    ref: string,
    target: (ref: string) => ValidateFunction,
  ): (data: unknown, context?: DataValidationCxt) => boolean {
    let found: ValidateFunction | undefined;
    const follow = Object.assign(
      (data: unknown, context?: DataValidationCxt): boolean => {
        found ??= target(ref);
        const errors = this.#ask(ref, found, data, context);
        // Few of them, or copies would add up with each level.
        follow.errors = errors
          .slice(0, 3)
          .map((error) => ({ ...error, instancePath: `${context?.instancePath ?? ''}${error.instancePath}` }));
        return errors.length === 0;
      },
      { errors: new Array<ErrorObject>() },
    );
    return follow;
  }

  #ask(
    ref: string,
    validate: ValidateFunction,
    data: unknown,
    context: DataValidationCxt | undefined,
  ): readonly ErrorObject[] {
    const ask = (): readonly ErrorObject[] => {
      const at = {
        parentData: {},
        parentDataProperty: '',
        rootData: {},
        dynamicAnchors: {},
        ...context,
        instancePath: '',
      };
      return validate(data, at) ? [] : (validate.errors ?? []);
    };
    if (typeof data !== 'object' || data === null) return ask();
    const ofRef = this.#known?.get(ref) ?? new Map<object, readonly ErrorObject[] | undefined>();
    this.#known?.set(ref, ofRef);
    if (ofRef.has(data)) {
      const before = ofRef.get(data);
      if (before === undefined) throw new TypeError(`\`${ref}\` refers to itself and says nothing else`);
      return before;
    }
    ofRef.set(data, undefined);
    const errors = ask();
    ofRef.set(data, errors);
    return errors;
  }
}

/** Reasons that are told. */
const reasonsMax = 5;

const reasonOf = (errors: readonly ErrorObject[]): string => {
  const reasons = errors.map(({ instancePath, message = 'does not fit', params }) => {
    const where = instancePath === '' ? '' : `${instancePath.slice(1).replaceAll('/', '.')}: `;
    // Each keyword has its own parameters; any may be missing.
    const { allowedValues, additionalProperty, allowedValue } = params as {
      allowedValues?: unknown;
      additionalProperty?: unknown;
      allowedValue?: unknown;
    };
    const what = additionalProperty ?? allowedValues ?? allowedValue;
    return `${where}${message}${what === undefined ? '' : ` (${JSON.stringify(what)})`}`;
  });
  return [...new Set(reasons)].slice(0, reasonsMax).join('\n');
};

// ---------- without the keys that the schema does not have

/**
 * For a schema that drops unknown keys: it takes them, since `additionalProperties: false` stands there for the
 * provider.
 */
export const opened = (schema: JsonSchema): JsonSchema => {
  const { additionalProperties, ...rest } = mapParts(schema, opened);
  return additionalProperties === undefined || additionalProperties === false
    ? rest
    : { ...rest, additionalProperties };
};

interface Place {
  readonly schema: JsonSchema;
  /** A JSON pointer to it. */
  readonly at: string;
  readonly root: JsonSchema;
  readonly validator: Validator;
}

/**
 * A value that fits, without the keys that the schema does not have; of a union the first form that fits says which.
 */
export const withoutUnknown = (value: unknown, { schema, at, root: whole, validator }: Place): unknown => {
  const within = (part: unknown, step: string, member: unknown = value): unknown =>
    isPlainObject(part)
      ? withoutUnknown(member, { schema: part, at: `${at}/${step}`, root: whole, validator })
      : member;
  if (typeof value !== 'object' || value === null) return value;
  const { $ref, anyOf, oneOf, allOf, items, prefixItems, properties, additionalProperties: others } = schema;
  if (typeof $ref === 'string') {
    const part = partAt(whole, $ref);
    return isPlainObject(part) ? withoutUnknown(value, { schema: part, at: $ref, root: whole, validator }) : value;
  }
  for (const [name, forms] of Object.entries({ anyOf, oneOf })) {
    if (!Array.isArray(forms)) continue;
    const index = forms.findIndex((_form, each) => validator.fitsAt(`${at}/${name}/${each}`, value));
    return within(forms[index], `${name}/${index}`);
  }
  if (Array.isArray(allOf)) return Object.assign({}, ...allOf.map((part, index) => within(part, `allOf/${index}`)));
  if (Array.isArray(value)) {
    const first = Array.isArray(prefixItems) ? prefixItems : [];
    return value.map((member, index) =>
      index < first.length ? within(first[index], `prefixItems/${index}`, member) : within(items, 'items', member),
    );
  }
  if (!isPlainObject(properties) && !isPlainObject(others)) return value;
  const names = isPlainObject(properties) ? properties : {};
  const kept = Object.entries(value).flatMap(([name, member]): [string, unknown][] => {
    if (Object.hasOwn(names, name)) return [[name, within(names[name], `properties/${escaped(name)}`, member)]];
    return isPlainObject(others) ? [[name, within(others, 'additionalProperties', member)]] : [];
  });
  return Object.fromEntries(kept);
};
