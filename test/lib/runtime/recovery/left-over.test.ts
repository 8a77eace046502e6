import { callbackSink, collection, type StreamExecutionEnvironment } from 'millrace';
import { describe, expect, test } from 'vitest';
import type { LeftOverSnapshot } from '../../../../lib/runtime/checkpoint/header.ts';
import { workKey } from '../../../../lib/runtime/journal/journal-format.ts';
import { LeftOver, tailOf, unrecordedOf } from '../../../../lib/runtime/recovery/left-over.ts';
import type { WorkItem } from '../../../../lib/runtime/work/work-item.ts';
import { Life } from '../life.ts';
import { idOf, itemOf, journaled } from './records.ts';

const nothing: LeftOverSnapshot = { left: [], kept: [], unrecorded: [], tail: [] };

/** The same content in the branch behind. */
const again = (item: WorkItem, number = item.id.number): WorkItem =>
  itemOf(item.item, { ...item.id, branch: item.id.branch + 1, number }, item.key);

const leftOver = (items: readonly WorkItem[], snapshot: Partial<LeftOverSnapshot> = {}): LeftOver =>
  new LeftOver(
    { ...nothing, ...snapshot },
    items.map((item, at) => journaled(item, at + 1)),
  );

describe('an item of the new branch', () => {
  const [first, second, third] = [itemOf('x', idOf(3)), itemOf('x', idOf(4)), itemOf('y', idOf(5))];
  const other = itemOf('x', idOf(6), 'other');

  test('claims the oldest of its key, once, when the content is equal', () => {
    const left = leftOver([third, first, other, second]);
    expect(left.claim(again(first, 90))?.work).toEqual(first.id);
    expect(left.claim(again(first, 91))?.work).toEqual(second.id);
    expect(left.claim(again(third, 92))?.work).toEqual(third.id);
    expect(left.claim(again(third, 93))).toBeUndefined();
    expect(left.claim(again(other, 94))?.work).toEqual(other.id);
    expect([left.claimed, left.dropped, left.takeGarbage()]).toEqual([4, 0, []]);
  });

  test('takes them by number, which counts on where the branches part, and of one number by branch', () => {
    const [same, before] = [itemOf('x', { ...first.id, branch: 2 }), itemOf('x', idOf(2, { branch: 2 }))];
    const left = leftOver([same, first, before]);
    expect([90, 91, 92].map((number) => left.claim(again(first, number))?.work)).toEqual([
      before.id,
      first.id,
      same.id,
    ]);
  });

  test('that differs drops the rest of that key at that operator, and of no other', () => {
    const elsewhere = itemOf('x', idOf(7, { operator: 9 }));
    const left = leftOver([first, second, other, elsewhere]);
    expect(left.claim(itemOf('new', idOf(1, { branch: 1 })))).toBeUndefined();
    expect([left.claimed, left.dropped]).toEqual([0, 2]);
    // The oldest is at the end of what was kept.
    expect(new Set(left.takeGarbage().map((key) => Buffer.from(key).toString('hex')))).toEqual(
      new Set([first, second].map(({ id }) => workKey(id, 0, 'done').toString('hex'))),
    );
    expect(left.takeGarbage()).toEqual([]);
    expect(left.claim(again(second))).toBeUndefined();
    expect([left.claim(again(other))?.work, left.claim(again(elsewhere))?.work]).toEqual([other.id, elsewhere.id]);
  });

  test('that the old branch had too, with nothing to show for it, drops none, as often as it had it', () => {
    const started = itemOf('started', idOf(2));
    const left = leftOver([first], { unrecorded: [started.fingerprint, started.fingerprint] });
    expect([left.claim(again(started)), left.claim(again(started)), left.dropped]).toEqual([undefined, undefined, 0]);
    expect([left.claim(again(started)), left.dropped]).toEqual([undefined, 1]);
  });

  test('finds keys by what they are and not by the object', () => {
    const tuple = itemOf('x', idOf(3), ['de', 1]);
    expect(leftOver([tuple]).claim(itemOf('x', idOf(3, { branch: 1 }), ['de', 1]))?.work).toEqual(tuple.id);
  });
});

