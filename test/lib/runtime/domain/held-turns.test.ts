/** While a turn has left timers for slices, later turns wait. What follows a turn counts on its effect all the same. */
import {
  callbackSink,
  MemoryStorage,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type Source,
  type StreamExecutionEnvironment,
} from 'millrace';
import { expect, test } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import { Slices } from '../../../../lib/runtime/domain/slices.ts';
import { Turns } from '../../../../lib/runtime/domain/turns.ts';
import type { OperatorHost } from '../../../../lib/runtime/hosts/operator-host.ts';
import { openNewSplits } from '../../../../lib/runtime/recovery/open-splits.ts';
import { replay } from '../../../../lib/runtime/recovery/replay.ts';
import { Life } from '../life.ts';

/** Numbers are their own timestamps; splits appear when a test names them. */
const growing = (splits: Record<string, readonly number[]>): Source<number, number> => ({
  name: 'growing',
  replayable: true,
  splits: async () => Object.keys(splits),
  open: async (split, position = 0) => {
    let next = position;
    return {
      read: async () => {
        const first = next;
        const values = splits[split]?.slice(first) ?? [];
        next += values.length;
        return values.length === 0 ? undefined : { values, position: (count) => first + count };
      },
      close: async () => {},
    };
  },
});

/** A window of each number under its own key, in front of which `ask` may stand. */
const windows =
  (source: Source<number, number>, fired: number[], ask?: (n: number) => Promise<number>) =>
  (env: StreamExecutionEnvironment): void => {
    const numbers = env.fromSource(
      source,
      WatermarkStrategy.monotonous<number>()
        .withTimestamps((n) => n)
        .withEmitEvery(1),
    );
    (ask === undefined ? numbers : numbers.asyncMap(ask))
      .keyBy((n) => n)
      .window(TumblingEventTimeWindows.of(100))
      .process(([n = -1]) => (fired.push(n), n))
      .sinkTo(callbackSink(() => {}));
  };

const start = { body: () => {}, turn: () => ({ kind: 'start' }) as const };

/** A life in which a final watermark has left four of five windows for slices. */
const held = async (splits: Record<string, readonly number[]>, fired: number[] = []): Promise<Life> => {
  const life = await Life.begun(windows(growing(splits), fired), { timersPerTurn: 1 });
  await life.records(5);
  life.end();
  expect([life.turns.isHeld, fired.length]).toEqual([true, 1]);
  return life;
};

test('a split that appears is there when it is opened', async () => {
  const splits: Record<string, readonly number[]> = { a: [1, 2, 3, 4, 5] };
  const life = await held(splits);
  splits['b'] = [6];
  await openNewSplits(life, systemClock);
  expect([...life.source('growing').splits.keys()]).toEqual(['a', 'b']);
  expect(life.seen.map(({ kind }) => kind).slice(-5)).toEqual(['slice', 'slice', 'slice', 'slice', 'split']);
  await life.die();
});

test('a turn that waits holds those behind it, until it has run', async () => {
  const fired: number[] = [];
  const life = await held({ a: [1, 2, 3, 4, 5] }, fired);
  expect(life.turns.run(start.body, start.turn)).toBe('waits');
  while (life.isHeld) life.parts.slices.step();
  // No timer is left, and a turn that came now, a tick say, would overtake the one that waits.
  expect([fired.length, life.turns.isHeld]).toEqual([5, true]);
  expect(life.turns.run(start.body, start.turn)).toBe('waits');
  await life.parts.slices.finish();
  expect([life.turns.isHeld, life.seen.filter(({ kind }) => kind === 'start').length]).toEqual([false, 2]);
  expect(life.turns.run(start.body, start.turn)).toBe('ran');
  await life.die();
});

test('a turn that a caller counts on runs when nothing is left, though more has come meanwhile', async () => {
  const life = await held({ a: [1, 2, 3, 4, 5] });
  let left = 3;
  const goOn = (): number => (left -= 1);
  // All that slices look at.
  const operator = { unfinished: { isReady: true, goOn } } as unknown as OperatorHost<never, unknown>;
  const { journal } = life.parts;
  const { signal } = life;
  const turns = new Turns({ clock: systemClock, journal, signal, fail: () => {}, isHeld: () => left > 0 });
  const clock = { ...systemClock, elapsed: () => 0 }; // No slice is over before what is left is done.
  const slices = new Slices({ clock, signal, turns, operators: [operator], perSliceMax: 1 });
  // When what is left is done, and before its caller hears of it.
  const meanwhile = Promise.resolve().then(() => (left = 3));
  let leftAtTurn = -1;
  const counted = slices.turn(() => (leftAtTurn = left), start.turn);
  expect(left).toBe(0);
  await meanwhile;
  expect([await counted, leftAtTurn]).toEqual([true, 0]);
  life.kill();
  expect(await slices.turn(() => expect.fail('it ran'), start.turn)).toBe(false);
  expect(turns.run(start.body, start.turn)).toBe('failed');
});

test('an outcome whose turn waits after a restart is not asked for again', async () => {
  const storage = new MemoryStorage();
  const splits = { a: [1, 2, 3, 4, 1000, 1001] };
  const answers: (() => void)[] = [];
  const first = await Life.begun(
    windows(growing(splits), [], (n) => new Promise((resolve) => answers.push(() => resolve(n)))),
    { storage, timersPerTurn: 1 },
  );
  await first.records(6);
  await first.quiet();
  first.parts.later.open(); // The process dies before any outcome had its turn.
  for (const answer of answers) answer();
  await first.quiet();
  expect(first.seen.filter(({ kind }) => kind === 'work')).toEqual([]);
  await first.die();
  const [fired, asked]: [number[], number[]] = [[], []];
  const build = windows(growing(splits), fired, async (n) => (asked.push(n), n));
  const life = await Life.on(build, { storage, timersPerTurn: 1 });
  const turns = life.recovery.takeTurns();
  expect(await replay(life, turns, turns.length, systemClock)).toBeUndefined();
  life.recovery.endReplay(life.openItems());
  life.parts.work.resume(life.queues());
  expect([life.isHeld, life.openItems().size]).toEqual([true, 1]);
  await life.parts.slices.finish();
  await life.quiet();
  expect([fired.toSorted((a, b) => a - b), asked]).toEqual([[1, 2, 3, 4], []]);
  await life.die();
});
