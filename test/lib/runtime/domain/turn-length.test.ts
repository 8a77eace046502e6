/**
 * No turn fires more timers than one may (I20): it ends where something is left, and what comes behind that has a turn
 * of its own, live and in a replay (I6).
 */
import { callbackSink, MemoryStorage, WatermarkStrategy, type Source, type StreamExecutionEnvironment } from 'millrace';
import { expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import { replay } from '../../../../lib/runtime/recovery/replay.ts';
import { Life } from '../life.ts';

interface Stamped {
  readonly key: string;
  readonly ts: number;
}

const stamped = (ts: number, ...keys: readonly string[]): Stamped[] => keys.map((key) => ({ key, ts }));

const keysOf = (count: number): string[] => Array.from({ length: count }, (_, n) => `k${n + 10}`);

/** Behind its values it waits. */
const listed = (values: readonly Stamped[]): Source<Stamped, number> => ({
  name: 'listed',
  replayable: true,
  splits: async () => ['s'],
  open: async (_split, position = 0) => {
    let next = position;
    return {
      read: () => {
        const first = next;
        next = values.length;
        if (first === next) return new Promise(() => {});
        return Promise.resolve({ values: values.slice(first), position: (count) => first + count });
      },
      close: async () => {},
    };
  },
});

const timersPerTurn = 3;

/** What happens, each with the number of the live turn that it is part of. */
class Log {
  readonly entries: string[] = [];
  readonly turns: number[] = [];
  turn = (): number => 0;

  add(entry: string): void {
    this.entries.push(entry);
    this.turns.push(this.turn());
  }

  /** The most timers of the second operator that fired in one turn. */
  get most(): number {
    const counts = new Map<number, number>();
    for (const [at, turn] of this.turns.entries())
      if (this.entries[at]?.startsWith('fired') === true) counts.set(turn, (counts.get(turn) ?? 0) + 1);
    return Math.max(0, ...counts.values());
  }
}

/** Timers of the clock in front of timers of the watermark, and work that those start. */
const build =
  (values: readonly Stamped[], log: Log) =>
  (env: StreamExecutionEnvironment): void =>
    void env
      .fromSource(
        listed(values),
        WatermarkStrategy.monotonous<Stamped>()
          .withTimestamps(({ ts }) => ts)
          .withEmitEvery(1000),
      )
      .keyBy(({ key }) => key)
      .process<Stamped>({
        process(value, ctx) {
          ctx.emit(value);
          if (value.key === 'clocked') ctx.timers.register(100, { domain: 'processing' });
        },
        onTimer: ({ domain }, ctx) => void (domain === 'processing' && ctx.emit({ key: 'from the clock', ts: 0 })),
      })
      .keyBy(({ key }) => key)
      .process<string>({
        process({ key, ts }, ctx) {
          log.add(`${key} at ${ts}`);
          ctx.timers.register(ts + 10);
        },
        onTimer(_timer, ctx) {
          log.add(`fired ${String(ctx.key)}`);
          ctx.emit(String(ctx.key));
        },
      })
      .asyncMap(async (key) => key)
      .sinkTo(callbackSink(() => {}));

/** What was recorded on another life: all of it, or a part that ends in the middle of what was left. */
const replayed = async (storage: MemoryStorage, values: readonly Stamped[], count?: number) => {
  const log = new Log();
  const life = await Life.on(build(values, log), { storage, timersPerTurn });
  const turns = life.recovery.takeTurns();
  const found = await replay(life, turns, count ?? turns.length, systemClock);
  return { life, found, entries: log.entries, turns };
};

test('a watermark in front of a record, in the middle of a push', async () => {
  const values = [...stamped(1, ...keysOf(20)), ...stamped(1000, 'high'), ...stamped(500, 'behind', 'behind too')];
  const [storage, log] = [new MemoryStorage(), new Log()];
  const life = await Life.begun(build(values, log), { storage, timersPerTurn });
  log.turn = () => life.seen.length;
  await life.records(values.length);
  await life.parts.slices.finish();
  await life.quiet();
  expect(log.entries).toEqual([
    ...keysOf(20).map((key) => `${key} at 1`),
    'high at 1000',
    ...keysOf(20).map((key) => `fired ${key}`),
    'behind at 500',
    'behind too at 500',
  ]);
  expect(log.most).toBe(timersPerTurn);
  const handed = life.seen.flatMap((turn) => (turn.kind === 'records' ? [[turn.count, turn.emits]] : []));
  expect(handed).toEqual([
    [21, true],
    [2, undefined],
  ]);
  await life.die();
  const again = await replayed(storage, values);
  expect([again.found, again.entries, again.life.isHeld]).toEqual([undefined, log.entries, false]);
  await again.life.die();
  // A process that dies in front of the first slice goes on with it.
  const at = again.turns.findIndex(({ kind }) => kind === 'records') + 1;
  const part = await replayed(storage, values, at);
  expect([part.entries.length, part.life.isHeld]).toEqual([21 + timersPerTurn, true]);
  await part.life.die();
});

test('a tick that brings a watermark has timers of the clock wait for the next one', async () => {
  const values = [...stamped(1, ...keysOf(20), 'clocked'), ...stamped(1000, 'high')];
  const [storage, log] = [new MemoryStorage(), new Log()];
  let now = 0;
  let tick: () => void = () => {};
  const setTimer = (_ms: number, fn: () => void) => ((tick = fn), () => {});
  const clock: Clock = { ...systemClock, setTimer, now: () => now, elapsed: () => now };
  const life = await Life.begun(build(values, log), { storage, timersPerTurn, clock });
  log.turn = () => life.seen.length;
  await life.records(values.length);
  void life.source('listed').split('s').read(life.signal); // It is asked, and nothing has come so far.
  life.parts.ticks.start();
  for (; now < 1000; now += 200) {
    tick();
    await life.macrotasks(2);
    await life.parts.slices.finish();
  }
  await life.quiet();
  expect(log.entries.slice(values.length)).toEqual([
    ...['clocked', ...keysOf(20)].map((key) => `fired ${key}`),
    'from the clock at 0',
  ]);
  expect(log.most).toBe(timersPerTurn);
  expect(life.seen.flatMap((turn) => (turn.kind === 'tick' ? [turn.cut] : []))).toContain(true);
  await life.die();
  const again = await replayed(storage, values);
  expect([again.found, again.entries, again.life.isHeld]).toEqual([undefined, log.entries, false]);
  await again.life.die();
});
