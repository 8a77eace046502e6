/** One window per key that holds all and has no end: it gives a result when its trigger says so. */
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../lib/core/element.ts';
import type { TimeWindow, Trigger, WindowAssigner } from './contract.ts';
import { EndOfStreamTrigger, NeverTrigger } from './time-triggers.ts';

const everything: TimeWindow = { start: MIN_TIMESTAMP, end: MAX_TIMESTAMP };

const globalWindows = (name: string, defaultTrigger: Trigger): WindowAssigner<unknown> => ({
  // Nothing is late for a window without end, and records need no timestamps.
  time: 'processing',
  defaultTrigger,
  naming: { nameOf: () => 0, windowOf: () => everything },
  assign: () => [everything],
  toString: () => `${name}()`,
});

const silent = globalWindows('GlobalWindows', NeverTrigger.create());
const atTheEnd = globalWindows('GlobalWindowsWithEndOfStreamTrigger', EndOfStreamTrigger.create());

/**
 * One window per key, without end. It fires when a trigger says so, and else never. A result has the timestamp of the
 * newest element.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(GlobalWindows.create()).trigger(CountTrigger.of(2));
 * console.log(await windows.process((values) => values.length).executeAndCollect()); // prints [ 2 ]
 */
export const GlobalWindows = {
  create: (): WindowAssigner<unknown> => silent,

  /**
   * The same, with a trigger that fires when the input has ended.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(GlobalWindows.createWithEndOfStreamTrigger());
   * console.log(await windows.process((values) => values.length).executeAndCollect()); // prints [ 3 ]
   */
  createWithEndOfStreamTrigger: (): WindowAssigner<unknown> => atTheEnd,
};
