/** Streams of records with a key, and what needs one: state, windows and agents. */
import type { CallContext } from '../core/call.ts';
import type { Key } from '../core/key.ts';
import type { Operator } from '../core/operator.ts';
import { callable, knownOptions, refusal, withMethods } from '../core/options.ts';
import type { Agent, AgentClass } from '../agents/definition/agent.ts';
import type { AgentOperatorOptions } from '../../operators/agent-options.ts';
import type { AggregateFunction, ReduceFunction } from '../core/aggregate-function.ts';
import { aggregate, reduce } from '../../operators/aggregate.ts';
import type { AsOfOptions } from '../../operators/as-of-join.ts';
import type { AsyncMapOptions } from '../../operators/async-map.ts';
import type { DeadLetter, FitsDeadLetters } from '../../operators/dead-letter.ts';
import { distinct, type DistinctOptions } from '../../operators/distinct.ts';
import type { Ordered } from '../../operators/ordered.ts';
import type { MatchOptions } from '../../operators/patterns/match-pattern.ts';
import type { Pattern } from '../../operators/patterns/pattern.ts';
import { process, type ProcessFunction, type StateSpec } from '../../operators/process.ts';
import { count, max, maxBy, min, minBy, sum, type ByOptions, type FieldOf } from '../../operators/rolling.ts';
import type { WindowAssigner } from '../../operators/windows/contract.ts';
import { countWindowOptions, type CountWindowOptions } from '../../operators/windows/count-windows.ts';
import { AsOfJoinedStreams } from './as-of-joined-streams.ts';
import { DataStream } from './data-stream.ts';
import type { BroadcastConnectedStream, BroadcastStream } from './broadcast-streams.ts';
import type { ConnectedStreams } from './connected-streams.ts';
import { aggregateFunction, onlyTo, processFunction } from './parts.ts';
import { IntervalJoin } from './interval-joined-streams.ts';
import { PartitionWindowedStream } from './partition-windowed-stream.ts';
import { PatternStream } from './pattern-stream.ts';
import { WindowedStream } from './windowed-stream.ts';

/**
 * A stream whose records have a key: their operators have state per key.
 *
 * @example
 * const totals = orders.keyBy(({ customer }) => customer).aggregate({
 *   createAccumulator: () => 0,
 *   add: ({ euros }, total) => total + euros,
 *   getResult: (total) => total,
 * });
 * console.log(await totals.executeAndCollect()); // prints [ 25, 5, 65 ]
 */
export class KeyedStream<T, K extends Key = Key> extends DataStream<T> {
  /**
   * Waits for `fn`, many values at once, those of one key too: `order: 'arrival'` orders the results, and only `perKey:
   * true` lets the call for a key's value end before that for its next begins. What a call gave is journaled, so that
   * it is not made again after a crash.
   *
   * @example
   * const customers = orders.keyBy(({ customer }) => customer);
   * const ids = customers.asyncMap(async ({ id }) => id, { perKey: true, order: 'arrival' });
   * console.log(await ids.executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  override asyncMap<O, D = DeadLetter<T>>(
    fn: (value: T, call: CallContext) => O | Promise<O>,
    options?: AsyncMapOptions<D, T, O> & FitsDeadLetters<T, D>,
  ): DataStream<Awaited<O>> {
    return super.asyncMap(fn, options);
  }

  /**
   * Runs a process function with state and timers per key; `ctx.key` is the key of the record or timer in hand.
   *
   * @example
   * const customers = orders.keyBy(({ customer }) => customer);
   * const named = customers.process<string>(({ euros }, ctx) => ctx.emit(`${ctx.key} ${euros}`));
   * console.log(await named.executeAndCollect()); // prints [ 'ann 25', 'bob 5', 'ann 40' ]
   */
  override process<O = never, S extends StateSpec = StateSpec>(fn: ProcessFunction<T, O, S, K>): DataStream<O> {
    return this.apply('process', process(processFunction(fn)));
  }

