/**
 * The keywords of JSON Schema, of draft 2020-12 and of those before it, with what each holds: which of them hold other
 * schemas, and whether what somebody has written down is a schema at all. The standard lets a validator pass over what
 * it does not know, so a schema with a misspelt keyword would take every value: it is refused where it is given.
 */
import { nearest } from '../../core/nearest.ts';
import { isPlainObject } from '../../core/plain-object.ts';
import { partAt } from './json-pointer.ts';

type Schema = Readonly<Record<string, unknown>>;

/** What a keyword holds; a schema may be `true` or `false`. */
type Kind =
  | 'schema'
  | 'schemas'
  | 'schema or schemas'
  | 'schemas by name'
  | 'schemas or names by name'
  | 'type'
  | 'count'
  | 'number'
  | 'positive number'
  | 'text'
  | 'pattern'
  | 'reference'
  | 'names'
  | 'list'
  | 'flag'
  | 'anything';

const kinds: Readonly<Record<string, Kind>> = {
  ...of('schema', 'additionalProperties', 'contains', 'propertyNames', 'unevaluatedItems', 'unevaluatedProperties'),
  ...of('schema', 'additionalItems', 'not', 'if', 'then', 'else'),
  ...of('schemas', 'allOf', 'anyOf', 'oneOf', 'prefixItems'),
  ...of('schema or schemas', 'items'),
  ...of('schemas by name', 'properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'),
  ...of('schemas or names by name', 'dependencies'),
  ...of('type', 'type'),
  ...of('count', 'minItems', 'maxItems', 'minLength', 'maxLength', 'minProperties', 'maxProperties'),
  ...of('count', 'minContains', 'maxContains'),
  ...of('number', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'),
  ...of('positive number', 'multipleOf'),
  ...of('pattern', 'pattern'),
  ...of('reference', '$ref'),
  ...of('names', 'required'),
  ...of('list', 'enum'),
  ...of('flag', 'uniqueItems'),
  ...of('text', 'format'),
  ...of('anything', 'const', '$dynamicRef', '$recursiveRef', 'dependentRequired'),
};

/** Notes for readers, and what other standards have beside: they say nothing of a value. */
const notes: Readonly<Record<string, Kind>> = {
  ...of('text', '$schema', '$id', '$anchor', '$dynamicAnchor', '$comment', 'title', 'description'),
  ...of('text', 'contentEncoding', 'contentMediaType'),
  ...of('list', 'examples'),
  ...of('flag', 'deprecated', 'readOnly', 'writeOnly'),
  ...of('anything', 'id', '$recursiveAnchor', '$vocabulary', 'default', 'contentSchema'),
  ...of('anything', 'nullable', 'discriminator', 'xml', 'externalDocs', 'example'),
};

const types: ReadonlySet<unknown> = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']);

function of(kind: Kind, ...names: readonly string[]): Readonly<Record<string, Kind>> {
  return Object.fromEntries(names.map((name) => [name, kind]));
}

/** The keywords that hold schemas, by how they hold them; one may hold them in several ways. */
export const keywordsWithSchemas = {
  single: namesOf('schema', 'schema or schemas'),
  lists: namesOf('schemas', 'schema or schemas'),
  maps: namesOf('schemas by name', 'schemas or names by name'),
};

function namesOf(...some: readonly Kind[]): readonly string[] {
  return Object.keys(kinds).filter((name) => some.includes(kinds[name] ?? 'anything'));
}

export interface Fault {
  /** The part that is no schema: `#/properties/id/type`. */
  readonly at: string;
  readonly why: string;
}

/** The first thing that keeps a value from being a JSON Schema that says what its author meant; undefined: nothing. */
export const faultOf = (schema: unknown, root: unknown = schema, at = '#'): Fault | undefined => {
  if (typeof schema === 'boolean' && at !== '#') return undefined;
  if (!isPlainObject(schema)) return { at, why: `a schema is an object, and this is ${shown(schema)}` };
  return strange(schema, at) ?? firstOf(Object.entries(schema), ([name, value]) => faultIn(name, value, root, at));
};

/** Keywords that nobody knows: those that look like one that is known, or that are all there is. */
const strange = (schema: Schema, at: string): Fault | undefined => {
  const unknown = Object.keys(schema).filter(
    (name) => !Object.hasOwn(kinds, name) && !Object.hasOwn(notes, name) && !name.startsWith('x-'),
  );
  for (const name of unknown) {
    const meant = nearest(name, Object.keys(kinds));
    if (meant !== undefined) return { at, why: `\`${name}\` is no keyword; \`${meant}\` is` };
  }
  const isAll = unknown.length > 0 && !Object.keys(schema).some((name) => Object.hasOwn(kinds, name));
  const listed = unknown.map((name) => `\`${name}\``).join(', ');
  return isAll ? { at, why: `no keyword of JSON Schema is there, only ${listed}` } : undefined;
};

const faultIn = (name: string, value: unknown, root: unknown, at: string): Fault | undefined => {
  if (value === undefined) return undefined; // No JSON has it.
  const here = `${at}/${name}`;
  const no = (what: string): Fault => ({ at: here, why: `expected ${what}, got ${shown(value)}` });
  switch (kinds[name] ?? notes[name] ?? 'anything') {
    case 'schema':
      return faultOf(value, root, here);
    case 'schemas':
      return Array.isArray(value) && value.length > 0 ? faultsOf(value, root, here) : no('a list of schemas');
    case 'schema or schemas':
      if (!Array.isArray(value)) return faultOf(value, root, here);
      if (isOlder(root) && value.length > 0) return faultsOf(value, root, here);
      return no('one schema: a list of them is `prefixItems`, or an older draft that `$schema` names');
    case 'schemas by name':
      return isPlainObject(value) ? faultsOf(value, root, here) : no('schemas by name');
    case 'schemas or names by name':
      if (!isPlainObject(value)) return no('schemas or lists of names, by name');
      return faultsOf(Object.fromEntries(Object.entries(value).filter(([, part]) => !isNames(part))), root, here);
    case 'type':
      return isType(value) ? undefined : no(`one of ${[...types].join(', ')}, or a list of them`);
    case 'count':
      return Number.isInteger(value) && Number(value) >= 0 ? undefined : no('a whole number from 0');
    case 'number':
      return Number.isFinite(value) ? undefined : no('a number');
    case 'positive number':
      return Number.isFinite(value) && Number(value) > 0 ? undefined : no('a number above 0');
    case 'text':
      return typeof value === 'string' ? undefined : no('a text');
    case 'pattern':
      return typeof value === 'string' && isPattern(value) ? undefined : no('a regular expression as text');
    case 'reference':
      return typeof value === 'string' && leadsSomewhere(root, value) ? undefined : no('a reference to a part of it');
    case 'names':
      return isNames(value) ? undefined : no('a list of names, each once');
    case 'list':
      return Array.isArray(value) && value.length > 0 ? undefined : no('a list of values');
    case 'flag':
      return typeof value === 'boolean' ? undefined : no('true or false');
    case 'anything':
      return undefined;
  }
};

const faultsOf = (parts: object, root: unknown, at: string): Fault | undefined =>
  firstOf(Object.entries(parts), ([name, part]) => faultOf(part, root, `${at}/${name}`));

const firstOf = <T>(values: readonly T[], find: (value: T) => Fault | undefined): Fault | undefined => {
  for (const value of values) {
    const fault = find(value);
    if (fault !== undefined) return fault;
  }
  return undefined;
};

/** Whether a schema says that it is of a draft before 2020-12. */
const isOlder = (root: unknown): boolean => /draft-0|2019-09/.test(String(partAt(root, '#/$schema')));

const isType = (value: unknown): boolean =>
  types.has(value) ||
  (Array.isArray(value) &&
    value.length > 0 &&
    new Set(value).size === value.length &&
    value.every((each) => types.has(each)));

const isNames = (value: unknown): boolean =>
  Array.isArray(value) && value.every((each) => typeof each === 'string') && new Set(value).size === value.length;

/** As in the validator: of Unicode, or without a thought of it. */
const isPattern = (source: string): boolean =>
  ['u', ''].some((flags) => {
    try {
      new RegExp(source, flags);
      return true;
    } catch {
      return false;
    }
  });

/** Where a part of the schema has a name of its own, what refers to names is left to the validator. */
const leadsSomewhere = (root: unknown, reference: string): boolean => {
  if (reference === '#') return true;
  return reference.startsWith('#/') ? partAt(root, reference) !== undefined : hasNames(root);
};

const names: ReadonlySet<string> = new Set(['$id', 'id', '$anchor', '$dynamicAnchor']);

const hasNames = (part: unknown): boolean =>
  Array.isArray(part)
    ? part.some(hasNames)
    : isPlainObject(part) &&
      Object.entries(part).some(([key, each]) => (names.has(key) && typeof each === 'string') || hasNames(each));

const shown = (value: unknown): string => {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null && '~standard' in value) return 'a schema of a library';
  const text = JSON.stringify(value) ?? String(value);
  return `\`${text.length > 80 ? `${text.slice(0, 80)}...` : text}\``;
};
