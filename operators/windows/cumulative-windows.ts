/** Windows that begin together and end one step after the other: a day so far, each hour. */
import type { Timestamp } from '../../lib/core/element.ts';
import { refusal, type Duration } from '../../lib/core/options.ts';
import type { Slices, TimeWindow, WindowAssigner } from './contract.ts';
import { windowStart } from './fixed-windows.ts';
import { EventTimeTrigger } from './time-triggers.ts';
import { wholeMs } from './whole-ms.ts';

const cumulativeSlices = (maxMs: number, stepMs: number, offsetMs: number): Slices => ({
  name: `cumulative ${maxMs} ${stepMs} ${offsetMs}`,
  sliceMs: stepMs,
  startOf: (timestamp) => windowStart(timestamp, offsetMs, stepMs),
  firstEnd: (start) => start + stepMs,
  nextEnd: (start, end) => (end < windowStart(start, offsetMs, maxMs) + maxMs ? end + stepMs : undefined),
  startOfWindow: (end) => windowStart(end - 1, offsetMs, maxMs),
});

/**
 * Windows that grow by a step until they have a maximal size, in event time; then they begin anew. With a maximum of a
 * day and a step of an hour there is a result of the day so far each hour. Of an aggregate that has `merge` a record is
 * added once, however many windows hold it.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(CumulativeEventTimeWindows.of('20s', '10s'));
 * const counted = windows.process((values, { window }) => `until ${window.end}: ${values.length}`);
 * console.log(await counted.executeAndCollect()); // prints [ 'until 10000: 2', 'until 20000: 3' ]
 */
export const CumulativeEventTimeWindows = {
  /** All are whole milliseconds; `maxSize` is a multiple of `step`, and `offset` is smaller than it. */
  of: (maxSize: Duration, step: Duration, offset: Duration = 0): WindowAssigner<unknown> => {
    const maxMs = wholeMs('maxSize', maxSize, 1);
    const stepMs = wholeMs('step', step, 1);
    const offsetMs = wholeMs('offset', offset, -Infinity);
    if (maxMs % stepMs !== 0) throw refusal('maxSize', `a multiple of \`step\` (${stepMs} ms)`, maxSize);
    if (Math.abs(offsetMs) >= maxMs) throw refusal('offset', `smaller than \`maxSize\` (${maxMs} ms)`, offset);
    const slices = cumulativeSlices(maxMs, stepMs, offsetMs);
    return {
      time: 'event',
      defaultTrigger: EventTimeTrigger.create(),
      slices,
      naming: { nameOf: ({ end }) => end, windowOf: (end) => ({ start: slices.startOfWindow(end), end }) },
      // The longest first, as those that slide.
      *assign(_value: unknown, timestamp: Timestamp): Generator<TimeWindow, void> {
        const first = slices.startOf(timestamp) + stepMs;
        const start = slices.startOfWindow(first);
        for (let end = start + maxMs; end >= first; end -= stepMs) yield { start, end };
      },
      toString: () => `CumulativeEventTimeWindows(${maxMs}, ${stepMs}, ${offsetMs})`,
    };
  },
};