  /**
   * This stream and another that is keyed in the same way: records of both with equal keys share state and timers.
   *
   * @example
   * const keyed = orders.keyBy(({ customer }) => customer);
   * const names = env.fromCollection([{ id: 'ann', name: 'Ann' }]).keyBy(({ id }) => id);
   * const keys = keyed.connect(names).process({
   *   emits: type<string>(),
   *   process1: (_order, ctx) => ctx.emit(ctx.key),
   *   process2: (_name, ctx) => ctx.emit(ctx.key),
   * });
   * console.log((await keys.executeAndCollect()).length); // prints 4
   */
  override connect<U>(other: BroadcastStream<U>): BroadcastConnectedStream<T, U, K>;
  override connect<U>(other: KeyedStream<U, K>): ConnectedStreams<T, U, K>;
  override connect<U>(other: never): unknown {
    // Of the key type of both, which the caller's types hold together.
    return super.connect<U>(other);
  }

  /**
   * Folds the values of each key into one; gives the result after each value.
   *
   * @example
   * const euros = orders.map(({ customer, euros }) => ({ customer, euros }));
   * const totals = euros.keyBy(({ customer }) => customer).reduce((a, b) => ({ ...b, euros: a.euros + b.euros }));
   * console.log(await totals.map((total) => total.euros).executeAndCollect()); // prints [ 25, 5, 65 ]
   */
  reduce(fn: ReduceFunction<T>): DataStream<T> {
    return this.apply('reduce', reduce(callable('fn', fn)), { writes: onlyTo() });
  }

  /**
   * Folds the values of each key into an accumulator; gives its result after each value.
   *
   * @example
   * const counts = orders.keyBy(({ customer }) => customer).aggregate({
   *   createAccumulator: () => 0,
   *   add: (_order, count) => count + 1,
   *   getResult: (count) => count,
   * });
   * console.log(await counts.executeAndCollect()); // prints [ 1, 1, 2 ]
   */
  aggregate<A, O>(fn: AggregateFunction<T, A, O>): DataStream<O> {
    return this.apply('aggregate', aggregate(aggregateFunction(fn)), { writes: onlyTo() });
  }

  /**
   * Adds up a field of each key's values; gives the sum after each value. By name: the key's first value with the sum
   * in place of the field, as in Flink; by a function: the sum itself. Numbers and bigints.
   *
   * @example
   * const euros = orders.keyBy(({ customer }) => customer).sum(({ euros }) => euros);
   * console.log(await euros.executeAndCollect()); // prints [ 25, 5, 65 ]
   */
  sum<N extends number | bigint>(field: (value: T) => N): DataStream<N>;
  sum(field: FieldOf<T, number | bigint>): DataStream<T>;
  sum(field: string | ((value: T) => unknown)): DataStream<unknown> {
    return this.#rolling('sum', sum(field));
  }

  /**
   * Gives the least of a field of each key's values so far, after each value. By name: the key's first value with the
   * least in place of the field, as in Flink; by a function: the least itself. Numbers, bigints, texts.
   *
   * @example
   * const least = orders.keyBy(({ customer }) => customer).min(({ euros }) => euros);
   * console.log(await least.executeAndCollect()); // prints [ 25, 5, 25 ]
   */
  min<V extends Ordered>(field: (value: T) => V): DataStream<V>;
  min(field: FieldOf<T, Ordered>): DataStream<T>;
  min(field: string | ((value: T) => unknown)): DataStream<unknown> {
    return this.#rolling('min', min(field));
  }

  /**
   * Gives the greatest of a field of each key's values so far, after each value; else like `min`.
   *
   * @example
   * const most = orders.keyBy(({ customer }) => customer).max(({ euros }) => euros);
   * console.log(await most.executeAndCollect()); // prints [ 25, 5, 40 ]
   */
  max<V extends Ordered>(field: (value: T) => V): DataStream<V>;
  max(field: FieldOf<T, Ordered>): DataStream<T>;
  max(field: string | ((value: T) => unknown)): DataStream<unknown> {
    return this.#rolling('max', max(field));
  }

