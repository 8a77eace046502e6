import { describe, expect, test } from 'vitest';
import { defineSource, WatermarkStrategy } from '../../../../lib/index.ts';
import type { Timestamp } from '../../../../lib/core/element.ts';
import type { Split } from '../../../../lib/runtime/hosts/split.ts';
import { batchOf, HostedSource, type Stamped } from './sources.ts';

const byTs = (strategy: WatermarkStrategy<Stamped>): WatermarkStrategy<Stamped> =>
  strategy.withTimestamps(({ ts }: Stamped) => ts);
const stamped = (...times: Timestamp[]): Stamped[] => times.map((ts, n) => ({ n, ts }));
const wrong = [
  Number.NaN,
  Infinity,
  -Infinity,
  Number.MAX_VALUE,
  -(2 ** 53),
  '1700000000000',
  new Date(5),
  null,
  5n,
  {},
];

describe('timestamps (I16)', () => {
  test.each(wrong.map((ts) => [ts]))('of a strategy: %s is refused, with source, split and record', (ts) => {
    const hosted = new HostedSource(byTs(WatermarkStrategy.monotonous()));
    const split = hosted.split('left');
    split.take(batchOf(stamped(1, 2)));
    hosted.host.push(split, 9);
    split.take(batchOf(stamped(3, ts as number)));
    expect(() => hosted.host.push(split, 9)).toThrow(
      expect.objectContaining({
        code: 'TIMESTAMP_INVALID',
        retryable: false,
        details: expect.objectContaining({ uid: 'src', split: 'left', record: 3 }),
      }),
    );
  });

  test.each(wrong.map((ts) => [ts]))('of a batch: %s is refused before anything of the batch is taken', async (ts) => {
    const source = defineSource({
      start: 0,
      read: (at: number) =>
        at > 0 ? undefined : { values: ['a', 'b'], timestamps: [1, ts as number], position: (count) => count },
    });
    const hosted = new HostedSource<string>(WatermarkStrategy.monotonous(), source);
    const split = hosted.split('source');
    const { signal } = new AbortController();
    split.open(await source.open('source', undefined, signal));
    await expect(split.read(signal)).rejects.toMatchObject({
      code: 'TIMESTAMP_INVALID',
      details: { uid: 'src', split: 'source', record: 1 },
    });
    expect(hosted.log).toEqual([]);
  });

  test('at the ends of what can be counted they are taken, and the watermark stays one of them', () => {
    const hosted = new HostedSource(byTs(WatermarkStrategy.boundedOutOfOrderness<Stamped>(0).withEmitEvery(1)));
    const split = hosted.split('a');
    split.take(batchOf(stamped(Number.MIN_SAFE_INTEGER, -1.5, 0, Number.MAX_SAFE_INTEGER)));
    hosted.host.push(split, 9);
    expect(hosted.log.filter(([kind]) => kind === 'record')).toHaveLength(4);
    expect(hosted.watermark).toBe(Number.MAX_SAFE_INTEGER - 1);
  });

  test('a value of a batch may have none', () => {
    const hosted = new HostedSource<string>(WatermarkStrategy.monotonous());
    const split = hosted.split('a');
    split.take(batchOf(['a', 'b'], { timestamps: [5] }));
    hosted.host.push(split, 9);
    expect(hosted.log.filter(([kind]) => kind === 'record')).toEqual([
      ['record', 'a', 5],
      ['record', 'b', -Infinity],
    ]);
  });

  test('the final watermark comes when the last split has ended, and from nothing else', () => {
    const hosted = new HostedSource(byTs(WatermarkStrategy.monotonous<Stamped>().withEmitEvery(1)));
    const [a, b] = [hosted.split('a'), hosted.split('b')];
    for (const split of [a, b]) {
      split.take(batchOf(stamped(Number.MAX_SAFE_INTEGER)));
      hosted.host.push(split, 1);
    }
    hosted.host.end(a);
    expect(hosted.watermarks()).not.toContain(Infinity);
    hosted.host.end(b);
    expect([hosted.watermarks().at(-1), hosted.host.ended]).toEqual([Infinity, true]);
  });
});

