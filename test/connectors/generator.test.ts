/** The generator, and the pace that any source can be given. */
import type { SourceReader } from '../../lib/core/connector.ts';
import { describe, expect, test } from 'vitest';
import { collection } from '../../connectors/collection.ts';
import { generator } from '../../connectors/generator.ts';
import { paced } from '../../connectors/paced.ts';
import { sourceSuite } from '../../lib/core/source-suite.ts';
import { StepClock } from './manual-clock.ts';

const { signal } = new AbortController();
const squares = (count: number): number[] => Array.from({ length: count }, (_, index) => index * index);
const generate = (index: number): number => index * index;

for (const { name, run } of sourceSuite('generator', async () => ({
  source: generator({ count: 10, generate, batchSize: 3 }),
  expected: squares(10),
  cleanup: async () => {},
}))) {
  test(name, run);
}

for (const { name, run } of sourceSuite('paced', async () => ({
  source: paced(collection(squares(10), { timestamps: squares(10), batchSize: 4 }), 5000),
  expected: squares(10),
  cleanup: async () => {},
}))) {
  test(name, run);
}

test('without a count it is endless', async () => {
  const reader = await generator({ generate }).open('generator', 1_000_000, signal);
  const batch = await reader.read(signal);
  expect(batch?.values).toHaveLength(512);
  expect(batch?.values[0]).toBe(1e12);
});

/** Reads to the end on a clock that jumps from timer to timer; gives when each value came. */
const timesOf = async (reader: SourceReader<number>, clock: StepClock): Promise<number[]> => {
  const times: number[] = [];
  const state = { ended: false };
  const reading = (async () => {
    for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
      times.push(...batch.values.map(() => clock.now()));
    state.ended = true;
  })();
  while (!state.ended) await clock.step();
  await reading;
  return times;
};

test.each([1, 3, 40, 500, 5000])('%i per second, never more', async (perSecond) => {
  const clock = new StepClock();
  const count = Math.min(3 * perSecond, 3000);
  const reader = await generator({ count, generate, perSecond }, clock).open('generator', undefined, signal);
  const times = await timesOf(reader, clock);
  expect(times).toHaveLength(count);
  for (const [index, time] of times.entries()) expect(time).toBeGreaterThanOrEqual((index * 1000) / perSecond - 1e-6);
  expect(times.at(-1)).toBeLessThan((count * 1000) / perSecond + 2);
});

test('the pace is that of the clock of the job, unless it was given one of its own', async () => {
  const [own, jobs] = [new StepClock(), new StepClock()];
  const source = generator({ count: 3, generate, perSecond: 10 });
  expect(await timesOf(await source.open('generator', undefined, signal, jobs), jobs)).toEqual([0, 100, 200]);
  const again = new StepClock();
  expect(await timesOf(await source.open('generator', undefined, signal, again), again)).toEqual([0, 100, 200]);
  const reader = await paced(generator({ count: 3, generate }), 10, own).open('generator', undefined, signal, jobs);
  expect(await timesOf(reader, own)).toEqual([0, 100, 200]);
});

test('a pause is not followed by a flood', async () => {
  const clock = new StepClock();
  const reader = await generator({ generate, perSecond: 100 }, clock).open('generator', undefined, signal);
  await reader.read(signal);
  clock.advance(60_000);
  const batch = await reader.read(signal);
  expect(batch?.values).toHaveLength(11);
});

test('all splits share one pace', async () => {
  const clock = new StepClock();
  const source = paced(generator({ count: 50, generate }), 100, clock);
  const [a, b] = [await source.open('generator', undefined, signal), await source.open('generator', undefined, signal)];
  const times = (await Promise.all([timesOf(a, clock), timesOf(b, clock)])).flat().sort((x, y) => x - y);
  expect(times).toHaveLength(100);
  expect(times.at(-1)).toBeGreaterThanOrEqual(990);
});

