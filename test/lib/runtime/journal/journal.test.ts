import { expect, test } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import { emptyJournal, Journal } from '../../../../lib/runtime/journal/journal.ts';
import { Recovery } from '../../../../lib/runtime/recovery/recovery.ts';
import type { Turn } from '../../../../lib/runtime/journal/turn.ts';
import { MemoryStorage } from '../../../../lib/state/memory-storage.ts';

const opened = async () => {
  const { journal: store } = await new MemoryStorage().open();
  const failures: unknown[] = [];
  const journal = new Journal({
    store,
    clock: systemClock,
    recordTurns: () => true,
    from: emptyJournal,
    onFailure: (error) => failures.push(error),
  });
  const flushed = (): Promise<void> => new Promise((resolve) => journal.flush(resolve));
  return { store, journal, flushed, failures };
};

const records = (count: number, split = 'a'): Turn => ({ kind: 'records', source: 1, split, count });

test('turns of one split in a row are one in the log, and those behind the instant of a checkpoint are not part of it (I4)', async () => {
  const { store, journal, flushed } = await opened();
  journal.note(records(2));
  journal.note(records(3));
  const covered = journal.cut();
  journal.note(records(4));
  journal.note(records(1));
  journal.note(records(7, 'b'));
  await flushed();
  expect((await Recovery.load(store, { journal: emptyJournal, branch: 0 })).turns).toEqual([
    records(5),
    records(5),
    records(7, 'b'),
  ]);
  expect((await Recovery.load(store, { journal: covered, branch: 0 })).turns).toEqual([records(5), records(7, 'b')]);
});

test('turns that a durable checkpoint covers are forgotten, written or not, and the rest goes on behind them', async () => {
  const { store, journal, flushed } = await opened();
  journal.note(records(1));
  await flushed();
  journal.note({ kind: 'tick', now: 5 });
  journal.note(records(2));
  const covered = journal.cut();
  journal.note(records(3));
  await journal.prune(covered.turns, []);
  await flushed();
  const recovery = await Recovery.load(store, { journal: covered, branch: 0 });
  expect(recovery.turns).toEqual([records(3)]);
  expect(recovery.kept).toHaveLength(1);
});

test('a store that fails is told once, and nothing is acknowledged after it', async () => {
  const { journal: inner } = await new MemoryStorage().open();
  const failures: unknown[] = [];
  const acknowledged: number[] = [];
  const store = { ...inner, append: () => Promise.reject(new Error('full')) };
  const journal = new Journal({
    store,
    clock: systemClock,
    recordTurns: () => true,
    from: emptyJournal,
    onFailure: (error) => failures.push(error),
  });
  for (let turn = 0; turn < 3; turn += 1) {
    journal.note(records(1));
    journal.flush(() => acknowledged.push(turn));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(failures).toHaveLength(1);
  expect(acknowledged).toEqual([]);
});
