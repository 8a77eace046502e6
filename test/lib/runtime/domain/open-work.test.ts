import { getEventListeners } from 'node:events';
import { MemoryStorage } from 'millrace';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import { emptyHeader, type Header } from '../../../../lib/runtime/checkpoint/header.ts';
import { OpenWork } from '../../../../lib/runtime/domain/open-work.ts';
import { decodeJournalEntry, encodeWork, workKey } from '../../../../lib/runtime/journal/journal-format.ts';
import { openNewSplits } from '../../../../lib/runtime/recovery/open-splits.ts';
import { replay } from '../../../../lib/runtime/recovery/replay.ts';
import type { Storage } from '../../../../lib/state/store.ts';
import { ManualClock, settled } from '../../../../lib/testing/clock.ts';
import { doneOf, idOf, itemOf } from '../recovery/records.ts';
import { Gates, HeldStorage, tasks, Working, type WorkingOptions } from '../work/working.ts';

/** Items whose bodies make one call each, which a test lets end. */
const calling = async (count: number, more: Partial<WorkingOptions> = {}) => {
  const [clock, gates] = [new ManualClock(), new Gates()];
  const working = await Working.begun({
    clock,
    run: ({ name }, context) => context.call('ask', () => gates.wait(name)),
    ...more,
  });
  await working.life.records(count);
  await working.life.quiet();
  return { clock, gates, working, life: working.life, work: working.life.parts.work };
};

/** Whether it has come to an end so far. */
const watched = (promise: Promise<void>): { over: unknown } => {
  const state: { over: unknown } = { over: false };
  promise.then(
    () => (state.over = true),
    (error: unknown) => (state.over = error),
  );
  return state;
};

/** Another life on what the first one has left, replayed and not resumed. */
const replayed = async (options: WorkingOptions) => {
  const working = await Working.on(options);
  const { life } = working;
  const turns = life.recovery.takeTurns();
  expect(await replay(life, turns, turns.length, systemClock)).toBeUndefined();
  life.recovery.endReplay(life.openItems());
  return working;
};

const recordsIn = async (storage: Storage): Promise<readonly ReturnType<typeof decodeJournalEntry>[]> => {
  const { journal } = await storage.open();
  const found = [];
  for await (const entry of journal.rebuildState()) found.push(decodeJournalEntry(entry));
  return found;
};

describe('a stop', () => {
  test('waits until the calls that have started are journaled, and starts none any more', async () => {
    const storage = new HeldStorage();
    const { clock, gates, life, work } = await calling(2, { storage });
    expect(gates.started).toEqual(['a', 'b']);
    const listeners = getEventListeners(life.signal, 'abort').length;
    const stopped = watched(work.quiesce(60_000));
    await life.records(1);
    await life.quiet();
    expect([gates.started, work.accepting, life.openItems().size]).toEqual([['a', 'b'], false, 3]);
    gates.open('a');
    await life.quiet();
    expect(stopped.over).toBe(false);
    storage.hold();
    gates.open('b');
    await life.macrotasks(20);
    expect([stopped.over, clock.waiting]).toEqual([false, 0]); // Their outcomes are not durable yet.
    storage.release();
    await life.quiet();
    expect([stopped.over, getEventListeners(life.signal, 'abort').length]).toEqual([true, listeners]);
    await life.die();
  });

  test('waits no longer than its time, and not at all where none runs', async () => {
    const { clock, work, life } = await calling(1);
    const stopped = watched(work.quiesce(60_000));
    await clock.advance(59_999);
    expect(stopped.over).toBe(false);
    await clock.advance(1);
    await life.quiet();
    expect(stopped.over).toBe(true);
    const idle = await calling(0);
    await idle.work.quiesce(60_000);
    expect(idle.clock.waiting).toBe(0);
  });

  test('that is asked for twice ends twice', async () => {
    const { clock, gates, work, life } = await calling(1);
    const stopped = [watched(work.quiesce(60_000)), watched(work.quiesce(10_000))];
    gates.open('a');
    await life.quiet();
    expect([stopped.map(({ over }) => over), clock.waiting]).toEqual([[true, true], 0]);
  });

  test('ends with the job, and leaves no timer that would keep the process', async () => {
    const { clock, work, life } = await calling(1);
    const stopped = watched(work.quiesce(60_000));
    const reason = new Error('cancelled');
    life.kill(reason);
    await settled();
    expect([stopped.over, clock.waiting]).toEqual([reason, 0]);
  });
});

