import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Operator } from '../../lib/core/operator.ts';
import { outputTag } from '../../lib/core/output-tag.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../lib/testing/harness-outputs.ts';
import { collection } from '../../connectors/collection.ts';
import { aggregate, reduce } from '../../operators/aggregate.ts';
import { process } from '../../operators/process.ts';
import { flatMap } from '../../operators/stateless.ts';
import { TumblingEventTimeWindows } from '../../operators/windows/fixed-windows.ts';
import { aggregateWindow, processWindow, reduceWindow } from '../../operators/windows/window.ts';

const valuesOf = <O>(outputs: readonly HarnessOutput<O>[]): O[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

interface Sale {
  readonly shop: string;
  readonly sum: number;
}

const average = aggregate({
  createAccumulator: () => ({ count: 0, sum: 0 }),
  add: ({ sum }: Sale, before) => ({ count: before.count + 1, sum: before.sum + sum }),
  getResult: ({ count, sum }) => sum / count,
});

describe('reduce', () => {
  it('gives the first value as it is and then the running result, with the timestamp of the value', async () => {
    const harness = await OperatorHarness.open(
      reduce((a: number, b: number) => a + b),
      { keyOf: (value) => value % 2 },
    );
    expect([harness.element(1, 5), harness.element(2, 6), harness.element(3, 4)].flat()).toEqual([
      { kind: 'record', value: 1, timestamp: 5 },
      { kind: 'record', value: 2, timestamp: 6 },
      { kind: 'record', value: 4, timestamp: 4 },
    ]);
  });

  it('keeps one state for a stream without keys', async () => {
    const harness = await OperatorHarness.open(reduce((a: number, b: number) => a + b));
    expect([1, 2, 3].flatMap((value) => valuesOf(harness.element(value)))).toEqual([1, 3, 6]);
  });

  it('leaves state as it was when the function throws', async () => {
    const harness = await OperatorHarness.open(
      reduce((a: number, b: number) => {
        if (b === 0) throw new Error('zero');
        return a + b;
      }),
      { keyOf: () => 'k' },
    );
    harness.element(1);
    expect(() => harness.element(0)).toThrow('zero');
    expect(valuesOf(harness.element(2))).toEqual([3]);
  });
});

describe.each([
  ['a promise', () => Promise.reject(new Error('later'))],
  ['a promise of another make', () => ({ then: () => {} })],
] as const)('%s is refused (I13)', (_what, promise) => {
  const made = promise as () => never;
  const sum = {
    createAccumulator: () => 0,
    add: (value: number, before: number) => value + before,
    getResult: (value: number) => value,
  };
  const window = { assigner: TumblingEventTimeWindows.of(10) };
  const operators: readonly (readonly [string, Operator<number, unknown>])[] = [
    ['the function', reduce(made)],
    ['`createAccumulator`', aggregate({ ...sum, createAccumulator: made })],
    ['`add`', aggregate({ ...sum, add: made })],
    ['`getResult`', aggregate({ ...sum, getResult: made })],
    ['the reducing function', reduceWindow(window, made)],
    ['`createAccumulator`', aggregateWindow(window, { ...sum, createAccumulator: made })],
    ['`add`', aggregateWindow(window, { ...sum, add: made })],
    ['`getResult`', aggregateWindow(window, { ...sum, getResult: made })],
    ['the window function', processWindow(window, made)],
    ['`windowState`', processWindow(window, { windowState: made, process: () => 1 })],
    ['`onTimer`', process({ process: (_, { timers }) => timers.register(5), onTimer: made })],
    ['`process`', process({ process: made })],
  ];

  it.each([
    ['emitted', process<number, never>((_, ctx) => ctx.emit(made())), 'operator `operator` emitted a promise'],
    [
      'sent to a side output',
      process<number, never>((_, ctx) => ctx.side(outputTag('side'), made())),
      'operator `operator` emitted a promise',
    ],
    [
      'one of several results',
      flatMap<number, unknown>(() => [made()]),
      'the function of operator `operator` returned a promise',
    ],
  ])('%s', async (_how, operator, message) => {
    const harness = await OperatorHarness.open<number, unknown>(operator);
    expect(() => harness.element(1, 1)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN', message }));
  });

  it.each(operators)('from %s', async (what, operator) => {
    const harness = await OperatorHarness.open(operator, { keyOf: () => 'k' });
    const run = (): unknown => [harness.element(1, 1), harness.element(2, 2), harness.watermark(9)];
    expect(run).toThrow(
      expect.objectContaining({
        code: 'ASYNC_IN_TURN',
        message: `${what} of operator \`operator\` returned a promise`,
      }),
    );
  });
});

describe('aggregate', () => {
  it('gives the result so far', async () => {
    const harness = await OperatorHarness.open(average, { keyOf: ({ shop }) => shop });
    const sales = [
      ['a', 2],
      ['b', 10],
      ['a', 4],
    ] as const;
    expect(sales.flatMap(([shop, sum]) => valuesOf(harness.element({ shop, sum })))).toEqual([2, 10, 3]);
  });

  it('equals folding each key by itself, with restores anywhere', async () => {
    const sale = fc.record({ shop: fc.constantFrom('a', 'b', 'c'), sum: fc.integer({ min: -9, max: 9 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 5, arbitrary: sale }, { weight: 1, arbitrary: fc.constant('restore' as const) })),
        async (steps) => {
          const harness = await OperatorHarness.open(average, { keyOf: ({ shop }) => shop });
          const seen = new Map<string, number[]>();
          for (const step of steps) {
            if (step === 'restore') {
              await harness.restore(await harness.snapshot());
              continue;
            }
            const sums = [...(seen.get(step.shop) ?? []), step.sum];
            seen.set(step.shop, sums);
            expect(valuesOf(harness.element(step))).toEqual([sums.reduce((a, b) => a + b) / sums.length]);
          }
        },
      ),
    );
  });
});

describe('an accumulator that is changed in place', () => {
  const kept = { createAccumulator: () => [] as number[], getResult: (all: number[]) => all.join() };
  const inPlace = {
    ...kept,
    mutable: true,
    add(value: number, all: number[]) {
      all.push(value);
      return all;
    },
  };
  const copied = { ...kept, add: (value: number, all: number[]) => [...all, value] };
  const window = { assigner: TumblingEventTimeWindows.of(10), allowedLateness: 10 };

  it.each([
    ['aggregate', aggregate(inPlace), aggregate(copied)],
    ['windows', aggregateWindow(window, inPlace), aggregateWindow(window, copied)],
  ] as const)('%s: gives what one that is copied gives, over restarts anywhere', async (_name, mutable, plain) => {
    const steps = fc.array(
      fc.oneof({ weight: 4, arbitrary: fc.nat(25) }, { weight: 1, arbitrary: fc.constantFrom('restart', 'watermark') }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const run = async (operator: Operator<number, string>): Promise<HarnessOutput<string>[]> => {
          const options = { keyOf: (value: number) => value % 3 };
          let harness = await OperatorHarness.open(operator, options);
          const outputs: HarnessOutput<string>[] = [];
          let watermark = 0;
          for (const step of history) {
            if (typeof step === 'number') outputs.push(...harness.element(step, step));
            else if (step === 'watermark') outputs.push(...harness.watermark((watermark += 7)));
            else harness = await OperatorHarness.open(operator, options, await harness.snapshot());
          }
          return [...outputs, ...harness.watermark(1000)];
        };
        expect(await run(mutable)).toEqual(await run(plain));
      }),
      { numRuns: 30 },
    );
  });

  it('is not frozen where values of state are, and neither is one of which a copy is kept', async () => {
    const run = (aggregated: typeof inPlace | typeof copied): Promise<unknown[]> => {
      const env = StreamExecutionEnvironment.create({ freezeState: true });
      return env
        .fromSource(collection([1, 2, 3]))
        .keyBy(() => 'k')
        .aggregate(aggregated)
        .executeAndCollect();
    };
    expect(await run(inPlace)).toEqual(['1', '1,2', '1,2,3']);
    expect(await run({ ...inPlace, mutable: false })).toEqual(['1', '1,2', '1,2,3']);
  });
});
