/**
 * All values of a key together, when the input has ended: one window without end, whose trigger fires then. An input
 * that never ends gives nothing, and a stop is no end.
 */
import type { AggregateFunction, ReduceFunction } from '../../lib/core/aggregate-function.ts';
import { refuseThenable } from '../../lib/core/errors.ts';
import type { Key } from '../../lib/core/key.ts';
import type { Operator } from '../../lib/core/operator.ts';
import { callable, integer, knownOptions, oneOf, refusedResult } from '../../lib/core/options.ts';
import { tooManyValues, valuesMaxDefault } from '../../lib/core/values-bound.ts';
import { compared, ordered, type Ordered } from '../ordered.ts';
import { ListContents } from './contents.ts';
import { GlobalWindows } from './global-windows.ts';
import { EndOfStreamTrigger } from './time-triggers.ts';
import { PurgingTrigger } from './triggers.ts';
import type { ProcessWindowFunction, WindowContext } from './window-function.ts';
import { aggregateWindow, reduceWindow, windowOperator, type WindowOptions } from './window.ts';

export interface PartitionContext<K = Key> {
  readonly key: K;
}

/** Gives all that leaves, of all values of a key in the order in which they came. */
export type MapPartitionFunction<T, O, K = Key> = (values: readonly T[], context: PartitionContext<K>) => Iterable<O>;

export interface MapPartitionOptions {
  /** Values that it gives for one key; what gives more fails with `VALUES_EXCEEDED`. From 1. @defaultValue 1_000_000 */
  readonly valuesMax?: number | undefined;
}

export type SortOrder = 'ascending' | 'descending';

/** Purged when it has fired, so that nothing is left behind. */
const untilTheEnd: WindowOptions<never> = {
  assigner: GlobalWindows.create(),
  trigger: PurgingTrigger.of(EndOfStreamTrigger.create()),
};

/**
 * Makes the operator of `mapPartition`.
 *
 * @example
 * const last = mapPartition((values: readonly number[]) => values.slice(-2));
 * const harness = await OperatorHarness.open(last, { keyOf: () => 'all' });
 * for (const value of [1, 2, 3]) harness.element(value, value);
 * console.log(harness.watermark(Infinity)[0]); // prints { kind: 'record', value: 2, timestamp: 3 }
 */
export const mapPartition = <T, O, K extends Key = Key>(
  fn: MapPartitionFunction<T, O, K>,
  options: MapPartitionOptions = {},
): Operator<T, O> => {
  callable('fn', fn);
  knownOptions('mapPartition', options, { valuesMax: true });
  const { valuesMax = valuesMaxDefault } = options;
  integer('valuesMax', valuesMax, { min: 1 });
  return partitionOperator<T, O, K>((values, key, uid) => {
    const made = refuseThenable(fn(values, { key }), 'the function of `mapPartition`', uid);
    if (typeof made?.[Symbol.iterator] === 'function') return bounded(made, valuesMax, uid);
    throw refusedResult('fn', 'what can be iterated', made);
  });
};

/**
 * Makes the operator of `sortPartition`: all values of a key, in the order of what `by` gives; equal ones as they came.
 *
 * @example
 * const harness = await OperatorHarness.open(sortPartition((value: number) => value), { keyOf: () => 'all' });
 * for (const value of [3, 1, 2]) harness.element(value, 0);
 * console.log(harness.watermark(Infinity)[0]); // prints { kind: 'record', value: 1, timestamp: 0 }
 */
export const sortPartition = <T>(by: (value: T) => Ordered, order: SortOrder = 'ascending'): Operator<T, T> => {
  callable('by', by);
  const sign = oneOf('order', order, ['ascending', 'descending']) === 'ascending' ? 1 : -1;
  const place = 'what `by` of `sortPartition` gives';
  return partitionOperator<T, T, Key>((values, _key, uid) => {
    const rankOf = (value: T): Ordered => ordered(refuseThenable(by(value), '`by` of `sortPartition`', uid), place);
    const ranked = values.map((value) => ({ value, rank: rankOf(value) }));
    return ranked.sort((a, b) => sign * compared(a.rank, b.rank, place)).map(({ value }) => value);
  });
};

/** Makes the operator of `reduce` of a full partition. */
export const reducePartition = <T>(fn: ReduceFunction<T>): Operator<T, T> => reduceWindow<T>(untilTheEnd, fn);

/** Makes the operator of `aggregate` of a full partition. */
export const aggregatePartition = <T, A, O>(fn: AggregateFunction<T, A, O>): Operator<T, O> =>
  aggregateWindow<T, A, O>(untilTheEnd, fn);

/** Hands on each of what is made of all values of a key. */
const partitionOperator =
  <T, O, K extends Key>(make: (values: readonly T[], key: K, uid: string) => Iterable<O>): Operator<T, O> =>
  (context) => {
    const process = (values: readonly T[], { key }: WindowContext<unknown, object, K>): Iterable<O> =>
      make(values, key, context.uid);
    return windowOperator<T, unknown, readonly T[], O, unknown, never, K>(untilTheEnd, {
      contents: (own) => new ListContents<T>(own),
      merges: 'nothing',
      fold: () => (values) => values,
      // The members of what it gives leave one by one.
      fn: process as unknown as ProcessWindowFunction<readonly T[], O, unknown, never, K>,
      spreads: true,
    })(context);
  };

function* bounded<O>(values: Iterable<O>, max: number, uid: string): Iterable<O> {
  let left = max;
  for (const value of values) {
    left -= 1;
    if (left < 0) throw tooManyValues(`a partition of operator \`${uid}\``, max, { uid });
    yield value;
  }
}
