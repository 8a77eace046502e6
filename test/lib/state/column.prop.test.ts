/** A column against a plain map, over both of its forms and the way between them; and numbers of keys. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { MapKey } from '../../../lib/core/key.ts';
import { Column } from '../../../lib/state/column.ts';
import { KeyNumbers } from '../../../lib/state/key-numbers.ts';

interface Cell {
  readonly value: string;
  readonly flags: number;
}

const numberOfKey = fc.oneof(fc.nat(5), fc.nat(120), fc.nat(5000));
const operations = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), number: numberOfKey, flags: fc.nat(15) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), number: numberOfKey }) },
    // So many in a row that a column which has an index needs none any more.
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('fill' as const), to: fc.constantFrom(20, 200, 700) }) },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
);

it('a column keeps values and flags of its cells, whatever its form', () => {
  const layouts = new Set<number>();
  fc.assert(
    fc.property(operations, (history) => {
      const column = new Column('sub');
      const model = new Map<number, Cell>();
      let end = 0;
      const add = (number: number, flags: number): void => {
        if (model.has(number)) return;
        end = Math.max(end, number + 1);
        const value = `v${number}`;
        const slot = column.add(number, value, end);
        column.flags[slot] = flags;
        model.set(number, { value, flags });
      };
      for (const operation of history) {
        if (operation.kind === 'add') add(operation.number, operation.flags);
        else if (operation.kind === 'fill')
          for (let number = 0; number < operation.to; number += 1) add(number, number % 16);
        else if (model.delete(operation.number)) column.remove(column.slotOf(operation.number));
      }
      const found = new Map<number, Cell>();
      for (const [slot, value] of column.values.entries()) {
        if (value === undefined) continue;
        const number = column.numberOf(slot);
        expect(column.slotOf(number)).toBe(slot);
        found.set(number, { value: String(value), flags: column.flags[slot] ?? -1 });
      }
      expect(found).toEqual(model);
      expect(column.size).toBe(model.size);
      const slotOfNone = column.slotOf(end + 1);
      expect(slotOfNone === -1 || column.values[slotOfNone] === undefined).toBe(true);
      layouts.add(column.layout);
    }),
    { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 300) },
  );
  expect(layouts.has(0)).toBe(true); // Columns that never had an index,
  expect(layouts.has(1)).toBe(true); // that have one,
  expect(layouts.has(2)).toBe(true); // and that had one.
});

it('a column of few among many keys takes little room', () => {
  const column = new Column('sub');
  column.add(3, 'a', 1_000_000);
  column.add(900_000, 'b', 1_000_000);
  expect(column.values.length).toBeLessThan(10);
  expect(column.slotOf(900_000)).toBeGreaterThanOrEqual(0);
  column.remove(column.slotOf(900_000));
  expect(column.slotOf(-1)).toBe(-1); // A key without a number has no cell in the slot that is empty now.
});

it('a key has one number while anything is held of it, and numbers are given anew', () => {
  const key = fc.oneof(
    fc.constantFrom<MapKey>('a', 'b', '1', true, -1, 0.5, -0, 2 ** 31, 2 ** 40),
    fc.nat(80),
    fc.nat(700),
    fc.nat(10_000),
  );
  const history = fc.array(fc.record({ key, hold: fc.boolean() }), { maxLength: 400, size: 'max' });
  fc.assert(
    fc.property(history, (operations) => {
      const numbers = new KeyNumbers();
      const held = new Map<MapKey, number>();
      let most = 0;
      for (const operation of operations) {
        const count = held.get(operation.key) ?? 0;
        if (operation.hold) {
          numbers.hold(operation.key);
          held.set(operation.key, count + 1);
        } else if (count > 0) {
          const number = numbers.find(operation.key);
          expect(numbers.release(number)).toBe(count === 1);
          // The text of a key, which may be long, goes with it.
          if (count === 1 && typeof operation.key === 'string') expect(numbers.keyOf(number)).not.toBe(operation.key);
          if (count === 1) held.delete(operation.key);
          else held.set(operation.key, count - 1);
        }
        most = Math.max(most, held.size);
        expect(numbers.size).toBe(held.size);
        expect(numbers.find(operation.key) >= 0).toBe(held.has(operation.key));
      }
      const given = [...held.keys()].map((each) => numbers.find(each));
      expect(new Set(given).size).toBe(held.size);
      expect(given.every((number) => number >= 0 && number < numbers.end)).toBe(true);
      const keys = given.map((number) => numbers.keyOf(number));
      expect(keys.map((each) => (each === 0 ? 0 : each))).toEqual([...held.keys()]); // A `Map` makes -0 a 0.
      expect(numbers.end).toBeLessThanOrEqual(most);
    }),
  );
});
