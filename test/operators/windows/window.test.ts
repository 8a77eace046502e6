import {
  callbackSink,
  MemoryStorage,
  observableSource,
  StreamExecutionEnvironment,
  WatermarkStrategy,
  type Job,
  type Storage,
  type Store,
} from 'millrace';
import { concat, NEVER, of } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { MAX_TIMESTAMP } from '../../../lib/core/element.ts';
import type { Operator } from '../../../lib/core/operator.ts';
import type { OutputTag } from '../../../lib/core/output-tag.ts';
import { valueState } from '../../../lib/core/state-descriptor.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../../lib/testing/harness-outputs.ts';
import type { WindowAssigner } from '../../../operators/windows/contract.ts';
import { SlidingEventTimeWindows, TumblingEventTimeWindows } from '../../../operators/windows/fixed-windows.ts';
import { aggregateWindow, processWindow, reduceWindow } from '../../../operators/windows/window.ts';

interface Reading {
  readonly key: string;
  readonly value: number;
}

const keyOf = ({ key }: Reading): string => key;
const reading = (value: number, key = 'a'): Reading => ({ key, value });
const late: OutputTag<Reading> = { id: 'late' };
const assigner = TumblingEventTimeWindows.of(10);
const values = processWindow({ assigner, lateTag: late, allowedLateness: 5 }, (elements: readonly Reading[]) =>
  elements.map(({ value }) => value),
);

const results = <O>(outputs: readonly HarnessOutput<O>[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [[output.value, output.timestamp]] : []));

