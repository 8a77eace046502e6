import { MemoryStorage } from 'millrace';
import { describe, expect, test } from 'vitest';
import type { ActionStateStore } from '../../../../lib/core/journal.ts';
import type { LeftOverSnapshot } from '../../../../lib/runtime/checkpoint/header.ts';
import { encodeTurns, encodeWork, workKey } from '../../../../lib/runtime/journal/journal-format.ts';
import { packTurn, type Turn } from '../../../../lib/runtime/journal/turn.ts';
import type { WorkRecord } from '../../../../lib/runtime/journal/work-record.ts';
import { Recovery, type Covered } from '../../../../lib/runtime/recovery/recovery.ts';
import type { WorkItem } from '../../../../lib/runtime/work/work-item.ts';
import { calledOf, claimedBy, doneOf, idOf, itemOf } from './records.ts';

const fresh: Covered = { journal: { lsn: 0, turns: 0 }, branch: 0 };
const read = (count: number): Turn => ({ kind: 'records', source: 1, split: 's', count });
const applied = ({ id }: WorkItem): Turn => ({ kind: 'work', work: id });

/** A log record of turns: under which LSN, and the number of its first turn. */
interface Log {
  readonly lsn: number;
  readonly first: number;
  readonly turns: readonly Turn[];
}

const journalOf = async (logs: readonly Log[], records: readonly WorkRecord[] = []): Promise<ActionStateStore> => {
  const { journal } = await new MemoryStorage().open();
  await journal.append([
    ...logs.map(({ lsn, first, turns }) => encodeTurns({ kind: 'turns', lsn, first, turns: turns.map(packTurn) })),
    ...records.map(encodeWork),
  ]);
  return journal;
};

const loaded = async (
  { logs = [], records = [] }: { logs?: readonly Log[]; records?: readonly WorkRecord[] },
  covered: Partial<Covered> = {},
): Promise<Recovery> => Recovery.load(await journalOf(logs, records), { ...fresh, ...covered });

const hex = (keys: readonly Uint8Array[]): string[] => keys.map((key) => Buffer.from(key).toString('hex')).toSorted();
const doneKeys = (...items: readonly WorkItem[]): string[] => hex(items.map(({ id }) => workKey(id, 0, 'done')));

describe('the turns behind a checkpoint', () => {
  const logs = [
    { lsn: 1, first: 0, turns: [read(1), read(2)] },
    { lsn: 4, first: 2, turns: [read(3), read(4), read(5)] },
    { lsn: 9, first: 5, turns: [read(6)] },
  ];

  test.each([
    [0, [1, 2, 3, 4, 5, 6]],
    [2, [3, 4, 5, 6]],
    [3, [4, 5, 6]], // It covers a part of a record.
    [5, [6]],
    [6, []],
  ])('of %i turns', async (turns, counts) => {
    const recovery = await loaded({ logs }, { journal: { lsn: turns, turns } });
    expect(recovery.turns).toEqual(counts.map(read));
    expect(recovery.state).toEqual({ lsn: 9, turns: 6 });
    expect(recovery.takeTurns()).toHaveLength(counts.length);
    expect(recovery.turns).toEqual([]);
  });

  test('go on where the checkpoint stands when the journal holds no more', async () => {
    expect((await loaded({}, { journal: { lsn: 12, turns: 30 } })).state).toEqual({ lsn: 12, turns: 30 });
    expect(Recovery.empty({ ...fresh, journal: { lsn: 12, turns: 30 } }).state).toEqual({ lsn: 12, turns: 30 });
  });

  test('go on behind the newest record, whatever kind it is', async () => {
    const records = [doneOf(itemOf('x', idOf(1)), 20), doneOf(itemOf('y', idOf(2)), 12)];
    expect((await loaded({ logs, records })).state).toEqual({ lsn: 20, turns: 6 });
  });

  test('stay in the journal until a checkpoint covers the last turn of their record', async () => {
    expect((await loaded({ logs })).kept).toEqual([
      { lsn: 1, last: 2 },
      { lsn: 4, last: 5 },
      { lsn: 9, last: 6 },
    ]);
  });

  test('are damaged when one is missing, in front or between, and not when a covered one is', async () => {
    const [, second, third] = logs;
    if (second === undefined || third === undefined) throw new Error('three logs');
    await expect(loaded({ logs: [second, third] })).rejects.toThrow(
      expect.objectContaining({ code: 'STORE_DAMAGED', message: expect.stringContaining('lacks turns 0 to 1') }),
    );
    await expect(loaded({ logs: [...logs.slice(0, 1), third] })).rejects.toThrow(/lacks turns 2 to 4/);
    expect((await loaded({ logs: [third] }, { journal: { lsn: 4, turns: 5 } })).turns).toEqual([read(6)]);
    await expect(loaded({ logs: [{ lsn: 1, first: 1, turns: [read(1)] }] })).rejects.toThrow(/lacks turns 0 to 0/);
  });

  test('of an older copy of the journal are refused', async () => {
    const reaching = async (reaches: boolean): Promise<Recovery> => {
      const store = await journalOf(logs);
      const asked: unknown[] = [];
      const told = Object.assign(Object.create(store) as ActionStateStore, {
        reaches: async (marker: unknown) => (asked.push(marker), reaches),
        rebuildState: () => store.rebuildState(),
      });
      const recovery = Recovery.load(told, { ...fresh, journalPosition: 17 });
      await recovery.catch(() => {});
      expect(asked).toEqual([17]);
      return recovery;
    };
    await expect(reaching(false)).rejects.toThrow(
      expect.objectContaining({ code: 'STORE_DAMAGED', message: expect.stringContaining('older than the checkpoint') }),
    );
    expect((await reaching(true)).turns).toHaveLength(6);
  });

  test('and records of work are what a start can get further by; ticks and starts are not', async () => {
    const item = itemOf('x', idOf(1));
    const turns: readonly Turn[] = [read(1), { kind: 'start' }, { kind: 'tick', now: 5 }];
    const { progress } = await loaded({
      logs: [{ lsn: 1, first: 0, turns }],
      records: [calledOf(item, 2), doneOf(item, 3)],
    });
    expect(progress).toBe(3);
  });
});

