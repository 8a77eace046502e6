import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WatermarkStrategy } from '../../../../lib/index.ts';
import type { Quiet } from '../../../../lib/runtime/edges/watermark-generator.ts';
import { batchOf, HostedSource, type Stamped } from './sources.ts';

type Step =
  | { readonly do: 'hand over'; readonly records: number }
  | { readonly do: 'tick'; readonly afterMs: number; readonly quiet: Quiet }
  | { readonly do: 'restore' };

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('hand over' as const), records: fc.integer({ min: 1, max: 9 }) }),
    fc.record({
      do: fc.constant('tick' as const),
      afterMs: fc.integer({ min: 0, max: 500 }),
      quiet: fc.constantFrom<Quiet>('waits', 'reads', 'held'),
    }),
    fc.record({ do: fc.constant('restore' as const) }),
  ),
  { maxLength: 60 },
);

/** Runs the records through a source in the steps of a schedule, and the rest at once. Gives which were late. */
const lateOf = (
  times: readonly number[],
  strategy: WatermarkStrategy<Stamped>,
  schedule: readonly Step[],
): number[] => {
  let hosted = new HostedSource<Stamped>(strategy);
  let split = hosted.split('a');
  const late: number[] = [];
  let [next, now] = [0, 0];
  const handOver = (records: number): void => {
    const values = times.slice(next, next + records).map((ts, index) => ({ n: next + index, ts }));
    next += values.length;
    split.take(batchOf(values));
    while (split.hasRecords) hosted.host.push(split, 7);
  };
  for (const step of schedule) {
    if (step.do === 'hand over') handOver(step.records);
    else if (step.do === 'tick') {
      now += step.afterMs;
      if (split.generator.tickInMs(now, step.quiet) === 0) hosted.host.tick('a', now, step.quiet);
    } else {
      late.push(...hosted.late.map(({ n }) => n));
      const restarted = new HostedSource<Stamped>(strategy);
      restarted.host.restore(structuredClone(hosted.host.snapshot()));
      restarted.watermark = hosted.watermark;
      hosted = restarted;
      split = hosted.host.split('a');
    }
  }
  handOver(times.length);
  return [...late, ...hosted.late.map(({ n }) => n)];
};

test('which records are late follows from the records alone: not from batches, ticks, idleness, restarts or emission (I17)', () => {
  const times = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 120 });
  fc.assert(
    fc.property(
      times,
      steps,
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 1, max: 70 }),
      fc.boolean(),
      (ts, schedule, boundMs, every, idle) => {
        const base = WatermarkStrategy.boundedOutOfOrderness<Stamped>(boundMs).withEmitEvery(every);
        const strategy = (idle ? base.withIdleness(300) : base).withTimestamps(({ ts }: Stamped) => ts);
        let greatest = Number.NEGATIVE_INFINITY;
        const expected = ts.flatMap((each, n) => {
          const isLate = each <= greatest - boundMs - 1;
          greatest = Math.max(greatest, each);
          return isLate ? [n] : [];
        });
        expect(lateOf(ts, strategy, [])).toEqual(expected);
        expect(lateOf(ts, strategy, schedule)).toEqual(expected);
      },
    ),
    { numRuns: 300 },
  );
});

test('with several splits no record within its bound is late while none is idle, whatever comes first', () => {
  const splits = fc.array(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 40 }), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(
      splits,
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 200 }),
      fc.integer({ min: 0, max: 200 }),
      (all, order, boundMs) => {
        const hosted = new HostedSource<Stamped>(
          WatermarkStrategy.boundedOutOfOrderness<Stamped>(boundMs)
            .withEmitEvery(3)
            .withTimestamps(({ ts }: Stamped) => ts),
        );
        const left = all.map((times, index) => ({
          split: hosted.split(`${index}`),
          times: [...times],
          greatest: Number.NEGATIVE_INFINITY,
        }));
        const rest = left.flatMap(({ times }, index) => times.map(() => index));
        let now = 0;
        for (const index of [...order.map((each) => each % left.length), ...rest]) {
          const from = left[index];
          const ts = from?.times.shift();
          if (from === undefined || ts === undefined) continue;
          const within = ts > from.greatest - boundMs - 1;
          from.greatest = Math.max(from.greatest, ts);
          from.split.take(batchOf([{ n: 0, ts }]));
          const before = hosted.late.length;
          hosted.host.push(from.split, 1);
          if (within) expect(hosted.late.length).toBe(before);
          hosted.host.tick(from.split.name, (now += 200), 'waits');
        }
      },
    ),
  );
});
