/**
 * The operators that need no capability, so that each is a step: map, filter and flatMap. Results keep the timestamp of
 * their record.
 */
import type { Step } from '../lib/core/operator.ts';
import { refusal } from '../lib/core/options.ts';

/**
 * Makes the operator of `map`: emits what `fn` returns for each value.
 *
 * @example
 * const harness = await OperatorHarness.open(map((word: string) => word.length));
 * console.log(harness.element('five', 7)); // prints [ { kind: 'record', value: 4, timestamp: 7 } ]
 */
export const map = <I, O>(fn: (value: I) => O): Step<I, O> => ({ kind: 'map', fn: checked('fn', fn) });

/**
 * Makes the operator of `filter`: keeps the values for which `keep` returns something truthy.
 *
 * @example
 * const harness = await OperatorHarness.open(filter((value: number) => value > 1));
 * console.log(harness.element(1), harness.element(2).length); // prints [] 1
 */
export function filter<T, S extends T>(keep: (value: T) => value is S): Step<T, S>;
export function filter<T>(keep: (value: T) => boolean): Step<T, T>;
export function filter<T>(keep: (value: T) => boolean): Step<T, T> {
  return { kind: 'filter', fn: checked('keep', keep) };
}

/**
 * Makes the operator of `flatMap`: emits everything in what `fn` returns for each value.
 *
 * @example
 * const harness = await OperatorHarness.open(flatMap((line: string) => line.split(' ')));
 * console.log(harness.element('to be', 7).length); // prints 2
 */
export const flatMap = <I, O>(fn: (value: I) => Iterable<O>): Step<I, O> => ({
  kind: 'flatMap',
  fn: checked('fn', fn),
});

const checked = <F>(name: string, fn: F): F => {
  if (typeof fn !== 'function') throw refusal(name, 'a function', fn);
  return fn;
};
