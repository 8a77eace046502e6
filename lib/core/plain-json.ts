/**
 * The one JSON form of plain data, on every way out: prompts, tool answers, files, prints and dead letters. It is for
 * people, models and other programs to read, and is not read back (`serde.ts` is the form that is). Nothing becomes
 * `{}` or disappears in silence: what has no JSON form is refused with the path to it (I22). The forms are those of
 * protobuf's JSON mapping, where it has one:
 *
 * | value | JSON |
 * |---|---|
 * | text, finite numbers, booleans, null, arrays, plain objects | themselves; a member that is undefined is left out,
 * in an array it is null |
 * | bigint | its digits as text: `"10"` |
 * | NaN and the infinities | `"NaN"`, `"Infinity"`, `"-Infinity"` |
 * | Date | ISO 8601 as text; an invalid one is null |
 * | Map | an object if every key is text, else a list of `[key, value]` |
 * | Set | a list |
 * | bytes: Uint8Array, Buffer, ArrayBuffer | base64 as text |
 * | other typed arrays | a list of their numbers |
 * | Error | `{ name, message }`, its own properties such as `code`, `cause` and `errors` |
 * | anything with `toJSON` | what that gives |
 * | an instance of a class | its own properties, as long as it has any |
 */
import { types } from 'node:util';
import { classNameOf, isPlainObject, isTooLong } from './plain-object.ts';
import { depthMax, propertyStep, ValueWalk } from './value-path.ts';

/**
 * A value as JSON. Throws `NOT_SERIALISABLE` with the path to what has no JSON form: functions, symbols, promises and
 * the like, and what contains itself.
 *
 * @example
 * plainJson({ stock: new Map([['mug', 3]]), balance: 10n }); // '{"stock":{"mug":3},"balance":"10"}'
 */
export const plainJson = (value: unknown): string =>
  isJson(value, 0) ? JSON.stringify(value) : new JsonWriter().write(value);

/** Text stands for itself, anything else for its JSON. @example plainText(new Set(['a'])); // '["a"]' */
export const plainText = (value: unknown): string => (typeof value === 'string' ? value : plainJson(value));

/** Whether `JSON.stringify` alone says all there is: the quick way, which most values take. */
const isJson = (value: unknown, depth: number): boolean => {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  // Any object may have it, or not.
  if (depth >= depthMax || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  if (isTooLong(value)) return false;
  if (Array.isArray(value)) {
    // Their types are what is asked.
    for (const member of value as readonly unknown[]) if (!isJson(member, depth + 1)) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  for (const name in value) {
    const member = value[name];
    if (member !== undefined && !isJson(member, depth + 1)) return false;
  }
  return true;
};

class JsonWriter {
  readonly #walk = new ValueWalk('has no JSON form');

  write(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return JSON.stringify(value);
      case 'number':
        return Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`;
      case 'boolean':
        return value ? 'true' : 'false';
      case 'bigint':
        return `"${value}"`;
      case 'undefined':
        return 'null';
      case 'object':
        return value === null ? 'null' : this.#enter(value);
      default:
        throw this.#walk.refusal(`a ${typeof value}`);
    }
  }

  #enter(value: object): string {
    this.#walk.enter(value);
    const text = this.#object(value);
    this.#walk.leave();
    return text;
  }

  #object(value: object): string {
    if (isTooLong(value)) throw this.#walk.refusal('a list that is too long');
    if (Array.isArray(value)) return this.#list(value);
    if (types.isMap(value)) return this.#map(value);
    if (types.isSet(value)) return this.#list([...value]);
    if (types.isDate(value)) return JSON.stringify(value);
    if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return this.#bytes(value);
    if (types.isNativeError(value) || value instanceof Error) return this.#error(value);
    const { toJSON } = value as { toJSON?: unknown }; // Any object may have it, or not.
    if (typeof toJSON === 'function') return this.#given(value, toJSON.call(value, this.#walk.step));
    if (types.isBoxedPrimitive(value)) return this.write(value.valueOf());
    const names = Object.keys(value);
    if (names.length === 0 && !isPlainObject(value)) throw this.#walk.refusal(classOf(value));
    // The names are its own.
    return this.#record(names.map((name) => [name, (value as Record<string, unknown>)[name]]));
  }

  /** What `toJSON` gave; the object itself ends there. */
  #given(value: object, json: unknown): string {
    if (json === value) throw this.#walk.refusal('an object whose `toJSON` gives itself');
    return this.write(json);
  }

  #bytes(value: ArrayBufferView | ArrayBufferLike): string {
    if (types.isTypedArray(value) && !types.isUint8Array(value)) {
      // All typed arrays but bytes: numbers or bigints.
      return this.#list(Array.from(value as Iterable<number | bigint>));
    }
    const bytes = ArrayBuffer.isView(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : Buffer.from(value);
    return `"${bytes.toString('base64')}"`;
  }

  #list(values: readonly unknown[]): string {
    const parts: string[] = [];
    for (let index = 0; index < values.length; index += 1) parts.push(this.#member(`[${index}]`, values[index]));
    return `[${parts.join(',')}]`;
  }

  #map(map: ReadonlyMap<unknown, unknown>): string {
    const entries = [...map];
    return entries.every(([key]) => typeof key === 'string')
      ? this.#record(entries as [string, unknown][])
      : this.#list(entries); // every key was looked at
  }

  #error(error: Error): string {
    // An error may have any property.
    const { name, message, stack: _stack, cause, ...own } = error as Error & Record<string, unknown>;
    const code = 'code' in error ? error.code : undefined;
    const errors = error instanceof AggregateError ? { errors: error.errors } : {};
    const all = {
      name: String(name),
      message: String(message),
      ...(code === undefined ? {} : { code }),
      ...own,
      cause,
      ...errors,
    };
    return this.#record(Object.entries(all));
  }

  #record(entries: readonly (readonly [name: string, value: unknown])[]): string {
    const parts: string[] = [];
    for (const [name, value] of entries) {
      if (value !== undefined) parts.push(`${JSON.stringify(name)}:${this.#member(propertyStep(name), value)}`);
    }
    return `{${parts.join(',')}}`;
  }

  #member(step: string, value: unknown): string {
    this.#walk.to(step);
    const text = this.write(value);
    this.#walk.back();
    return text;
  }
}

const classOf = (value: object): string => {
  const name = classNameOf(value);
  return name === undefined ? 'an object without properties' : `an instance of \`${name}\` without properties`;
};
