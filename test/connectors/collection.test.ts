import { expect, test } from 'vitest';
import { collection } from '../../connectors/collection.ts';
import { sourceSuite } from '../../lib/core/source-suite.ts';

const { signal } = new AbortController();

for (const length of [0, 1, 10]) {
  const values = Array.from({ length }, (_, index) => `v${index}`);
  const make = async () => ({
    source: collection(values, { batchSize: 4 }),
    expected: values,
    cleanup: async () => {},
  });
  for (const { name, run } of sourceSuite(`collection of ${length}`, make)) test(name, run);
}

test('timestamps go with their values, also behind a position', async () => {
  const reader = await collection(['a', 'b', 'c', 'd'], { timestamps: [1, 2, 3, 4], batchSize: 2 }).open(
    'collection',
    1,
    signal,
  );
  expect(await reader.read(signal)).toMatchObject({ values: ['b', 'c'], timestamps: [2, 3] });
  expect(await reader.read(signal)).toMatchObject({ values: ['d'], timestamps: [4] });
});

test('a collection that got shorter is an error', async () => {
  await expect(collection([1]).open('collection', 2, signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
});

test('options that make no sense are refused', () => {
  expect(() => collection([1, 2], { timestamps: [1] })).toThrow(
    'Expected `timestamps` to be as many as there are values (2)',
  );
  expect(() => collection([1], { batchSize: 1.5 })).toThrow('batchSize');
});
