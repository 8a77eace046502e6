/** What is refused when it is put into state is what could not be stored later, and nothing else. */
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeText } from '../../../lib/core/serde.ts';
import { assertStorable, isStorable } from '../../../lib/core/storable.ts';

class Money {
  readonly cents = 1;
}
class Names extends Map<string, number> {}
class Codes extends Array<number> {}
const cycle: unknown[] = [];
cycle.push({ again: cycle });
const deep = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
};

const leaves = [
  1,
  -0,
  Number.NaN,
  'text',
  true,
  null,
  undefined,
  2n ** 70n,
  new Date(0),
  new Date(Number.NaN),
  new Uint8Array(2),
  Buffer.from('x'),
  new Error('e'),
  new TypeError('t', { cause: () => 1 }),
  Object.create(null),
  runInNewContext('({ a: [new Map([[1, new Set([2])]])] })'),
  new Money(),
  new Names(),
  new Codes(1, 2),
  () => 1,
  Symbol('s'),
  new URL('http://a'),
  new WeakMap(),
  /r/,
  new Float64Array(1),
  new ArrayBuffer(1),
  Promise.resolve(),
  cycle,
  deep(998),
  deep(1001),
  new Proxy({}, {}),
  Object.assign(new Error('e'), { fn: () => 1 }),
] as const;

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<unknown>(...leaves),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('$', 'a', 'b c', '__proto__'), tie('value'), { maxKeys: 3, noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 2 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 2 }).map((members) => new Set(members)),
  ),
}));

const encodes = (candidate: unknown): boolean => {
  try {
    encodeText(candidate);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'NOT_SERIALISABLE' });
    return false;
  }
};

test('it agrees with what encodes', () => {
  fc.assert(
    fc.property(value, (candidate) => {
      expect(isStorable(candidate)).toBe(encodes(candidate));
    }),
    { numRuns: 2000 },
  );
  for (const leaf of leaves) expect([leaf, isStorable(leaf)]).toEqual([leaf, encodes(leaf)]);
});

test.each([
  [{ price: new Money() }, 'state "m": `.price` can not be stored: it is an instance of `Money`'],
  [[1, { on: () => 1 }], 'state "m": `[1].on` can not be stored: it is a function'],
  [new Map([['a b', Symbol('s')]]), 'state "m": `.get("a b")` can not be stored: it is a symbol'],
  [new Money(), 'state "m": the value can not be stored: it is an instance of `Money`'],
])('it names the place and the path inside the value: %o', (candidate, message) => {
  expect(() => assertStorable(candidate, () => 'state "m"')).toThrow(
    expect.objectContaining({ code: 'NOT_SERIALISABLE', message }),
  );
});

test('what can be stored is not encoded, and its place is not asked for', () => {
  let asked = 0;
  for (const candidate of [1, 'text', null, { a: [1, { b: new Date(0) }] }, new Map([[1, { c: 1n }]])])
    assertStorable({ toJSON: undefined, candidate }, () => `${(asked += 1)}`);
  expect(asked).toBe(0);
});
