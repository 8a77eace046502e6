import { expect, test } from 'vitest';
import { Sequence } from '../../../../lib/runtime/hosts/sequence.ts';

test('each key group is counted by itself, and goes on where it was', () => {
  const sequence = new Sequence();
  expect([1, 1, 2, 1].map((group) => sequence.next(group))).toEqual([0, 1, 0, 2]);
  const snapshot = sequence.snapshot();
  const restored = new Sequence();
  restored.restore(snapshot);
  expect([2, 1, 3].map((group) => restored.next(group))).toEqual([1, 3, 0]);
  expect(snapshot).toEqual([
    [1, 3],
    [2, 1],
  ]); // It is that of its instant.
});
