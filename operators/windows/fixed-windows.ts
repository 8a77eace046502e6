/**
 * Windows of one length that start at fixed times: tumbling and sliding ones, in event and processing time. Where a
 * window of an assigner starts is worked out of a timestamp alone.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import { refusal, type Duration } from '../../lib/core/options.ts';
import type { TimeDomain } from '../../lib/core/timer.ts';
import type {
  AssignContext,
  FixedWindows,
  Slices,
  TimeWindow,
  Trigger,
  WindowAssigner,
  WindowNaming,
} from './contract.ts';
import { EventTimeTrigger, ProcessingTimeTrigger } from './time-triggers.ts';
import { wholeMs } from './whole-ms.ts';

/**
 * The start of the window of `sizeMs` that holds `timestamp`, where one starts at `offsetMs`; also right before the
 * epoch.
 */
export const windowStart = (timestamp: Timestamp, offsetMs: number, sizeMs: number): Timestamp => {
  const rest = (timestamp - offsetMs) % sizeMs;
  return timestamp - (rest < 0 ? rest + sizeMs : rest);
};

interface FixedOptions {
  readonly name: string;
  readonly time: TimeDomain;
  readonly size: Duration;
  /** @defaultValue the size: windows that follow each other */
  readonly slide?: Duration | undefined;
  readonly offset: Duration;
}

/** An assigner of windows of one length. */
class FixedSizeWindows implements WindowAssigner<unknown> {
  readonly time: TimeDomain;
  readonly defaultTrigger: Trigger;
  readonly fixed: FixedWindows;
  readonly slices: Slices | undefined;
  readonly naming: WindowNaming;
  readonly #name: string;
  readonly #tumbling: boolean;

  constructor({ name, time, size, slide, offset }: FixedOptions) {
    const sizeMs = wholeMs('size', size, 1);
    const slideMs = slide === undefined ? sizeMs : wholeMs('slide', slide, 1);
    const offsetMs = wholeMs('offset', offset, -Infinity);
    if (Math.abs(offsetMs) >= slideMs)
      throw refusal('offset', `smaller than \`${slide === undefined ? 'size' : 'slide'}\` (${slideMs} ms)`, offset);
    this.time = time;
    this.defaultTrigger = time === 'event' ? EventTimeTrigger.create() : ProcessingTimeTrigger.create();
    this.fixed = { sizeMs, slideMs, offsetMs };
    this.slices = slideMs < sizeMs ? slidingSlices(this.fixed) : undefined;
    this.naming = { nameOf: ({ start }) => start, windowOf: (start) => ({ start, end: start + sizeMs }) };
    this.#name = name;
    this.#tumbling = slide === undefined;
  }

  *assign(_value: unknown, timestamp: Timestamp, context: AssignContext): Generator<TimeWindow, void> {
    const { sizeMs, slideMs, offsetMs } = this.fixed;
    const at = this.time === 'event' ? timestamp : context.now();
    for (let start = windowStart(at, offsetMs, slideMs); start > at - sizeMs; start -= slideMs)
      yield { start, end: start + sizeMs };
  }

  toString(): string {
    const { sizeMs, slideMs, offsetMs } = this.fixed;
    return `${this.#name}(${this.#tumbling ? sizeMs : `${sizeMs}, ${slideMs}`}, ${offsetMs})`;
  }
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** A slice is as long as the greatest part that windows and slides are made of. */
const slidingSlices = ({ sizeMs, slideMs, offsetMs }: FixedWindows): Slices => {
  const sliceMs = divisor(sizeMs, slideMs);
  return {
    name: `sliding ${sizeMs} ${slideMs} ${offsetMs}`,
    sliceMs,
    startOf: (timestamp) => windowStart(timestamp, offsetMs, sliceMs),
    // The oldest window that holds the slice is the first one that ends at its end or behind.
    firstEnd: (start) => windowStart(start + sliceMs - sizeMs - 1, offsetMs, slideMs) + slideMs + sizeMs,
    nextEnd: (start, end) => (end + slideMs - sizeMs <= start ? end + slideMs : undefined),
    startOfWindow: (end) => end - sizeMs,
  };
};

/**
 * Windows of one length that follow each other, in event time. Each starts at a multiple of its length since the epoch,
 * in UTC, shifted by an offset.
 *
 * @example
 * const totals = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
 * const counted = totals.process((values, { window }) => `${window.start}-${window.end}: ${values.length}`);
 * console.log(await counted.executeAndCollect()); // prints [ '0-10000: 2', '10000-20000: 1' ]
 */
export const TumblingEventTimeWindows = {
  /**
   * `size`: whole milliseconds from 1 up. `offset` shifts the starts, which else are whole sizes since the epoch in
   * UTC: days of a place 8 hours ahead are `of('1d', -8 * 3_600_000)`, and `CalendarWindows` know of daylight saving.
   * It is smaller than the size.
   *
   * @example
   * const days = TumblingEventTimeWindows.of('1d', -8 * 3_600_000);
   * console.log(`${days}`); // prints TumblingEventTimeWindows(86400000, -28800000)
   */
  of: (size: Duration, offset: Duration = 0): WindowAssigner<unknown> =>
    new FixedSizeWindows({ name: 'TumblingEventTimeWindows', time: 'event', size, offset }),
};

/**
 * Windows of one length, of which one starts every `slide`, in event time: they overlap, and a record is in `size /
 * slide` of them. Of an aggregate that has `merge` a record is added once, however many windows hold it. With a slide
 * greater than the size, records between two windows are in none.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(SlidingEventTimeWindows.of('10s', '5s'));
 * const counted = windows.process((values, { window }) => `${window.start}: ${values.length}`);
 * console.log(await counted.executeAndCollect()); // prints [ '-5000: 2', '0: 2', '5000: 1', '10000: 1' ]
 */
export const SlidingEventTimeWindows = {
  /** All are whole milliseconds, `size` and `slide` from 1 up; `offset`, as above, is smaller than the slide. */
  of: (size: Duration, slide: Duration, offset: Duration = 0): WindowAssigner<unknown> =>
    new FixedSizeWindows({ name: 'SlidingEventTimeWindows', time: 'event', size, slide, offset }),
};

/**
 * Windows of one length that follow each other, by the clock: a record is in the window of the time of its turn, and a
 * window fires when the clock has reached its end. What is left at the end of the input does not fire.
 *
 * @example
 * const counts = orders.keyBy(() => 'all').window(TumblingProcessingTimeWindows.of('1s'));
 * counts.process((values) => values.length).print();
 */
export const TumblingProcessingTimeWindows = {
  /** As `TumblingEventTimeWindows.of`. */
  of: (size: Duration, offset: Duration = 0): WindowAssigner<unknown> =>
    new FixedSizeWindows({ name: 'TumblingProcessingTimeWindows', time: 'processing', size, offset }),
};

/**
 * Windows of one length, of which one starts every `slide`, by the clock.
 *
 * @example
 * const counts = orders.keyBy(() => 'all').window(SlidingProcessingTimeWindows.of('10s', '1s'));
 * counts.process((values) => values.length).print();
 */
export const SlidingProcessingTimeWindows = {
  /** As `SlidingEventTimeWindows.of`. */
  of: (size: Duration, slide: Duration, offset: Duration = 0): WindowAssigner<unknown> =>
    new FixedSizeWindows({ name: 'SlidingProcessingTimeWindows', time: 'processing', size, slide, offset }),
};
