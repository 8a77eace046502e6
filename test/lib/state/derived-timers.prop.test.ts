/** Derived timers against stored ones: as long as each is registered once they fire alike. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Key } from '../../../lib/core/key.ts';
import { DerivedTimers } from '../../../lib/state/derived-timers.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { TimerService } from '../../../lib/state/timers.ts';

const key: fc.Arbitrary<Key> = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.string({ unit: 'binary', maxLength: 2 }),
  fc.integer({ min: -3, max: 3 }),
  fc.boolean(),
  fc.tuple(fc.string({ maxLength: 1 }), fc.integer({ min: 0, max: 2 })),
);

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('register' as const),
      key,
      time: fc.integer({ min: 0, max: 6 }),
      namespace: fc.integer({ min: 0, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('watermark' as const), by: fc.integer({ min: 0, max: 3 }) }) },
);

/** What fires leads to timers of its own, also of the past. */
const followUp = (namespace: number, timestamp: number): number | undefined =>
  namespace < 3 ? timestamp - 1 + namespace * 2 : undefined;

it('fire in the same order under the same keys, also those that are registered while others fire', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const logs: Record<'derived' | 'stored', string[]> = { derived: [], stored: [] };
      const keys = { derived: new KeyContext(), stored: new KeyContext() };
      const note = (which: 'derived' | 'stored', timer: { timestamp: number; namespace: number }): void => {
        logs[which].push(`${JSON.stringify(keys[which].key)} ${timer.timestamp} ${timer.namespace}`);
      };
      const derived: DerivedTimers = new DerivedTimers({ keys: keys.derived, fire: (timer) => note('derived', timer) });
      const stored = new TimerService({
        op: 1,
        keys: keys.stored,
        maxParallelism: 128,
        fire: (timer) => note('stored', timer),
      });
      const known = new Set<string>();
      let watermark = 0;
      for (const each of steps) {
        if (each.kind === 'watermark') {
          watermark += each.by;
          known.clear(); // What has fired may be registered again.
          derived.advanceWatermark(watermark);
          stored.advanceWatermark(watermark);
          expect(derived.watermark).toBe(watermark);
        } else {
          const at = Math.max(each.time, watermark + 1);
          const name = JSON.stringify([typeof each.key, each.key, at, each.namespace]);
          const fresh = !known.has(name) && stored.count.event === derived.count;
          known.add(name);
          const before = stored.count.event;
          keys.stored.within(each.key, () => stored.register(at, each.namespace, 'event'));
          if (fresh && stored.count.event > before)
            keys.derived.within(each.key, () => derived.register(at, each.namespace));
        }
        expect(derived.count).toBe(stored.count.event);
        expect(logs.derived).toEqual(logs.stored);
      }
      derived.advanceWatermark(Infinity);
      stored.advanceWatermark(Infinity);
      expect(logs.derived).toEqual(logs.stored);
      expect(derived.count).toBe(0);
    }),
  );
});

it('a timer that is registered while others fire, for now or before, fires within the same advance', () => {
  const keys = new KeyContext();
  const fired: string[] = [];
  const timers: DerivedTimers = new DerivedTimers({
    keys,
    fire({ timestamp, namespace }) {
      fired.push(`${String(keys.key)} ${timestamp} ${namespace}`);
      const next = followUp(namespace, timestamp);
      if (next !== undefined) timers.register(next, namespace + 1);
    },
  });
  keys.within('a', () => timers.register(5, 0));
  timers.advanceWatermark(5);
  expect(fired).toEqual(['a 5 0', 'a 4 1', 'a 5 2']);
  expect(timers.count).toBe(1); // At 8.
  timers.advanceWatermark(8);
  expect(fired.at(-1)).toBe('a 8 3');
});

it('refuses a timer while no key is current (I2)', () => {
  const timers = new DerivedTimers({ keys: new KeyContext(), fire: () => {} });
  expect(() => timers.register(1, 0)).toThrow('Expected a current key');
});
