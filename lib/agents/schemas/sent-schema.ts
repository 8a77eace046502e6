/**
 * A JSON Schema as it is sent to a provider: without the formats and patterns that providers refuse. What is left out
 * is still checked when the answer comes. The sent schema takes all that the whole one takes: where a weaker part would
 * make the whole stronger (under `not`, as the condition of an `if`, in a `oneOf`), that keyword goes too.
 */
import { isPlainObject } from '../../core/plain-object.ts';
import { mapParts } from './schema-parts.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Formats that the providers with structured outputs have in common. */
const formats: ReadonlySet<unknown> = new Set(['date-time', 'date', 'duration', 'email', 'ipv4', 'ipv6', 'uuid']);

/**
 * Groups other than plain ones (lookarounds, names), classes of Unicode, borders and references back: the engines of
 * providers lack them.
 */
const refusedInPatterns = /\(\?[^:]|\\[pPkbB]|\\[1-9]/;

const isSendablePattern = (pattern: unknown): boolean => {
  if (typeof pattern !== 'string' || refusedInPatterns.test(pattern)) return false;
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
};

/** Schemas are written down once and sent with every request. */
const known = new WeakMap<Schema, Schema>();

/** Gives the schema itself when there is nothing to leave out. */
export const sendable = (schema: Schema): Schema => {
  const found = known.get(schema);
  if (found !== undefined) return found;
  const sent = without(schema);
  known.set(schema, sent);
  return sent;
};

const without = (schema: Schema): Schema => {
  const parts = mapParts(schema, sendable);
  const { format, pattern, allOf } = parts;
  const gone = new Set<string>();
  if (format !== undefined && !formats.has(format)) gone.add('format');
  if (pattern !== undefined && !isSendablePattern(pattern)) gone.add('pattern');
  // More members may fit a weaker `contains` than are allowed.
  if (parts['contains'] !== schema['contains']) gone.add('maxContains');
  if (parts['not'] !== schema['not']) gone.add('not');
  if (parts['if'] !== schema['if']) for (const name of ['if', 'then', 'else']) gone.add(name);
  const { sent, isChanged } = withAnyOf(schema, withOtherNames(schema, parts));
  // A member that says nothing any more says nothing in an `allOf`.
  const members =
    allOf !== schema['allOf'] && Array.isArray(sent['allOf'])
      ? sent['allOf'].filter((each) => !isEmpty(each))
      : undefined;
  if (members?.length === 0) gone.add('allOf');
  if (gone.size === 0 && members === undefined && !isChanged && parts === schema) return schema;
  const all = members === undefined ? sent : { ...sent, allOf: members };
  return Object.fromEntries(Object.entries(all).filter(([name]) => !gone.has(name)));
};

const isEmpty = (schema: unknown): boolean => isPlainObject(schema) && Object.keys(schema).length === 0;

/** Of weaker forms more than one may fit. */
const withAnyOf = (schema: Schema, parts: Schema): { readonly sent: Schema; readonly isChanged: boolean } => {
  if (parts['oneOf'] === schema['oneOf']) return { sent: parts, isChanged: parts !== schema };
  const { oneOf: anyOf, ...rest } = parts;
  if (rest['anyOf'] === undefined) return { sent: { ...rest, anyOf }, isChanged: true };
  // a list where it is anything
  const allOf = [...((rest['allOf'] as readonly unknown[] | undefined) ?? []), { anyOf }];
  return { sent: { ...rest, allOf }, isChanged: true };
};

/** Names that only a pattern allows would be refused by what is said of all others. */
const withOtherNames = (schema: Schema, parts: Schema): Schema => {
  const { patternProperties, ...rest } = parts;
  if (!isPlainObject(schema['patternProperties']) || Object.keys(schema['patternProperties']).every(isSendablePattern))
    return parts;
  const open: Record<string, unknown> = {};
  for (const name of ['additionalProperties', 'unevaluatedProperties']) if (rest[name] !== undefined) open[name] = true;
  return { ...rest, ...open };
};