describe('windows', () => {
  it('W-22: fire at their end, again for each late record, and go with the allowed lateness', async () => {
    const harness = await OperatorHarness.open(values, { keyOf, sides: [late] });
    harness.element(reading(1), 1);
    harness.element(reading(3), 3);
    expect(results(harness.watermark(8))).toEqual([]);
    expect(harness.watermark(9)).toEqual([
      { kind: 'record', value: [1, 3], timestamp: 9 },
      { kind: 'watermark', timestamp: 9 },
    ]);
    expect(results(harness.element(reading(2), 2))).toEqual([[[1, 3, 2], 9]]);
    harness.watermark(13);
    expect(results(harness.element(reading(4), 9))).toEqual([[[1, 3, 2, 4], 9]]);
    harness.watermark(14);
    expect(harness.element(reading(5), 5)).toEqual([{ kind: 'side', tag: 'late', value: reading(5), timestamp: 5 }]);
    expect([harness.timers.event, harness.counter('numLateRecordsDropped')]).toEqual([0, 0]);
  });

  it('keep nothing behind when they are gone', async () => {
    const harness = await OperatorHarness.open(values, { keyOf });
    for (let i = 0; i < 500; i += 1) harness.element(reading(i, `k${i % 3}`), i % 40);
    expect(harness.stateEntries).toBeGreaterThan(0);
    expect(results(harness.watermark(MAX_TIMESTAMP)).length).toBe(12);
    const { rows } = await harness.snapshot();
    expect([rows.length, harness.timers.event, harness.stateEntries]).toEqual([0, 0, 0]);
  });

  it('count a late record that has nowhere to go', async () => {
    const harness = await OperatorHarness.open(
      reduceWindow({ assigner }, (a: Reading) => a),
      { keyOf },
    );
    harness.watermark(9);
    expect(harness.element(reading(1), 9)).toEqual([]);
    expect(harness.counter('numLateRecordsDropped')).toBe(1);
  });

  it('register timers for a pane and not for a record', async () => {
    let registered = 0;
    const counted: Operator<Reading, unknown> = (context) =>
      values({
        ...context,
        output: context.output,
        metrics: context.metrics,
        state: (descriptor) => context.state(descriptor),
        currentKey: () => context.currentKey(),
        handOver: (value) => context.handOver(value),
        derivedTimers: (onTimer, options) => {
          const timers = context.derivedTimers(onTimer, options);
          return {
            isAnew: timers.isAnew,
            get watermark() {
              return timers.watermark;
            },
            register: (...args) => ((registered += 1), timers.register(...args)),
          };
        },
      });
    const harness = await OperatorHarness.open(counted, { keyOf });
    for (let i = 0; i < 50; i += 1) harness.element(reading(i), i % 20);
    expect(registered).toBe(4); // the end and the cleanup of two windows
  });

  it('refuse records without a timestamp', async () => {
    const harness = await OperatorHarness.open(values, { keyOf });
    expect(() => harness.element(reading(1))).toThrow(expect.objectContaining({ code: 'TIMESTAMP_MISSING' }));
  });

  it('that have fired and stayed go with the next watermark when a restart takes their lateness away, and fire no more', async () => {
    const harness = await OperatorHarness.open(values, { keyOf });
    harness.element(reading(1), 1);
    harness.element(reading(2), 11);
    harness.watermark(9);
    const snapshot = await harness.snapshot();
    const cleared: number[] = [];
    const strict = processWindow<Reading, number, unknown, never>(
      { assigner },
      { process: (elements) => elements.length, clear: ({ window }) => void cleared.push(window.start) },
    );
    const restarted = await OperatorHarness.open(strict, { keyOf }, snapshot);
    expect(restarted.timers.event).toBe(2);
    expect(results(restarted.watermark(10))).toEqual([]);
    expect([cleared, restarted.timers.event]).toEqual([[0], 1]);
    expect(results(restarted.watermark(19))).toEqual([[1, 19]]);
    expect([cleared, (await restarted.snapshot()).rows.length, restarted.stateEntries]).toEqual([[0, 10], 0, 0]);
  });

  it('are told apart by key and start at a restart: who has fired, and who has not', async () => {
    const harness = await OperatorHarness.open(values, { keyOf });
    harness.element(reading(1, 'a'), 1);
    harness.element(reading(2, 'a'), 11);
    harness.watermark(9);
    harness.element(reading(3, 'b'), 12);
    const restarted = await OperatorHarness.open(values, { keyOf }, await harness.snapshot());
    expect(restarted.timers.event).toBe(5); // One that has fired waits to go; two wait to fire and to go.
    expect(results(restarted.element(reading(4, 'b'), 5))).toEqual([[[4], 9]]);
    const again = await OperatorHarness.open(values, { keyOf }, await restarted.snapshot());
    expect(results(again.watermark(14))).toEqual([]);
    expect(results(again.watermark(19)).toSorted()).toEqual([
      [[2], 19],
      [[3], 19],
    ]);
  });

  it('are opened without a read of the store for each', async () => {
    const storage = new MemoryStorage();
    let reads = 0;
    const counting: Storage = {
      name: 'counting',
      async open() {
        const { jobId, state, journal, close } = await storage.open();
        const get: Store['get'] = (key) => {
          reads += 1;
          return state.get(key);
        };
        const counted: Store = {
          get,
          entries: (range) => state.entries(range),
          batch: () => state.batch(),
          clear: (range) => state.clear(range),
          close: () => state.close(),
        };
        return { jobId, state: counted, journal, close };
      },
    };
    const life = async (...readings: readonly Reading[]): Promise<Job> => {
      const env = StreamExecutionEnvironment.create({ storage: counting, logger: 'silent' });
      const source = observableSource<Reading>(concat(of(...readings), NEVER));
      env
        .fromSource(
          source,
          WatermarkStrategy.monotonous<Reading>().withTimestamps(() => 1),
        )
        .keyBy(keyOf)
        .window(assigner)
        .reduce((one) => one)
        .sinkTo(callbackSink(() => {}));
      const job = await env.executeAsync('windows');
      while ((await job.metrics.snapshot())['operator.window.timers'] !== 50)
        await new Promise((resolve) => setTimeout(resolve, 1));
      return job;
    };
    const first = await life(...Array.from({ length: 50 }, (_, n) => reading(n, `k${n}`)));
    await first.stop();
    reads = 0;
    const restarted = await life();
    const readsOfStart = reads;
    await restarted.stop();
    expect(readsOfStart).toBeLessThan(5); // The start itself asks where the state came from.
  });

  it('go when a restart gives an endless lateness an end', async () => {
    const endless = await OperatorHarness.open(
      reduceWindow({ assigner, allowedLateness: Number.POSITIVE_INFINITY }, (a: Reading) => a),
      { keyOf },
    );
    endless.element(reading(1), 1);
    endless.watermark(1000);
    const snapshot = await endless.snapshot();
    const restarted = await OperatorHarness.open(
      reduceWindow({ assigner, allowedLateness: 5 }, (a: Reading) => a),
      { keyOf },
      snapshot,
    );
    expect(results(restarted.watermark(1001))).toEqual([]);
    expect((await restarted.snapshot()).rows.length).toBe(0);
  });

  it('that are due at a restart, since windows are shorter than they were, fire with the next watermark', async () => {
    const long = await OperatorHarness.open(
      reduceWindow({ assigner: TumblingEventTimeWindows.of(20) }, (a: Reading) => a),
      { keyOf },
    );
    long.element(reading(1), 1);
    long.watermark(15);
    const snapshot = await long.snapshot();
    const short = await OperatorHarness.open(
      reduceWindow({ assigner }, (a: Reading) => a),
      { keyOf },
      snapshot,
    );
    expect(results(short.watermark(16))).toEqual([[reading(1), 9]]);
    expect((await short.snapshot()).rows.length).toBe(0);
  });

  it('never go with an endless lateness', async () => {
    const forEver = reduceWindow({ assigner, allowedLateness: Infinity }, (a: Reading, b: Reading) =>
      reading(a.value + b.value, a.key),
    );
    const harness = await OperatorHarness.open(forEver, { keyOf });
    harness.element(reading(1), 5);
    harness.watermark(1000);
    expect(results(harness.element(reading(2), 5))).toEqual([[reading(3), 9]]);
    expect([harness.timers.event, harness.stateEntries]).toEqual([0, 2]);
  });

  it('leave their content as it was when a function throws', async () => {
    const sum = reduceWindow({ assigner }, (a: Reading, b: Reading) => {
      if (b.value === 0) throw new Error('zero');
      return reading(a.value + b.value, a.key);
    });
    const harness = await OperatorHarness.open(sum, { keyOf });
    harness.element(reading(1), 1);
    expect(() => harness.element(reading(0), 1)).toThrow('zero');
    harness.element(reading(2), 1);
    expect(results(harness.watermark(9))).toEqual([[reading(3), 9]]);
  });

  it('W-02, W-03: take assigners with several windows for a record, or none', async () => {
    const collect = (windows: WindowAssigner<unknown>): Operator<Reading, number[]> =>
      processWindow({ assigner: windows, lateTag: late }, (elements: readonly Reading[]) =>
        elements.map(({ value }) => value),
      );
    const harness = await OperatorHarness.open(collect(SlidingEventTimeWindows.of(10, 5)), { keyOf, sides: [late] });
    harness.element(reading(1), 7);
    harness.watermark(9);
    expect(harness.element(reading(2), 8)).toEqual([]); // gone from one, taken by the other
    expect(results(harness.watermark(14))).toEqual([[[1, 2], 14]]);
    const gaps = await OperatorHarness.open(collect(SlidingEventTimeWindows.of(5, 10)), { keyOf, sides: [late] });
    expect(gaps.element(reading(1), 7)).toEqual([]);
    gaps.watermark(7);
    expect(gaps.element(reading(1), 7).length).toBe(1); // behind the watermark, so it is late
    expect(gaps.timers.event).toBe(0);
  });
});

