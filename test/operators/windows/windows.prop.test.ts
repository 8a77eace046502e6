/**
 * The three window operators against each other and against a naive model, which keeps every window as a list and looks
 * at all of them at each step.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Operator } from '../../../lib/core/operator.ts';
import type { Trigger, WindowAssigner } from '../../../operators/windows/contract.ts';
import { CumulativeEventTimeWindows } from '../../../operators/windows/cumulative-windows.ts';
import { SlidingEventTimeWindows, TumblingEventTimeWindows } from '../../../operators/windows/fixed-windows.ts';
import { EventTimeSessionWindows } from '../../../operators/windows/session-windows.ts';
import { EventTimeTrigger } from '../../../operators/windows/time-triggers.ts';
import { aggregateWindow, processWindow, type WindowOptions } from '../../../operators/windows/window.ts';
import { late, outsOfSteps, steps, type Item, type Out, type Step } from './window-steps.ts';

const runs = { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 150) };

const sliding = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }))
  .map(([size, slide]) => SlidingEventTimeWindows.of(size, slide));
const assigners: fc.Arbitrary<WindowAssigner<unknown>> = fc.oneof(
  fc.integer({ min: 1, max: 12 }).map((size) => TumblingEventTimeWindows.of(size)),
  sliding,
  fc
    .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }))
    .map(([step, count]) => CumulativeEventTimeWindows.of(step * count, step)),
  fc.integer({ min: 1, max: 8 }).map((gap) => EventTimeSessionWindows.withGap(gap)),
);
const lateness = fc.integer({ min: 0, max: 10 });

const counted = {
  createAccumulator: () => ({ count: 0, sum: 0 }),
  add: ({ value }: Item, { count, sum }: { count: number; sum: number }) => ({ count: count + 1, sum: sum + value }),
  getResult: ({ count, sum }: { count: number; sum: number }) => [count, sum],
};
const merge = (a: { count: number; sum: number }, b: { count: number; sum: number }) => ({
  count: a.count + b.count,
  sum: a.sum + b.sum,
});
/** The same, changed where it is kept. */
const changing = {
  mutable: true,
  createAccumulator: () => ({ count: 0, sum: 0 }),
  add({ value }: Item, kept: { count: number; sum: number }) {
    kept.count += 1;
    kept.sum += value;
    return kept;
  },
  merge(a: { count: number; sum: number }, b: { count: number; sum: number }) {
    a.count += b.count;
    a.sum += b.sum;
    b.count = Number.NaN; // Nobody else may see what was merged.
    return a;
  },
  getResult: counted.getResult,
};

const counting = (
  options: WindowOptions<Item>,
  fn: typeof counted & { merge?: typeof merge },
): Operator<Item, unknown> =>
  aggregateWindow(options, fn, (result, { key, window }) => [key, window.start, window.end, ...result]);

const listing = (options: WindowOptions<Item>): Operator<Item, unknown> =>
  processWindow(options, (items: readonly Item[], { key, window }) => [
    key,
    window.start,
    window.end,
    items.map(({ value }) => value),
  ]);

/** The same trigger in another object: nobody takes it for that of the fast operators. */
const another: Trigger = { ...EventTimeTrigger.create() };

// ---------- a model of windows with the trigger of event time

interface NaiveWindow {
  readonly key: string;
  start: number;
  end: number;
  values: number[];
}

class Model {
  readonly #assigner: WindowAssigner<Item>;
  readonly #lateness: number;
  #open: NaiveWindow[] = [];
  #watermark = -Infinity;

  constructor(assigner: WindowAssigner<Item>, latenessMs: number) {
    this.#assigner = assigner;
    this.#lateness = latenessMs;
  }