  /**
   * Gives the whole value that has the least of a field so far, after each value of a key.
   *
   * @example
   * const cheapest = orders.keyBy(({ customer }) => customer).minBy('euros');
   * console.log(await cheapest.map(({ id }) => id).executeAndCollect()); // prints [ 1, 2, 1 ]
   */
  minBy(field: FieldOf<T, Ordered> | ((value: T) => Ordered), options?: ByOptions): DataStream<T> {
    return this.#rolling('minBy', minBy(field, options));
  }

  /**
   * Gives the whole value that has the greatest of a field so far, after each value of a key.
   *
   * @example
   * const dearest = orders.keyBy(({ customer }) => customer).maxBy('euros');
   * console.log(await dearest.map(({ id }) => id).executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  maxBy(field: FieldOf<T, Ordered> | ((value: T) => Ordered), options?: ByOptions): DataStream<T> {
    return this.#rolling('maxBy', maxBy(field, options));
  }

  /**
   * Counts the values of each key; gives the count after each value.
   *
   * @example
   * const counts = orders.keyBy(({ customer }) => customer).count();
   * console.log(await counts.executeAndCollect()); // prints [ 1, 1, 2 ]
   */
  count(): DataStream<number> {
    return this.#rolling('count', count<T>());
  }

  /**
   * Of equal values the first: all of a key are equal, or those for which `by` gives the same. With `within` a value
   * that comes so much later counts as new, and what has been seen is forgotten; without it is kept for good.
   *
   * @example
   * const customers = orders.keyBy(({ customer }) => customer).distinct();
   * console.log(await customers.map(({ customer }) => customer).executeAndCollect()); // prints [ 'ann', 'bob' ]
   */
  distinct(options?: DistinctOptions<T>): DataStream<T> {
    return this.apply('distinct', distinct(options), { writes: onlyTo() });
  }

