/**
 * Values as text and bytes: tagged JSON. Plain JSON stays plain JSON; what JSON can not say is an object with the one
 * property `$`, and a user's object with such a property is escaped, so that every value comes back as it was
 * (`revive.ts` reads the tags). Identity is not kept: two references to one object become two objects, an object
 * without a prototype becomes a plain one, and a hole in an array becomes undefined. Part of I8: an outcome read back
 * equals the one that was journaled.
 */
import { hash } from 'node:crypto';
import { errorProperties, errorTypeName, isError } from './error-types.ts';
import { StreamError } from './errors.ts';
import {
  classNameOf,
  isPlainArray,
  isPlainBytes,
  isPlainDate,
  isPlainMap,
  isPlainObject,
  isPlainSet,
  isTooLong,
} from './plain-object.ts';
import { revive } from './revive.ts';
import { depthMax, propertyStep, ValueWalk } from './value-path.ts';

// ---------- text and bytes

/** A value as the text that `encodeText` made of it: stored as it stands, whatever becomes of the value (I21). */
export class EncodedText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * A value as text. Throws `NOT_SERIALISABLE` with the path to what can't be stored. One that is plain is looked at, and
 * then read again by `JSON.stringify`, which is fast: so the value is the engine's own, made by `ownCopy` or read from
 * a store. For a value of others there is `encodeOnce`.
 */
export const encodeText = (value: unknown): string => {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return isPlainNumber(value) ? `${value}` : new TaggedWriter().write(value);
    case 'boolean':
      return value ? 'true' : 'false';
    default:
      if (value instanceof EncodedText) return value.text;
      return isPlain(value, 0) ? JSON.stringify(value) : new TaggedWriter().write(value);
  }
};

/**
 * The same text, with each part of the value read once: getters and proxies, which may say something else each time,
 * can't bring into the text what was not looked at.
 */
export const encodeOnce = (value: unknown): string => new TaggedWriter().write(value);

/** Reads text that `encodeText` made. Throws `VALUE_DAMAGED` when it is something else. */
export const decodeText = (text: string): unknown => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new StreamError('VALUE_DAMAGED', 'a stored value is not JSON', { cause });
  }
  // JSON escapes quotes inside strings, so these four characters in a row can only be a property.
  return text.includes('"$":') ? revive(value) : value;
};

/** @internal */
export const encode = (value: unknown): Buffer => Buffer.from(encodeText(value), 'utf8');

export const decode = (bytes: Uint8Array): unknown => decodeText(asBuffer(bytes).toString('utf8'));

/** A short fingerprint: the first 16 hexadecimal digits of SHA-256. */
export const digest = (data: Uint8Array | string): string => hash('sha256', data, 'hex').slice(0, 16);

/** @internal The same memory as a buffer. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// ---------- what JSON can't say

/** Throws `NOT_SERIALISABLE` when a value can not be stored. */
export const assertSerialisable = (value: unknown): void => {
  if (!isPlain(value, 0)) encodeText(value);
};

const isPlainNumber = (value: number): boolean => Number.isFinite(value) && (value !== 0 || 1 / value > 0);

/** Whether JSON alone brings the value back as it is. */
const isPlain = (value: unknown, depth: number): boolean => {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return isPlainNumber(value);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth >= depthMax) return false;
  // JSON would ask a hidden one too, which is no part of the value; the writer of what is not plain asks none.
  if ((value as { readonly toJSON?: unknown }).toJSON !== undefined) return false; // Any object may be asked.
  if (isPlainArray(value)) {
    // By number: an iterator makes an object for each member.
    for (let at = 0; at < value.length; at += 1) if (!isPlain(value[at], depth + 1)) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  for (const name in value) {
    if (name === '$' || !isPlain(value[name], depth + 1)) return false;
  }
  return true;
};

const tagged = (tag: string, body: string): string => `{"$":"${tag}","v":${body}}`;

/** Writes values that are not plain, and finds the path to the first that can not be stored at all. */
class TaggedWriter {
  readonly #walk = new ValueWalk('can not be stored');

  write(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return JSON.stringify(value);
      case 'number':
        return isPlainNumber(value) ? `${value}` : tagged('number', `"${Object.is(value, -0) ? '-0' : value}"`);
      case 'boolean':
        return value ? 'true' : 'false';
      case 'undefined':
        return '{"$":"undefined"}';
      case 'bigint':
        return tagged('bigint', `"${value}"`);
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
    if (value instanceof EncodedText) return value.text;
    if (isPlainArray(value)) return this.#list(value, (index) => `[${index}]`);
    if (isPlainObject(value)) return this.#record(value);
    if (isPlainMap(value)) return tagged('map', this.#map(value));
    if (isPlainSet(value)) return tagged('set', this.#set(value));
    if (isPlainDate(value)) return tagged('date', JSON.stringify(value.getTime()));
    if (isPlainBytes(value)) {
      return tagged(Buffer.isBuffer(value) ? 'buffer' : 'bytes', `"${asBuffer(value).toString('base64')}"`);
    }
    if (isError(value)) return this.#error(value);
    if (isTooLong(value)) throw this.#walk.refusal('a list that is too long');
    const name = classNameOf(value);
    throw this.#walk.refusal(name === undefined ? 'an object with a prototype' : `an instance of \`${name}\``);
  }

  #list(values: readonly unknown[], step: (index: number) => string): string {
    const parts: string[] = [];
    for (let index = 0; index < values.length; index += 1) parts.push(this.#member(step(index), values[index]));
    return `[${parts.join(',')}]`;
  }

  #set(set: ReadonlySet<unknown>): string {
    return this.#list([...set], (index) => `.values()[${index}]`);
  }

  #map(map: ReadonlyMap<unknown, unknown>): string {
    const parts: string[] = [];
    for (const [key, value] of map) {
      const keyText = this.#member(`.keys()[${parts.length}]`, key);
      parts.push(`[${keyText},${this.#member(`.get(${keyText})`, value)}]`);
    }
    return `[${parts.join(',')}]`;
  }

  #record(record: Record<string, unknown>): string {
    const names = Object.keys(record);
    const parts = names.map((name) => `${JSON.stringify(name)}:${this.#member(propertyStep(name), record[name])}`);
    const text = `{${parts.join(',')}}`;
    return names.includes('$') ? tagged('escaped', text) : text;
  }

  /**
   * An error must always be storable, so what hangs on it and can't be stored is left out, and such a cause becomes its
   * text.
   */
  #error(error: Error): string {
    const { cause } = error;
    const parts = [
      `"type":${JSON.stringify(errorTypeName(error))}`,
      `"name":${this.write(`${error.name}`)}`,
      `"message":${this.write(`${error.message}`)}`,
    ];
    if (cause !== undefined)
      parts.push(`"cause":${this.#attempt('.cause', cause) ?? this.write(`[not serialisable] ${briefly(cause)}`)}`);
    const properties: string[] = [];
    for (const [name, value] of Object.entries(errorProperties(error))) {
      const text = this.#attempt(propertyStep(name), value);
      if (text !== undefined) properties.push(`[${JSON.stringify(name)},${text}]`);
    }
    return tagged('error', `{${parts.join(',')},"properties":[${properties.join(',')}]}`);
  }

  #member(step: string, value: unknown): string {
    this.#walk.to(step);
    const text = this.write(value);
    this.#walk.back();
    return text;
  }

  #attempt(step: string, value: unknown): string | undefined {
    const comeBack = this.#walk.mark();
    try {
      return this.#member(step, value);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      comeBack();
      return undefined;
    }
  }
}

const briefly = (value: unknown): string =>
  typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : String(value);
