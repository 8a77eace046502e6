import { simulate } from 'millrace/testing';
import { expect, test } from 'vitest';
import { valueState } from '../../../../lib/core/state-descriptor.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';
import { type } from '../../../../operators/process.ts';
import { TumblingEventTimeWindows } from '../../../../operators/windows/fixed-windows.ts';

type Pipeline = Parameters<typeof simulate>[0]['pipeline'];

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/**
 * Many windows and timers of one time; what they bring goes on to windows, and to calls that must not be made twice.
 */
const pipeline: Pipeline = (env, process) => {
  const windows = env
    .fromSource(
      process.source({ name: 'numbers', splits: { a: numbers(60) } }),
      WatermarkStrategy.boundedOutOfOrderness<number>(0).withTimestamps((value) => Math.floor(value / 30) * 10),
    )
    .keyBy((value) => value % 15)
    .window(TumblingEventTimeWindows.of(10))
    .aggregate({ createAccumulator: () => 0, add: (value, sum: number) => sum + value, getResult: (sum) => sum });
  windows
    .keyBy((sum) => sum % 4)
    .window(TumblingEventTimeWindows.of(20))
    .aggregate({ createAccumulator: () => 0, add: (value, sum: number) => sum + value, getResult: (sum) => sum })
    .sinkTo(process.collect('sums'));
  windows
    .keyBy((sum) => sum)
    .process({
      emits: type<number>(),
      state: { sum: valueState<number>('sum') },
      process(value, ctx) {
        ctx.state.sum.update(value);
        ctx.timers.register(100);
        ctx.timers.register(ctx.now() + 5, { domain: 'processing' });
      },
      onTimer: ({ domain }, ctx) => void (domain === 'event' && ctx.emit(ctx.state.sum.value() ?? 0)),
    })
    .asyncMap((sum, call) => process.call(call, { answer: () => sum }))
    .sinkTo(process.collect('calls'));
};

test('a process may die between two slices: each window, timer and call has its effect once, in the order of the surviving history', async () => {
  // The pipeline's.
  const sorted = (values: readonly unknown[] = []): number[] => (values as number[]).toSorted((a, b) => a - b);
  const whole = await simulate({ seed: 1, pipeline, crashes: [], environment: { timersPerTurn: 1000 } });
  expect(whole.history.some(({ kind }) => kind === 'slice')).toBe(false);
  expect(whole.received.get('calls')?.length).toBe(30);
  let slices = 0;
  let crashes = 0;
  for (const seed of numbers(40)) {
    const result = await simulate({ seed, pipeline, environment: { timersPerTurn: 1 + (seed % 4) } });
    for (const sink of ['sums', 'calls'])
      expect(sorted(result.received.get(sink)), `seed ${seed}, ${sink}`).toEqual(sorted(whole.received.get(sink)));
    slices += result.history.filter(({ kind }) => kind === 'slice').length;
    crashes += result.crashes;
  }
  expect(slices).toBeGreaterThan(500);
  expect(crashes).toBeGreaterThan(20);
});

test('a process that dies at each turn in turn goes on where its timers were', async () => {
  const { history, received } = await simulate({ seed: 3, pipeline, crashes: [], environment: { timersPerTurn: 2 } });
  const at = history.flatMap(({ kind }, index) => (kind === 'slice' ? [index + 1] : []));
  expect(at.length).toBeGreaterThan(10);
  for (const number of at.filter((_, index) => index % 3 === 0)) {
    const crashed = await simulate({
      seed: 3,
      pipeline,
      crashes: [{ at: 'turn', number, landed: number % 3 }],
      environment: { timersPerTurn: 2 },
    });
    expect(crashed.received.get('sums')?.length, `turn ${number}`).toBe(received.get('sums')?.length);
    expect(crashed.received.get('calls')?.length, `turn ${number}`).toBe(received.get('calls')?.length);
  }
});

/**
 * Records behind their bound, each of which meets a watermark that makes timers due, and ticks that bring the last of
 * them, in front of timers of the clock.
 */
const disordered: Pipeline = (env, process) => {
  env
    .fromSource(
      process.source({ name: 'numbers', splits: { a: numbers(40) }, batchMax: 8, latencyMax: 400 }),
      WatermarkStrategy.boundedOutOfOrderness<number>(0)
        .withTimestamps((value) => (value % 8 === 7 ? value * 10 - 60 : value * 10))
        .withEmitEvery(1000)
        .withIdleness(50),
    )
    .keyBy((value) => value % 5)
    .process({
      emits: type<number>(),
      process(value, ctx) {
        ctx.emit(value);
        ctx.timers.register(ctx.now() + 20, { domain: 'processing' });
      },
      onTimer: (_timer, ctx) => ctx.emit(1000 + Number(ctx.key)),
    })
    .keyBy((value) => value)
    .process({
      emits: type<number>(),
      process: (value, ctx) => void ctx.timers.register(value < 1000 ? value : 0),
      onTimer: (_timer, ctx) => ctx.emit(Number(ctx.key)),
    })
    .asyncMap((value, call) => process.call(call, { answer: () => value }))
    .sinkTo(process.collect('calls'));
};

test('a process may die behind a turn that ended where something was left', async () => {
  let [emits, cut, crashes] = [0, 0, 0];
  for (const seed of numbers(40)) {
    const result = await simulate({ seed, pipeline: disordered, environment: { timersPerTurn: 1 + (seed % 2) } });
    const received = result.received.get('calls') as readonly number[]; // The pipeline's.
    expect([...new Set(received)].filter((value) => value < 1000).length, `seed ${seed}`).toBe(40);
    emits += result.history.filter((turn) => turn.kind === 'records' && turn.emits === true).length;
    cut += result.history.filter((turn) => turn.kind === 'tick' && turn.cut === true).length;
    crashes += result.crashes;
  }
  expect([emits > 40, cut > 5, crashes > 20], `${emits} ${cut} ${crashes}`).toEqual([true, true, true]);
});