  element(item: Item, timestamp: number): Out[] {
    const outs: Out[] = [];
    let taken = false;
    for (const { start, end } of this.#assigner.assign(item, timestamp, { now: () => 0 })) {
      const window = this.#enter({ key: item.key, start, end, values: [] });
      if (window === undefined) continue;
      taken = true;
      window.values.push(item.value);
      if (window.end - 1 <= this.#watermark) outs.push(resultOf(window));
    }
    if (!taken && timestamp + this.#lateness <= this.#watermark) outs.push(['late', item, timestamp]);
    return outs;
  }

  advance(to: number): Out[] {
    const due = this.#open.filter(({ end }) => end - 1 > this.#watermark && end - 1 <= to);
    this.#watermark = to;
    this.#open = this.#open.filter((window) => !this.#isGone(window));
    const order = (a: NaiveWindow, b: NaiveWindow): number =>
      a.end - b.end || (a.key < b.key ? -1 : a.key > b.key ? 1 : a.start - b.start);
    return due.toSorted(order).map(resultOf);
  }

  #enter(window: NaiveWindow): NaiveWindow | undefined {
    const isSame = (other: NaiveWindow): boolean =>
      other.key === window.key && other.start === window.start && other.end === window.end;
    const meets = (other: NaiveWindow): boolean =>
      other.key === window.key && other.start <= window.end && other.end >= window.start;
    const met = this.#open.filter(this.#assigner.merging === true ? meets : isSame);
    for (const other of met) {
      window.start = Math.min(window.start, other.start);
      window.end = Math.max(window.end, other.end);
      window.values.push(...other.values);
    }
    if (this.#isGone(window)) return undefined;
    this.#open = [...this.#open.filter((other) => !met.includes(other)), window];
    return window;
  }

  #isGone({ end }: NaiveWindow): boolean {
    return end - 1 + this.#lateness <= this.#watermark;
  }
}

const resultOf = ({ key, start, end, values }: NaiveWindow): Out => [
  'result',
  [key, start, end, values.toSorted((a, b) => a - b)],
  end - 1,
];

const modelled = (assigner: WindowAssigner<Item>, latenessMs: number, all: readonly Step[]): Out[][] => {
  const model = new Model(assigner, latenessMs);
  let now = 0;
  const outs = all.flatMap((each): Out[][] => {
    if (each.kind === 'restore') return [];
    if (each.kind === 'watermark') return [model.advance((now += each.by))];
    return [model.element({ key: each.key, value: each.value }, now - each.behind)];
  });
  return [...outs, model.advance(Infinity)];
};

/** The order of the values of windows that have merged is nobody's promise. */
const ordered = (outs: Out[][]): Out[][] =>
  outs.map((ofStep) =>
    ofStep.map(([kind, value, timestamp]): Out => {
      if (kind === 'late') return [kind, value, timestamp];
      const [key, start, end, values] = value as [string, number, number, number[]]; // As `listing` makes it.
      return [kind, [key, start, end, values.toSorted((a, b) => a - b)], timestamp];
    }),
  );

describe('windows', () => {
  it('equal the model, with restores anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(assigners, lateness, steps, async (assigner, allowedLateness, all) => {
        const outs = await outsOfSteps(listing({ assigner, allowedLateness, lateTag: late }), all);
        expect(ordered(outs)).toEqual(modelled(assigner, allowedLateness, all));
      }),
      runs,
    );
  });

  it('give the same by the general operator as by the fast ones', async () => {
    await fc.assert(
      fc.asyncProperty(assigners, lateness, steps, async (assigner, allowedLateness, all) => {
        const options = { assigner, allowedLateness, lateTag: late };
        const fast = await outsOfSteps(listing(options), all);
        expect(await outsOfSteps(listing({ ...options, trigger: another }), all)).toEqual(fast);
      }),
      runs,
    );
  });

  it('give the same in slices as one by one', async () => {
    const sliced = fc.oneof(
      sliding,
      fc.integer({ min: 1, max: 5 }).map((step) => CumulativeEventTimeWindows.of(step * 3, step)),
    );
    await fc.assert(
      fc.asyncProperty(sliced, lateness, steps, async (assigner, allowedLateness, all) => {
        const options = { assigner, allowedLateness, lateTag: late };
        const oneByOne = await outsOfSteps(counting(options, counted), all);
        expect(await outsOfSteps(counting(options, { ...counted, merge }), all)).toEqual(oneByOne);
        expect(await outsOfSteps(counting(options, changing), all)).toEqual(oneByOne);
      }),
      runs,
    );
  });
});
