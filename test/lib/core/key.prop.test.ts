import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Key } from '../../../lib/core/key.ts';
import { keyBytes, keyFromBytes, keyGroupOf, mapKeyOf } from '../../../lib/core/key.ts';

const text = fc.string({ unit: 'binary' });
const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.maxSafeInteger());
/** With surrogates that have no partner: not text, but JSON can bring them. */
const rawText = fc.string({ unit: fc.constantFrom('\ud800', '\udc00', '\ufffd', 'a', '\0') });
const part = fc.oneof(
  text,
  rawText,
  number,
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom('', '1', 1, 1n, 'true', true, '\0', '\0t', '\0s'),
);
const key: fc.Arbitrary<Key> = fc.oneof(part, fc.array(part, { maxLength: 4 }));

const compare = (left: Key, right: Key): number => Math.sign(Buffer.compare(keyBytes(left), keyBytes(right)));

/** Whether two keys are one, told without their bytes. */
const same = (left: Key, right: Key): boolean => {
  if (!Array.isArray(left) || !Array.isArray(right)) return left === right;
  return left.length === right.length && left.every((member, index) => member === right[index]);
};

describe('keys', () => {
  test('come back from their bytes', () => {
    fc.assert(
      fc.property(key, (key) => {
        const back = keyFromBytes(keyBytes(key));
        expect(same(back, key)).toBe(true);
        expect(keyFromBytes(new Uint8Array(keyBytes(key)))).toEqual(back);
      }),
      { numRuns: 1000 },
    );
  });

  test('share bytes, map keys and groups only if they are one key (I11)', () => {
    fc.assert(
      fc.property(key, key, fc.integer({ min: 1, max: 32_768 }), (left, right, parallelism) => {
        expect(compare(left, right) === 0).toBe(same(left, right));
        expect(mapKeyOf(left) === mapKeyOf(right)).toBe(same(left, right));
        const group = keyGroupOf(left, parallelism);
        expect(group >= 0 && group < parallelism && Number.isInteger(group)).toBe(true);
        if (Array.isArray(left)) expect(keyGroupOf([...left] as Key, parallelism)).toBe(group);
      }),
      { numRuns: 2000 },
    );
  });

  test('numbers sort by value', () => {
    fc.assert(
      fc.property(number, number, (left, right) => {
        expect(compare(left, right)).toBe(left === right ? 0 : left < right ? -1 : 1);
      }),
      { numRuns: 1000 },
    );
  });

  test('strings sort by their UTF-8 bytes', () => {
    fc.assert(
      fc.property(text, text, (left, right) => {
        expect(compare(left, right)).toBe(Math.sign(Buffer.compare(Buffer.from(left), Buffer.from(right))));
      }),
    );
  });
});
