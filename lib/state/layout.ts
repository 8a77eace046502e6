/**
 * Where everything stands in the state database. All integers are big endian, so that byte order is numeric order. A
 * number behind a part is how many bytes it takes.
 *
 *  - `c checkpoint:8`: the header of a checkpoint, see `lib/state/checkpoint.ts`.
 *  - `s operator:2 state:1 group:2 keyLength:4 key sub`: one row of keyed state.
 *  - `t operator:2 domain:1 page:8`: which times of a page have timers, and which chunks, see `timer-rows.ts`; the
 *    domains are in `timer-domains.ts`.
 *  - `u operator:2 domain:1 page:8 chunk:4`: a chunk of timers. Their keys are in its value, together with those of the
 *    same key group; who needs some groups asks the page which chunks hold them.
 *  - `o`: which savepoint all this was made of, see `savepoint/origin.ts`.
 *  - `i operator:2 domain:1 group:2 time:8 key namespace:8`: one timer of version 0.1.0, see `old-timers.ts`.
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
import type { Key, MapKey } from '../core/key.ts';
import type { KeyRange } from './store.ts';
import { storedDomains, type StoredDomain } from './timer-domains.ts';
import { StreamError } from '../core/errors.ts';
import { keyBytes, keyFromBytes, keyGroupOf } from '../core/key.ts';
import { asBuffer } from '../core/serde.ts';
import { readDouble, textBytes, textFromBytes, writeDouble } from '../core/ordered-bytes.ts';

/** Names a row among those of its key: a list's chunk or a map's key; undefined for the root row. */
export type Sub = string | number | undefined;

/** First byte of each kind of row. */
export const prefixes = {
  checkpoint: 0x63,
  state: 0x73,
  timerPage: 0x74,
  timerChunk: 0x75,
  origin: 0x6f,
  oldTimer: 0x69,
} as const;

const subTags = { number: 1, text: 2, rawText: 3 } as const;
const stateHead = 10;
const timerPageLength = 12;
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
  if (state === undefined) return operatorRange(prefixes.state, operator);
  const head = Buffer.alloc(4);
  head[0] = prefixes.state;
  head.writeUInt16BE(operator, 1);
  head[3] = state;
  return prefixRange(head);
};

// ---------- timers

export interface TimerPageName {
  readonly domain: StoredDomain;
  readonly page: number;
}

export const timerPageKey = (operator: number, { domain, page }: TimerPageName): Uint8Array => {
  const row = Buffer.allocUnsafe(timerPageLength);
  row[0] = prefixes.timerPage;
  row.writeUInt16BE(operator, 1);
  row[3] = storedDomains.indexOf(domain);
  writeDouble(row, page, 4);
  return row;
};

export const timerChunkKey = (operator: number, page: TimerPageName, chunk: number): Uint8Array => {
  const row = Buffer.allocUnsafe(timerPageLength + 4);
  row.set(timerPageKey(operator, page));
  row[0] = prefixes.timerChunk;
  row.writeUInt32BE(chunk, timerPageLength);
  return row;
};

export const parseTimerPageKey = (row: Uint8Array): TimerPageName & { readonly operator: number } => {
  const bytes = asBuffer(row);
  if (bytes.length !== timerPageLength || bytes[0] !== prefixes.timerPage) throw damaged('a page of timers');
  return {
    operator: bytes.readUInt16BE(1),
    domain: timerDomainOf(row),
    page: ordered(bytes, 4),
  };
};

/** The domain of a page, or of a chunk. */
export const timerDomainOf = (row: Uint8Array): StoredDomain => {
  const domain = storedDomains[row[3] ?? -1];
  if (domain === undefined) throw damaged('timers');
  return domain;
};

/** The pages of one operator. */
export const timerPageRange = (operator: number): KeyRange => operatorRange(prefixes.timerPage, operator);

// ---------- parts

/** The rows of one kind of an operator. */
export const operatorRange = (prefix: number, operator: number): KeyRange => {
  const head = Buffer.alloc(3);
  head[0] = prefix;
  head.writeUInt16BE(operator, 1);
  return prefixRange(head);
};

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