describe('watermarks', () => {
  test('leave at record counts, and in front of a record that is behind its bound', () => {
    const hosted = new HostedSource(byTs(WatermarkStrategy.boundedOutOfOrderness<Stamped>(10).withEmitEvery(4)));
    const split = hosted.split('a');
    split.take(batchOf(stamped(100, 95, 80, 120, 200, 189)));
    hosted.host.push(split, 99);
    const told = hosted.log.map(([kind, first]) => (kind === 'record' ? first.ts : `wm ${String(first)}`));
    expect(told).toEqual([100, 95, 'wm 89', 80, 120, 'wm 109', 200, 'wm 189', 189]);
  });

  test('a place that fills up cuts a batch at a record, which is where it goes on', () => {
    const hosted = new HostedSource(byTs(WatermarkStrategy.monotonous()));
    const split = hosted.split('a');
    split.take(batchOf(stamped(1, 2, 3)));
    const place = hosted.places.make({ name: 'p', max: 1 });
    place.add(1);
    expect([hosted.host.push(split, 9), split.position, split.hasRecords]).toEqual([{ count: 1 }, 1, true]);
    const rest = hosted.host.push(split, 9, { ignorePlaces: true });
    expect([rest, split.position, split.hasRecords]).toEqual([{ count: 2 }, 3, false]);
  });

  test('a place that a watermark in front of a record fills cuts a batch between the two, and a replay does so too', () => {
    const strategy = WatermarkStrategy.boundedOutOfOrderness<Stamped>(2).withEmitEvery(1000);
    const run = (push: (hosted: HostedSource<Stamped>, split: Split<Stamped>) => unknown) => {
      const hosted = new HostedSource(byTs(strategy));
      const split = hosted.split('a');
      split.take(batchOf(stamped(1, 10, 4, 5, 11)));
      return [push(hosted, split), hosted.log, hosted.host.snapshot()];
    };
    const [pushed, log, state] = run((hosted, split) => {
      const place = hosted.places.make({ name: 'p', max: 1 });
      hosted.onWatermark = () => place.add(1);
      return hosted.host.push(split, 9);
    });
    expect([pushed, (log as unknown[]).at(-1)]).toEqual([{ count: 2, emits: true }, ['watermark', 7]]);
    const again = run((hosted, split) => {
      hosted.host.push(split, 2, { ignorePlaces: true });
      hosted.host.emitInFront(split);
      return pushed;
    });
    expect(again).toEqual([pushed, log, state]);
    // The record is handed over then, behind no other watermark; a replay that is told nothing does not stop.
    const [all, whole] = run((hosted, split) => hosted.host.push(split, 9, { ignorePlaces: true }));
    expect([all, (whole as unknown[]).slice(3)]).toEqual([
      { count: 5 },
      [4, 5, 11].map((ts, at) => ['record', { n: at + 2, ts }, ts]),
    ]);
  });

  test('a turn that may not go on ends within some records, wherever watermarks leave', () => {
    for (const every of [1, 64, 10_000]) {
      const hosted = new HostedSource(byTs(WatermarkStrategy.monotonous<Stamped>().withEmitEvery(every)));
      const split = hosted.split('a');
      split.take(batchOf(stamped(...Array.from({ length: 500 }, (_, n) => n))));
      expect(hosted.host.push(split, 500, { mayGoOn: () => false }).count).toBeLessThanOrEqual(64);
    }
  });
});

