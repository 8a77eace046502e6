import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TurnSize } from '../../../../lib/runtime/domain/turn-size.ts';

test('whatever a record costs, turns come to last no longer than a slice, and are long where records are cheap', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.00001, max: 50, noNaN: true }), (msOfRecord) => {
      const size = new TurnSize(4);
      for (let turn = 0; turn < 20; turn += 1) size.took(size.records, size.records * msOfRecord);
      expect(size.records === 1 || size.records * msOfRecord <= 4).toBe(true);
      expect(size.records).toBeGreaterThanOrEqual(Math.min(512, Math.max(1, Math.floor(1 / msOfRecord))));
    }),
  );
});

test('a turn that was short for want of records says nothing', () => {
  const size = new TurnSize(4);
  size.took(1, 0);
  expect(size.records).toBe(8);
});
