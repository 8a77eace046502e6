import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WindowAssigner } from '../../../operators/windows/contract.ts';
import {
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  windowStart,
} from '../../../operators/windows/fixed-windows.ts';

/** The windows of a timestamp, or of the clock. */
const windowsOf = (assigner: WindowAssigner<unknown>, timestamp: number, now = 0): (readonly [number, number])[] =>
  [...assigner.assign(undefined, timestamp, { now: () => now })].map(({ start, end }) => [start, end]);

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
    expect(windowsOf(TumblingEventTimeWindows.of(size, offset), timestamp)).toEqual([[start, start + size]]);
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

describe('SlidingEventTimeWindows', () => {
  it.each([
    [7, 10, 5, 0, [5, 0]],
    [-1, 10, 5, 0, [-5, -10]],
    [10, 10, 3, 0, [9, 6, 3]],
    [9, 10, 3, 0, [9, 6, 3, 0]],
    [12, 6, 2, 1, [11, 9, 7]],
    [7, 5, 10, 0, []],
  ])('W-02, W-03: %i in windows of %i each %i with offset %i', (timestamp, size, slide, offset, starts) => {
    const windows = windowsOf(SlidingEventTimeWindows.of(size, slide, offset), timestamp);
    expect(windows).toEqual(starts.map((start) => [start, start + size]));
  });

  const sized = fc
    .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }))
    .chain(([size, slide]) =>
      fc.tuple(fc.constant(size), fc.constant(slide), fc.integer({ min: 1 - slide, max: slide - 1 })),
    );

  it('cuts windows into slices that say the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1000, max: 1000 }), sized, (timestamp, [size, slide, offset]) => {
        const assigner = SlidingEventTimeWindows.of(size, slide, offset);
        const { slices } = assigner;
        expect(slices === undefined).toBe(slide >= size);
        if (slices === undefined) return;
        const start = slices.startOf(timestamp);
        expect(start <= timestamp && timestamp < start + slices.sliceMs).toBe(true);
        const windows: [number, number][] = [];
        let end: number | undefined = slices.firstEnd(start);
        for (; end !== undefined; end = slices.nextEnd(start, end)) windows.unshift([slices.startOfWindow(end), end]);
        expect(windows).toEqual(windowsOf(assigner, timestamp));
      }),
    );
  });

  it('refuses nonsense', () => {
    expect(() => SlidingEventTimeWindows.of(10, 0)).toThrow('`slide`');
    expect(() => SlidingEventTimeWindows.of(10, 5, 5)).toThrow('smaller than `slide` (5 ms)');
    expect(`${SlidingEventTimeWindows.of(10, 5)}`).toBe('SlidingEventTimeWindows(10, 5, 0)');
  });
});

describe('windows by the clock', () => {
  it('go by the time of the turn', () => {
    expect(windowsOf(TumblingProcessingTimeWindows.of(10, 2), 999, 11)).toEqual([[2, 12]]);
    expect(windowsOf(SlidingProcessingTimeWindows.of(10, 5), 999, 11)).toEqual([
      [10, 20],
      [5, 15],
    ]);
    expect(`${TumblingProcessingTimeWindows.of(10)}`).toBe('TumblingProcessingTimeWindows(10, 0)');
  });
});