describe('what nobody has claimed', () => {
  /** A life in which each value starts work that ends when it is told to. */
  const working = async (): Promise<{ life: Life; end(value: number): void }> => {
    const ends = new Map<number, () => void>();
    const life = await Life.begun((env: StreamExecutionEnvironment) => {
      env
        .fromSource(collection(Array.from({ length: 40 }, (_, n) => n)))
        .asyncMap((n) => new Promise<number>((resolve) => void ends.set(n, () => resolve(n))))
        .sinkTo(callbackSink(() => {}));
    });
    return { life, end: (value) => ends.get(value)?.() };
  };
  const item = itemOf('x', idOf(3));

  test('is kept until the sources have passed what the old branch had read, and then dropped', async () => {
    const { life } = await working();
    const source = life.topology.sources[0];
    const left = leftOver([item], { tail: [[source?.number ?? -1, life.onlySplit, 2]] });
    expect(left.expire(life.topology.sources, [])).toBe(false);
    await life.records(1);
    expect(left.expire(life.topology.sources, [])).toBe(false);
    await life.records(1);
    expect([left.expire(life.topology.sources, []), left.dropped, left.takeGarbage().length]).toEqual([true, 1, 1]);
  });

  test.each([
    ['has ended', (life: Life) => life.end()],
    ['is gone', (life: Life) => void life.source(life.onlySource).splits.clear()],
  ])('waits for no split that %s', async (_what, happens) => {
    const { life } = await working();
    const left = leftOver([item], { tail: [[life.source(life.onlySource).number, life.onlySplit, 1000]] });
    expect(left.expire(life.topology.sources, [])).toBe(false);
    happens(life);
    expect(left.expire(life.topology.sources, [])).toBe(true);
  });

  test('may be claimed by what the open work of that time brings about', async () => {
    const { life, end } = await working();
    await life.records(1);
    await life.quiet();
    const left = leftOver([item]);
    expect(left.expire(life.topology.sources, life.queues())).toBe(false);
    await life.records(1); // The next generation: it is open when the last of the one before has ended.
    end(0);
    await life.quiet();
    expect(left.expire(life.topology.sources, life.queues())).toBe(false);
    expect(left.claim(again(item))?.work).toEqual(item.id);
    end(1);
    await life.quiet();
    expect(left.expire(life.topology.sources, life.queues())).toBe(true);
    expect([left.claimed, left.dropped]).toEqual([1, 0]);
  });

  test('is dropped in a job that is never idle too (I10)', async () => {
    const { life, end } = await working();
    const left = leftOver([item]);
    let generations = 0;
    await life.records(1);
    await life.quiet();
    while (!left.expire(life.topology.sources, life.queues()) && generations < 30) {
      await life.records(1);
      end(generations);
      await life.quiet();
      generations += 1;
    }
    expect(life.openItems().size).toBe(1);
    expect([generations, left.dropped]).toEqual([8, 1]);
  });
});

describe('how far the sources had come', () => {
  test('is what was read before the divergence and in the turns behind it, and never less than an older tail', async () => {
    const life = await Life.begun((env) => {
      env.fromSource(collection([1, 2, 3])).sinkTo(callbackSink(() => {}));
    });
    await life.records(2);
    const { number } = life.source(life.onlySource);
    const records = (source: number, split: string, count: number) =>
      ({ kind: 'records', source, split, count }) as const;
    const turns = [records(number, life.onlySplit, 3), records(77, 's', 4), records(number, life.onlySplit, 5)];
    expect(tailOf(life.topology.sources, [{ kind: 'start' }, ...turns])).toEqual([
      [number, life.onlySplit, 2 + 3 + 5],
      [77, 's', 4],
    ]);
    const older = [
      [number, life.onlySplit, 7],
      [77, 's', 9],
      [78, 't', 1],
    ] as const;
    expect(tailOf(life.topology.sources, turns, older)).toEqual([
      [number, life.onlySplit, 10],
      [77, 's', 9],
      [78, 't', 1],
    ]);
    expect(tailOf(life.topology.sources, [], older)).toEqual(older);
  });
});

test('of what turns have submitted those count that no record tells of, as often as there are more of them', () => {
  const [a, b, c] = [itemOf('a', idOf(1)), itemOf('b', idOf(2)), itemOf('c', idOf(3))];
  const turns = [
    { kind: 'records', source: 1, split: 's', count: 2, submitted: [a.fingerprint, b.fingerprint] },
    { kind: 'split', source: 1, split: 't' },
    { kind: 'work', work: a.id, submitted: [a.fingerprint, c.fingerprint] },
  ] as const;
  const items = [journaled(a, 1), journaled(c, 2), journaled(itemOf('d', idOf(4)), 3)];
  expect(unrecordedOf(turns, items)).toEqual([b.fingerprint, a.fingerprint]);
});
