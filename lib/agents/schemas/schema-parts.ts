/** The schemas that a JSON Schema has right within it. */
import { isPlainObject } from '../../core/plain-object.ts';
import { keywordsWithSchemas } from './json-keywords.ts';

type Schema = Readonly<Record<string, unknown>>;

const { single, lists, maps } = keywordsWithSchemas;

/** The schema with each that stands right within it replaced; itself when none changes. */
export const mapParts = (schema: Schema, replace: (part: Schema, keyword: string) => Schema): Schema => {
  const changed: Record<string, unknown> = {};
  const put = (name: string, value: unknown): void => {
    if (value !== schema[name]) changed[name] = value;
  };
  const one = (part: unknown, keyword: string): unknown => (isPlainObject(part) ? replace(part, keyword) : part);
  for (const name of single) if (isPlainObject(schema[name])) put(name, one(schema[name], name));
  for (const name of lists) {
    const parts = schema[name];
    if (!Array.isArray(parts)) continue;
    const replaced = parts.map((part: unknown) => one(part, name));
    if (replaced.some((part, index) => part !== parts[index])) put(name, replaced);
  }
  for (const name of maps) {
    const parts = schema[name];
    if (!isPlainObject(parts)) continue;
    const replaced = Object.entries(parts).map(([key, part]): [string, unknown] => [key, one(part, name)]);
    if (replaced.some(([key, part]) => part !== parts[key])) put(name, Object.fromEntries(replaced));
  }
  return Object.keys(changed).length === 0 ? schema : { ...schema, ...changed };
};
