/** Random steps for the property tests of windows, and how they are done by an operator. */
import fc from 'fast-check';
import type { Operator } from '../../../lib/core/operator.ts';
import type { OutputTag } from '../../../lib/core/output-tag.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../../lib/testing/harness-outputs.ts';

export interface Item {
  readonly key: string;
  readonly value: number;
}

export type Step =
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
      behind: fc.integer({ min: -30, max: 25 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('watermark' as const), by: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
);

export const steps = fc.array(step, { maxLength: 80 });

export const late: OutputTag<Item> = { id: 'late' };

/** What came out of a step, but for the watermark: results of one time stand in the order of their keys. */
export type Out = readonly [kind: 'result' | 'late', value: unknown, timestamp: number];

const outsOf = (outputs: readonly HarnessOutput<unknown>[]): Out[] =>
  outputs.flatMap((output): Out[] => {
    if (output.kind === 'record') return [['result', output.value, output.timestamp]];
    return output.kind === 'side' ? [['late', output.value, output.timestamp]] : [];
  });

/** What comes out after each step, and behind the final watermark; checks that nothing is left behind then. */
export const outsOfSteps = async (operator: Operator<Item, unknown>, all: readonly Step[]): Promise<Out[][]> => {
  const harness = await OperatorHarness.open(operator, { keyOf: ({ key }: Item) => key, sides: [late] });
  const outs: Out[][] = [];
  let now = 0;
  for (const each of all) {
    if (each.kind === 'restore') await harness.restore(await harness.snapshot());
    else if (each.kind === 'watermark') outs.push(outsOf(harness.watermark((now += each.by))));
    else outs.push(outsOf(harness.element({ key: each.key, value: each.value }, now - each.behind)));
  }
  outs.push(outsOf(harness.watermark(Infinity)));
  const left = [harness.timers.event, harness.timers.processing, (await harness.snapshot()).rows.length];
  if (left.some((count) => count > 0)) throw new Error(`left behind: ${left.join()} (timers, timers by clock, rows)`);
  return outs;
};
