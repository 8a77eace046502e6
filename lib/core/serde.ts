/**
 * Values as bytes: tagged JSON, digests, and the seal (checksum and version) that every stored value carries. Plain JSON stays plain JSON;
 * what JSON can not say is an object with the one property `$`, and a user's object with such a property is escaped, so that every
 * value comes back as it was. Identity is not kept: two references to one object become two objects, an object without a prototype
 * becomes a plain one, and a hole in an array becomes undefined. Part of I8: an outcome read back equals the one that was journaled.
 */
import { hash } from 'node:crypto';
import { types } from 'node:util';
import { crc32 } from 'node:zlib';
import { CallNotExecuted, InvariantError, StreamError } from './errors.ts';
import { isPlainArray, isPlainBytes, isPlainDate, isPlainMap, isPlainObject, isPlainSet } from './plain-object.ts';

/** An error class that `registerErrorType` takes. */
export type ErrorType = abstract new (...parameters: never[]) => Error;

/** Deeper values are refused; the bound also ends the walk through a cycle. */
export const depthMax = 1000;

/** Version of the sealed form. */
const sealVersion = 1;

/** Bytes before the body of a sealed value: CRC-32 (big endian) of all that follows, then the version. */
const sealBytes = 5;

// ---------- text and bytes

/** A value as the text that it had when this was made: stored as it stands, whatever becomes of the value (I21). */
export class EncodedText {
  readonly text: string;

  constructor(value: unknown) {
    this.text = encodeText(value);
  }
}

/** A value as text. Throws `NOT_SERIALISABLE` with the path to what can't be stored. */
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

// ---------- seal

/** @internal Puts checksum and version before the body. */
export const seal = (body: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(sealBytes + body.length);
  bytes.set(body, sealBytes);
  return closeSeal(bytes);
};

/** @internal Checks the seal and returns the body, which shares memory with `bytes`. `what` names the value in errors. */
export const unseal = (bytes: Uint8Array, what: string): Buffer => {
  const buffer = asBuffer(bytes);
  if (buffer.length < sealBytes || crc32(buffer.subarray(4)) !== buffer.readUInt32BE(0)) {
    throw new StreamError('VALUE_DAMAGED', `${what} does not match its checksum`, { details: { what } });
  }
  const version = buffer[4] as number; // the length was checked
  if (version > sealVersion) {
    throw new StreamError('STORE_FORMAT', `${what} has format ${version}, this version reads up to ${sealVersion}`, {
      details: { what, version },
    });
  }
  if (version < sealVersion) throw new StreamError('VALUE_DAMAGED', `${what} has format ${version}`, { details: { what, version } });
  return buffer.subarray(sealBytes);
};

/** @internal `seal(encode(value))` in one allocation. */
export const sealValue = (value: unknown): Buffer => sealText(encodeText(value));

/** @internal The same of a value that is text already. */
export const sealText = (text: string): Buffer => {
  const bytes = Buffer.allocUnsafe(sealBytes + Buffer.byteLength(text));
  bytes.write(text, sealBytes, 'utf8');
  return closeSeal(bytes);
};

export const unsealValue = (bytes: Uint8Array, what: string): unknown => decode(unseal(bytes, what));

const closeSeal = (bytes: Buffer): Buffer => {
  bytes[4] = sealVersion;
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
};

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// ---------- errors as values

const builtInErrors = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError];

const errorTypes = new Map<string, ErrorType>(
  [...builtInErrors, StreamError, CallNotExecuted, InvariantError].map((type) => [type.name, type]),
);

/**
 * Makes errors of a class come back as that class. Its constructor is not called: message, cause and own properties are put on an
 * object of the class, so private fields are missing. The class is known by its name, which must be unique.
 *
 * @example
 * class CardDeclined extends Error { override readonly name = 'CardDeclined'; }
 * registerErrorType(CardDeclined);
 */
export const registerErrorType = (type: ErrorType): void => {
  const known = errorTypes.get(type.name);
  if (type.name === '' || !(type.prototype instanceof Error)) throw new TypeError('Expected a class with a name that extends Error');
  if (known !== undefined && known !== type) throw new TypeError(`An error class called \`${type.name}\` is registered already`);
  errorTypes.set(type.name, type);
};

const isError = (value: object): value is Error => value instanceof Error || types.isNativeError(value);

/** The nearest registered class of an error; one from another realm, or made by hand, is known by its name. */
const errorTypeName = (error: Error): string => {
  for (let prototype: unknown = Object.getPrototypeOf(error); prototype instanceof Error; prototype = Object.getPrototypeOf(prototype)) {
    const type = prototype.constructor as ErrorType; // the constructor of a prototype that inherits from Error
    if (errorTypes.get(type.name) === type) return type.name;
  }
  return errorTypes.has(error.name) ? error.name : 'Error';
};

