import { WatermarkStrategy, type Operator, type Source, type SourceReader } from 'millrace';
import { describe, expect, test } from 'vitest';
import { tickAgain } from '../../../../lib/runtime/domain/ticks.ts';
import type { TickTurn } from '../../../../lib/runtime/journal/turn.ts';
import { ManualClock } from '../../../../lib/testing/clock.ts';
import { Life } from '../life.ts';

const never = (): Promise<never> => new Promise(() => {});

interface Ticked {
  /** Does something with each value. */
  readonly operator?: Operator<number, number>;
  /** What its reader has in place of one that brings 1, 2, 3. */
  readonly reader?: () => Partial<SourceReader<number, number>>;
  readonly strategy?: WatermarkStrategy<number>;
  readonly timersPerTurn?: number;
}

/** A life whose ticks a test brings by its clock; nothing else moves. */
const ticked = async ({ operator, reader, strategy = WatermarkStrategy.monotonous(), timersPerTurn }: Ticked = {}) => {
  const clock = new ManualClock({ now: 1000 });
  const source: Source<number, number> = {
    name: 'numbers',
    replayable: true,
    splits: async () => ['s'],
    open: async () => {
      const three: SourceReader<number, number> = {
        read: async () => ({ values: [1, 2, 3], position: (count) => count }),
        close: async () => {},
      };
      // As they are: a getter stays one.
      return Object.defineProperties(three, Object.getOwnPropertyDescriptors(reader?.() ?? {}));
    },
  };
  const life = await Life.begun(
    (env) => {
      const numbers = env.fromSource(source, strategy).keyBy((n) => n);
      (operator === undefined ? numbers : numbers.transform('op', operator)).print({ write: () => {} });
    },
    { clock, timersPerTurn },
  );
  life.seen.length = 0; // That of the split.
  const { ticks } = life.parts;
  ticks.start();
  const kinds = (): readonly string[] => life.seen.map(({ kind }) => kind);
  return { life, clock, ticks, kinds };
};

/** Fires so long after each value, on the clock. */
const alarm =
  (fired: unknown[], afterMs: number, more: () => void = () => {}): Operator<number, number> =>
  (context) => {
    const timers = context.timers(({ timestamp }) => {
      fired.push([context.currentKey(), timestamp, context.now()]);
      more();
    });
    return { process: () => timers.register(context.now() + afterMs, { domain: 'processing' }) };
  };

describe('a tick', () => {
  test('is no turn where nothing is due, and then the clock has no timer', async () => {
    const { life, clock, kinds } = await ticked();
    await clock.advance(3_600_000);
    expect([kinds(), clock.waiting, life.failures]).toEqual([[], 0, []]);
  });

  test('brings processing-time timers when the clock has passed them, at the time that is recorded', async () => {
    const fired: unknown[] = [];
    const { life, clock, ticks } = await ticked({ operator: alarm(fired, 500) });
    await life.records(1);
    ticks.moved();
    await clock.advance(500);
    expect(fired).toEqual([]);
    await clock.advance(1);
    expect(fired).toEqual([[1, 1500, 1501]]);
    expect(life.seen.at(-1)).toEqual({ kind: 'tick', now: 1501 });
    await clock.advance(10_000);
    expect(life.seen.filter(({ kind }) => kind === 'tick')).toHaveLength(1);
  });

  test('makes a split idle that waits, which the turn names', async () => {
    const { life, clock, kinds } = await ticked({
      strategy: WatermarkStrategy.monotonous<number>().withIdleness(300),
      reader: () => ({ read: never }),
    });
    void life.source('numbers').split('s').read(life.signal);
    await clock.advance(2000);
    expect(kinds()).toEqual(['tick', 'tick']); // One begins the count, one ends it.
    expect(life.seen.at(-1)).toMatchObject({ splits: [[expect.any(Number), 's', 'waits']] });
    expect(life.source('numbers').split('s').generator.idle).toBe(true);
  });

  test('does not while no source is asked, since a place is full, or while the process stood still (I17)', async () => {
    const full = await ticked({
      strategy: WatermarkStrategy.monotonous<number>().withIdleness(300),
      reader: () => ({ read: never }),
    });
    full.life.parts.places.make({ name: 'p', max: 1 }).add(1);
    void full.life.source('numbers').split('s').read(full.life.signal);
    await full.clock.advance(10_000);
    expect(full.life.source('numbers').split('s').generator.idle).toBe(false);
    const still = await ticked({
      strategy: WatermarkStrategy.monotonous<number>().withIdleness(300),
      reader: () => ({ read: never }),
    });
    void still.life.source('numbers').split('s').read(still.life.signal);
    await still.clock.advance(250);
    still.clock.jumpTo(60_000);
    await still.clock.advance(0);
    expect(still.life.source('numbers').split('s').generator.idle).toBe(false);
  });

  test('waits behind what is left of other turns, and sees then what it would have seen', async () => {
    const fired: unknown[] = [];
    const { life, clock, ticks, kinds } = await ticked({ operator: alarm(fired, 100) });
    await life.records(1);
    ticks.moved();
    life.parts.later.open();
    await clock.advance(5000);
    expect([fired, kinds()]).toEqual([[], ['records']]);
    life.parts.later.over();
    await clock.advance(200);
    expect(fired).toEqual([[1, 1100, expect.any(Number)]]);
    expect(kinds()).toEqual(['records', 'tick']);
  });
});

