import { MemoryStorage } from 'millrace';
import { describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../../lib/core/clock.ts';
import { emptyJournal, Journal } from '../../../lib/runtime/journal.ts';
import { Recovery } from '../../../lib/runtime/recovery.ts';

const open = async (storage: MemoryStorage, clock: Clock = systemClock) => {
  const { journal: store } = await storage.open();
  const journal = new Journal({
    store,
    clock,
    recordTurns: () => true,
    from: emptyJournal,
    onFailure: (error) => {
      throw error;
    },
  });
  return { journal, store };
};

const tick = (now: number) => ({ kind: 'tick', now }) as const;
const flushed = (journal: Journal): Promise<void> => new Promise((resolve) => journal.flush(resolve));

describe('turns that were noted and written by nobody', () => {
  it('are forgotten when a checkpoint covers them, so that a job that appends nothing does not keep them (I10)', async () => {
    const { journal, store } = await open(new MemoryStorage());
    for (let now = 0; now < 1000; now += 1) journal.note(tick(now));
    const { turns } = journal.cut();
    for (let now = 1000; now < 1003; now += 1) journal.note(tick(now));
    expect(journal.backlog).toBe(1003);
    await journal.prune(turns, []);
    expect(journal.backlog).toBe(3);
    await flushed(journal);
    // What is left is numbered as before, so a restart on that checkpoint finds no gap.
    const recovery = await Recovery.load(store, { ...emptyJournal, turns });
    expect(recovery.turns).toEqual([tick(1000), tick(1001), tick(1002)]);
  });
});

describe('acknowledgements of one write', () => {
  it('come in slices, in order, and before those of the next write', async () => {
    let elapsed = 0;
    const clock: Clock = { ...systemClock, elapsed: () => elapsed };
    const { journal } = await open(new MemoryStorage(), clock);
    const told: number[] = [];
    let macrotasks = 0;
    let running = true;
    const count = (): void => {
      macrotasks += 1;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    const done = new Promise<void>((resolve) => {
      for (let at = 0; at < 200; at += 1) {
        journal.flush(() => {
          elapsed += 1; // Each takes a millisecond.
          if (at === 10) journal.flush(() => told.push(1000)); // Asked for in the first slice.
          told.push(at);
          if (at === 199) resolve();
        });
      }
    });
    await done;
    await flushed(journal);
    running = false;
    expect(told).toEqual([...Array.from({ length: 200 }, (_, at) => at), 1000]);
    expect(macrotasks).toBeGreaterThan(5);
  });
});
