/**
 * Versions of stored values, for every kind of state: lives of rising versions, each of which changes something and is
 * saved or not, read what all earlier ones have stored, by `migrate` of the version that wrote it, once each.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AggregateFunction } from '../../../lib/core/aggregate-function.ts';
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
  type StateOptions,
} from '../../../lib/core/state-descriptor.ts';
import type { Store } from '../../../lib/state/store.ts';
import { openStore, save, setUp } from './working-set-fixture.ts';

/** A number as a version stores it. */
interface Stored {
  readonly version: number;
  readonly n: number;
}

const encoded = (version: number, n: number): Stored => ({ version, n });

/** Fails for what another version has stored. */
const decoded = (version: number, value: Stored): number => {
  expect(value.version).toBe(version);
  return value.n;
};

const plus = (version: number, a: Stored, b: Stored): Stored =>
  encoded(version, decoded(version, a) + decoded(version, b));

const sumOf = (version: number): AggregateFunction<number, Stored, number> => ({
  createAccumulator: () => encoded(version, 0),
  add: (n, sum) => plus(version, sum, encoded(version, n)),
  getResult: (sum) => decoded(version, sum),
});

interface Parts {
  readonly store: Store;
  readonly restored: boolean;
  readonly cacheMax: number;
}

const open = ({ store, ...options }: Parts, version: number) => {
  const life = setUp(store, options);
  const migrated: StateOptions = {
    version,
    migrate: (old, by) => encoded(version, decoded(by, old as Stored)), // Every value here is one.
  };
  const { state } = life;
  return {
    ...life,
    value: state(valueState<Stored>('value', migrated)),
    list: state(listState<Stored>('list', migrated)),
    reducing: state(reducingState<Stored>('reducing', (a, b) => plus(version, a, b), migrated)),
    aggregating: state(aggregatingState('aggregating', sumOf(version), migrated)),
    maps: [
      state(mapState<number, Stored>('map', migrated)),
      state(mapState<number, Stored>('ordered', { ...migrated, ordered: true })),
      state(mapState<number, Stored>('panes', { ...migrated, indexed: false })),
      state(mapState<number, Stored>('kept', { ...migrated, inPlace: true })),
    ],
  };
};

interface Model {
  value: number | undefined;
  list: number[];
  sum: number | undefined;
  map: Map<number, number>;
}

const empty = (): Model => ({ value: undefined, list: [], sum: undefined, map: new Map() });

const names = ['a', 'b'];
const change = fc.record({
  kind: fc.constantFrom(...(['value', 'list', 'shift', 'sum', 'set', 'delete'] as const)),
  key: fc.constantFrom(...names),
  sub: fc.nat(150),
  count: fc.constantFrom(1, 1, 3, 70),
});
type Change = typeof change extends fc.Arbitrary<infer C> ? C : never;

const life = fc.record({
  rise: fc.nat(1),
  saved: fc.boolean(),
  changes: fc.array(change, { maxLength: 12 }),
});
type Life = typeof life extends fc.Arbitrary<infer L> ? L : never;

type System = ReturnType<typeof open>;

const apply = (now: System, version: number, expected: Model, { kind, sub, count }: Change): void => {
  for (let n = sub; n < sub + count; n += 1) {
    switch (kind) {
      case 'value':
        now.value.update(encoded(version, n));
        expected.value = n;
        break;
      case 'list':
        now.list.add(encoded(version, n));
        expected.list.push(n);
        break;
      case 'shift': {
        const gone = now.list.shift();
        expect(gone && decoded(version, gone)).toBe(expected.list.shift());
        break;
      }
      case 'sum':
        now.reducing.add(encoded(version, n));
        now.aggregating.add(n);
        expected.sum = (expected.sum ?? 0) + n;
        break;
      case 'set':
        for (const map of now.maps) map.set(n, encoded(version, n + count));
        expected.map.set(n, n + count);
        break;
      case 'delete':
        for (const map of now.maps) map.delete(n);
        expected.map.delete(n);
    }
  }
};

const check = (now: System, version: number, expected: Model): void => {
  const value = now.value.value();
  const reduced = now.reducing.get();
  expect(value && decoded(version, value)).toBe(expected.value);
  expect([...now.list.values()].map((each) => decoded(version, each))).toEqual(expected.list);
  expect([reduced && decoded(version, reduced), now.aggregating.get()]).toEqual([expected.sum, expected.sum]);
  for (const map of now.maps)
    for (const [sub, n] of expected.map) expect(decoded(version, map.get(sub) ?? encoded(0, 0))).toBe(n);
  const [inserted, ordered] = now.maps;
  expect([...(inserted?.keys() ?? [])]).toEqual([...expected.map.keys()]);
  expect([...(ordered?.entries() ?? [])].map(([sub, each]) => [sub, decoded(version, each)])).toEqual(
    [...expected.map].sort(([a], [b]) => a - b),
  );
};

const run = async (lives: readonly Life[], cacheMax: number): Promise<void> => {
  const store = await openStore();
  let version = 1;
  let stored = new Map(names.map((name) => [name, empty()]));
  for (const [index, { rise, saved, changes }] of lives.entries()) {
    version += rise;
    const now = open({ store, restored: index > 0, cacheMax }, version);
    const model = structuredClone(stored);
    for (const each of changes) now.at(each.key, () => apply(now, version, model.get(each.key) ?? empty(), each));
    if (saved) {
      await save(now.set, store);
      stored = model;
    }
    for (const [name, expected] of model) now.at(name, () => check(now, version, expected));
  }
};

it('values of every kind of state are read as the current version has them, whichever wrote them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 2, maxLength: 6 }), fc.constantFrom(1, 1000), run),
    { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 40) },
  );
});
