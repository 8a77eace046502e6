/** Windows of a stream: how they are set up, and what makes a result of them. */
import type { Key } from '../core/key.ts';
import type { Operator } from '../core/operator.ts';
import { callable, durationMs, withMethods, type Duration } from '../core/options.ts';
import type { OutputTag } from '../core/output-tag.ts';
import type { AggregateFunction, ReduceFunction } from '../core/aggregate-function.ts';
import type { Ordered } from '../../operators/ordered.ts';
import type { StateSpec } from '../../operators/process.ts';
import { topN } from '../../operators/top-n.ts';
import type { Evictor, Trigger } from '../../operators/windows/contract.ts';
import type { ProcessWindowFunction } from '../../operators/windows/window-function.ts';
import { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../../operators/windows/window.ts';
import type { DataStream } from './data-stream.ts';
import type { KeyedStream } from './keyed-stream.ts';
import { aggregateFunction, onlyTo, processFunction, tagId } from './parts.ts';

/**
 * Windows of a keyed stream, waiting for the function that makes their results.
 *
 * @example
 * const counts = orders.keyBy(({ customer }) => customer).window(TumblingEventTimeWindows.of('10s'));
 * const lines = counts.process((values, { key, window }) => `${key} from ${window.start}: ${values.length}`);
 * console.log(await lines.executeAndCollect()); // prints [ 'ann from 0: 1', 'bob from 0: 1', 'ann from 10000: 1' ]
 */
export class WindowedStream<T, K extends Key = Key> {
  readonly #stream: KeyedStream<T, K>;
  readonly #options: WindowOptions<T>;

  /** @internal */
  constructor(stream: KeyedStream<T, K>, options: WindowOptions<T>) {
    this.#stream = stream;
    this.#options = options;
  }

  /**
   * Keeps each window this long behind its end; a record that comes then makes it fire again, with all its content.
   * @defaultValue 0
   *
   * @example
   * const counts = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s')).allowedLateness('1m');
   * console.log(await counts.process((values) => values.length).executeAndCollect()); // prints [ 2, 1 ]
   */
  allowedLateness(duration: Duration): WindowedStream<T, K> {
    durationMs('allowedLateness', duration);
    return new WindowedStream(this.#stream, { ...this.#options, allowedLateness: duration });
  }

  /**
   * Says when a window gives a result, in place of what the assigner says: with `CountTrigger.of(3)` a tumbling window
   * fires at each third value, and no more at its end.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m')).trigger(CountTrigger.of(1));
   * console.log(await windows.process((values) => values.length).executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  trigger(trigger: Trigger<T>): WindowedStream<T, K> {
    withMethods('trigger', trigger, 'a Trigger; `CountTrigger.of(n)` makes one', ['onElement']);
    return new WindowedStream(this.#stream, { ...this.#options, trigger });
  }

  /**
   * Says which values stay in a window when it fires: before its function sees them, or behind that. Every value is
   * kept until then, also for `reduce` and `aggregate`.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m')).evictor(CountEvictor.of(2));
   * console.log(await windows.process((values) => values.length).executeAndCollect()); // prints [ 2 ]
   */
  evictor(evictor: Evictor<T>): WindowedStream<T, K> {
    if (typeof evictor?.before !== 'function')
      withMethods('evictor', evictor, 'an Evictor; `CountEvictor.of(n)` makes one', ['after']);
    return new WindowedStream(this.#stream, { ...this.#options, evictor });
  }

  /**
   * Sends records that come after their windows are gone to a side output. Without it, and while nobody reads it,
   * they are dropped, and counted as `numLateRecordsDropped`. It is read of the stream that the window gives.
   *
   * @example
   * const late = outputTag<Order>('late');
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s')).sideOutputLateData(late);
   * const largest = windows.reduce((a, b) => (a.euros > b.euros ? a : b));
   * console.log(await largest.sideOutput(late).executeAndCollect()); // prints []
   */
  sideOutputLateData(tag: OutputTag<T>): WindowedStream<T, K> {
    tagId(tag);
    return new WindowedStream(this.#stream, { ...this.#options, lateTag: tag });
  }

  /**
   * Gives the `n` values of a window that have the greatest of what `by` gives, as a list, greatest first; of equal
   * ones the earlier ones. No more than those are kept.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m'));
   * const dearest = windows.topN(2, ({ euros }) => euros);
   * console.log(await dearest.map((top) => top.map(({ id }) => id)).executeAndCollect()); // prints [ [ 3, 1 ] ]
   */
  topN(n: number, by: (value: T) => Ordered): DataStream<readonly T[]> {
    return this.aggregate(topN(n, by));
  }

  /**
   * Folds the values of a window into one as they come; `fn` may make the result, looking at key and window.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
   * const last = windows.reduce((_before, order) => order, ({ id }, { window }) => `${window.end}: ${id}`);
   * console.log(await last.executeAndCollect()); // prints [ '10000: 2', '20000: 3' ]
   */
  reduce(reduce: ReduceFunction<T>): DataStream<T>;
  reduce<O, W, S extends StateSpec>(reduce: ReduceFunction<T>, fn: ProcessWindowFunction<T, O, W, S, K>): DataStream<O>;
  reduce<O, W, S extends StateSpec>(
    reduce: ReduceFunction<T>,
    fn?: ProcessWindowFunction<T, O, W, S, K>,
  ): DataStream<T | O> {
    callable('fn', reduce);
    if (fn !== undefined) processFunction(fn);
    const options = this.#options;
    return fn === undefined
      ? this.#apply<T | O>(reduceWindow<T>(options, reduce))
      : this.#apply<T | O>(reduceWindow(options, reduce, fn));
  }

  /**
   * Folds the values of a window into an accumulator as they come; `fn` may make the result, looking at key and window.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
   * const totals = windows.aggregate({
   *   createAccumulator: () => 0,
   *   add: ({ euros }, total) => total + euros,
   *   getResult: (total) => total,
   * });
   * console.log(await totals.executeAndCollect()); // prints [ 30, 40 ]
   */
  aggregate<A, R>(aggregate: AggregateFunction<T, A, R>): DataStream<R>;
  aggregate<A, R, O, W, S extends StateSpec>(
    aggregate: AggregateFunction<T, A, R>,
    fn: ProcessWindowFunction<R, O, W, S, K>,
  ): DataStream<O>;
  aggregate<A, R, O, W, S extends StateSpec>(
    aggregate: AggregateFunction<T, A, R>,
    fn?: ProcessWindowFunction<R, O, W, S, K>,
  ): DataStream<R | O> {
    aggregateFunction(aggregate);
    if (fn !== undefined) processFunction(fn);
    const options = this.#options;
    return fn === undefined
      ? this.#apply<R | O>(aggregateWindow(options, aggregate))
      : this.#apply<R | O>(aggregateWindow(options, aggregate, fn));
  }

  /**
   * Gives what `fn` makes of all values of a window; `undefined` gives nothing. Every value is kept until the window
   * has fired.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
   * const ids = windows.process((values) => values.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1,2', '3' ]
   */
  process<O, W, S extends StateSpec>(fn: ProcessWindowFunction<readonly T[], O, W, S, K>): DataStream<O> {
    return this.#apply<O>(processWindow(this.#options, processFunction(fn)));
  }

  #apply<O>(operator: Operator<T, O>): DataStream<O> {
    const { lateTag } = this.#options;
    // Its function may send to other side outputs.
    return this.#stream.apply<O>('window', operator, { writes: { ...onlyTo(lateTag), others: true } });
  }
}
