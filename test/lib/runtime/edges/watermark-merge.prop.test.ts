import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import type { WatermarkChange } from '../../../../lib/runtime/edges/watermark-change.ts';
import { WatermarkCombiner, WatermarkValve } from '../../../../lib/runtime/edges/watermark-merge.ts';

const timestamp = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: -50, max: 200 }) },
  { weight: 1, arbitrary: fc.constant(MAX_TIMESTAMP) },
);

type Step =
  | { readonly kind: 'watermark'; readonly channel: string; readonly timestamp: number }
  | { readonly kind: 'status'; readonly channel: string; readonly idle: boolean };

const channels = ['a', 'b', 'c'];
const channel = fc.constantFrom(...channels);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('watermark' as const), channel, timestamp }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('status' as const), channel, idle: fc.boolean() }) },
);
const steps = fc.array(step, { maxLength: 80 });

const make = { valve: () => new WatermarkValve(), combiner: () => new WatermarkCombiner() } as const;
type Merge = WatermarkValve | WatermarkCombiner;

const apply = (merge: Merge, each: Step): WatermarkChange =>
  each.kind === 'watermark' ? merge.watermark(each.channel, each.timestamp) : merge.status(each.channel, each.idle);

const opened = (merge: Merge): Merge => {
  for (const name of channels) merge.add(name);
  return merge;
};

describe.each(['valve', 'combiner'] as const)('%s', (kind) => {
  it('I3: never goes back, and says each change once', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const merge = opened(make[kind]());
        let [last, idle] = [MIN_TIMESTAMP, false];
        for (const each of plan) {
          const change = apply(merge, each);
          if (change.watermark !== undefined) {
            expect(change.watermark).toBeGreaterThan(last);
            last = change.watermark;
          }
          if (change.idle !== undefined) {
            expect(change.idle).toBe(!idle);
            idle = change.idle;
          }
          expect([merge.current, merge.idle]).toEqual([last, idle]);
        }
      }),
    );
  });

  it('says what it would if it looked at all channels at each step', () => {
    // Few timestamps, so that several channels hold the output at one.
    const close = fc.array(
      fc.oneof(
        step,
        fc.record({ kind: fc.constant('watermark' as const), channel, timestamp: fc.integer({ min: 0, max: 4 }) }),
      ),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(close, (plan) => {
        const merge = opened(make[kind]());
        for (const each of plan) {
          const looking = opened(make[kind]());
          looking.restore(merge.snapshot());
          expect(apply(merge, each)).toEqual(apply(looking, each));
          expect(merge.snapshot()).toEqual(looking.snapshot());
        }
      }),
    );
  });

  it('goes on from a snapshot as if nothing had happened', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const first = opened(make[kind]());
        for (const each of before) apply(first, each);
        const second = make[kind]();
        const snapshot = structuredClone(first.snapshot());
        for (const [name] of snapshot.channels) second.add(name);
        second.restore(snapshot);
        expect(after.map((each) => apply(second, each))).toEqual(after.map((each) => apply(first, each)));
      }),
    );
  });
});

it('the combiner gives the least watermark of the active channels, unless that would go back', () => {
  fc.assert(
    fc.property(steps, (plan) => {
      const merge = opened(new WatermarkCombiner());
      const model = new Map(channels.map((name) => [name, { watermark: MIN_TIMESTAMP, idle: false }]));
      let expected = MIN_TIMESTAMP;
      for (const each of plan) {
        apply(merge, each);
        const one = model.get(each.channel) ?? { watermark: 0, idle: false };
        const before = one.watermark;
        if (each.kind === 'watermark')
          Object.assign(one, { watermark: Math.max(one.watermark, each.timestamp), idle: false });
        else if (before !== MAX_TIMESTAMP) one.idle = each.idle;
        // A watermark that is not new takes effect with the next one only.
        if (each.kind === 'watermark' && one.watermark === before) continue;
        const running = [...model.values()].filter(({ watermark }) => watermark !== MAX_TIMESTAMP);
        const active = running.filter(({ idle }) => !idle).map(({ watermark }) => watermark);
        const together =
          active.length > 0
            ? Math.min(...active)
            : Math.max(
                ...(running.length > 0 ? running : [{ watermark: MAX_TIMESTAMP }]).map(({ watermark }) => watermark),
              );
        expected = Math.max(expected, together);
        expect(merge.current).toBe(expected);
      }
    }),
  );
});

it('without idleness the valve gives the least watermark of all channels', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(channel, timestamp), { maxLength: 60 }), (plan) => {
      const valve = opened(new WatermarkValve());
      const greatest = new Map(channels.map((name) => [name, MIN_TIMESTAMP]));
      for (const [name, at] of plan) {
        valve.watermark(name, at);
        greatest.set(name, Math.max(greatest.get(name) ?? MIN_TIMESTAMP, at));
        expect(valve.current).toBe(Math.min(...greatest.values()));
      }
    }),
  );
});

it('a valve that rests leaves no active channel that has caught up behind', () => {
  fc.assert(
    fc.property(steps, (plan) => {
      const valve = opened(new WatermarkValve());
      for (const each of plan) {
        apply(valve, each);
        for (const [, watermark, idle, aligned] of valve.snapshot().channels) {
          expect(aligned && idle).toBe(false);
          if (!idle && watermark >= valve.current) expect(aligned).toBe(true);
        }
      }
    }),
  );
});
