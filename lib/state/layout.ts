/**
 * Where everything stands in the state database. All integers are big endian, so that byte order is numeric order. A
 * number behind a part is how many bytes it takes.
 *
 *  - `c checkpoint:8`: the header of a checkpoint, see `lib/state/checkpoint.ts`.
 *  - `s operator:2 state:1 group:2 keyLength:4 key sub`: one row of keyed state.
 *  - `i operator:2 domain:1 group:2 time:8 key namespace:8`: one timer; its value is `version:1 crc:4`.
 *
 * Their parts:
 *
 *  - `operator` and `state` are numbers from the dictionary in the header of the newest checkpoint, never names.
 *  - `group` is the key group (I11): one key group of one state is one range, as rescaling needs it. State stands
 *    before group, so that one state is one range too, for `forEachKey` and for removing it.
 *  - `key` is the key's canonical bytes. Its length stands before it, so that the rows of one key are neighbours and no
 *    key's rows lie among those of another.
 *  - `sub` is empty for the root row of a key (a value, the head of a list, the index of a map), else one tag byte and
 *    a number or text.
 *  - Numbers (`time`, `namespace`, numeric `sub`) are IEEE 754 doubles whose bits are turned so that byte order is
 *    numeric order; infinities have their place at both ends.
 *
 * Keeps I11 and I12: a row says which operator, state and key group it belongs to.
 */
import { crc32 } from 'node:zlib';
import type { Key, MapKey } from '../core/key.ts';
import type { KeyRange } from './store.ts';
import type { TimeDomain } from '../core/timer.ts';
import { StreamError } from '../core/errors.ts';
import { keyBytes, keyFromBytes, keyGroupOf } from '../core/key.ts';
import { readDouble, textBytes, textFromBytes, writeDouble } from '../core/ordered-bytes.ts';

/** Names a row among those of its key: a list's chunk or a map's key; undefined for the root row. */
export type Sub = string | number | undefined;

/** First byte of each kind of row: `c`, `s` and `i`. */
export const prefixes = { checkpoint: 0x63, state: 0x73, timer: 0x69 } as const;

const subTags = { number: 1, text: 2, rawText: 3 } as const;
const stateHead = 10;
const timerHead = 14;
const timerVersion = 1;
const damaged = (what: string): StreamError =>
  new StreamError('STORE_DAMAGED', `the state database holds ${what} of an unknown form`);

/** A key as rows are named by it. */
export interface StoredKey {
  readonly group: number;
  readonly bytes: Uint8Array;
}

/** The key that a map key stands for. */
export const keyOfMapKey = (mapKey: MapKey): Key => {
  if (typeof mapKey !== 'string' || mapKey.charCodeAt(0) !== 0) return mapKey;
  return mapKey.charCodeAt(1) === 0x74 ? keyFromBytes(Buffer.from(mapKey.slice(2), 'latin1')) : mapKey.slice(2);
};

/** The canonical bytes of a key as a text of a unit each: texts compare as the bytes do. */
export const byteTextOf = (mapKey: MapKey): string =>
  typeof mapKey === 'string' && mapKey.startsWith('\0t')
    ? mapKey.slice(2)
    : Buffer.from(keyBytes(keyOfMapKey(mapKey))).toString('latin1');

export const storedKeyOf = (mapKey: MapKey, maxParallelism: number): StoredKey => {
  const key = keyOfMapKey(mapKey);
  const bytes = keyBytes(key);
  return { group: keyGroupOf(key, maxParallelism, bytes), bytes };
};

// ---------- keyed state

export interface StateRow {
  readonly operator: number;
  readonly state: number;
  readonly group: number;
  readonly key: Key;
  readonly sub: Sub;
}

export const stateRowKey = (operator: number, state: number, key: StoredKey, sub: Sub): Uint8Array => {
  const tail = sub === undefined ? undefined : subBytes(sub);
  const row = Buffer.allocUnsafe(stateHead + key.bytes.length + (tail?.length ?? 0));
  row[0] = prefixes.state;
  row.writeUInt16BE(operator, 1);
  row[3] = state;
  row.writeUInt16BE(key.group, 4);
  row.writeUInt32BE(key.bytes.length, 6);
  row.set(key.bytes, stateHead);
  if (tail !== undefined) row.set(tail, stateHead + key.bytes.length);
  return row;
};

