/** The operators that need no capability, so that each is a step: map, filter and flatMap. Results keep the timestamp of their record. */
import type { Step } from '../lib/core/operator.ts';
import { refusal } from '../lib/core/options.ts';

/** Emits what `fn` returns for each value. */
export const map = <I, O>(fn: (value: I) => O): Step<I, O> => ({ kind: 'map', fn: checked('fn', fn) });

/** Keeps the values for which `keep` returns something truthy. */
export function filter<T, S extends T>(keep: (value: T) => value is S): Step<T, S>;
export function filter<T>(keep: (value: T) => boolean): Step<T, T>;
export function filter<T>(keep: (value: T) => boolean): Step<T, T> {
  return { kind: 'filter', fn: checked('keep', keep) };
}

/** Emits everything in what `fn` returns for each value. */
export const flatMap = <I, O>(fn: (value: I) => Iterable<O>): Step<I, O> => ({ kind: 'flatMap', fn: checked('fn', fn) });

const checked = <F>(name: string, fn: F): F => {
  if (typeof fn !== 'function') throw refusal(name, 'a function', fn);
  return fn;
};