describe('a tick', () => {
  const opened = async (waiting?: boolean) => {
    const hosted = new HostedSource(byTs(WatermarkStrategy.monotonous<Stamped>().withIdleness(300)));
    const split = hosted.split('a');
    let give: (values: readonly Stamped[]) => void = () => {};
    const { signal } = new AbortController();
    split.open({
      read: () => new Promise((resolve) => (give = (values) => resolve(batchOf(values)))),
      waiting,
      close: async () => {},
    });
    const read = async (): Promise<void> => {
      const batch = await split.read(signal);
      if (batch !== undefined) split.take(batch);
    };
    const tick = (now: number, asked = true): void => {
      for (const [, name, quiet] of hosted.host.dueForTick(now, asked)) hosted.host.tick(name, now, quiet);
    };
    return { hosted, split, read, tick, give: (values: readonly Stamped[]) => give(values) };
  };
  const idle = ({ hosted }: { hosted: HostedSource<Stamped> }): boolean =>
    hosted.log.some((each) => each[0] === 'idle' && each[1]);

  test('makes a split idle that was asked and waits', async () => {
    const source = await opened();
    void source.read();
    for (let now = 0; now <= 600; now += 200) source.tick(now);
    expect(idle(source)).toBe(true);
  });

  test.each([
    ['nobody asks it, because a place is full or the process stood still', false, undefined],
    ['its source reads, however slowly', true, false],
  ])('does not when %s', async (_why, asked, waiting) => {
    const source = await opened(waiting);
    void source.read();
    for (let now = 0; now <= 10_000; now += 200) source.tick(now, asked);
    expect(idle(source)).toBe(false);
  });

  test('does not, and emits nothing, while records are in hand', async () => {
    const source = await opened();
    const read = source.read();
    source.give(stamped(5, 6));
    await read;
    source.hosted.host.push(source.split, 1);
    for (let now = 0; now <= 10_000; now += 200) source.tick(now);
    expect([idle(source), source.hosted.watermarks()]).toEqual([false, []]);
  });

  test('begins the countdown anew when the split could bring nothing in between', async () => {
    const source = await opened();
    void source.read();
    source.tick(0);
    source.tick(200);
    source.tick(5000, false);
    source.tick(5200);
    source.tick(5400);
    expect(idle(source)).toBe(false);
    source.tick(5600);
    expect(idle(source)).toBe(true);
  });

  test('a record makes an idle split active before it passes, not a tick after it', async () => {
    const source = await opened();
    const read = source.read();
    for (let now = 0; now <= 600; now += 200) source.tick(now);
    source.give(stamped(7));
    await read;
    source.hosted.host.push(source.split, 1);
    expect(source.hosted.log.slice(-2)).toEqual([
      ['idle', false],
      ['record', { n: 0, ts: 7 }, 7],
    ]);
  });
});

describe('records that can not be read again', () => {
  test('leave when they are released, move the position when they are accepted, and are in a snapshot as they were', () => {
    const hosted = new HostedSource<unknown>(WatermarkStrategy.none());
    const split = hosted.split('a');
    const value = { list: [1] };
    split.accept({ values: ['x', value, 'z'], timestamps: [1, 2, 3], sides: [[2, 'odd']], position: 30 });
    expect([split.hasRecords, split.position, hosted.host.push(split, 9)]).toEqual([false, 30, { count: 0 }]);
    split.release();
    hosted.host.push(split, 1);
    const snapshot = structuredClone(hosted.host.snapshot());
    value.list.push(2);
    const restored = new HostedSource<unknown>(WatermarkStrategy.none());
    restored.host.restore(snapshot);
    const again = restored.host.split('a');
    expect([again.records, again.position, again.inHand]).toEqual([1, 30, 2]);
    restored.host.push(again, 9);
    expect(restored.log).toEqual([['record', { list: [1] }, 2]]);
    expect(again.records).toBe(3);
  });

  test('what can not be stored is left out with its timestamp and side, counted, and told once', () => {
    const hosted = new HostedSource<unknown>(WatermarkStrategy.none());
    const split = hosted.split('a');
    const batch = batchOf<unknown>(['a', () => 1, { x: [Symbol('s')] }, 'b'], {
      timestamps: [1, 2, 3, 4],
      sides: new Map([
        [1, 'one'],
        [3, 'three'],
      ]),
    });
    expect(hosted.host.acceptable(split, batch)).toEqual({
      values: ['a', 'b'],
      timestamps: [1, 4],
      sides: [[1, 'three']],
      position: 4,
    });
    hosted.host.acceptable(split, batchOf<unknown>([new (class Order {})()]));
    expect(hosted.metrics.root.getCounter('numRecordsRefused').value).toBe(3);
    expect(hosted.lines).toHaveLength(1);
    expect(hosted.lines[0]).toMatch(/value 1 of 4/);
  });
});
