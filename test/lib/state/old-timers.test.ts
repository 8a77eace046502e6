/** Timers of a store of version 0.1.0: one row each, `i operator:2 domain:1 group:2 time:8 key namespace:8`. */
import { crc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { keyBytes, type Key } from '../../../lib/core/key.ts';
import { writeDouble } from '../../../lib/core/ordered-bytes.ts';
import { everyTimer } from '../../../lib/state/every-timer.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import type { Store } from '../../../lib/state/store.ts';
import { TimerService } from '../../../lib/state/timers.ts';

const oldRow = (operator: number, domain: number, key: Key, [time, namespace]: readonly [number, number]): Buffer => {
  const bytes = keyBytes(key);
  const row = Buffer.alloc(14 + bytes.length + 8);
  row[0] = 0x69;
  row.writeUInt16BE(operator, 1);
  row[3] = domain;
  writeDouble(row, time, 6);
  row.set(bytes, 14);
  writeDouble(row, namespace, 14 + bytes.length);
  return row;
};

const oldValue = (row: Buffer): Buffer => {
  const value = Buffer.alloc(5);
  value[0] = 1;
  value.writeUInt32BE(crc32(row), 1);
  return value;
};

const storeOf = async (rows: readonly (readonly [Buffer, Buffer])[]): Promise<Store> => {
  const { state } = await new MemoryStorage().open();
  const batch = state.batch();
  for (const [row, value] of rows) batch.put(row, value);
  await batch.write();
  return state;
};

const opened = async (store: Store): Promise<{ timers: TimerService; fired: string[] }> => {
  const keys = new KeyContext();
  const fired: string[] = [];
  const timers = new TimerService({
    op: 7,
    keys,
    maxParallelism: 128,
    store,
    fire: ({ timestamp, namespace, domain }) => fired.push(`${domain} ${timestamp} ${namespace} ${String(keys.key)}`),
  });
  await timers.restore();
  return { timers, fired };
};

it('are read, and stand in the present form from the next checkpoint on', async () => {
  const rows = [oldRow(7, 0, 'b', [5, 1]), oldRow(7, 0, ['a', 1], [6, 0]), oldRow(7, 1, 3, [7, 0])];
  const other = oldRow(8, 0, 'b', [5, 1]);
  const store = await storeOf([...rows, other].map((row) => [row, oldValue(row)]));
  const first = await opened(store);
  expect(first.timers.count).toEqual({ event: 2, processing: 1 });
  const cut = first.timers.cut();
  const batch = store.batch();
  for (const slices = cut.write(batch); slices.next().done !== true;);
  await batch.write();
  cut.durable();
  expect(rows.map((row) => store.get(row))).toEqual([undefined, undefined, undefined]);
  expect(store.get(other)).toBeDefined();
  const stored: number[] = [];
  for await (const { operator } of everyTimer(store)) stored.push(operator);
  expect(stored).toEqual([7, 7, 7]);
  const second = await opened(store);
  expect([second.timers.count, second.timers.dirtyEntries]).toEqual([{ event: 2, processing: 1 }, 0]);
  second.timers.advanceWatermark(6);
  second.timers.advanceProcessingTime(7);
  expect(second.fired).toEqual(['event 5 1 b', 'event 6 0 a,1', 'processing 7 0 3']);
});

it('are refused when they are damaged', async () => {
  const row = oldRow(7, 0, 'b', [5, 1]);
  const value = oldValue(row);
  row[8] = 0xaa;
  await expect(opened(await storeOf([[row, value]]))).rejects.toThrow(/checksum/);
  await expect(opened(await storeOf([[row, Buffer.alloc(0)]]))).rejects.toThrow(/checksum/);
});
