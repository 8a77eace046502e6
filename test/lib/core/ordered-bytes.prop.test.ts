import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readDouble, textBytes, textFromBytes, wellFormed, writeDouble } from '../../../lib/core/ordered-bytes.ts';

const bytesOf = (value: number): Buffer => {
  const bytes = Buffer.alloc(10, 0xaa);
  writeDouble(bytes, value, 1);
  expect([bytes[0], bytes[9]]).toEqual([0xaa, 0xaa]);
  return bytes.subarray(1, 9);
};
const number = fc.double({ noNaN: true });

describe('numbers', () => {
  test('come back, -0 as 0', () => {
    fc.assert(fc.property(number, (value) => void expect(readDouble(bytesOf(value), 0)).toBe(value === 0 ? 0 : value)));
  });

  test('are in the order of their bytes', () => {
    const near = fc
      .tuple(number, fc.integer({ min: -2, max: 2 }))
      .map(([value, steps]) => value + steps * Number.MIN_VALUE);
    fc.assert(
      fc.property(number, fc.oneof(number, near), (a, b) => {
        expect(Buffer.compare(bytesOf(a), bytesOf(b))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  test.each([
    [0, '8000000000000000'],
    [-0, '8000000000000000'],
    [1, 'bff0000000000000'],
    [-1, '400fffffffffffff'],
    [Number.POSITIVE_INFINITY, 'fff0000000000000'],
    [Number.NEGATIVE_INFINITY, '000fffffffffffff'],
    [Number.MIN_VALUE, '8000000000000001'],
  ])('have bytes that never change: %s', (value, hex) => {
    expect(bytesOf(value).toString('hex')).toBe(hex);
  });

  test('that are cut are none', () => {
    for (let length = 0; length < 8; length += 1) expect(readDouble(bytesOf(7).subarray(0, length), 0)).toBeUndefined();
    expect(readDouble(bytesOf(7), 1)).toBeUndefined();
    expect(readDouble(bytesOf(7), -1)).toBeUndefined();
  });
});

describe('texts', () => {
  const tags = { text: 3, rawText: 9 };
  const text = fc.string({
    unit: fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.integer({ min: 0xd800, max: 0xdfff }).map((code) => String.fromCharCode(code)),
    ),
  });

  test('come back, halves of characters too', () => {
    fc.assert(
      fc.property(text, (value) => {
        const bytes = textBytes(value, tags);
        expect(bytes[0]).toBe(/\p{Surrogate}/u.test(value) ? 9 : 3);
        expect(textFromBytes(bytes, tags)).toBe(value);
      }),
    );
  });

  test('no two share their bytes', () => {
    fc.assert(
      fc.property(text, text, (a, b) => void expect(textBytes(a, tags).equals(textBytes(b, tags))).toBe(a === b)),
    );
  });

  test('with another tag are none', () => {
    expect(textFromBytes(Buffer.from([1, 0x61]), tags)).toBeUndefined();
    expect(textFromBytes(Buffer.alloc(0), tags)).toBeUndefined();
  });

  test('without halves of characters', () => {
    expect(wellFormed('a\ud83d b\ude00 \u{1f600}\ud83d')).toBe('a\ufffd b\ufffd \u{1f600}\ufffd');
    fc.assert(
      fc.property(
        text,
        (value) => void expect(Buffer.from(wellFormed(value)).toString()).toBe(Buffer.from(value).toString()),
      ),
    );
  });
});