describe('after a replay', () => {
  test('ends that had no turn yet are applied in the order of the log, and nobody is asked (I8)', async () => {
    const storage = new MemoryStorage();
    const [gates, asked]: [Gates, string[]] = [new Gates(), []];
    const first = await Working.begun({ storage, run: ({ name }) => gates.wait(name) });
    await first.life.records(3);
    await first.life.quiet();
    first.life.parts.later.open(); // The process dies before any outcome had its turn.
    for (const name of ['c', 'a']) {
      gates.open(name);
      await first.life.quiet();
    }
    await first.life.die();
    const second = await replayed({ storage, run: async ({ name }) => (asked.push(name), `again ${name}`) });
    const { life } = second;
    life.parts.work.resume(life.queues());
    expect([second.told, asked]).toEqual([
      [
        ['c', 'c'],
        ['a', 'a'],
      ],
      [],
    ]);
    await life.quiet();
    expect([second.told.at(-1), asked]).toEqual([['b', 'again b'], ['b']]);
    await life.die();
  });

  test('what is open starts when the log is durable up to there, and not before (I14)', async () => {
    const [storage, gates] = [new HeldStorage(), new Gates()];
    const first = await Working.begun({ storage, run: () => new Promise(() => {}) });
    await first.life.records(1);
    await first.life.quiet();
    await first.life.die();
    const { life } = await replayed({ storage, run: ({ name }) => gates.wait(name) });
    storage.hold();
    life.parts.journal.append(doneOf(itemOf('x', idOf(77)), 99), () => {});
    life.parts.work.resume(life.queues());
    await life.macrotasks(20);
    expect(gates.started).toEqual([]);
    storage.release();
    await life.quiet();
    expect(gates.started).toEqual(['a']);
    await life.die();
  });
});

describe('records of items that are applied', () => {
  test('are garbage, and told once', async () => {
    const { gates, life, work, working } = await calling(2);
    expect(work.cutGarbage()).toEqual([]);
    gates.open('a');
    await life.quiet();
    expect(working.told).toEqual([['a', 'a']]);
    expect(work.cutGarbage()).toHaveLength(2); // That of its call, and that of its end.
    expect(work.cutGarbage()).toEqual([]);
    await life.die();
  });

  test('also of those whose end was found', async () => {
    const storage = new MemoryStorage();
    const gates = new Gates();
    const run: WorkingOptions['run'] = ({ name }, context) => context.call('ask', () => gates.wait(name));
    const first = await Working.begun({ storage, run });
    await first.life.records(1);
    await first.life.quiet();
    first.life.parts.later.open();
    gates.open('a');
    await first.life.quiet();
    await first.life.die();
    const { life } = await replayed({ storage, run });
    life.parts.work.resume(life.queues());
    expect(life.parts.work.cutGarbage()).toHaveLength(2);
    await life.die();
  });
});

