import { describe, expect, test } from 'vitest';
import type { MemoryFault, MemoryOperation } from '../../../lib/state/memory-disk.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import { keysOf, put } from './level-fixture.ts';
import { ManualTimers } from './manual-timers.ts';

const failed = expect.objectContaining({ code: 'STORE_FAILED' }) as unknown;

/** What became of a promise after the event loop turned a few times. */
const fate = async (promise: Promise<unknown>): Promise<string> => {
  const turns = async (): Promise<string> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return 'pending';
  };
  return Promise.race([
    promise.then(
      () => 'resolved',
      () => 'rejected',
    ),
    turns(),
  ]);
};

const faultyAt = (number: number, fault: MemoryFault, seen: MemoryOperation[] = []): MemoryStorage =>
  new MemoryStorage({
    fault: (operation) => {
      seen.push(operation);
      return operation.number === number ? fault : 'none';
    },
  });

describe('crash', () => {
  test('loses what was in flight, and nobody hears from the dead process', async () => {
    const storage = new MemoryStorage({ clock: new ManualTimers(1), writeDelayMs: () => 5 });
    const dead = await storage.open();
    await put(dead.state, { a: '1' });
    const inFlight = [
      put(dead.state, { b: '2' }),
      dead.journal.append([{ key: Buffer.from('j'), value: Buffer.from('1') }]),
    ];
    storage.crash();
    const later = [
      put(storageBatch(dead), { c: '3' }),
      dead.state.clear({ gte: Buffer.from('a'), lt: Buffer.from('z') }),
    ];
    expect(await Promise.all([...inFlight, ...later].map(fate))).toEqual(['pending', 'pending', 'rejected', 'pending']);
    expect(await fate(dead.journal.get(Buffer.from('j')))).toBe('pending');
    expect(() => dead.state.get(Buffer.from('a'))).toThrow('crashed');
    const alive = await storage.open();
    expect(await keysOf(alive)).toEqual(['a']);
    expect(await alive.journal.get(Buffer.from('j'))).toBeUndefined();
    await dead.close();
    await put(alive.state, { d: '4' });
    expect(await keysOf(alive)).toEqual(['a', 'd']);
  });

  test('may leave the oldest writes in flight on the disk', async () => {
    const storage = new MemoryStorage({ clock: new ManualTimers(1), writeDelayMs: () => 5 });
    const dead = await storage.open();
    const writes = [put(dead.state, { a: '1' }), put(dead.state, { b: '2' })];
    storage.crash({ state: 1 });
    expect(await Promise.all(writes.map(fate))).toEqual(['pending', 'pending']);
    expect(await keysOf(await storage.open())).toEqual(['a']);
  });

  test('during close lets close end', async () => {
    const storage = new MemoryStorage({ clock: new ManualTimers(1), writeDelayMs: () => 5 });
    const dead = await storage.open();
    void put(dead.state, { a: '1' });
    const closed = dead.close();
    storage.crash();
    await closed;
    expect(await keysOf(await storage.open())).toEqual([]);
  });

  test('may come when nothing is open, and twice', async () => {
    const storage = new MemoryStorage();
    storage.crash();
    const open = await storage.open();
    storage.crash();
    storage.crash();
    await open.close();
    await (await storage.open()).close();
  });

  test('ends an iteration of the dead process in silence', async () => {
    const storage = new MemoryStorage();
    const dead = await storage.open();
    await put(dead.state, { a: '1', b: '2' });
    const entries = dead.state.entries({ gte: Buffer.from('a'), lt: Buffer.from('z') })[Symbol.asyncIterator]();
    await entries.next();
    storage.crash();
    expect(await fate(entries.next())).toBe('pending');
  });
});

/** The state of a dead process can't even make a batch. */
const storageBatch = ({ state }: Awaited<ReturnType<MemoryStorage['open']>>): typeof state => state;