describe('what the journal holds of an item', () => {
  const [a, b] = [itemOf('a', idOf(1)), itemOf('b', idOf(2))];
  const records = [doneOf(b, 3), calledOf(a, 4), doneOf(a, 5)];

  test('is handed out once, with its calls and its end', async () => {
    const recovery = await loaded({ records });
    expect(recovery.knows(a)).toBe(true);
    expect(recovery.doneOf(a)?.outcome).toEqual({ ok: true, value: 5 });
    const taken = recovery.take(a);
    expect([taken?.done, [...(taken?.calls.keys() ?? [])], taken?.keys.length]).toEqual([
      { ok: true, value: 5 },
      [0],
      2,
    ]);
    expect([recovery.take(a), recovery.knows(a)]).toEqual([undefined, false]);
    expect(recovery.take(itemOf('c', idOf(3)))).toBeUndefined();
  });

  test('is not handed out to other content of that name', async () => {
    expect((await loaded({ records })).take(itemOf('other', a.id))).toBeUndefined();
  });

  test('that no turn has applied: ends come in the order of the log, each to its own content', async () => {
    const recovery = await loaded({ records });
    const open = [a, itemOf('c', idOf(3)), b];
    expect(recovery.ends(open).map(({ item, outcome }) => [item.item, outcome])).toEqual([
      ['b', { ok: true, value: 3 }],
      ['a', { ok: true, value: 5 }],
    ]);
    expect(recovery.ends([itemOf('other', a.id)])).toEqual([]);
  });

  test('that replay has applied is garbage, told once', async () => {
    const recovery = await loaded({ records });
    recovery.applied(b);
    expect([recovery.knows(b), hex(recovery.takeGarbage()), recovery.takeGarbage()]).toEqual([false, doneKeys(b), []]);
  });

  test('that is neither open nor applied had ended before the checkpoint: it is garbage', async () => {
    const recovery = await loaded({ records }, { journal: { lsn: 3, turns: 0 } });
    recovery.endReplay(new Set([a.name]));
    expect([recovery.knows(a), recovery.leftOver]).toEqual([true, undefined]);
    expect(hex(recovery.takeGarbage())).toEqual(doneKeys(b));
  });
});

