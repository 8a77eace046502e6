import { callbackSink, MemoryStorage, type Source, type StreamExecutionEnvironment } from 'millrace';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { emptyHeader, type Header } from '../../../../lib/runtime/checkpoint/header.ts';
import { branchesMax, encodeTurns } from '../../../../lib/runtime/journal/journal-format.ts';
import { packTurn, type Turn } from '../../../../lib/runtime/journal/turn.ts';
import { beginBranch, leftOverAtCut } from '../../../../lib/runtime/recovery/branch.ts';
import { Divergence } from '../../../../lib/runtime/recovery/replay.ts';
import { Life } from '../life.ts';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly code?: string;
}

const logged = (lines: Line[]) =>
  pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });

/** Letters of one split; `hook` can't be read again. */
const letters = (name: string, replayable: boolean): Source<string, number> => ({
  name,
  replayable,
  splits: async () => ['s'],
  open: async (_split, position = 0) => {
    let next = position;
    return {
      read: async () => {
        const first = next;
        next += 4;
        return { values: [...'abcd'].map((each) => `${name} ${each}${first}`), position: (count) => first + count };
      },
      close: async () => {},
    };
  },
});

/** Work that never ends. */
const pipeline = (env: StreamExecutionEnvironment): void => {
  env
    .fromSource(letters('file', true))
    .union(env.fromSource(letters('hook', false)))
    .asyncMap(() => new Promise<string>(() => {}))
    .sinkTo(callbackSink(() => {}));
};

/** A storage whose journal holds so many turns behind this one. */
const holding = async (first: number, count: number): Promise<MemoryStorage> => {
  const storage = new MemoryStorage();
  const { journal, close } = await storage.open();
  const turns = Array.from({ length: count }, () => packTurn({ kind: 'start' }));
  await journal.append([encodeTurns({ kind: 'turns', lsn: 6, first, turns })]);
  await close();
  return storage;
};

const headerAt = (turns: number, more: Partial<Header> = {}): Header => ({
  ...emptyHeader(128),
  journal: { lsn: 5, turns },
  ...more,
});

describe('a new branch', () => {
  const records = (life: Life, count: number, submitted: readonly number[] = []): Turn => ({
    kind: 'records',
    source: life.source('file').number,
    split: 's',
    count,
    submitted,
  });
  const divergence = new Divergence(3, 'operator `x` gave something else');

  test('says so, keeps what is open, and knows where the old one ended', async () => {
    const lines: Line[] = [];
    const header = headerAt(10);
    const life = await Life.begun(pipeline, { header, storage: await holding(10, 9) });
    life.branch = 1;
    await life.records(2, 's', 'file');
    beginBranch({ job: life, header, divergence, turns: [records(life, 3, [123, 456])], logger: logged(lines) });
    expect(lines).toEqual([
      expect.objectContaining({
        level: 40,
        code: 'DIVERGED',
        msg: 'replay stopped: operator `x` gave something else; going on in branch 1',
      }),
    ]);
    const kept = [...life.openItems()];
    expect(kept).toHaveLength(2);
    expect(life.recovery.leftOver?.snapshot).toEqual({
      left: [[13, 19]], // By number: from three behind the checkpoint to where the journal goes on.
      kept,
      unrecorded: [123, 456],
      tail: [[life.source('file').number, 's', 5]],
    });
  });

  test('adds to what is known of branches before', async () => {
    const leftOver = { left: [[4, 6]], kept: ['0.1.2.3'], unrecorded: [7], tail: [[99, 'gone', 4]] } as const;
    const header = headerAt(10, { branch: 1, leftOver });
    const life = await Life.begun(pipeline, { header, storage: await holding(10, 9) });
    beginBranch({ job: life, header, divergence, turns: [records(life, 3, [8])], logger: logged([]) });
    expect(life.recovery.leftOver?.snapshot).toEqual({
      left: [
        [4, 6],
        [13, 19],
      ],
      kept: ['0.1.2.3'],
      unrecorded: [7, 8],
      tail: [
        [99, 'gone', 4],
        [life.source('file').number, 's', 3],
      ],
    });
  });

  test('takes again what sources had accepted, and counts what nobody takes', async () => {
    const lines: Line[] = [];
    const life = await Life.begun(pipeline);
    const input = { values: ['h1', 'h2'], position: 2 };
    const turns: Turn[] = [
      { kind: 'input', source: life.source('hook').number, split: 's', input },
      { kind: 'input', source: 99, split: 's', input },
    ];
    beginBranch({ job: life, header: headerAt(0), divergence, turns, logger: logged(lines) });
    expect(life.source('hook').split('s').inHand).toBe(2);
    expect(lines.at(-1)).toMatchObject({
      records: 2,
      msg: expect.stringMatching(/^2 accepted records belong to a source/),
    });
  });

  test('is refused when there is no number for it', async () => {
    const life = await Life.begun(pipeline);
    const begin = (branch: number): void => {
      life.branch = branch;
      beginBranch({ job: life, header: headerAt(0), divergence, turns: [], logger: logged([]) });
    };
    begin(branchesMax - 1);
    expect(() => begin(branchesMax)).toThrow(expect.objectContaining({ code: 'DIVERGED' }));
    expect(() => begin(branchesMax)).toThrow(/65536 branches at most: operator `x` gave something else/);
  });
});

describe('a checkpoint', () => {
  const tail = (life: Life, records: number): Header['leftOver'] => ({
    left: [],
    kept: [],
    unrecorded: [],
    tail: [[life.source('file').number, 's', records]],
  });

  test('keeps what may still be claimed until nothing may, and then tells the counts', async () => {
    const lines: Line[] = [];
    const life = await Life.begun(pipeline);
    expect(leftOverAtCut(life, logged(lines), life.metrics.root)).toBeUndefined();
    const snapshot = tail(life, 1);
    life.recovery.endReplay(new Set(), snapshot);
    expect(leftOverAtCut(life, logged(lines), life.metrics.root)).toEqual(snapshot);
    await life.records(1, 's', 'file');
    // Its item is open: what it brings about might claim.
    expect(leftOverAtCut(life, logged(lines), life.metrics.root)).toEqual(snapshot);
    expect(lines).toEqual([]);
    expect(leftOverAtCut(life, logged(lines), life.metrics.root)).toEqual(snapshot);
    for (const queue of life.queues())
      for (const item of [...queue.items()])
        life.turns.run(
          () => queue.apply(item, { ok: true, value: '' }),
          () => ({ kind: 'work', work: item.id }),
        );
    expect(leftOverAtCut(life, logged(lines), life.metrics.root)).toBeUndefined();
    expect(life.recovery.leftOver).toBeUndefined();
    expect(lines).toEqual([
      expect.objectContaining({
        level: 30,
        msg: 'of the branch before, 0 items of work were found again and 0 dropped',
      }),
    ]);
    expect(leftOverAtCut(life, logged(lines), life.metrics.root)).toBeUndefined();
    expect(lines).toHaveLength(1);
  });
});