describe('durability', () => {
  test('a write is not durable before its promise resolves', async () => {
    const timers = new ManualTimers(1);
    const storage = new MemoryStorage({ clock: timers, writeDelayMs: () => 5 });
    const open = await storage.open();
    const written = put(open.state, { a: '1' });
    expect(open.state.get(Buffer.from('a'))).toBeUndefined();
    await written;
    expect(timers.now()).toBe(5);
    storage.crash();
    expect(await keysOf(await storage.open())).toEqual(['a']);
  });

  test('writes take effect in the order of their calls, however long each takes', async () => {
    const delays = [50, 1, 20];
    const storage = new MemoryStorage({ clock: new ManualTimers(1), writeDelayMs: () => delays.shift() ?? 0 });
    const open = await storage.open();
    const order: string[] = [];
    await Promise.all(['a', 'b', 'c'].map((value) => put(open.state, { k: value }).then(() => order.push(value))));
    expect(order).toEqual(['a', 'b', 'c']);
    expect(Buffer.from(open.state.get(Buffer.from('k')) ?? '').toString()).toBe('c');
  });

  test('a job id comes from the clock, so that a seed gives the same one', async () => {
    const jobId = async (seed: number): Promise<string> =>
      (await new MemoryStorage({ clock: new ManualTimers(seed) }).open()).jobId;
    expect(await jobId(3)).toBe(await jobId(3));
    expect(await jobId(3)).not.toBe(await jobId(4));
  });
});

describe('faults', () => {
  test('each operation is asked for once, with its number', async () => {
    const seen: MemoryOperation[] = [];
    const storage = faultyAt(-1, 'none', seen);
    const open = await storage.open();
    await put(open.state, { a: '1' });
    await open.journal.append([]);
    await open.state.clear({ gte: Buffer.from('a'), lt: Buffer.from('b') });
    await open.journal.pruneState([]);
    storage.crash();
    await storage.open();
    expect(seen.map(({ number, database, kind }) => `${number} ${database} ${kind}`)).toEqual([
      '0 state open',
      '1 journal open',
      '2 state write',
      '3 journal append',
      '4 state clear',
      '5 journal prune',
      '6 state open',
      '7 journal open',
    ]);
  });

  test.each([
    ['fail-before', []],
    ['fail-after', ['a', 'b']],
  ] as const)(
    '%s: the batch is absent or whole, and the store is of no use until reopened (I15)',
    async (fault, expected) => {
      const storage = faultyAt(2, fault);
      const open = await storage.open();
      const batch = open.state.batch();
      batch.put(Buffer.from('a'), Buffer.from('1'));
      batch.put(Buffer.from('b'), Buffer.from('2'));
      const queued = open.state.batch();
      queued.put(Buffer.from('c'), Buffer.from('3'));
      const writes = await Promise.allSettled([batch.write(), queued.write()]);
      expect(writes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      await expect(queued.write()).rejects.toThrow(TypeError);
      expect(() => open.state.get(Buffer.from('a'))).toThrow('failed before');
      expect(() => open.state.batch()).toThrow('failed before');
      await expect(open.state.clear({ gte: Buffer.from('a'), lt: Buffer.from('b') })).rejects.toEqual(failed);
      await open.journal.append([{ key: Buffer.from('j'), value: Buffer.from('1') }]);
      await open.close();
      const again = await storage.open();
      expect(await keysOf(again)).toEqual(expected);
      await put(again.state, { d: '4' });
      expect(await keysOf(again)).toEqual([...expected, 'd']);
    },
  );

  test('a failed append fails the journal until it is reopened', async () => {
    const storage = faultyAt(2, 'fail-after');
    const open = await storage.open();
    const entry = { key: Buffer.from('j'), value: Buffer.from('1') };
    await expect(open.journal.append([entry])).rejects.toEqual(failed);
    await expect(open.journal.append([entry])).rejects.toMatchObject({ code: 'STORE_FAILED', cause: failed });
    await expect(open.journal.get(entry.key)).rejects.toEqual(failed);
    await open.close();
    expect(await (await storage.open()).journal.get(entry.key)).toBeDefined();
  });

  test.each([0, 1])('an open that fails at operation %i leaves nothing locked', async (number) => {
    const storage = faultyAt(number, 'fail-before');
    await expect(storage.open()).rejects.toEqual(failed);
    await (await storage.open()).close();
  });
});