test('what a tick leaves for slices goes on at once: the loop is woken', async () => {
  const fired: unknown[] = [];
  const { life, clock } = await ticked({
    operator: alarm(fired, 100),
    timersPerTurn: 1,
    reader: () => {
      let left = 1;
      return { read: () => (left-- > 0 ? Promise.resolve({ values: [1, 2, 3], position: (at) => at }) : never()) };
    },
  });
  await life.records(3);
  const run = life.parts.loop.run();
  await life.quiet();
  await clock.advance(200);
  await life.quiet();
  expect(fired).toHaveLength(3);
  life.parts.loop.stop();
  expect(await run).toBe(false);
});

describe('a failure in a tick', () => {
  test('is that of the job: nobody else hears of a timer', async () => {
    const boom = (): never => {
      throw new RangeError('boom');
    };
    const { life, clock, ticks } = await ticked({ operator: alarm([], 100, boom) });
    await life.records(1);
    ticks.moved();
    await clock.advance(1000);
    expect(life.failures).toMatchObject([{ code: 'OPERATOR_FAILED', message: 'operator `op` threw: boom' }]);
  });

  test.each([
    ['in the tick', 0],
    ['in the look for the next one, which may be the first that asks', 60_000],
  ])('so is one of a source that is asked whether it waits: %s', async (_what, stoodStillMs) => {
    const { life, clock } = await ticked({
      strategy: WatermarkStrategy.monotonous<number>().withIdleness(300),
      reader: () => ({
        read: never,
        get waiting(): boolean {
          throw new RangeError('who knows');
        },
      }),
    });
    void life.source('numbers').split('s').read(life.signal);
    if (stoodStillMs > 0) clock.jumpTo(clock.now() + stoodStillMs);
    await clock.advance(200);
    expect(life.failures[0]).toMatchObject({ code: 'SOURCE_FAILED', cause: { message: 'who knows' } });
  });
});

test('after a stop there is none', async () => {
  const fired: unknown[] = [];
  const { life, clock, ticks } = await ticked({ operator: alarm(fired, 100) });
  await life.records(1);
  ticks.stop();
  ticks.stop();
  ticks.moved();
  await clock.advance(10_000);
  expect([fired, clock.waiting]).toEqual([[], 0]);
});

test('while a place is full it looks on, so that the watchdog can say who holds the job up', async () => {
  const { life, clock } = await ticked();
  life.parts.places.make({ name: 'p', max: 1 }).add(1);
  for (let second = 0; second < 5; second += 1) expect(await clock.step()).toBeLessThanOrEqual(1000);
  expect(clock.waiting).toBe(1);
});

test('again, a tick does what it did: the splits first, then the timers before its time, unless it was cut', () => {
  const log: unknown[] = [];
  const hosts = {
    source: (number: number) =>
      number === 3 ? { tick: (...given: unknown[]) => log.push(['split', ...given]) } : undefined,
    operators: ['one', 'two'].map((uid) => ({ processingTime: (to: number) => log.push([uid, to]) })),
  };
  const turn: TickTurn = {
    kind: 'tick',
    now: 70,
    splits: [
      [3, 'a', 'waits'],
      [9, 'gone', 'held'],
    ],
  };
  // All that a tick looks at.
  tickAgain(hosts as unknown as Parameters<typeof tickAgain>[0], turn);
  expect(log.splice(0)).toEqual([
    ['split', 'a', 70, 'waits'],
    ['one', 69],
    ['two', 69],
  ]);
  tickAgain(hosts as unknown as Parameters<typeof tickAgain>[0], { ...turn, cut: true }); // As above.
  expect(log).toEqual([['split', 'a', 70, 'waits']]);
});
