/**
 * A sink that gathers values in an array: each once, also when the job restarts meanwhile. For tests and small data.
 */
import type { Sink } from '../lib/core/connector.ts';
import { defineSink } from './define-sink.ts';

/**
 * Adds the values to an array, in order. A commit that is repeated, or a job that begins anew in this process, brings
 * numbers that were taken before; they are left out.
 *
 * @example
 * const totals: number[] = [];
 * orders.map(({ euros }) => euros).sinkTo(collectSink(totals));
 * await env.execute();
 * console.log(totals); // prints [ 25, 5, 40 ]
 */
export const collectSink = <T>(into: T[]): Sink<T> => {
  /** The number that comes next; undefined before the first value, since a job that goes on does not begin at 0. */
  let next: number | undefined;
  return defineSink<T>({
    name: 'collect',
    guarantee: 'exactly-once',
    write(values, { firstNumber }) {
      next ??= firstNumber;
      for (const [index, value] of values.entries()) {
        if (firstNumber + index < next) continue;
        into.push(value);
        next = firstNumber + index + 1;
      }
    },
  });
};
