/**
 * What there is to know about a zod schema beyond its JSON: whether that says all of it, and how to check in a time
 * that grows with the size of a value and not with its depth. zod asks each form of a union anew, so a union that
 * contains itself costs twice as much with each level; here what a union, an intersection or a pipe has said of an
 * object is kept for the length of one check.
 */
import * as z from 'zod';

type Schema = z.core.$ZodType;
type Payload = z.core.ParsePayload;

/** The schemas that one is made of, itself first, each once. */
export const partsOf = (schema: Schema): ReadonlySet<Schema> => {
  const parts = new Set<Schema>();
  const queue: Schema[] = [schema];
  for (let at = 0; at < queue.length; at += 1) {
    const part = queue[at] as Schema; // within the bounds
    if (parts.has(part)) continue;
    parts.add(part);
    for (const [name, value] of Object.entries(part._zod.def)) {
      if (name === 'getter' && typeof value === 'function')
        queue.push((value as () => Schema)()); // that of a lazy schema
      else if (name === 'shape')
        queue.push(...Object.values(value as Readonly<Record<string, Schema>>)); // that of an object
      else if (Array.isArray(value)) queue.push(...value.filter(isSchema));
      else if (isSchema(value)) queue.push(value);
    }
  }
  return parts;
};

// `_zod` is the name of zod alone.
const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && '_zod' in value && 'traits' in (value as Schema)._zod;

/** Kinds of schemas that JSON Schema says as they are. */
const plainKinds: ReadonlySet<string> = new Set([
  ...['string', 'number', 'boolean', 'null', 'literal', 'enum', 'any', 'unknown', 'never'],
  ...[
    'object',
    'array',
    'tuple',
    'record',
    'union',
    'intersection',
    'optional',
    'nullable',
    'lazy',
    'readonly',
    'nonoptional',
  ],
]);

const plainChecks: ReadonlySet<string> = new Set([
  ...['less_than', 'greater_than', 'multiple_of', 'number_format', 'string_format'],
  ...['min_length', 'max_length', 'length_equals'],
]);

/**
 * Whether the JSON Schema of a zod schema, as zod writes it, says all that it checks, and checking changes nothing but
 * unknown keys.
 */
export const saysAll = (schema: Schema): boolean =>
  [...partsOf(schema)].every(({ _zod: { def } }) => {
    // Each kind has its own of them; any may be missing.
    const {
      coerce,
      checks = [],
      pattern,
    } = def as { coerce?: boolean; checks?: readonly z.core.$ZodCheck[]; pattern?: unknown };
    if (!plainKinds.has(def.type) || coerce === true || isFlagged(pattern)) return false;
    // Most checks have no pattern.
    return checks.every(
      ({ _zod: { def: check } }) =>
        plainChecks.has(check.check) && !isFlagged((check as { pattern?: unknown }).pattern),
    );
  });

const isFlagged = (pattern: unknown): boolean =>
  pattern instanceof RegExp && pattern.flags !== '' && pattern.flags !== 'u';

// ---------- in a time that grows with the size

/** What a schema has said of an object, within one check. */
interface Said {
  readonly context: z.core.ParseContextInternal;
  readonly payload: Payload;
}

/** Those of the check in hand; checks are synchronous, so there is one at a time. */
let said: Map<Schema, Map<object, Said>> | undefined;

const remembering = new WeakSet<Schema>();

/**
 * Checks a value like `safeParse`. Throws what refinements and transforms throw, and zod's `$ZodAsyncError` for those
 * that are asynchronous.
 */
export const checkZod = <T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> => {
  if (!remembering.has(schema)) for (const part of partsOf(schema)) rememberIn(part);
  const outer = said;
  said = new Map();
  try {
    return schema.safeParse(value);
  } finally {
    said = outer;
  }
};

const branching: ReadonlySet<string> = new Set(['union', 'intersection', 'pipe']);

/**
 * Lets a schema that asks several others about one value look up what it has said of it. Outside `checkZod` it is as it
 * was.
 */
const rememberIn = (schema: Schema): void => {
  if (remembering.has(schema)) return;
  remembering.add(schema);
  const internals = schema._zod;
  if (!branching.has(internals.def.type) || typeof internals.run !== 'function') return;
  const ask = internals.run;
  internals.run = (payload, context) => {
    const { value } = payload;
    if (said === undefined || typeof value !== 'object' || value === null || payload.issues.length > 0)
      return ask(payload, context);
    const ofSchema = said.get(schema) ?? new Map<object, Said>();
    said.set(schema, ofSchema);
    const before = ofSchema.get(value);
    if (before?.context === context)
      return Object.assign(payload, before.payload, { issues: copies(before.payload.issues) });
    const result = ask(payload, context);
    if (!(result instanceof Promise))
      ofSchema.set(value, { context, payload: { ...result, issues: copies(result.issues) } });
    return result;
  };
};

/** Who asks puts its own step in front of an issue's path, in place. */
const copies = (issues: Payload['issues']): Payload['issues'] =>
  issues.map((issue) => (issue.path === undefined ? { ...issue } : { ...issue, path: [...issue.path] }));
