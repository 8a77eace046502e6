/**
 * Timers as version 0.1.0 stored them, one in a row: read once, and written in the present form by the next checkpoint,
 * which removes these rows.
 */
import { crc32 } from 'node:zlib';
import type { Timestamp } from '../core/element.ts';
import { StreamError } from '../core/errors.ts';
import { keyFromBytes, mapKeyOf, type MapKey } from '../core/key.ts';
import { readDouble } from '../core/ordered-bytes.ts';
import { asBuffer } from '../core/serde.ts';
import type { TimeDomain } from '../core/timer.ts';
import { operatorRange, prefixes } from './layout.ts';
import type { Store } from './store.ts';

interface OldTimer {
  readonly domain: TimeDomain;
  readonly time: Timestamp;
  readonly key: MapKey;
  readonly namespace: number;
}

/** Bytes before the key: `i operator:2 domain:1 group:2 time:8`. Behind it stands the namespace. */
const head = 14;

/** Calls `add` for each old timer of the operator, and gives the keys of their rows. */
export const readOldTimers = async (
  store: Store,
  operator: number,
  add: (timer: OldTimer) => void,
): Promise<Uint8Array[]> => {
  const rows: Uint8Array[] = [];
  for await (const [row, value] of store.entries(operatorRange(prefixes.oldTimer, operator))) {
    add(oldTimerOf(asBuffer(row), asBuffer(value)));
    rows.push(Uint8Array.from(row));
  }
  return rows;
};

/** The value is the version of the row's form, 1, and the CRC-32 of its key. */
const oldTimerOf = (row: Buffer, value: Buffer): OldTimer => {
  const time = readDouble(row, 6);
  const namespace = readDouble(row, row.length - 8);
  const isWhole = value.length === 5 && value[0] === 1 && value.readUInt32BE(1) === crc32(row);
  if (!isWhole || row.length < head + 9 || time === undefined || namespace === undefined)
    throw new StreamError('VALUE_DAMAGED', 'a timer does not match its checksum');
  const key = mapKeyOf(keyFromBytes(row.subarray(head, -8)));
  return { domain: row[3] === 0 ? 'event' : 'processing', time, key, namespace };
};