  #rolling<R>(name: string, operator: Operator<T, R>): DataStream<R> {
    return this.apply(name, operator, { writes: onlyTo() });
  }

  /**
   * Cuts each key's values into windows. A record without a timestamp is refused with `TIMESTAMP_MISSING`.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
   * const largest = windows.reduce((a, b) => (a.euros > b.euros ? a : b));
   * console.log(await largest.map(({ id }) => id).executeAndCollect()); // prints [ 1, 3 ]
   */
  window(assigner: WindowAssigner<T>): WindowedStream<T, K> {
    withMethods('assigner', assigner, 'a WindowAssigner; `TumblingEventTimeWindows.of(size)` makes one', ['assign']);
    return new WindowedStream<T, K>(this, { assigner });
  }

  /**
   * Joins with the records of another keyed stream whose timestamps lie in an interval around that of each record. May
   * be joined with itself.
   *
   * @example
   * const customers = orders.keyBy(({ customer }) => customer);
   * const within = customers.intervalJoin(customers).between(0, '1m');
   * console.log(await within.process((a, b) => a.id + b.id).executeAndCollect()); // prints [ 2, 4, 4, 6 ]
   */
  intervalJoin<B>(other: KeyedStream<B, K>): IntervalJoin<T, B, K> {
    if (!(other instanceof KeyedStream)) throw refusal('intervalJoin', 'given a keyed stream', other);
    return new IntervalJoin<T, B, K>(this.origin, other.origin);
  }

  /**
   * Joins each record with what another keyed stream last said of its key at the record's time: the latest of its
   * records that is not behind. Results leave when the watermark has reached that time.
   *
   * @example
   * const customers = orders.keyBy(({ customer }) => customer);
   * const large = orders.filter(({ euros }) => euros > 10).keyBy(({ customer }) => customer);
   * const pairs = customers.asOfJoin(large, { keepFor: '1m' });
   * console.log(await pairs.process((a, b) => `${a.id} ${b.id}`).executeAndCollect()); // prints [ '1 1', '3 3' ]
   */
  asOfJoin<B, Outer extends NonNullable<AsOfOptions['outer']> = 'inner'>(
    other: KeyedStream<B, K>,
    options: AsOfOptions & { readonly outer?: Outer | undefined } = {},
  ): AsOfJoinedStreams<T, Outer extends 'left' ? B | undefined : B, K> {
    if (!(other instanceof KeyedStream)) throw refusal('asOfJoin', 'given a keyed stream', other);
    return new AsOfJoinedStreams([this.origin, other.origin], options);
  }

  /**
   * Looks for a pattern in the events of each key, in the order of their timestamps.
   *
   * @example
   * const large = Pattern.begin('first').where((order: Order) => order.euros > 20).followedBy('second').within('1m');
   * const pairs = orders.keyBy(({ customer }) => customer).pattern(large);
   * const ids = pairs.process(({ first, second }) => `${first[0]?.id} ${second[0]?.id}`);
   * console.log(await ids.executeAndCollect()); // prints [ '1 3' ]
   */
  pattern<N extends string>(pattern: Pattern<T, N>, options: MatchOptions = {}): PatternStream<T, N, K> {
    knownOptions('pattern', options, { partialMatchesMax: true });
    return new PatternStream<T, N, K>(this, { ...options, pattern });
  }

  /**
   * Cuts each key's values into windows of `size` values. With `slide`, a window of the last `size` values, or as many
   * as there are, fires at each `slide`th value. What is left at the end of the input fires only with `tail: true`.
   *
   * @example
   * const pairs = orders.keyBy(() => 'all').countWindow(2, { tail: true });
   * console.log(await pairs.process((values) => values.length).executeAndCollect()); // prints [ 2, 1 ]
   */
  countWindow(size: number, options: CountWindowOptions = {}): WindowedStream<T, K> {
    return new WindowedStream<T, K>(this, countWindowOptions(size, options));
  }

  /**
   * Takes all values of a key together, when the input has ended; see `DataStream.fullWindowPartition`.
   *
   * @example
   * const all = orders.keyBy(({ customer }) => customer).fullWindowPartition();
   * const totals = all.mapPartition((own, { key }) => [`${key}: ${own.reduce((sum, { euros }) => sum + euros, 0)}`]);
   * console.log(await totals.executeAndCollect()); // prints [ 'ann: 65', 'bob: 5' ]
   */
  override fullWindowPartition(): PartitionWindowedStream<T, K> {
    return new PartitionWindowedStream<T, K>(this);
  }

  /**
   * Runs an agent: one input of a key at a time, many keys at once. Throws `AGENT_INVALID` for an agent that can not
   * run, here or when the job starts.
   *
   * @example
   * const clerk = agent<Order, string>('clerk').on(InputEvent, ({ input }, ctx) => ctx.output(`bill ${input.id}`));
   * const bills = orders.keyBy(({ customer }) => customer).applyAgent(clerk, { outputOrder: 'arrival' });
   * console.log(await bills.executeAndCollect()); // prints [ 'bill 1', 'bill 2', 'bill 3' ]
   */
  applyAgent<I, O, D = DeadLetter<T>>(
    this: DataStream<I>,
    agent: Agent<I, O> | AgentClass<I, O>,
    options?: AgentOperatorOptions<D> & FitsDeadLetters<T, D>,
  ): DataStream<O> {
    const { environment } = this.origin;
    // The tag takes what the operator writes to it, as the type of the options says.
    const { name, label, operator } = environment.agentOperator(agent, (options ?? {}) as AgentOperatorOptions);
    return new DataStream<O>(
      this.origin.addOperator(name, operator, { boundary: true, writes: onlyTo(options?.deadLetters) }),
    ).name(label);
  }
}
