/** A map in order against a sorted list: random changes and ranges, cuts, eviction and restores. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { mapState } from '../../../lib/core/state-descriptor.ts';
import { compareSubs, type MapSub } from '../../../lib/state/sub-order.ts';
import type { StateCut } from '../../../lib/state/keyed-state.ts';
import { openStore, rowCount, save, setUp, toEnd } from './working-set-fixture.ts';

const sub = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -40, max: 400 }) },
  { weight: 1, arbitrary: fc.constantFrom<MapSub>(Infinity, -Infinity, 0.5, -2.5, '', 'a', 'b', 'ab') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }) },
);
const key = fc.constantFrom('a', 'b');
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('set' as const), key, sub, value: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key, sub }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('fill' as const, 'drain' as const),
      key,
      from: fc.integer({ min: -40, max: 400 }),
      count: fc.nat(200),
      step: fc.constantFrom(1, 1, 3, -1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('range' as const), key, from: sub, to: sub }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom(...(['cut', 'write', 'save', 'restore', 'clear'] as const)), key }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer O> ? O : never;

type Model = Record<string, Map<MapSub, number>>;

const sorted = (map: Map<MapSub, number> = new Map()): [MapSub, number][] =>
  [...map].sort(([a], [b]) => compareSubs(a, b));

const run = async (history: readonly Operation[], cacheMax: number): Promise<void> => {
  const store = await openStore();
  const descriptor = mapState<MapSub, number>('map', { ordered: true });
  let isStored = false;
  const open = () => {
    const made = setUp(store, { cacheMax, restored: isStored });
    return { ...made, map: made.state(descriptor) };
  };
  let system = open();
  let model: Model = {};
  let stored: Model = {};
  let cut: { readonly rows: StateCut; readonly model: Model } | undefined;
  const finish = async (): Promise<void> => {
    if (cut === undefined) return;
    const batch = store.batch();
    toEnd(cut.rows.write(batch));
    await batch.write();
    await batch.close();
    toEnd(cut.rows.durable());
    isStored = true;
    stored = cut.model;
    cut = undefined;
  };
  const change = (name: string, each: MapSub, value: number | undefined): void => {
    if (value === undefined) {
      system.map.delete(each);
      model[name]?.delete(each);
    } else {
      system.map.set(each, value);
      (model[name] ??= new Map()).set(each, value);
    }
  };
  const check = (name: string): void => {
    const expected = sorted(model[name]);
    expect([...system.map.entries()]).toEqual(expected);
    expect([...system.map.keys()]).toEqual(expected.map(([each]) => each));
    expect(system.map.isEmpty()).toBe(expected.length === 0);
  };
  for (const each of history) {
    if (each.kind === 'cut') {
      if (cut === undefined) cut = { rows: system.set.cut(), model: structuredClone(model) };
    } else if (each.kind === 'write' || each.kind === 'save') {
      // What was cut and has changed since is written as it was at the cut.
      if (each.kind === 'save') await finish();
      cut ??= { rows: system.set.cut(), model: structuredClone(model) };
      await finish();
    } else if (each.kind === 'restore') {
      system = open();
      cut = undefined;
      model = structuredClone(stored);
      for (const name of ['a', 'b']) system.at(name, () => check(name));
    } else
      system.at(each.key, () => {
        const { map } = system;
        const name = each.key;
        if (each.kind === 'set') change(name, each.sub, each.value);
        else if (each.kind === 'delete') change(name, each.sub, undefined);
        else if (each.kind === 'clear') {
          map.clear();
          delete model[name];
        } else if (each.kind === 'range') {
          const { from, to } = each;
          const expected = sorted(model[name]).filter(([at]) => compareSubs(at, from) >= 0 && compareSubs(at, to) < 0);
          expect([...map.range(from, to)]).toEqual(expected);
          expect(map.get(from)).toBe(model[name]?.get(from));
        } else if (each.kind === 'fill' || each.kind === 'drain') {
          const value = each.kind === 'fill' ? each.count : undefined;
          for (let at = 0; at < each.count; at += 1) change(name, each.from + at * each.step, value);
        }
        if (each.kind !== 'range') check(name);
      });
  }
  await finish();
  for (const name of ['a', 'b']) system.at(name, () => system.map.clear());
  await save(system.set, store);
  expect(await rowCount(store)).toBe(0);
};

it('holds what a sorted list holds, through cuts, eviction and restores, and leaves nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60 }), fc.constantFrom(1, 4, 1000), run),
    { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 150) },
  );
});

it('the order is that of numbers, then of code points, and total', () => {
  const codePoints = (text: string): number[] => [...text].map((each) => each.codePointAt(0) ?? 0);
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 4 }), fc.constantFrom('', '\ud800', '\uffff'));
  fc.assert(
    fc.property(text, text, (a, b) => {
      const [left, right] = [codePoints(a), codePoints(b)];
      const at = left.findIndex((each, index) => each !== right[index]);
      const expected = at < 0 ? Math.sign(left.length - right.length) : Math.sign((left[at] ?? 0) - (right[at] ?? -1));
      expect(Math.sign(compareSubs(a, b))).toBe(expected);
      expect(Math.sign(compareSubs(b, a)) + expected).toBe(0);
      expect(compareSubs(1, a)).toBe(-1);
      expect(compareSubs(a, Infinity)).toBe(1);
    }),
  );
});