test('timestamps, sides and positions follow their values', async () => {
  const clock = new StepClock();
  const inner = collection(['a', 'b', 'c'], { timestamps: [1, 2, 3] });
  const withSides = {
    ...inner,
    open: async (split: string, position: number | undefined) => {
      const reader = await inner.open(split, position, signal);
      return {
        ...reader,
        read: async () => {
          const batch = await reader.read(signal);
          return batch === undefined ? undefined : { ...batch, sides: new Map([[1, 'bad']]) };
        },
      };
    },
  };
  const reader = await paced(withSides, 10, clock).open('collection', undefined, signal);
  const parts = [];
  for (let index = 0; index < 3; index += 1) {
    const read = reader.read(signal);
    await clock.step();
    const part = await read;
    parts.push([part?.values, part?.timestamps, [...(part?.sides ?? [])], part?.position(0), part?.position(1)]);
  }
  expect(parts).toEqual([
    [['a'], [1], [], 0, 1],
    [['b'], [2], [[0, 'bad']], 1, 2],
    [['c'], [3], [], 2, 3],
  ]);
});

test('a wait for the next slot ends with the signal, and the record is not lost', async () => {
  const clock = new StepClock();
  const reader = await generator({ count: 2, generate, perSecond: 1 }, clock).open('generator', undefined, signal);
  await reader.read(signal);
  const controller = new AbortController();
  const read = reader.read(controller.signal);
  controller.abort(new Error('stop'));
  await expect(read).rejects.toThrow('stop');
  expect(clock.waiting).toBe(0);
  clock.advance(1000);
  expect((await reader.read(signal))?.values).toEqual([1]);
});

test('options that make no sense are refused', () => {
  expect(() => generator({ generate, perSecond: 0 })).toThrow(
    'Expected `perSecond` to be a number above 0, got `0` (number)',
  );
  expect(() => generator({ generate, count: -1 })).toThrow('count');
  expect(() => generator({ generate: 1 as unknown as () => number })).toThrow('generate');
});

test('what it is given is copied, unless that is made anew for each index', async () => {
  const one = { changed: false };
  const generateOne = (): { changed: boolean } => one;
  const valuesOf = async (fresh?: boolean): Promise<readonly { changed: boolean }[] | undefined> => {
    const reader = await generator({ count: 2, generate: generateOne, fresh }).open('generator', undefined, signal);
    return (await reader.read(signal))?.values;
  };
  const [first, second] = (await valuesOf()) ?? [];
  expect(first).toEqual(one);
  expect(first === one || second === one || first === second).toBe(false);
  expect((await valuesOf(true))?.every((value) => value === one)).toBe(true);
});

describe('random numbers of an index', () => {
  const drawn = async (options: { readonly seed?: number; readonly from?: number; readonly batchSize?: number }) => {
    const { from = 0, ...rest } = options;
    const generate = (_: number, random: () => number): readonly number[] => [random(), random()];
    const reader = await generator({ generate, count: from + 2000, ...rest }).open('generator', from, signal);
    const pairs: (readonly number[])[] = [];
    for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
      pairs.push(...batch.values);
    return pairs;
  };

  test('are the same from any position and in any batches, and others with another seed', async () => {
    const all = await drawn({});
    expect(await drawn({ batchSize: 7 })).toEqual(all);
    expect((await drawn({ from: 500 })).slice(0, 1500)).toEqual(all.slice(500));
    const other = await drawn({ seed: 1 });
    expect(other.filter(([first], index) => first === all[index]?.[0])).toEqual([]);
    expect((await drawn({ from: 2 ** 32 }))[0]).not.toEqual(all[0]);
  });

  test('are spread evenly, and an index says nothing about the next', async () => {
    for (const seed of [0, 1, 2 ** 32 - 1]) {
      const pairs = await drawn({ seed });
      const tenths = Array.from({ length: 10 }, () => 0);
      for (const number of pairs.flat()) tenths[Math.floor(10 * number)] = (tenths[Math.floor(10 * number)] ?? 0) + 1;
      // 400 are expected of each; five times the deviation of chance.
      for (const count of tenths) expect(Math.abs(count - 400)).toBeLessThan(5 * Math.sqrt(400 * 0.9));
      const firsts = pairs.map(([first = 0]) => first - 0.5);
      const related = firsts.slice(1).reduce((sum, each, index) => sum + each * (firsts[index] ?? 0), 0);
      expect(Math.abs((12 * related) / firsts.length)).toBeLessThan(5 / Math.sqrt(firsts.length));
    }
  });

  test('a seed is an integer', () => {
    expect(() => generator({ generate: () => 1, seed: 1.5 })).toThrow('seed');
  });
});
