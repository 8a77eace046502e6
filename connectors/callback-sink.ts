/** A sink that calls a function with each value, in order, at least once: the smallest sink there is. */
import type { Sink } from '../lib/core/connector.ts';
import { refusal } from '../lib/core/options.ts';
import { defineSink } from './define-sink.ts';

export interface CallbackContext {
  /** Counts the values of this sink from 0; the same value has the same number after a crash. */
  readonly number: number;
  /**
   * Whose numbers these are: the same after any restart, another one for every other sink and in a fresh state
   * directory.
   */
  readonly sinkId: string;
  readonly signal: AbortSignal;
}

/**
 * Calls `fn` with each value and waits for what it returns before the next. When it throws, it is
 * called again, from the first value of its batch on, until it does not.
 *
 * @example
 * orders.sinkTo(callbackSink(({ id }, { number }) => console.log(number, id)));
 * // prints 0 1
 * // prints 1 2
 * // prints 2 3
 */
export const callbackSink = <T>(fn: (value: T, context: CallbackContext) => unknown): Sink<T> => {
  if (typeof fn !== 'function') throw refusal('fn', 'a function', fn);
  return defineSink<T>({
    name: 'callback',
    async write(values, { firstNumber, sinkId, signal }) {
      for (const [index, value] of values.entries()) {
        signal.throwIfAborted();
        await fn(value, { number: firstNumber + index, sinkId, signal });
      }
    },
  });
};
