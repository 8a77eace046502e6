import fc from 'fast-check';
import { NEVER, concat, of, type Observable } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { Operator } from '../../../lib/core/operator.ts';
import { callbackSink, MemoryStorage, observableSource, StreamExecutionEnvironment } from '../../../lib/index.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import {
  aggregatePartition,
  mapPartition,
  reducePartition,
  sortPartition,
  type SortOrder,
} from '../../../operators/windows/full-window-partition.ts';
import { outsOfSteps, steps, type Item, type Out, type Step } from './window-steps.ts';

const runs = { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 100) };

/** What all values of each key come to, with the newest timestamp of each, in the order of the keys. */
const naive = (all: readonly Step[], make: (values: readonly Item[]) => readonly unknown[]): Out[] => {
  let now = 0;
  const byKey = new Map<string, { values: Item[]; newest: number }>();
  for (const step of all) {
    if (step.kind === 'watermark') now += step.by;
    if (step.kind !== 'element') continue;
    const { key, value } = step;
    const before = byKey.get(key);
    const timestamp = now - step.behind;
    byKey.set(key, {
      values: [...(before?.values ?? []), { key, value }],
      newest: Math.max(before?.newest ?? -Infinity, timestamp),
    });
  }
  return [...byKey]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { values, newest }]) => make(values).map((value): Out => ['result', value, newest]));
};

const summed = (values: readonly Item[]): number => values.reduce((sum, { value }) => sum + value, 0);
const tens = ({ value }: Item): number => Math.floor(value / 10);
const counts = {
  createAccumulator: () => 0,
  add: ({ value }: Item, sum: number) => sum + value,
  getResult: (sum: number) => [sum],
};

const kinds: Readonly<Record<string, [Operator<Item, unknown>, (values: readonly Item[]) => readonly unknown[]]>> = {
  'map-partition': [
    mapPartition((values: readonly Item[], { key }) => [key, ...values.map(({ value }) => value)]),
    (values) => [values[0]?.key, ...values.map(({ value }) => value)],
  ],
  sort: [sortPartition(tens), (values) => values.toSorted((a, b) => tens(a) - tens(b))],
  'sort, greatest first': [sortPartition(tens, 'descending'), (values) => values.toSorted((a, b) => tens(b) - tens(a))],
  reduce: [
    reducePartition<Item>((a, b) => ({ key: b.key, value: a.value + b.value })),
    (values) => [{ key: values[0]?.key, value: summed(values) }],
  ],
  aggregate: [aggregatePartition(counts), (values) => [[summed(values)]]],
};

describe('a full partition', () => {
  it.each(Object.entries(kinds))('%s gives what it gives of lists, at the end and over restarts', async (_, kind) => {
    const [operator, make] = kind;
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const outs = await outsOfSteps(operator, all);
        expect(outs.slice(0, -1).flat()).toEqual([]);
        expect(outs.at(-1)).toEqual(naive(all, make));
      }),
      runs,
    );
  });

  const open = (operator: Operator<number, unknown>) => OperatorHarness.open(operator, { keyOf: () => 'k' });

  it.each([
    ['what can not be iterated', mapPartition<number, number>(() => 5 as never), 'what can be iterated'],
    ['a promise', mapPartition<number, number>((async () => []) as never), 'promise'],
    ['a promise in the list', mapPartition<number, unknown>(() => [Promise.resolve(1)]), 'promise'],
    [
      'what throws',
      mapPartition<number, number>(() => {
        throw new Error('mine');
      }),
      'mine',
    ],
    ['too much', mapPartition((values: readonly number[]) => values, { valuesMax: 1 }), 'more than 1 values'],
    ['what has no order', sortPartition<number>(() => Number.NaN), 'a number or a bigint'],
    ['a text beside a number', sortPartition<number>((value) => (value > 1 ? 'a' : 1)), 'as the values before'],
    ['a promise to sort by', sortPartition<number>((async () => 1) as never), 'promise'],
  ])('refuses %s', async (_, operator, message) => {
    const harness = await open(operator);
    for (const value of [1, 2]) harness.element(value, value);
    expect(() => harness.watermark(Infinity)).toThrow(message);
  });

  it('refuses parts that are none', () => {
    expect(() => mapPartition(5 as never)).toThrow('`fn`');
    expect(() => mapPartition(() => [], { valuesMax: 0 })).toThrow('`valuesMax`');
    expect(() => sortPartition('size' as never)).toThrow('`by`');
    expect(() => sortPartition(() => 1, 'up' as SortOrder)).toThrow('`order`');
  });

  it('ends a function that gives without end', async () => {
    const harness = await open(
      mapPartition(
        function* (): Iterable<number> {
          for (let each = 0; ; each += 1) yield each;
        },
        { valuesMax: 10 },
      ),
    );
    harness.element(1, 1);
    expect(() => harness.watermark(Infinity)).toThrow('more than 10 values');
  });

  it('is of a key or of all, needs no timestamps, and gives nothing of nothing', async () => {
    const env = () => StreamExecutionEnvironment.create({ logger: 'silent' });
    const numbers = [3, 1, 2, 4];
    const keyed = env()
      .fromCollection(numbers)
      .keyBy((value) => value % 2 === 0);
    const lists = await keyed
      .fullWindowPartition()
      .mapPartition((own, { key }) => [[key, ...own]])
      .executeAndCollect();
    expect(lists).toHaveLength(2);
    expect(lists).toEqual(
      expect.arrayContaining([
        [false, 3, 1],
        [true, 2, 4],
      ]),
    );
    const all = env().fromCollection(numbers).fullWindowPartition();
    expect(await all.sortPartition((value) => value).executeAndCollect()).toEqual([1, 2, 3, 4]);
    const none = env().fromCollection<number>([]).fullWindowPartition();
    expect(await none.mapPartition(() => [1]).executeAndCollect()).toEqual([]);
  });

  it('takes a stop for no end: the next life goes on with what came before it', async () => {
    const storage = new MemoryStorage();
    const given: (readonly number[])[] = [];
    const life = (input: Observable<number>) => {
      const env = StreamExecutionEnvironment.create({ storage, logger: 'silent' });
      env
        .fromSource(observableSource<number>(input))
        .fullWindowPartition()
        .mapPartition((own) => [own])
        .sinkTo(callbackSink((own) => void given.push(own)));
      return env.executeAsync('partition');
    };
    const first = await life(concat(of(1, 2), NEVER));
    await vi.waitUntil(async () => (await first.metrics.snapshot())['operator.map-partition.numRecordsIn'] === 2);
    await first.stop();
    expect(given).toEqual([]);
    await (
      await life(of(3))
    ).done;
    expect(given).toEqual([[1, 2, 3]]);
  });
});
