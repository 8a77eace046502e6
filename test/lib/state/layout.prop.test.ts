import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../lib/core/key.ts';
import {
  keyOfMapKey,
  parseStateRow,
  parseTimerPageKey,
  prefixRange,
  stateRange,
  stateRowKey,
  storedKeyOf,
  timerChunkKey,
  timerPageKey,
  timerPageRange,
} from '../../../lib/state/layout.ts';
import { keyGroupOf, mapKeyOf } from '../../../lib/core/key.ts';

const finite = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer()).map((n) => n + 0);
const ordered = fc.oneof(
  finite,
  fc.constantFrom(Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE, 0),
);
const part = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  finite,
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom('\0', '\0tx', '\0s', ''),
);
const key: fc.Arbitrary<Key> = fc.oneof(part, fc.array(part, { maxLength: 3 }));
const number16 = fc.integer({ min: 0, max: 0xffff });
const number8 = fc.integer({ min: 0, max: 0xff });
/** Any 16-bit units, lone surrogates included. */
const text = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));
const sub = fc.oneof(fc.constant(undefined), ordered, text, fc.constantFrom('', '\ud800', '\udfff', '1', 1, '\ufffd'));

const within = (bytes: Uint8Array, range: { gte: Uint8Array; lt: Uint8Array }): boolean =>
  Buffer.compare(bytes, range.gte) >= 0 && Buffer.compare(bytes, range.lt) < 0;

describe('layout', () => {
  it('a map key stands for its key', () => {
    fc.assert(
      fc.property(key, (value) => {
        expect(keyOfMapKey(mapKeyOf(value))).toEqual(value);
      }),
    );
  });

  it('a state row says what it was made of, and lies in the ranges of its state and operator only', () => {
    fc.assert(
      fc.property(
        number16,
        number8,
        key,
        sub,
        number16,
        number8,
        (operator, state, value, subKey, otherOperator, otherState) => {
          const stored = storedKeyOf(mapKeyOf(value), 128);
          const row = stateRowKey(operator, state, stored, subKey);
          expect(parseStateRow(row)).toEqual({
            operator,
            state,
            group: keyGroupOf(value, 128),
            key: value,
            sub: subKey,
          });
          expect(within(row, stateRange(operator, state))).toBe(true);
          expect(within(row, stateRange(operator))).toBe(true);
          expect(within(row, stateRange(otherOperator))).toBe(otherOperator === operator);
          expect(within(row, stateRange(otherOperator, otherState))).toBe(
            otherOperator === operator && otherState === state,
          );
          expect(within(row, timerPageRange(operator))).toBe(false);
        },
      ),
    );
  });

  it('two rows are one only when key and sub key are', () => {
    fc.assert(
      fc.property(key, sub, key, sub, (keyA, subA, keyB, subB) => {
        const rowA = stateRowKey(1, 1, storedKeyOf(mapKeyOf(keyA), 128), subA);
        const rowB = stateRowKey(1, 1, storedKeyOf(mapKeyOf(keyB), 128), subB);
        expect(Buffer.compare(rowA, rowB) === 0).toBe(mapKeyOf(keyA) === mapKeyOf(keyB) && subA === subB);
      }),
    );
  });

  it('numeric sub keys sort by value', () => {
    const stored = storedKeyOf('k', 128);
    fc.assert(
      fc.property(ordered, ordered, (a, b) => {
        const order = Buffer.compare(stateRowKey(1, 1, stored, a), stateRowKey(1, 1, stored, b));
        expect(order).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it('the row of a page of timers says which it is, and those of one domain sort by time', () => {
    fc.assert(
      fc.property(
        number16,
        fc.constantFrom('event' as const, 'processing' as const),
        ordered,
        ordered,
        fc.nat(),
        (operator, domain, page, other, chunk) => {
          const row = timerPageKey(operator, { domain, page });
          expect(parseTimerPageKey(row)).toEqual({ operator, domain, page });
          expect(within(row, timerPageRange(operator))).toBe(true);
          const later = timerPageKey(operator, { domain, page: other });
          expect(Buffer.compare(row, later)).toBe(page < other ? -1 : page > other ? 1 : 0);
          expect(within(timerChunkKey(operator, { domain, page }, chunk), timerPageRange(operator))).toBe(false);
        },
      ),
    );
  });

  it('refuses rows of another form', () => {
    const row = stateRowKey(1, 1, storedKeyOf('key', 128), 'sub');
    expect(() => parseStateRow(row.subarray(0, 12))).toThrow(/unknown form/);
    expect(() => parseStateRow(new Uint8Array(0))).toThrow(/unknown form/);
    const page = timerPageKey(1, { domain: 'event', page: 5 });
    expect(() => parseTimerPageKey(page.subarray(0, 8))).toThrow(/unknown form/);
    expect(() => parseTimerPageKey(timerChunkKey(1, { domain: 'event', page: 5 }, 1))).toThrow(/unknown form/);
  });

  it('finds the end of a prefix', () => {
    expect(prefixRange(Uint8Array.of(0x73, 0xff, 0xff)).lt).toEqual(Buffer.of(0x74));
    expect(prefixRange(Uint8Array.of(0x73, 0x00)).lt).toEqual(Buffer.of(0x73, 0x01));
    expect(() => prefixRange(Uint8Array.of(0xff))).toThrow(RangeError);
  });
});
