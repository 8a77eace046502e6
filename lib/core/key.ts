/**
 * Keys: which values may be one, their canonical form in memory, their bytes in the store, and their key group (I11).
 * Keys are compared by their canonical form, so two tuples with equal members are one key.
 */
import { isThenable, messageOf, refusedPromise, StreamError } from './errors.ts';
import { readDouble, textBytes, textFromBytes, writeDouble } from './ordered-bytes.ts';

type KeyPart = string | number | bigint | boolean;

/** What `keyBy` may return. Numbers must be finite. */
export type Key = KeyPart | readonly KeyPart[];

/** A key as a `Map` compares it. */
export type MapKey = KeyPart;

/**
 * The canonical form of a key for use in a `Map`: primitives stand for themselves, a tuple becomes a string no plain
 * key can be.
 */
export const mapKeyOf = (key: Key): MapKey => {
  if (typeof key === 'string') return key.charCodeAt(0) === 0 ? `\0s${key}` : key;
  if (typeof key !== 'object') return key;
  return `\0t${Buffer.from(keyBytes(key)).toString('latin1')}`;
};

/**
 * Throws `KEY_INVALID` for what can't be a key, and names the operator `uid` where one is known. Costs next to nothing
 * for the keys that are common.
 */
export const checkKey = (key: Key, uid?: string): void => {
  switch (typeof key) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return;
    case 'number':
      if (!Number.isFinite(key)) throw invalid(key, uid);
      return;
    default:
      keyBytes(key, uid);
  }
};

/**
 * A key as the engine holds it from where it enters: checked, and a tuple as a frozen copy of its own, since the list
 * stays with the code that made it, and whoever is told a key holds on to what the engine works by (I21). A primitive
 * stands for itself, but that there is one zero: the store can't tell -0 from 0. An error names the
 * operator `uid`, whose records have the key.
 */
export const ownKey = (key: Key, uid?: string): Key => {
  if (typeof key !== 'object') {
    checkKey(key, uid);
    return oneZero(key);
  }
  // What is no list is refused by the check; a list is read once, and what is checked is what is kept.
  const own: Key = Array.isArray(key) ? Object.freeze(Array.from<KeyPart, KeyPart>(key, oneZero)) : key;
  checkKey(own, uid);
  return own;
};

const oneZero = (part: KeyPart): KeyPart => (part === 0 ? 0 : part);

/** A key as messages show it. */
export const keyText = (key: Key): string =>
  JSON.stringify(key, (_name, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part));

const tags = { text: 1, number: 2, bigint: 3, false: 4, true: 5, tuple: 6, rawText: 7, end: 0 } as const;

/**
 * The canonical bytes of a key. No two keys share them; numbers sort by value, strings by their UTF-8 bytes. Throws
 * `KEY_INVALID`.
 */
export const keyBytes = (key: Key, uid?: string): Uint8Array => {
  if (!Array.isArray(key)) return partBytes(key as KeyPart, uid); // `isArray` does not narrow readonly lists.
  const parts: Uint8Array[] = [Uint8Array.of(tags.tuple)];
  // A list, as was just seen.
  for (const part of key as readonly KeyPart[]) {
    const bytes = partBytes(part, uid);
    parts.push(lengthBytes(bytes.length), bytes);
  }
  return Buffer.concat(parts);
};

/** The key of canonical bytes, its own like that of `ownKey`. */
export const keyFromBytes = (bytes: Uint8Array): Key => {
  if (bytes[0] !== tags.tuple) return partFromBytes(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: KeyPart[] = [];
  for (let at = 1; at < bytes.length;) {
    const length = view.getUint32(at);
    parts.push(partFromBytes(bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return Object.freeze(parts);
};

/**
 * murmur2 of the key's bytes modulo `maxParallelism`, as Kafka's default partitioner does it: a string key falls where
 * a Kafka producer would put it if the topic had `maxParallelism` partitions. `bytes`: those of the key, for who has
 * them.
 */
export const keyGroupOf = (key: Key, maxParallelism: number, bytes?: Uint8Array): number =>
  ((typeof key === 'string' ? murmur2OfString(key) : murmur2(bytes ?? keyBytes(key))) & 0x7fffffff) % maxParallelism;

/** Where short strings are spelt out, so that a key's group costs no allocation. */
const scratch = new Uint8Array(64);

const murmur2OfString = (key: string): number => {
  const { length } = key;
  if (length > scratch.length) return murmur2(Buffer.from(key, 'utf8'));
  for (let i = 0; i < length; i += 1) {
    const code = key.charCodeAt(i);
    if (code > 0x7f) return murmur2(Buffer.from(key, 'utf8'));
    scratch[i] = code;
  }
  return murmur2(scratch, length);
};

/** murmur2 with Kafka's seed, as a signed 32-bit integer. */
export const murmur2 = (bytes: Uint8Array, length: number = bytes.length): number => {
  const m = 0x5bd1e995;
  const byte = (index: number): number => bytes[index] as number; // inside the bounds by construction
  let h = 0x9747b28c ^ length;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    let k = byte(i) | (byte(i + 1) << 8) | (byte(i + 2) << 16) | (byte(i + 3) << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const rest = length - whole;
  if (rest > 0) {
    if (rest > 2) h ^= byte(whole + 2) << 16;
    if (rest > 1) h ^= byte(whole + 1) << 8;
    h = Math.imul(h ^ byte(whole), m);
  }
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
};

const partBytes = (part: KeyPart, uid?: string): Uint8Array => {
  switch (typeof part) {
    case 'string':
      return textBytes(part, tags);
    case 'number': {
      if (!Number.isFinite(part)) throw invalid(part, uid);
      return numberBytes(part);
    }
    case 'bigint':
      return Buffer.concat([Uint8Array.of(tags.bigint), Buffer.from(part.toString())]);
    case 'boolean':
      return Uint8Array.of(part ? tags.true : tags.false);
    default:
      throw invalid(part, uid);
  }
};

const numberBytes = (part: number): Uint8Array => {
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = tags.number;
  writeDouble(bytes, part, 1);
  return bytes;
};

const partFromBytes = (part: Uint8Array): KeyPart => {
  const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  switch (bytes[0]) {
    case tags.bigint:
      return BigInt(bytes.toString('utf8', 1));
    case tags.true:
      return true;
    case tags.false:
      return false;
    default: {
      const value = bytes[0] === tags.number ? readDouble(bytes, 1) : textFromBytes(bytes, tags);
      if (value === undefined) throw new StreamError('VALUE_DAMAGED', 'a stored key has an unknown form');
      return value;
    }
  }
};

const lengthBytes = (length: number): Uint8Array => {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(length);
  return bytes;
};

const invalid = (key: unknown, uid: string | undefined): StreamError => {
  const whose = uid === undefined ? '' : ` of operator \`${uid}\``;
  if (isThenable(key)) return refusedPromise(`the function that gives the key${whose}`, key);
  return new StreamError(
    'KEY_INVALID',
    `key \`${messageOf(key)}\` (${key === null ? 'null' : typeof key})${whose} can not be a key`,
  );
};