/** Own properties that are kept as they are; the rest of an error is handled one by one. */
const errorProperties = (error: Error): Record<string, unknown> => {
  const { stack: _stack, message: _message, cause: _cause, ...properties } = error as Error & Record<string, unknown>;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' || typeof code === 'number') properties['code'] = code;
  if (error instanceof AggregateError) properties['errors'] = error.errors;
  return properties;
};

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
  if (isPlainArray(value)) {
    for (const member of value) if (!isPlain(member, depth + 1)) return false;
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
  /** Objects around the value in hand: meeting one of them again is a cycle. */
  readonly #around: object[] = [];
  readonly #path: string[] = [];

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
        throw this.#refusal(`a ${typeof value}`);
    }
  }

  #enter(value: object): string {
    if (this.#around.includes(value)) throw this.#refusal('a cycle: it contains itself');
    if (this.#around.length >= depthMax) throw this.#refusal(`nested deeper than ${depthMax} levels`);
    this.#around.push(value);
    const text = this.#object(value);
    this.#around.pop();
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
    const { name } = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } }).constructor ?? {};
    throw this.#refusal(typeof name === 'string' && name !== '' ? `an instance of \`${name}\`` : 'an object with a prototype');
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
    const parts: string[] = [];
    for (const name of Object.keys(record)) parts.push(`${JSON.stringify(name)}:${this.#member(propertyStep(name), record[name])}`);
    const text = `{${parts.join(',')}}`;
    return Object.hasOwn(record, '$') ? tagged('escaped', text) : text;
  }

  /** An error must always be storable, so what hangs on it and can't be stored is left out, and such a cause becomes its text. */
  #error(error: Error): string {
    const parts = [
      `"type":${JSON.stringify(errorTypeName(error))}`,
      `"name":${this.write(`${error.name}`)}`,
      `"message":${this.write(`${error.message}`)}`,
    ];
    if (error.cause !== undefined) {
      parts.push(`"cause":${this.#attempt('.cause', error.cause) ?? this.write(`[not serialisable] ${briefly(error.cause)}`)}`);
    }
    const properties: string[] = [];
    for (const [name, value] of Object.entries(errorProperties(error))) {
      const text = this.#attempt(propertyStep(name), value);
      if (text !== undefined) properties.push(`[${JSON.stringify(name)},${text}]`);
    }
    return tagged('error', `{${parts.join(',')},"properties":[${properties.join(',')}]}`);
  }

  #member(step: string, value: unknown): string {
    this.#path.push(step);
    const text = this.write(value);
    this.#path.pop();
    return text;
  }

  #attempt(step: string, value: unknown): string | undefined {
    const depth = this.#path.length;
    const around = this.#around.length;
    try {
      return this.#member(step, value);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#path.length = depth;
      this.#around.length = around;
      return undefined;
    }
  }

  #refusal(found: string): StreamError {
    const path = this.#path.length > 20 ? [...this.#path.slice(0, 20), '...'].join('') : this.#path.join('');
    const where = path === '' ? 'the value' : `\`${path}\``;
    return new StreamError('NOT_SERIALISABLE', `${where} can not be stored: it is ${found}`, { details: { path, found } });
  }
}

const propertyStep = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`);

const briefly = (value: unknown): string =>
  typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : String(value);

// ---------- back from text

/** Replaces tagged objects by what they stand for, in place. */
const revive = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) value[index] = revive(value[index]);
    return value;
  }
  const record = value as Record<string, unknown>;
  return Object.hasOwn(record, '$') ? reviveTagged(record) : reviveMembers(record);
};

const reviveMembers = (record: Record<string, unknown>): Record<string, unknown> => {
  for (const name of Object.keys(record)) record[name] = revive(record[name]);
  return record;
};

const reviveTagged = (record: Record<string, unknown>): unknown => {
  const body = record['v'];
  switch (record['$']) {
    case 'undefined':
      return undefined;
    case 'number':
      return Number(body);
    case 'bigint':
      return BigInt(body as string);
    case 'date':
      return new Date(body === null ? Number.NaN : (body as number));
    case 'map':
      return new Map(revive(body) as [unknown, unknown][]);
    case 'set':
      return new Set(revive(body) as unknown[]);
    case 'bytes':
      return new Uint8Array(Buffer.from(body as string, 'base64'));
    case 'buffer':
      return Buffer.from(body as string, 'base64');
    case 'error':
      return reviveError(body as ErrorBody);
    case 'escaped':
      return reviveMembers(body as Record<string, unknown>);
    default:
      throw new StreamError('STORE_FORMAT', `a stored value has the unknown tag '${String(record['$'])}'`);
  }
};

/** What `TaggedWriter` writes for an error. */
interface ErrorBody {
  readonly type: string;
  readonly name: string;
  readonly message: string;
  readonly cause?: unknown;
  readonly properties: readonly (readonly [name: string, value: unknown])[];
}

const reviveError = (body: ErrorBody): Error => {
  const error = new Error(body.message, body.cause === undefined ? undefined : { cause: revive(body.cause) });
  // Where it was read is no trace of where it was thrown.
  hidden(error, 'stack', `${body.name}: ${body.message}\n    at (read from the store)`);
  const type = errorTypes.get(body.type);
  if (type !== undefined) Object.setPrototypeOf(error, type.prototype as object);
  for (const [name, value] of body.properties) {
    const enumerable = !(name === 'errors' && type === AggregateError);
    Object.defineProperty(error, name, { value: revive(value), enumerable, writable: true, configurable: true });
  }
  if (error instanceof StreamError && error.details === undefined) hidden(error, 'details', {});
  if (error.name !== body.name) hidden(error, 'name', body.name);
  return error;
};

const hidden = (target: object, name: string, value: unknown): void => {
  Object.defineProperty(target, name, { value, enumerable: false, writable: true, configurable: true });
};
