/**
 * The operators that need no capability, so that each is a step: map, filter and flatMap. Results keep the timestamp of
 * their record.
 */
import type { Step } from '../lib/core/operator.ts';
import { integer, knownOptions, refusal } from '../lib/core/options.ts';
import { valuesMaxDefault } from '../lib/core/values-bound.ts';

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

export interface FlatMapOptions {
  /**
   * Values of one record. They leave at once, and nothing else happens meanwhile, so what has more fails with
   * `VALUES_EXCEEDED`. From 1. @defaultValue 1_000_000
   */
  readonly valuesMax?: number | undefined;
}

/**
 * Makes the operator of `flatMap`: emits everything in what `fn` returns for each value.
 *
 * @example
 * const harness = await OperatorHarness.open(flatMap((line: string) => line.split(' ')));
 * console.log(harness.element('to be', 7).length); // prints 2
 */
export const flatMap = <I, O>(fn: (value: I) => Iterable<O>, options: FlatMapOptions = {}): Step<I, O> => {
  knownOptions('flatMap', options, { valuesMax: true });
  const { valuesMax = valuesMaxDefault } = options;
  return { kind: 'flatMap', fn: checked('fn', fn), valuesMax: integer('valuesMax', valuesMax, { min: 1 }) };
};

const checked = <F>(name: string, fn: F): F => {
  if (typeof fn !== 'function') throw refusal(name, 'a function', fn);
  return fn;
};
