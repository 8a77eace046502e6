import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReadySplits } from '../../../../lib/runtime/domain/ready-splits.ts';
import type { Split } from '../../../../lib/runtime/hosts/split.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';
import { HostedSource, type Stamped } from '../hosts/sources.ts';

type Step =
  | { readonly kind: 'brings'; readonly split: number; readonly stamps: readonly number[] }
  | { readonly kind: 'ends'; readonly split: number }
  | { readonly kind: 'hands over' };

const split = fc.nat({ max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('brings' as const),
    split,
    stamps: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('ends' as const), split }),
  { weight: 3, arbitrary: fc.constant({ kind: 'hands over' as const }) },
);

/** What a look at all splits finds: the one with the lowest watermark, the first of several. */
const lowest = (splits: readonly Split<unknown>[]): string | undefined => {
  let found: Split<unknown> | undefined;
  for (const each of splits)
    if (each.hasRecords && (found === undefined || each.generator.current < found.generator.current)) found = each;
  return found?.name;
};

test('the next split is the one that a look at all of them finds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const strategy = WatermarkStrategy.monotonous<Stamped>().withTimestamps(({ ts }) => ts);
      const hosted = new HostedSource<Stamped>(strategy.withEmitEvery(1));
      const splits = Array.from({ length: 5 }, (_, n) => hosted.split(`s${n}`)) as Split<unknown>[];
      const host = hosted.host as HostedSource<unknown>['host']; // Values are handed through without a look.
      const ready = new ReadySplits();
      for (const each of splits) ready.add({ host, split: each });
      for (const each of steps) {
        if (each.kind === 'hands over') {
          const expected = lowest(splits);
          const next = ready.takeLowest();
          expect(next?.split.name).toBe(expected);
          if (next === undefined) continue;
          host.push(next.split, 2);
          ready.look(next.split);
          continue;
        }
        const one = splits[each.split] as Split<unknown>; // One of the five.
        if (each.kind === 'ends') one.noteEnd();
        else one.take({ values: each.stamps.map((ts, n) => ({ n, ts })), position: (count) => count });
        ready.look(one);
      }
      const ended = splits.filter(({ isDrained }) => isDrained);
      const told = new Set<Split<unknown>>(); // One that was looked at again before it was ended comes again.
      for (let next = ready.takeDrained(); next !== undefined; next = ready.takeDrained()) told.add(next.split);
      expect(told).toEqual(new Set(ended));
    }),
  );
});