describe('window functions', () => {
  it('see key, window, watermark and the time of the turn', async () => {
    const seen = aggregateWindow(
      { assigner },
      { createAccumulator: () => 0, add: ({ value }: Reading, sum: number) => sum + value, getResult: (sum) => sum },
      (sum, ctx) => {
        expectTypeOf(sum).toEqualTypeOf<number>();
        return [sum, ctx.key, ctx.window, ctx.watermark, ctx.now()] as const;
      },
    );
    const harness = await OperatorHarness.open(seen, { keyOf, now: 77 });
    harness.element(reading(1), 1);
    harness.element(reading(2), 2);
    expect(results(harness.watermark(30))).toEqual([[[3, 'a', { start: 0, end: 10 }, 30, 77], 9]]);
  });

  it('emit nothing for undefined, and to side outputs', async () => {
    const other: OutputTag<number> = { id: 'other' };
    const quiet = processWindow({ assigner }, (elements: readonly Reading[], { side }) => {
      for (const { value } of elements) side(other, value);
      return undefined;
    });
    const harness = await OperatorHarness.open(quiet, { keyOf, sides: [other] });
    harness.element(reading(1), 1);
    expect(harness.watermark(9)).toEqual([
      { kind: 'side', tag: 'other', value: 1, timestamp: 9 },
      { kind: 'watermark', timestamp: 9 },
    ]);
  });

  it('give the type of their results although they use the context', () => {
    const operator = processWindow({ assigner }, (elements: readonly Reading[], ctx) => ({
      at: ctx.window.start,
      count: elements.length,
    }));
    expectTypeOf(operator).toEqualTypeOf<Operator<Reading, { at: number; count: number }>>();
  });

  it('have state for each window and for each key, and are told when a window goes', async () => {
    const cleared: unknown[] = [];
    const operator = processWindow(
      { assigner, allowedLateness: 5 },
      {
        windowState: () => ({ fires: 0 }),
        state: { windows: valueState<number>('windows') },
        process(elements: readonly Reading[], ctx) {
          expectTypeOf(ctx.windowState.fires).toEqualTypeOf<number>();
          ctx.windowState.fires += 1;
          if (ctx.windowState.fires === 1) ctx.state.windows.update((ctx.state.windows.value() ?? 0) + 1);
          return [elements.length, ctx.windowState.fires, ctx.state.windows.value()];
        },
        clear: (ctx) => void cleared.push([ctx.key, ctx.window.start, ctx.windowState.fires]),
      },
    );
    const harness = await OperatorHarness.open(operator, { keyOf });
    harness.element(reading(1), 1);
    harness.watermark(9);
    await harness.restore(await harness.snapshot());
    expect(results(harness.element(reading(2), 1))).toEqual([[[2, 2, 1], 9]]);
    harness.element(reading(3), 11);
    expect(results(harness.watermark(19))).toEqual([[[1, 1, 2], 19]]);
    harness.watermark(MAX_TIMESTAMP);
    expect(cleared).toEqual([
      ['a', 0, 2],
      ['a', 10, 1],
    ]);
    expect((await harness.snapshot()).rows.length).toBe(1); // the key's own state stays
  });

  it('must not return a promise, and need a beginning for `windowState`', async () => {
    const promised = await OperatorHarness.open(
      processWindow({ assigner }, async () => 1),
      { keyOf },
    );
    promised.element(reading(1), 1);
    expect(() => promised.watermark(9)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    const cleared = await OperatorHarness.open(
      processWindow({ assigner }, { process: () => 1, clear: async () => {} }),
      { keyOf },
    );
    cleared.element(reading(1), 1);
    expect(() => cleared.watermark(9)).toThrow(
      expect.objectContaining({ code: 'ASYNC_IN_TURN', message: expect.stringContaining('`clear`') as string }),
    );
    const stateless = await OperatorHarness.open(
      processWindow({ assigner }, (_: readonly Reading[], ctx) => ctx.windowState),
      { keyOf },
    );
    stateless.element(reading(1), 1);
    expect(() => stateless.watermark(9)).toThrow('`windowState`');
  });

  it('are refused with a wrong lateness', () => {
    expect(() => processWindow({ assigner, allowedLateness: -1 }, () => 1)).toThrow('`allowedLateness`');
  });
});

describe('a window function that sends', () => {
  it('without end is refused', async () => {
    const endless = processWindow({ assigner }, (_elements: readonly Reading[], { side }) => {
      for (;;) side(late, reading(1));
    });
    const harness = await OperatorHarness.open(endless, { keyOf });
    harness.element(reading(1), 1);
    const details = { uid: 'operator', valuesMax: 1_000_000 };
    expect(() => harness.watermark(10)).toThrow(expect.objectContaining({ code: 'VALUES_EXCEEDED', details }));
  });

  it('when it has returned, or a promise, is refused', async () => {
    let kept: (() => void) | undefined;
    const later = processWindow({ assigner }, ([first]: readonly Reading[], { side }) => {
      kept = () => side(late, reading(2));
      if (first?.value === 7) side(late, Promise.resolve(reading(7)) as never);
    });
    const harness = await OperatorHarness.open(later, { keyOf, sides: [late] });
    harness.element(reading(1), 1);
    harness.watermark(10);
    expect(() => kept?.()).toThrow(expect.objectContaining({ code: 'EMIT_OUTSIDE_TURN' }));
    harness.element(reading(7), 11);
    expect(() => harness.watermark(20)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
  });
});
