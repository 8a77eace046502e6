/** Evictors: which elements of a window stay, by their number, their age or their distance from the last one. */
import { MIN_TIMESTAMP } from '../../lib/core/element.ts';
import { callable, flag, integer, knownOptions, type Duration } from '../../lib/core/options.ts';
import type { Evictor, TimestampedValue } from './contract.ts';
import { wholeMs } from './whole-ms.ts';

export interface EvictorOptions {
  /** Evicts behind the function, and not before it. @defaultValue false */
  readonly after?: boolean | undefined;
}

type Stay<T> = (elements: readonly TimestampedValue<T>[]) => readonly TimestampedValue<T>[];

const evictor = <T>(name: string, options: EvictorOptions, stay: Stay<T>): Evictor<T> => {
  knownOptions(name, options, { after: true });
  const toString = (): string => name;
  return flag('after', options.after ?? false) ? { after: stay, toString } : { before: stay, toString };
};

/**
 * Keeps the last `n` elements.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m')).evictor(CountEvictor.of(2));
 * const ids = windows.process((values) => values.map(({ id }) => id).join());
 * console.log(await ids.executeAndCollect()); // prints [ '2,3' ]
 */
export const CountEvictor = {
  /** `n`: an integer from 0 up. */
  of: <T = unknown>(n: number, options: EvictorOptions = {}): Evictor<T> => {
    integer('n', n, { min: 0 });
    return evictor<T>('CountEvictor.of', options, (elements) => elements.slice(Math.max(0, elements.length - n)));
  },
};

/**
 * Keeps the elements that are less than so much older than the newest one, by their timestamps. Elements without
 * timestamps all stay.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m')).evictor(TimeEvictor.of('1s'));
 * console.log(await windows.process((values) => values.length).executeAndCollect()); // prints [ 1 ]
 */
export const TimeEvictor = {
  /** `span`: whole milliseconds from 0 up. */
  of: <T = unknown>(span: Duration, options: EvictorOptions = {}): Evictor<T> => {
    const spanMs = wholeMs('span', span, 0);
    return evictor<T>('TimeEvictor.of', options, (elements) => {
      if (elements[0] === undefined || elements[0].timestamp === MIN_TIMESTAMP) return elements;
      const newest = elements.reduce((most, { timestamp }) => Math.max(most, timestamp), MIN_TIMESTAMP);
      return elements.filter(({ timestamp }) => timestamp > newest - spanMs);
    });
  },
};

/**
 * Keeps the elements that differ from the last one by less than a threshold.
 *
 * @example
 * const near = DeltaEvictor.of<Order>(20, (each, last) => Math.abs(each.euros - last.euros));
 * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m')).evictor(near);
 * const ids = windows.process((values) => values.map(({ id }) => id).join());
 * console.log(await ids.executeAndCollect()); // prints [ '1,3' ]
 */
export const DeltaEvictor = {
  of: <T>(threshold: number, delta: (each: T, last: T) => number, options: EvictorOptions = {}): Evictor<T> => {
    callable('delta', delta);
    return evictor<T>('DeltaEvictor.of', options, (elements) => {
      const last = elements.at(-1);
      return last === undefined ? elements : elements.filter(({ value }) => delta(value, last.value) < threshold);
    });
  },
};
