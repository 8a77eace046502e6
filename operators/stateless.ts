/**
 * The operators that need nothing but `process`: map, filter and flatMap. Results keep the timestamp of their record. Keeps I13: a
 * function that returns a promise is refused, since what awaits is work (`asyncMap`).
 */
import { refusedPromise } from '../lib/core/errors.ts';
import type { Operator } from '../lib/core/operator.ts';

/** Emits what `fn` returns for each value. */
export const map =
  <I, O>(fn: (value: I) => O): Operator<I, O> =>
  ({ output }) => ({
    direct: true,
    process(value, timestamp) {
      const result = fn(value);
      if (result instanceof Promise) throw refusedPromise('the function of `map`', result);
      output.emit(result, timestamp);
    },
  });

/** Keeps the values for which `keep` returns true. */
export function filter<T, S extends T>(keep: (value: T) => value is S): Operator<T, S>;
export function filter<T>(keep: (value: T) => boolean): Operator<T, T>;
export function filter<T>(keep: (value: T) => boolean): Operator<T, T> {
  return ({ output }) => ({
    direct: true,
    process(value, timestamp) {
      const kept: unknown = keep(value);
      // Anything that is not a boolean is looked at twice: a promise is truthy and would keep every value without a word.
      if (kept === true) output.emit(value, timestamp);
      else if (kept instanceof Promise) throw refusedPromise('the function of `filter`', kept);
      else if (kept !== false && Boolean(kept)) output.emit(value, timestamp);
    },
  });
}

/** Emits everything in what `fn` returns for each value. */
export const flatMap =
  <I, O>(fn: (value: I) => Iterable<O>): Operator<I, O> =>
  ({ output }) => ({
    direct: true,
    process(value, timestamp) {
      const results: unknown = fn(value);
      if (results instanceof Promise) throw refusedPromise('the function of `flatMap`', results);
      for (const result of results as Iterable<O>) output.emit(result, timestamp);
    },
  });
