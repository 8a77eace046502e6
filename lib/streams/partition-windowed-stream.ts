/** All values of a key, or of a stream, together at the end of the input: what makes results of them. */
import type { AggregateFunction, ReduceFunction } from '../core/aggregate-function.ts';
import type { Key } from '../core/key.ts';
import type { Operator } from '../core/operator.ts';
import { callable } from '../core/options.ts';
import type { Ordered } from '../../operators/ordered.ts';
import {
  aggregatePartition,
  mapPartition,
  reducePartition,
  sortPartition,
  type MapPartitionFunction,
  type MapPartitionOptions,
  type SortOrder,
} from '../../operators/windows/full-window-partition.ts';
import type { DataStream } from './data-stream.ts';
import type { KeyedStream } from './keyed-stream.ts';
import { aggregateFunction, onlyTo } from './parts.ts';

/**
 * All values of a key together, waiting for what is made of them when the input has ended. Results have the timestamp
 * of the key's newest record. An input without end gives none.
 *
 * @example
 * const all = orders.keyBy(({ customer }) => customer).fullWindowPartition();
 * const ids = all.mapPartition((own) => [own.map(({ id }) => id)]);
 * console.log(await ids.executeAndCollect()); // prints [ [ 1, 3 ], [ 2 ] ]
 */
export class PartitionWindowedStream<T, K extends Key = Key> {
  readonly #stream: KeyedStream<T, K>;

  /** @internal */
  constructor(stream: KeyedStream<T, K>) {
    this.#stream = stream;
  }

  /**
   * Gives all that `fn` makes of all values of a key, in the order in which they came. They are in memory then.
   *
   * @example
   * const all = orders.fullWindowPartition();
   * const steps = all.mapPartition((own) => own.slice(1).map(({ euros }, at) => euros - (own[at]?.euros ?? 0)));
   * console.log(await steps.executeAndCollect()); // prints [ -20, 35 ]
   */
  mapPartition<O>(fn: MapPartitionFunction<T, O, K>, options?: MapPartitionOptions): DataStream<O> {
    return this.#apply('map-partition', mapPartition<T, O, K>(fn, options));
  }

  /**
   * Gives all values of a key in the order of what `by` gives, equal ones in the order in which they came. They are in
   * memory then. `order` @defaultValue 'ascending'
   *
   * @example
   * const cheapest = orders.keyBy(() => 'all').fullWindowPartition().sortPartition(({ euros }) => euros);
   * console.log(await cheapest.map(({ id }) => id).executeAndCollect()); // prints [ 2, 1, 3 ]
   */
  sortPartition(by: (value: T) => Ordered, order?: SortOrder): DataStream<T> {
    return this.#apply('sort-partition', sortPartition(by, order));
  }

  /**
   * Folds the values of a key into one, and gives that: one value is kept.
   *
   * @example
   * const last = orders.keyBy(({ customer }) => customer).fullWindowPartition().reduce((_before, order) => order);
   * console.log(await last.map(({ id }) => id).executeAndCollect()); // prints [ 3, 2 ]
   */
  reduce(fn: ReduceFunction<T>): DataStream<T> {
    return this.#apply('reduce-partition', reducePartition(callable('fn', fn)));
  }

  /**
   * Folds the values of a key into an accumulator, and gives its result: the accumulator is kept.
   *
   * @example
   * const counts = orders.keyBy(({ customer }) => customer).fullWindowPartition().aggregate({
   *   createAccumulator: () => 0,
   *   add: (_order, count) => count + 1,
   *   getResult: (count) => count,
   * });
   * console.log(await counts.executeAndCollect()); // prints [ 2, 1 ]
   */
  aggregate<A, O>(fn: AggregateFunction<T, A, O>): DataStream<O> {
    return this.#apply('aggregate-partition', aggregatePartition(aggregateFunction(fn)));
  }

  #apply<O>(name: string, operator: Operator<T, O>): DataStream<O> {
    return this.#stream.apply<O>(name, operator, { writes: onlyTo() });
  }
}
