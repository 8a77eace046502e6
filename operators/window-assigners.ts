/**
 * Which windows a record belongs to. Windows are half open, `[start, end)`, and the last millisecond of one is `end -
 * 1`. All windows of an assigner have one length, so a start names a window; assigners whose windows merge or have no
 * end are another kind to be added to the union.
 */
import type { Timestamp } from '../lib/core/element.ts';
import { durationMs, refusal, type Duration } from '../lib/core/options.ts';

export interface TimeWindow {
  readonly start: Timestamp;
  readonly end: Timestamp;
}

/** Windows of one length that start at fixed times. */
export interface AlignedWindows {
  readonly kind: 'aligned';
  /** Assigners that go by the turn's time instead are a kind to come. */
  readonly isEventTime: true;
  readonly sizeMs: number;
  /** The start of the newest window that could hold `timestamp`. */
  lastStart(timestamp: Timestamp): Timestamp;
  /** The starts of all windows that hold `timestamp`, the newest first. Undefined: there is just `lastStart`. */
  readonly starts?: ((timestamp: Timestamp) => Iterable<Timestamp>) | undefined;
  toString(): string;
}

export type WindowAssigner = AlignedWindows;

/**
 * The start of the window of `sizeMs` that holds `timestamp`, where one starts at `offsetMs`; also right before the
 * epoch.
 */
export const windowStart = (timestamp: Timestamp, offsetMs: number, sizeMs: number): Timestamp => {
  const rest = (timestamp - offsetMs) % sizeMs;
  return timestamp - (rest < 0 ? rest + sizeMs : rest);
};

/**
 * Windows of one size that follow each other without a gap: each record is in one.
 *
 * @example
 * const totals = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
 * const counted = totals.process((values, { window }) => `${window.start}-${window.end}: ${values.length}`);
 * console.log(await counted.executeAndCollect()); // prints [ '0-10000: 2', '10000-20000: 1' ]
 */
export class TumblingEventTimeWindows implements AlignedWindows {
  readonly kind = 'aligned';
  readonly isEventTime = true;
  readonly sizeMs: number;
  readonly offsetMs: number;
  readonly starts = undefined;
  /** That of the timestamp that came last: the next one is mostly in it too, and a remainder of doubles is slow. */
  #start = Number.NaN;

  private constructor(sizeMs: number, offsetMs: number) {
    this.sizeMs = sizeMs;
    this.offsetMs = offsetMs;
  }

  /**
   * `size`: whole milliseconds from 1 up. `offset` shifts the starts, which else are whole sizes since the epoch in
   * UTC: days of a place 8 hours ahead are `of('1d', -8 * 3_600_000)`. It is smaller than the size.
   *
   * @example
   * const days = TumblingEventTimeWindows.of('1d', -8 * 3_600_000);
   * console.log(days.sizeMs, days.offsetMs); // prints 86400000 -28800000
   */
  static of(size: Duration, offset: Duration = 0): TumblingEventTimeWindows {
    const sizeMs = wholeMs('size', durationMs('size', size, { min: 1 }), size);
    const offsetMs = wholeMs('offset', durationMs('offset', offset, { min: -Infinity }), offset);
    if (Math.abs(offsetMs) >= sizeMs) throw refusal('offset', `smaller than \`size\` (${sizeMs} ms)`, offset);
    return new TumblingEventTimeWindows(sizeMs, offsetMs);
  }

  /**
   * Gives the start of the window that a timestamp is in. Both are milliseconds.
   *
   * @example
   * console.log(TumblingEventTimeWindows.of('10s').lastStart(12_345)); // prints 10000
   */
  lastStart(timestamp: Timestamp): Timestamp {
    const start = this.#start;
    if (timestamp >= start && timestamp < start + this.sizeMs) return start;
    return (this.#start = windowStart(timestamp, this.offsetMs, this.sizeMs));
  }

  toString(): string {
    return `TumblingEventTimeWindows(${this.sizeMs}, ${this.offsetMs})`;
  }
}

const wholeMs = (option: string, ms: number, value: Duration): number => {
  if (!Number.isSafeInteger(ms)) throw refusal(option, 'whole milliseconds', value);
  return ms;
};
