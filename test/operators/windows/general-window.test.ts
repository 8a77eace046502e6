/** Triggers, evictors and assigners, built in and of a user's own, on the operator that takes any. */
import { describe, expect, it } from 'vitest';
import type { Operator } from '../../../lib/core/operator.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../../lib/testing/harness-outputs.ts';
import type { Evictor, Trigger, WindowAssigner } from '../../../operators/windows/contract.ts';
import { countWindowOptions } from '../../../operators/windows/count-windows.ts';
import { CumulativeEventTimeWindows } from '../../../operators/windows/cumulative-windows.ts';
import { CountEvictor, TimeEvictor } from '../../../operators/windows/evictors.ts';
import { TumblingEventTimeWindows, TumblingProcessingTimeWindows } from '../../../operators/windows/fixed-windows.ts';
import { GlobalWindows } from '../../../operators/windows/global-windows.ts';
import { EventTimeSessionWindows, ProcessingTimeSessionWindows } from '../../../operators/windows/session-windows.ts';
import { ContinuousEventTimeTrigger, EventTimeTrigger } from '../../../operators/windows/time-triggers.ts';
import {
  CountTrigger,
  DeltaTrigger,
  ProcessingTimeoutTrigger,
  PurgingTrigger,
} from '../../../operators/windows/triggers.ts';
import { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../../../operators/windows/window.ts';

const keyOf = (value: number): string => (value < 100 ? 'a' : 'b');
const tumbling = TumblingEventTimeWindows.of(10);
const global = GlobalWindows.create();

const listed = (options: WindowOptions<number>): Operator<number, string> =>
  processWindow(options, (values: readonly number[]) => values.join());

const open = (options: WindowOptions<number>): Promise<OperatorHarness<number, string>> =>
  OperatorHarness.open(listed(options), { keyOf });

const results = <O>(outputs: readonly HarnessOutput<O>[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [[output.value, output.timestamp]] : []));

describe('a window without end', () => {
  it('gives results with the timestamp of its newest element, also of those without a timestamp', async () => {
    const harness = await open({ assigner: global, trigger: CountTrigger.of(2) });
    harness.element(1, 70);
    expect(results(harness.element(2, 30))).toEqual([['1,2', 70]]);
    const purged = await open({ assigner: global, trigger: PurgingTrigger.of(CountTrigger.of(2)) });
    purged.element(1, 70);
    purged.element(2, 30);
    purged.element(3, 5);
    expect(results(purged.element(4, 6))).toEqual([['3,4', 6]]); // What was purged counts no more.
    const timeless = await open({ assigner: global, trigger: CountTrigger.of(1) });
    expect(results(timeless.element(1))).toEqual([['1', -Infinity]]);
  });

  it('with a continuous trigger ends on the final watermark', async () => {
    const harness = await open({ assigner: global, trigger: ContinuousEventTimeTrigger.of(5) });
    harness.element(1, 3);
    expect(results(harness.watermark(12))).toEqual([
      ['1', 3],
      ['1', 3],
    ]);
    harness.element(2, 13);
    expect(results(harness.watermark(Infinity))).toEqual([['1,2', 13]]);
    expect(harness.timers.event).toBe(0);
  });
});

describe('count windows', () => {
  it('leave what is left, or give it with `tail`', async () => {
    for (const tail of [false, true]) {
      const harness = await open(countWindowOptions(2, { tail }));
      for (const value of [1, 2, 3]) harness.element(value, value);
      expect(results(harness.watermark(Infinity))).toEqual(tail ? [['3', 3]] : []);
    }
  });

  it('slide, and give the last ones again only when some have come since', async () => {
    const harness = await open(countWindowOptions(3, { slide: 2, tail: true }));
    const outs = [1, 2, 3, 4, 5].flatMap((value) => results(harness.element(value, value)));
    expect(outs).toEqual([
      ['1,2', 2],
      ['2,3,4', 4],
    ]);
    expect(results(harness.watermark(Infinity))).toEqual([['3,4,5', 5]]);
    const even = await open(countWindowOptions(2, { tail: true }));
    for (const value of [1, 2]) even.element(value, value);
    expect(results(even.watermark(Infinity))).toEqual([]);
  });

  it('refuse nonsense', () => {
    expect(() => countWindowOptions(0, {})).toThrow('`size`');
    expect(() => countWindowOptions(1, { slide: 0 })).toThrow('`slide`');
    expect(() => countWindowOptions(1, { rest: true } as never)).toThrow('`rest`');
  });
});

describe('triggers', () => {
  it('give early results, one at the end, and one for each late record', async () => {
    const trigger = EventTimeTrigger.create({ early: CountTrigger.of(2) });
    const harness = await open({ assigner: tumbling, trigger, allowedLateness: 5 });
    const outs = [1, 2, 3].flatMap((value) => results(harness.element(value, value)));
    expect(outs).toEqual([['1,2', 9]]);
    expect(results(harness.watermark(9))).toEqual([['1,2,3', 9]]);
    expect(results(harness.element(4, 4))).toEqual([['1,2,3,4', 9]]);
    harness.watermark(20);
    expect([harness.timers.event, (await harness.snapshot()).rows.length]).toEqual([0, 0]);
  });

  it('remember what they compare with, and a wrapper keeps theirs apart from its own', async () => {
    const delta = DeltaTrigger.of(5, (last: number, next: number) => Math.abs(next - last));
    const trigger = ProcessingTimeoutTrigger.of(delta, 100);
    const harness = await open({ assigner: global, trigger: PurgingTrigger.of(trigger) });
    harness.element(1, 1);
    harness.element(5, 2);
    await harness.restore(await harness.snapshot());
    expect(results(harness.element(7, 3))).toEqual([['1,5,7', 3]]);
    harness.element(8, 4);
    expect(results(harness.processingTime(101))).toEqual([['8', 4]]);
  });

  it('of a user: state, timers of both kinds, and what it is told', async () => {
    const seen: unknown[] = [];
    const own: Trigger<number> = {
      initialState: () => 10,
      onElement(value, timestamp, { start, end }, ctx) {
        seen.push([value, timestamp, start, end, ctx.state, ctx.watermark, ctx.now()]);
        ctx.state = Number(ctx.state) + 1;
        ctx.register(timestamp + 1);
        ctx.register(50, 'processing');
        return 'continue';
      },
      onEventTime: (time) => (time === 3 ? 'fire' : 'continue'),
      onProcessingTime: () => 'fire-and-purge',
      toString: () => 'own',
    };
    const harness = await open({ assigner: tumbling, trigger: own });
    harness.element(1, 2);
    harness.element(2, 4);
    expect(seen).toEqual([
      [1, 2, 0, 10, 10, -Infinity, 0],
      [2, 4, 0, 10, 11, -Infinity, 0],
    ]);
    expect(results(harness.watermark(3))).toEqual([['1,2', 9]]);
    expect(results(harness.processingTime(51))).toEqual([['1,2', 9]]);
    expect(results(harness.watermark(9))).toEqual([]);
  });

  it('that leave timers behind change nothing of what comes later', async () => {
    const sloppy: Trigger<number> = {
      onElement(_value, _timestamp, _window, ctx) {
        ctx.register(30);
        return 'continue';
      },
      onEventTime: (time) => (time === 30 ? 'fire' : 'continue'),
      onMerge: () => {},
      toString: () => 'sloppy',
    };
    for (const assigner of [tumbling, EventTimeSessionWindows.withGap(10)]) {
      const harness = await open({ assigner, trigger: sloppy });
      harness.element(1, 1);
      harness.watermark(20);
      harness.element(2, 25);
      expect(results(harness.watermark(30))).toEqual(assigner === tumbling ? [] : [['2', 34]]);
      harness.watermark(100);
      expect([harness.timers.event, (await harness.snapshot()).rows.length]).toEqual([0, 0]);
    }
  });

  it('that return nonsense, a promise, or throw are refused by name', async () => {
    const returning = (result: unknown): Trigger<number> => ({ onElement: () => result as never, toString: () => 'x' });
    const nonsense = await open({ assigner: tumbling, trigger: returning('FIRE') });
    expect(() => nonsense.element(1, 1)).toThrow('Expected `onElement` to return');
    const promised = await open({ assigner: tumbling, trigger: returning(Promise.resolve('fire')) });
    expect(() => promised.element(1, 1)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    const throwing: Trigger<number> = {
      onElement() {
        throw new Error('no');
      },
      toString: () => 'x',
    };
    const harness = await open({ assigner: tumbling, trigger: throwing });
    expect(() => harness.element(1, 1)).toThrow('no');
  });

  it('go on with a lateness that a restart has made longer, or shorter', async () => {
    const trigger = PurgingTrigger.of(EventTimeTrigger.create());
    for (const [before, after, gone] of [
      [0, 10, 19],
      [10, 0, 10],
    ] as const) {
      const first = await open({ assigner: tumbling, trigger: trigger, allowedLateness: before });
      first.element(1, 1);
      const snapshot = await first.snapshot();
      const options = { assigner: tumbling, trigger, allowedLateness: after };
      const second = await OperatorHarness.open(listed(options), { keyOf }, snapshot);
      expect(results(second.watermark(9))).toEqual([['1', 9]]);
      second.watermark(gone - 1);
      second.watermark(100);
      expect([second.timers.event, (await second.snapshot()).rows.length]).toEqual([0, 0]);
    }
  });
});

describe('evictors', () => {
  it('take elements away for good, before or behind the function', async () => {
    const before = await open({ assigner: tumbling, evictor: CountEvictor.of(1), allowedLateness: 10 });
    for (const value of [1, 2]) before.element(value, value);
    expect(results(before.watermark(9))).toEqual([['2', 9]]);
    expect(results(before.element(3, 3))).toEqual([['3', 9]]);
    const after = await open({ assigner: tumbling, evictor: TimeEvictor.of(1, { after: true }), allowedLateness: 10 });
    for (const value of [1, 2]) after.element(value, value);
    expect(results(after.watermark(9))).toEqual([['1,2', 9]]);
    expect(results(after.element(1, 1))).toEqual([['2,1', 9]]);
  });

  it('leave `reduce` without a result and `aggregate` with that of nothing, when nothing stays', async () => {
    const options = { assigner: tumbling, evictor: CountEvictor.of<number>(0) };
    const reduced = await OperatorHarness.open(
      reduceWindow<number>(options, (a, b) => a + b),
      { keyOf },
    );
    reduced.element(1, 1);
    expect(results(reduced.watermark(9))).toEqual([]);
    const counted = await OperatorHarness.open(
      aggregateWindow<number, number, number>(options, {
        createAccumulator: () => 0,
        add: (_value, count) => count + 1,
        getResult: (count) => count,
      }),
      { keyOf },
    );
    counted.element(1, 1);
    expect(results(counted.watermark(9))).toEqual([[0, 9]]);
    expect((await counted.snapshot()).rows.length).toBe(0);
  });

  it('keep many elements, in chunks, and what stays of them', async () => {
    const harness = await open({
      assigner: tumbling,
      evictor: CountEvictor.of(40, { after: true }),
      allowedLateness: 10,
    });
    const all = Array.from({ length: 99 }, (_, n) => n);
    for (const value of all) harness.element(value, 1);
    await harness.restore(await harness.snapshot());
    expect(results(harness.watermark(9))).toEqual([[all.join(), 9]]);
    expect(results(harness.element(7, 1))).toEqual([[[...all.slice(-40), 7].join(), 9]]);
    harness.watermark(100);
    expect((await harness.snapshot()).rows.length).toBe(0);
  });

  it('of a user that return no list are refused', async () => {
    const wrong: Evictor<number> = { before: () => 'all' as never, toString: () => 'x' };
    const harness = await open({ assigner: tumbling, evictor: wrong });
    harness.element(1, 1);
    expect(() => harness.watermark(9)).toThrow('Expected `before` to return a list');
  });
});

describe('assigners', () => {
  it('of a user: windows of any length, several of one start or end', async () => {
    const own: WindowAssigner<number> = {
      time: 'event',
      defaultTrigger: EventTimeTrigger.create(),
      assign: (value) => [{ start: 0, end: 10 }, { start: 5, end: 10 }, ...(value > 1 ? [{ start: 0, end: 20 }] : [])],
      toString: () => 'own',
    };
    const harness = await open({ assigner: own });
    for (const value of [1, 2]) harness.element(value, value);
    await harness.restore(await harness.snapshot());
    expect(results(harness.watermark(9))).toEqual([
      ['1,2', 9],
      ['1,2', 9],
    ]);
    expect(results(harness.watermark(19))).toEqual([['2', 19]]);
    expect((await harness.snapshot()).rows.length).toBe(0);
  });

  it('that give no windows are refused', async () => {
    const wrong = (window: unknown): WindowAssigner<number> => ({
      time: 'event',
      defaultTrigger: EventTimeTrigger.create(),
      assign: () => [window as never],
      toString: () => 'wrong',
    });
    for (const window of [{ start: 1, end: 1 }, { start: Number.NaN, end: 2 }, {}]) {
      const harness = await open({ assigner: wrong(window) });
      expect(() => harness.element(1, 1)).toThrow('Expected `assign` to return windows');
    }
    expect(() => EventTimeSessionWindows.withGap(0)).toThrow('`gap`');
    const harness = await open({ assigner: EventTimeSessionWindows.withDynamicGap(() => 0.5) });
    expect(() => harness.element(1, 1)).toThrow('Expected `gap` to return whole milliseconds');
    expect(() => CumulativeEventTimeWindows.of(10, 3)).toThrow('a multiple of `step` (3 ms)');
  });

  it('by the clock: windows and sessions of the time of the turn, late for nobody', async () => {
    const harness = await open({ assigner: TumblingProcessingTimeWindows.of(10), allowedLateness: 50 });
    harness.processingTime(3);
    harness.element(1);
    harness.watermark(1000);
    harness.element(2);
    expect(results(harness.processingTime(9))).toEqual([]);
    expect(results(harness.processingTime(10))).toEqual([['1,2', 9]]);
    const sessions = await open({ assigner: ProcessingTimeSessionWindows.withGap(5) });
    sessions.element(1);
    sessions.processingTime(4);
    sessions.element(2);
    await sessions.restore(await sessions.snapshot());
    expect(results(sessions.processingTime(9))).toEqual([['1,2', 8]]);
    expect((await sessions.snapshot()).rows.length).toBe(0);
  });
});

describe('windows that merge', () => {
  const assigner = EventTimeSessionWindows.withGap(5);

  it('refuse a trigger, an aggregate and a function that can not', () => {
    const delta = DeltaTrigger.of(1, (a: number, b: number) => b - a);
    expect(() => listed({ assigner, trigger: delta })).toThrow('Expected `trigger` to have `onMerge`');
    const count = {
      createAccumulator: () => 0,
      add: (_: number, sum: number) => sum + 1,
      getResult: (sum: number) => sum,
    };
    expect(() => aggregateWindow({ assigner }, count)).toThrow('an aggregate with `merge`');
    const withState = { windowState: () => ({}), process: () => 1 };
    expect(() => processWindow<number, number, object, never>({ assigner }, withState)).toThrow(
      'without `windowState`',
    );
  });

  it('take the state of their triggers along', async () => {
    const harness = await open({ assigner, trigger: CountTrigger.of(4) });
    harness.element(1, 0);
    harness.element(2, 8);
    expect(results(harness.element(3, 4))).toEqual([]);
    expect(results(harness.element(4, 4))).toEqual([['1,2,3,4', 12]]);
  });

  it('are sessions of each key, in few columns, with nothing left of a long one', async () => {
    const harness = await open({ assigner });
    for (let at = 0; at < 200; at += 1) harness.element(at % 2 === 0 ? 1 : 101, at);
    expect(harness.timers.event).toBe(2);
    expect(results(harness.watermark(Infinity)).length).toBe(2);
    expect([harness.timers.event, (await harness.snapshot()).rows.length, harness.stateEntries]).toEqual([0, 0, 0]);
  });
});
