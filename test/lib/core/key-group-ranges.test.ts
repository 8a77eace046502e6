import fc from 'fast-check';
import { expect, it } from 'vitest';
import { instanceOf, keyGroupRange, maxParallelismFor } from '../../../lib/core/key-group-ranges.ts';

it('gives each group to one instance, in order, and says which', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 }), (max, wanted) => {
      const parallelism = Math.min(max, wanted);
      const groups = Array.from({ length: parallelism }, (_, index) => {
        const [first, last] = keyGroupRange(max, parallelism, index);
        const own = Array.from({ length: last - first + 1 }, (__, at) => first + at);
        expect(own.map((group) => instanceOf(group, max, parallelism))).toEqual(own.map(() => index));
        return own;
      });
      expect(groups.flat()).toEqual(Array.from({ length: max }, (_, group) => group));
      expect(Math.min(...groups.map(({ length }) => length))).toBeGreaterThan(0);
    }),
  );
});

it('refuses more instances than groups', () => {
  expect(() => keyGroupRange(2, 3, 0)).toThrow('`parallelism`');
  expect(() => keyGroupRange(2, 2, 2)).toThrow('`index`');
});

it('leaves room to grow', () => {
  expect([1, 85, 86, 100, 40_000].map(maxParallelismFor)).toEqual([128, 128, 256, 256, 32_768]);
});
