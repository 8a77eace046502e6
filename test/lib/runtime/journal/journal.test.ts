import { expect, test } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import { decodeJournalEntry } from '../../../../lib/runtime/journal/journal-format.ts';
import { emptyJournal, Journal, type LogEntry } from '../../../../lib/runtime/journal/journal.ts';
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

test('an entry says what is written when a write takes it, and is told the key that the store has it under', async () => {
  const { store, journal, flushed } = await opened();
  const told: [number, Uint8Array | undefined][] = [];
  let [asked, call] = [0, 0];
  const entry = (keeps: boolean, number: number): LogEntry => {
    const lsn = journal.nextLsn();
    return {
      takeRecord() {
        asked += 1;
        const work = { branch: 0, operator: 1, keyGroup: 2, number };
        return keeps ? { kind: 'voided', lsn, work, key: 'k', digest: 3, call } : undefined;
      },
      onDurable: (key) => told.push([number, key]),
    };
  };
  journal.enqueue(entry(true, 7));
  journal.enqueue(entry(false, 8));
  expect(asked).toBe(0);
  call = 5; // Until it is taken it may change.
  await flushed();
  call = 6;
  await flushed();
  expect(asked).toBe(2);
  expect(told.map(([number]) => number)).toEqual([7, 8]);
  const kept = [];
  for await (const each of store.rebuildState()) kept.push(each);
  expect(kept.map((each) => decodeJournalEntry(each))).toMatchObject([{ kind: 'voided', call: 5 }]);
  expect(told[0]?.[1]).toEqual(kept[0]?.key);
  expect(told[1]?.[1]).toBeUndefined();
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
