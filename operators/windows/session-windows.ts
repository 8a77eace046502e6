/** Sessions: windows that grow with each record, and end when none has come for a gap of time. */
import type { Timestamp } from '../../lib/core/element.ts';
import { callable, type Duration } from '../../lib/core/options.ts';
import { refusedResult } from '../../lib/core/options.ts';
import type { TimeDomain } from '../../lib/core/timer.ts';
import type { AssignContext, TimeWindow, WindowAssigner } from './contract.ts';
import { EventTimeTrigger, ProcessingTimeTrigger } from './time-triggers.ts';
import { wholeMs } from './whole-ms.ts';

const sessions = <T>(name: string, time: TimeDomain, gapOf: (value: T) => number): WindowAssigner<T> => ({
  time,
  defaultTrigger: time === 'event' ? EventTimeTrigger.create() : ProcessingTimeTrigger.create(),
  merging: true,
  assign(value: T, timestamp: Timestamp, context: AssignContext): readonly TimeWindow[] {
    const start = time === 'event' ? timestamp : context.now();
    return [{ start, end: start + gapOf(value) }];
  },
  toString: () => name,
});

/** What a user's function says of the gap behind a value, looked at. */
const checkedGap =
  <T>(gap: (value: T) => number) =>
  (value: T): number => {
    const gapMs: unknown = gap(value);
    if (typeof gapMs === 'number' && Number.isSafeInteger(gapMs) && gapMs > 0) return gapMs;
    throw refusedResult('gap', 'whole milliseconds from 1 up', gapMs);
  };

/** What both kinds of sessions are made by. */
const withGaps = (name: string, time: TimeDomain) => ({
  /** Sessions that end when no record has come for `gap`: whole milliseconds from 1 up. */
  withGap(gap: Duration): WindowAssigner<unknown> {
    const gapMs = wholeMs('gap', gap, 1);
    return sessions(`${name}(${gapMs})`, time, () => gapMs);
  },

  /** Sessions in which each value says how many milliseconds may pass behind it: whole ones from 1 up. */
  withDynamicGap<T>(gap: (value: T) => number): WindowAssigner<T> {
    callable('gap', gap);
    return sessions(`${name}(dynamic)`, time, checkedGap(gap));
  },
});

/**
 * Sessions in event time: a window of a record reaches from its timestamp to the gap behind it, and windows of a key
 * that meet or touch are one. A late record that touches an open session belongs to it.
 *
 * @example
 * const windows = orders.keyBy(({ customer }) => customer).window(EventTimeSessionWindows.withGap('5s'));
 * const sessions = windows.process((values, { window }) => `${window.start}-${window.end}: ${values.length}`);
 * console.log(await sessions.executeAndCollect()); // prints [ '1000-6000: 1', '2000-7000: 1', '12000-17000: 1' ]
 */
export const EventTimeSessionWindows = withGaps('EventTimeSessionWindows', 'event');

/**
 * Sessions by the clock: they end when no record has come for so long.
 *
 * @example
 * const windows = orders.keyBy(({ customer }) => customer).window(ProcessingTimeSessionWindows.withGap('5s'));
 * windows.process((values) => values.length).print();
 */
export const ProcessingTimeSessionWindows = withGaps('ProcessingTimeSessionWindows', 'processing');