describe('where the branches part', () => {
  const [covered, open, behind] = [itemOf('x', idOf(1)), itemOf('y', idOf(2)), itemOf('z', idOf(3))];
  const records = [doneOf(covered, 2), calledOf(open, 3), doneOf(behind, 6)];
  const snapshot: LeftOverSnapshot = { left: [[1, 4]], kept: [open.name], unrecorded: [], tail: [] };
  const next = (item: WorkItem, number: number): WorkItem =>
    itemOf(item.item, { ...item.id, branch: item.id.branch + 1, number });

  test('what came behind the checkpoint may be claimed, what is open is kept, the rest is garbage', async () => {
    const recovery = await loaded({ records }, { journal: { lsn: 4, turns: 1 } });
    recovery.endReplay(new Set([open.name]), snapshot);
    const by = next(behind, 40);
    expect(recovery.claim(next(covered, 41))).toBeUndefined();
    // It differs from the oldest of its key, so the rest of that key was dropped.
    expect(recovery.leftOver?.dropped).toBe(1);
    const other = await loaded({ records }, { journal: { lsn: 4, turns: 1 } });
    other.endReplay(new Set([open.name]), snapshot);
    expect(other.claim(by)?.work).toEqual(behind.id);
    // Read back, its records go by the name of who claimed it.
    expect([other.knows(by), other.take(by)?.done]).toEqual([true, { ok: true, value: 6 }]);
    expect([other.knows(open), hex(other.takeGarbage())]).toEqual([true, doneKeys(covered)]);
  });

  /** The next life, whose checkpoint knows of the divergence. */
  const later = (covered: Partial<Covered> = {}, logs: readonly Log[] = [], more: readonly WorkRecord[] = []) =>
    loaded(
      { logs, records: [...records, ...more] },
      { branch: 1, leftOver: snapshot, journal: { lsn: 6, turns: 4 }, ...covered },
    );

  test('a later life finds what is left over again: what is of an older branch and was not open then', async () => {
    const recovery = await later();
    recovery.endReplay(new Set([open.name]));
    expect(recovery.claim(next(covered, 40))?.work).toEqual(covered.id);
    expect(recovery.claim(next(behind, 41))?.work).toEqual(behind.id);
    expect(recovery.claim(next(open, 42))).toBeUndefined();
  });

  test('nobody claims what stayed open and has been applied since', async () => {
    const recovery = await later();
    recovery.endReplay(new Set());
    // Those of the key that are older are out of the way.
    for (const [at, item] of [covered, behind].entries()) expect(recovery.claim(next(item, 50 + at))).toBeDefined();
    expect(recovery.claim(next(open, 42))).toBeUndefined();
    expect(hex(recovery.takeGarbage())).toContain(hex([workKey(open.id, 0, 'called')])[0]);
  });

  test('nor what was applied before the branches parted, as long as its turn is there', async () => {
    // Turns 1 and 2 were left by a first divergence, 4 and 5 by the next.
    const turns = [applied(covered), read(1), applied(behind), read(1), read(1), read(1)];
    const leftOver = {
      ...snapshot,
      left: [
        [1, 3],
        [4, 6],
      ],
    } as const;
    const recovery = await later({ leftOver }, [{ lsn: 5, first: 0, turns }]);
    expect([recovery.knows(covered), recovery.knows(behind)]).toEqual([false, true]);
    recovery.endReplay(new Set([open.name]));
    expect(recovery.claim(next(behind, 41))?.work).toEqual(behind.id);
  });

  test('what was claimed in an earlier life goes by its new name, and is claimed by nobody else', async () => {
    const by = next(behind, 40);
    const recovery = await later({}, [], [claimedBy(behind, by, 8)]);
    expect([recovery.knows(behind), recovery.doneOf(by)?.outcome]).toEqual([false, { ok: true, value: 6 }]);
    recovery.endReplay(new Set([open.name, by.name]));
    expect(recovery.claim(next(behind, 41))).toBeUndefined();
    expect(recovery.take(by)?.done).toEqual({ ok: true, value: 6 });
  });

  test('when nothing can be claimed any more, what is left is garbage', async () => {
    const recovery = await later();
    recovery.endReplay(new Set([open.name]));
    expect(recovery.claim(itemOf('new', idOf(7, { branch: 1 })))).toBeUndefined();
    recovery.dropLeftOver();
    expect([recovery.leftOver, hex(recovery.takeGarbage())]).toEqual([undefined, doneKeys(behind, covered)]);
  });
});
