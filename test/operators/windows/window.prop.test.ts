/** Tumbling windows against a naive model that keeps every record and looks at all of them at each step. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { OutputTag } from '../../../lib/core/output-tag.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../../lib/testing/harness-outputs.ts';
import { TumblingEventTimeWindows } from '../../../operators/windows/fixed-windows.ts';
import { aggregateWindow, processWindow } from '../../../operators/windows/window.ts';

interface Item {
  readonly key: string;
  readonly value: number;
}

type Step =
  | { readonly kind: 'element'; readonly key: string; readonly value: number; readonly behind: number }
  | { readonly kind: 'watermark'; readonly by: number }
  | { readonly kind: 'restore' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('element' as const),
      key: fc.constantFrom('a', 'b', 'c'),
      value: fc.integer({ min: 0, max: 99 }),
      behind: fc.integer({ min: -25, max: 25 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('watermark' as const), by: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
);

const setting = fc.record({
  size: fc.integer({ min: 1, max: 12 }),
  lateness: fc.integer({ min: 0, max: 10 }),
  steps: fc.array(step, { maxLength: 80 }),
});

type Out = readonly [kind: 'result' | 'late', key: string, value: unknown, timestamp: number];

/** All records that were taken, by key and window; windows are never forgotten, only looked at. */
class Model {
  readonly #windows = new Map<string, { readonly key: string; readonly end: number; readonly values: number[] }>();
  readonly #size: number;
  readonly #lateness: number;
  watermark = -Infinity;

  constructor(size: number, lateness: number) {
    this.#size = size;
    this.#lateness = lateness;
  }

  element({ key, value }: Item, timestamp: number): Out[] {
    const start = Math.floor(timestamp / this.#size) * this.#size;
    const last = start + this.#size - 1;
    if (last + this.#lateness <= this.watermark) return [['late', key, value, timestamp]];
    const window = this.#windows.get(`${key} ${start}`) ?? { key, end: last, values: [] };
    this.#windows.set(`${key} ${start}`, window);
    window.values.push(value);
    return last <= this.watermark ? [['result', key, [...window.values], last]] : [];
  }

  advance(to: number): Out[] {
    const due = [...this.#windows.values()].filter(({ end }) => end > this.watermark && end <= to);
    this.watermark = to;
    return due
      .sort((a, b) => a.end - b.end || (a.key < b.key ? -1 : 1))
      .map(({ key, end, values }) => ['result', key, [...values], end]);
  }
}

const late: OutputTag<Item> = { id: 'late' };

const observed = (outputs: readonly HarnessOutput<Item & { readonly values: readonly number[] }>[]): Out[] =>
  outputs.flatMap((output): Out[] => {
    if (output.kind === 'record') return [['result', output.value.key, output.value.values, output.timestamp]];
    return output.kind === 'side'
      ? [['late', (output.value as Item).key, (output.value as Item).value, output.timestamp]]
      : [];
  });

it.each(['process', 'aggregate'] as const)('%s equals the model, with restores anywhere', async (kind) => {
  await fc.assert(
    fc.asyncProperty(setting, async ({ size, lateness, steps }) => {
      const options = { assigner: TumblingEventTimeWindows.of(size), allowedLateness: lateness, lateTag: late };
      const listed = {
        createAccumulator: (): readonly number[] => [],
        add: ({ value }: Item, before: readonly number[]) => [...before, value],
        getResult: (values: readonly number[]) => values,
      };
      const operator =
        kind === 'process'
          ? processWindow(options, (items: readonly Item[], ctx) => ({
              key: String(ctx.key),
              value: 0,
              values: items.map(({ value }) => value),
            }))
          : aggregateWindow(options, listed, (values, ctx) => ({ key: String(ctx.key), value: 0, values }));
      const harness = await OperatorHarness.open(operator, { keyOf: ({ key }) => key, sides: [late] });
      const model = new Model(size, lateness);
      let now = 0;
      for (const each of steps) {
        if (each.kind === 'restore') await harness.restore(await harness.snapshot());
        else if (each.kind === 'watermark') {
          now += each.by;
          expect(observed(harness.watermark(now))).toEqual(model.advance(now));
        } else {
          const timestamp = now - each.behind;
          expect(observed(harness.element(each, timestamp))).toEqual(model.element(each, timestamp));
        }
      }
      expect(observed(harness.watermark(Infinity))).toEqual(model.advance(Infinity));
      expect([harness.timers.event, (await harness.snapshot()).rows.length]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});