export const parseStateRow = (row: Uint8Array): StateRow => {
  const bytes = asBuffer(row);
  if (bytes.length < stateHead + 1 || bytes[0] !== prefixes.state) throw damaged('a state row');
  const end = stateHead + bytes.readUInt32BE(6);
  if (end > bytes.length) throw damaged('a state row');
  return {
    operator: bytes.readUInt16BE(1),
    state: bytes.readUInt8(3),
    group: bytes.readUInt16BE(4),
    key: keyFromBytes(bytes.subarray(stateHead, end)),
    sub: subFromBytes(bytes.subarray(end)),
  };
};

/** The rows of one state, or of all states of an operator. */
export const stateRange = (operator: number, state?: number): KeyRange => {
  const head = Buffer.alloc(state === undefined ? 3 : 4);
  head[0] = prefixes.state;
  head.writeUInt16BE(operator, 1);
  if (state !== undefined) head[3] = state;
  return prefixRange(head);
};

// ---------- timers

export interface TimerRow {
  readonly operator: number;
  readonly domain: TimeDomain;
  readonly group: number;
  readonly time: number;
  readonly key: Key;
  readonly namespace: number;
}

export const timerRowKey = (
  operator: number,
  domain: TimeDomain,
  key: StoredKey,
  time: number,
  namespace: number,
): Uint8Array => {
  const row = Buffer.allocUnsafe(timerHead + key.bytes.length + 8);
  row[0] = prefixes.timer;
  row.writeUInt16BE(operator, 1);
  row[3] = domain === 'event' ? 0 : 1;
  row.writeUInt16BE(key.group, 4);
  writeDouble(row, time, 6);
  row.set(key.bytes, timerHead);
  writeDouble(row, namespace, timerHead + key.bytes.length);
  return row;
};

/** A timer's row says everything in its key, so its value is only the version of this form and the key's CRC-32. */
export const timerRowValue = (row: Uint8Array): Uint8Array => {
  const value = Buffer.allocUnsafe(5);
  value[0] = timerVersion;
  value.writeUInt32BE(crc32(row), 1);
  return value;
};

export const parseTimerRow = (row: Uint8Array, value: Uint8Array): TimerRow => {
  if ((value[0] ?? 0) > timerVersion)
    throw new StreamError('STORE_FORMAT', `a timer has format ${value[0]}, this version reads up to ${timerVersion}`);
  if (!timerRowValue(asBuffer(row)).every((byte, index) => byte === value[index])) {
    throw new StreamError('VALUE_DAMAGED', 'a timer does not match its checksum');
  }
  const bytes = asBuffer(row);
  const domain = bytes[3];
  if (bytes.length < timerHead + 9 || bytes[0] !== prefixes.timer || domain === undefined || domain > 1)
    throw damaged('a timer');
  return {
    operator: bytes.readUInt16BE(1),
    domain: domain === 0 ? 'event' : 'processing',
    group: bytes.readUInt16BE(4),
    time: ordered(bytes, 6),
    key: keyFromBytes(bytes.subarray(timerHead, -8)),
    namespace: ordered(bytes, bytes.length - 8),
  };
};

/** The timers of one operator. */
export const timerRange = (operator: number): KeyRange => {
  const head = Buffer.alloc(3);
  head[0] = prefixes.timer;
  head.writeUInt16BE(operator, 1);
  return prefixRange(head);
};

// ---------- parts

/** Every key that starts with these bytes. */
export const prefixRange = (head: Uint8Array): KeyRange => {
  const end = Buffer.from(head);
  for (let i = end.length - 1; i >= 0; i -= 1) {
    const byte = end.readUInt8(i);
    if (byte < 0xff) {
      end[i] = byte + 1;
      return { gte: head, lt: end.subarray(0, i + 1) };
    }
  }
  throw new RangeError('Expected a prefix with a byte below 255');
};

const subBytes = (sub: string | number): Uint8Array => {
  if (typeof sub === 'string') return textBytes(sub, subTags);
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = subTags.number;
  writeDouble(bytes, sub, 1);
  return bytes;
};

const subFromBytes = (bytes: Buffer): Sub => {
  if (bytes.length === 0) return undefined;
  const sub = bytes[0] === subTags.number ? readDouble(bytes, 1) : textFromBytes(bytes, subTags);
  if (sub === undefined) throw damaged('a state row');
  return sub;
};

const ordered = (bytes: Buffer, at: number): number => {
  const value = readDouble(bytes, at);
  if (value === undefined) throw damaged('a number');
  return value;
};

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
