import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TumblingEventTimeWindows, windowStart } from '../../operators/window-assigners.ts';

describe('TumblingEventTimeWindows', () => {
  it.each([
    [-1, 0, 5, -5],
    [0, 0, 5, 0],
    [4, 0, 5, 0],
    [5, 0, 5, 5],
    [-5, 0, 5, -5],
    [-6, 0, 5, -10],
    [7, 2, 5, 7],
    [1, 2, 5, -3],
    [-1, 3, 7, -4],
  ])('W-01: %i with offset %i and size %i starts at %i', (timestamp, offset, size, start) => {
    expect(TumblingEventTimeWindows.of(size, offset).lastStart(timestamp)).toBe(start);
  });

  it('puts each timestamp in the one window that holds it', () => {
    const sized = fc
      .integer({ min: 1, max: 1000 })
      .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 1 - size, max: size - 1 })));
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 45), max: 2 ** 45 }), sized, (timestamp, [size, offset]) => {
        const start = windowStart(timestamp, offset, size);
        expect(start <= timestamp && timestamp < start + size).toBe(true);
        expect(Math.abs((start - offset) % size)).toBe(0);
      }),
    );
  });

  it('reads durations and refuses nonsense', () => {
    expect(TumblingEventTimeWindows.of('1d', '2h').toString()).toBe('TumblingEventTimeWindows(86400000, 7200000)');
    expect(() => TumblingEventTimeWindows.of(0)).toThrow('`size`');
    expect(() => TumblingEventTimeWindows.of(1.5)).toThrow('whole milliseconds');
    expect(() => TumblingEventTimeWindows.of(10, -10)).toThrow(
      'Expected `offset` to be smaller than `size` (10 ms), got `-10` (number)',
    );
    expect(() => TumblingEventTimeWindows.of('day' as never)).toThrow('`size`');
  });
});
