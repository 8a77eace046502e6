import { systemClock } from 'millrace';
import { expect, test } from 'vitest';
import type { SinkWriter } from '../../../../lib/core/connector.ts';
import { Places } from '../../../../lib/runtime/edges/places.ts';
import { DurableWrites } from '../../../../lib/runtime/hosts/durable-writes.ts';
import { emptyJournal, Journal } from '../../../../lib/runtime/journal/journal.ts';
import { HeldStorage } from '../work/working.ts';

const macrotasks = async (): Promise<void> => {
  for (let at = 0; at < 20; at += 1) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** A sink whose writes are written down, behind a journal that can be held up. */
const made = async ({ flush = async () => {} }: { flush?: () => Promise<void> } = {}) => {
  const storage = new HeldStorage();
  const { journal: store } = await storage.open();
  const [log, failures, abort]: [string[], unknown[], AbortController] = [[], [], new AbortController()];
  const fail = (error: unknown): void => void failures.push(error);
  const journal = new Journal({
    store,
    clock: systemClock,
    recordTurns: () => true,
    from: emptyJournal,
    onFailure: fail,
  });
  const writer: SinkWriter<string, string> = {
    full: false,
    write: () => {},
    seal: async (epoch) => (log.push(`seal ${epoch}`), `epoch ${epoch}`),
    commit: async () => {},
    close: async () => {},
  };
  const places = new Places();
  const writes = new DurableWrites<string>({
    journal,
    clock: systemClock,
    signal: abort.signal,
    place: places.make({ name: 'undurable', max: 3 }),
    write: ({ value, number }) => void log.push(`${number} ${value}`),
    flush: async () => {
      log.push('flush');
      await flush();
    },
    onWritten: () => {},
    onFailure: fail,
  });
  /** As a turn does it: what it makes is added, then the turn is noted. */
  const add = (...values: readonly [number: number, value: string][]): void => {
    for (const [number, value] of values) writes.add(value, 0, number);
    journal.note({ kind: 'records', source: 1, split: 's', count: values.length });
  };
  return { storage, log, failures, abort, places, writes, writer, add };
};

test('a record is written when the turn that made it is durable, and not before (I14)', async () => {
  const { storage, log, places, add } = await made();
  storage.hold();
  add([0, 'a'], [1, 'b'], [2, 'c']);
  await macrotasks();
  expect([log, places.full]).toEqual([[], true]); // Sources wait (I10).
  add([3, 'd']); // A later turn, which no write holds yet.
  storage.release();
  await macrotasks();
  expect(log).toEqual(['0 a', '1 b', '2 c', 'flush', '3 d', 'flush']);
  expect(places.full).toBe(false);
});

test('an epoch ends behind what was added before, and what is added later is written into the next', async () => {
  const { storage, log, writes, writer, add } = await made();
  storage.hold();
  add([0, 'a'], [1, 'b']);
  const sealed = writes.seal(() => writer.seal(4));
  add([2, 'c']);
  storage.release();
  expect(await sealed).toBe('epoch 4');
  await macrotasks();
  expect(log.filter((each) => each !== 'flush')).toEqual(['0 a', '1 b', 'seal 4', '2 c']);
});

test('nothing is written into an epoch that is being sealed', async () => {
  const { log, writes, writer, add } = await made();
  let end = (): void => {};
  const slow: SinkWriter<string, string> = {
    ...writer,
    seal: (epoch) => new Promise((resolve) => (end = () => (log.push('sealed'), resolve(`${epoch}`)))),
  };
  add([0, 'a']);
  const sealed = writes.seal(() => slow.seal(1));
  await macrotasks();
  add([1, 'b']);
  await macrotasks();
  expect(log).not.toContain('1 b');
  end();
  await sealed;
  await macrotasks();
  expect(log.filter((each) => each !== 'flush')).toEqual(['0 a', 'sealed', '1 b']);
});

test('what was given is what is written, whatever becomes of it (I21)', async () => {
  const { writes, log } = await made();
  const list = ['a'];
  writes.add(list as never, 0, 0); // The writer takes anything.
  list.push('b');
  await macrotasks();
  expect(log[0]).toBe('0 a');
});

test('a flush that is given up fails the job, and nothing is written when the job is over', async () => {
  const gone = new Error('no such table');
  const failing = await made({ flush: () => Promise.reject(gone) });
  failing.add([0, 'a']);
  await macrotasks();
  expect(failing.failures).toEqual([gone]);
  const over = await made();
  over.add([0, 'a']);
  over.abort.abort();
  await macrotasks();
  expect(over.log).toEqual([]);
});