describe('what is left over of another branch', () => {
  const old = itemOf('x', idOf(3));
  const header: Header = {
    ...emptyHeader(128),
    branch: 1,
    leftOver: { left: [], kept: [], unrecorded: [], tail: [] },
  };
  const life = async () => {
    const storage = new MemoryStorage();
    const { journal, close } = await storage.open();
    await journal.append([encodeWork(doneOf(old, 3))]);
    await close();
    const { life: made } = await Working.on({ storage, header, run: () => new Promise(() => {}) });
    made.recovery.endReplay(new Set());
    const [queue] = made.queues();
    if (queue === undefined) throw new Error('it has work');
    return { storage, life: made, work: made.parts.work, queue };
  };

  test('an item claims when it is submitted, and the journal says so before it runs', async () => {
    const { storage, life: made, work, queue } = await life();
    const item = itemOf('x', idOf(9, { branch: 1 }));
    work.submitted(queue, item); // Replay is not over: what it submits has claimed before.
    expect(made.recovery.knows(item)).toBe(false);
    work.resume([]);
    work.submitted(queue, item);
    expect(made.recovery.knows(item)).toBe(true);
    expect(work.recorded(item)?.keys).toContainEqual(workKey(old.id, 0, 'claimed'));
    await made.durable();
    await made.die();
    const claimed = (await recordsIn(storage)).find(({ kind }) => kind === 'claimed');
    expect(claimed).toMatchObject({ work: old.id, by: { branch: 1, number: 9 } });
  });

  test.each([
    ['drops the rest of its key again where it differs', 1, 'x', [0, 1]],
    ['claims what is equal', 1, 'a', [1, 0]],
    ['claims nothing where it is of a branch before', 0, 'a', [0, 0]],
  ])('an open item that the journal knows nothing of, behind a replay: %s', async (_what, branch, name, counts) => {
    const storage = new MemoryStorage();
    const { journal, close } = await storage.open();
    const before = itemOf({ key: 'a', name }, idOf(3, { operator: 2 }), 'a');
    await journal.append([encodeWork(doneOf(before, 3))]);
    await close();
    const { life: made } = await Working.on({ storage, header, run: () => new Promise(() => {}) });
    await openNewSplits(made, systemClock);
    made.branch = branch;
    await made.records(1); // As if it were replayed.
    made.branch = 1;
    made.recovery.endReplay(made.openItems());
    made.parts.work.resume(made.queues());
    expect([made.recovery.leftOver?.claimed, made.recovery.leftOver?.dropped]).toEqual(counts);
    await made.die();
  });

  test('one that differs claims nothing, and nothing is journaled of it', async () => {
    const { storage, life: made, work, queue } = await life();
    work.resume([]);
    const item = itemOf('y', idOf(9, { branch: 1 }));
    work.submitted(queue, item);
    await made.durable();
    expect(made.recovery.knows(item)).toBe(false);
    await made.die();
    expect((await recordsIn(storage)).map(({ kind }) => kind)).toEqual(['done']);
  });
});

describe('a body that asks for other calls than were recorded', () => {
  const made = async (strictReplay: boolean) => {
    const { life, clock } = await calling(0);
    const [failures, lines]: [unknown[], { code?: string; msg: string }[]] = [[], []];
    const { journal, turns } = life.parts;
    const work = new OpenWork({
      ...{ jobId: 'job', clock, journal, turns, strictReplay, recovery: life.recovery, signal: life.signal },
      logger: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }),
      branch: () => 0,
      uidOf: (operator) => `operator-${operator}`,
      onApplied: () => {},
      fail: (error) => failures.push(error),
    });
    return { work, failures, lines };
  };
  const item = itemOf('x', idOf(3));
  const named = 'operator `operator-1`, key "k": it asked for `other`';

  test('fails the job where replay is strict', async () => {
    const { work, failures, lines } = await made(true);
    work.diverged(item, 'it asked for `other`');
    expect(failures).toMatchObject([{ code: 'DIVERGED', message: named }]);
    work.overtaken(item, 'it asked for `other`'); // That is slow, and not wrong.
    expect([failures.length, lines.length]).toEqual([1, 1]);
  });

  test('is told of where it is not', async () => {
    const { work, failures, lines } = await made(false);
    work.diverged(item, 'it asked for `other`');
    expect([failures, lines]).toMatchObject([[], [{ code: 'DIVERGED', key: 'k', msg: named }]]);
  });

  test('what a body fails with fails the job', async () => {
    const { work, failures } = await made(false);
    const error = new Error('no');
    work.failWork(error);
    expect(failures).toEqual([error]);
  });
});

test('an outcome is applied in a turn of its own, and then the job looks whether it is at its end', async () => {
  const { gates, life, working } = await calling(1, { tasks: tasks('a') });
  const run = life.parts.loop.run();
  await life.quiet();
  gates.open('a');
  await life.quiet();
  expect(working.told).toEqual([['a', 'a']]);
  expect(await run).toBe(true);
  await life.die();
});
