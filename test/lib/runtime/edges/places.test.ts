import { expect, test } from 'vitest';
import { Places } from '../../../../lib/runtime/edges/places.ts';

test('sources wait while any place is full, and are woken when the last one has room (I10)', () => {
  const places = new Places();
  let woken = 0;
  places.onRoom(() => (woken += 1));
  const [one, two] = [places.make({ name: 'one', max: 2 }), places.make({ name: 'two', max: 1 })];
  one.add(1);
  expect(places.full).toBe(false);
  one.add(3); // More than its bound: what is in hand is never refused.
  two.add(1);
  expect([places.full, woken]).toEqual([true, 0]);
  one.add(-2); // Still two.
  two.add(-1);
  expect([places.full, woken]).toEqual([true, 0]);
  one.add(-1);
  expect([places.full, woken]).toEqual([false, 1]);
  one.add(-1);
  expect(woken).toBe(1);
  expect(places.depths()).toEqual([
    { name: 'one', count: 0, max: 2 },
    { name: 'two', count: 0, max: 1 },
  ]);
});
