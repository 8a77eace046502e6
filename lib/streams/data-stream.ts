/**
 * The fluent face: each method adds a node to the graph and gives the stream behind it. Nothing runs until the
 * environment executes. Other kinds of streams come from `StreamKinds`, since a class can not import its subclass.
 */
import type { OperatorFunction as Rx } from 'rxjs';
import type { CallContext } from '../core/call.ts';
import type { Key } from '../core/key.ts';
import type { Operator, Step } from '../core/operator.ts';
import { refusal } from '../core/options.ts';
import type { OutputTag } from '../core/output-tag.ts';
import { asyncMap, type AsyncMapOptions } from '../../operators/async-map.ts';
import type { DeadLetter, FitsDeadLetters } from '../../operators/dead-letter.ts';
import { lookupJoin, type LookupJoinOptions } from '../../operators/lookup-join.ts';
import { process, type ProcessFunction, type StateSpec } from '../../operators/process.ts';
import { filter, flatMap, map, type FlatMapOptions } from '../../operators/stateless.ts';
import type { WindowAssigner } from '../../operators/windows/contract.ts';
import type { CountWindowOptions } from '../../operators/windows/count-windows.ts';
import type { BroadcastConnectedStream, BroadcastStream } from './broadcast-streams.ts';
import type { ConnectedStreams } from './connected-streams.ts';
import type { JoinedStreams } from './joined-streams.ts';
import type { KeyedStream } from './keyed-stream.ts';
import { PartitionWindowedStream } from './partition-windowed-stream.ts';
import type { WindowedStream } from './windowed-stream.ts';
import type { OperatorPlace } from './origin.ts';
import { joined, needKeys, onlyTo, operatorOrStep, processFunction, tagId } from './parts.ts';
import type { CallsPlace, PipeOptions } from './parts.ts';
import { StreamOutput } from './stream-output.ts';
import { splitStream, type SplitSpec, type SplitStreams } from './split.ts';

/**
 * A stream of records. Each method that transforms it puts an operator behind it and gives that operator's output; a
 * stream may have several.
 *
 * @example
 * const names = orders.filter(({ euros }) => euros >= 10).map(({ customer }) => customer);
 * console.log(await names.executeAndCollect()); // prints [ 'ann', 'ann' ]
 */
export class DataStream<T> extends StreamOutput<T> {
  /**
   * Gives what `fn` makes of each value.
   *
   * @example
   * console.log(await orders.map(({ euros }) => euros * 100).executeAndCollect()); // prints [ 2500, 500, 4000 ]
   */
  map<O>(fn: (value: T) => O): DataStream<O> {
    return this.apply('map', map(fn));
  }

  /**
   * Keeps the values for which `keep` is true; a type guard narrows the stream.
   *
   * @example
   * const large = orders.filter(({ euros }) => euros > 10);
   * console.log(await large.map(({ id }) => id).executeAndCollect()); // prints [ 1, 3 ]
   */
  filter<S extends T>(keep: (value: T) => value is S): DataStream<S>;
  filter(keep: (value: T) => boolean): DataStream<T>;
  filter(keep: (value: T) => boolean): DataStream<T> {
    return this.apply('filter', filter(keep));
  }

  /**
   * Gives all that `fn` makes of each value.
   *
   * @example
   * const words = env.fromCollection(['to be', 'or not']).flatMap((line) => line.split(' '));
   * console.log(await words.executeAndCollect()); // prints [ 'to', 'be', 'or', 'not' ]
   */
  flatMap<O>(fn: (value: T) => Iterable<O>, options?: FlatMapOptions): DataStream<O> {
    return this.apply('flat-map', flatMap(fn, options));
  }

  /**
   * Runs a process function; on a stream that is not keyed its state has one key. What it emits can't be inferred, so
   * say it: `process<Summary>((review, ctx) => ctx.emit(...))`, or `emits: type<Summary>()` in an object with state.
   *
   * @example
   * const seconds = orders.process<number>((_order, ctx) => ctx.emit(ctx.timestamp / 1000));
   * console.log(await seconds.executeAndCollect()); // prints [ 1, 2, 12 ]
   */
  process<O = never, S extends StateSpec = StateSpec>(fn: ProcessFunction<T, O, S>): DataStream<O> {
    return this.apply('process', process(processFunction(fn)));
  }

  /**
   * Runs an operator of your own, called `name` in messages and metrics. Timestamps that it hands on must be finite
   * numbers, or those of records that have none; else the job fails with `TIMESTAMP_INVALID`.
   *
   * @example
   * const doubled = orders.map(({ euros }) => euros).transform<number>('twice', ({ output }) => ({
   *   process(value, timestamp) {
   *     for (const each of [value, value]) output.emit(each, timestamp);
   *   },
   * }));
   * console.log(await doubled.executeAndCollect()); // prints [ 25, 25, 5, 5, 40, 40 ]
   */
  transform<O>(name: string, operator: Operator<T, O> | Step<T, O>): DataStream<O> {
    return this.apply(name, operatorOrStep(operator), { foreign: true });
  }

  /** @internal Runs an operator, under the records' keys if they have some. */
  apply<O>(name: string, operator: Operator<T, O> | Step<T, O>, place?: OperatorPlace): DataStream<O> {
    return new DataStream<O>(this.origin.addOperator(name, operator, place));
  }

  /**
   * Waits for `fn`, many values at once; what it gave is journaled, so that it is not asked again after a crash. A call
   * that fails for good fails the job, unless `onError` or `deadLetters` say otherwise.
   *
   * @example
   * const rates = new Map([['ann', 0.5]]);
   * const prices = orders.asyncMap(async ({ customer, euros }) => euros * (rates.get(customer) ?? 1), {
   *   order: 'arrival',
   *   timeout: '10s',
   *   retry: { attempts: 3 },
   * });
   * console.log(await prices.executeAndCollect()); // prints [ 12.5, 5, 20 ]
   */
  asyncMap<O, D = DeadLetter<T>>(
    fn: (value: T, call: CallContext) => O | Promise<O>,
    options?: AsyncMapOptions<D, T, O> & FitsDeadLetters<T, D>,
  ): DataStream<Awaited<O>> {
    // as above: the tag takes what is written to it
    const operator = asyncMap(fn, options as AsyncMapOptions<DeadLetter, T, O> | undefined);
    return this.#calls('async-map', operator, options);
  }

  /**
   * Joins each value with the row that `lookup` gives for its key, a table outside say; `cache` keeps rows in memory.
   * What `join` makes is journaled. Takes the options of `asyncMap` too.
   *
   * @example
   * const cities = new Map([['ann', 'Rome']]);
   * const table = { lookup: async (name: string) => cities.get(name), cache: { max: 1_000, ttl: '5m' } } as const;
   * const join = ({ id }: Order, city?: string) => `${id} ${city ?? 'unknown'}`;
   * const places = orders.lookupJoin({ ...table, key: ({ customer }) => customer, join, order: 'arrival' });
   * console.log(await places.executeAndCollect()); // prints [ '1 Rome', '2 unknown', '3 Rome' ]
   */
  lookupJoin<L extends Key, R, O, D = DeadLetter<T>>(
    options: LookupJoinOptions<T, L, R, O, D> & FitsDeadLetters<T, D>,
  ): DataStream<Awaited<O>> {
    const operator = lookupJoin(options as LookupJoinOptions<T, L, R, O>); // as above
    return this.#calls('lookup-join', operator, options);
  }

  #calls<O>(name: string, operator: Operator<T, O>, options?: CallsPlace): DataStream<O> {
    if (options?.perKey === true) needKeys(this.origin, 'perKey');
    return this.apply(name, operator, { boundary: true, writes: onlyTo(options?.deadLetters) });
  }

  /**
   * This stream and others as one, of all their types. One given twice brings each record twice. Throws a `TypeError`
   * for a stream of another environment.
   *
   * @example
   * const both = orders.map(({ id }) => id).union(orders.map(({ customer }) => customer));
   * console.log((await both.executeAndCollect()).length); // prints 6
   */
  union<U extends readonly unknown[]>(
    ...others: { readonly [N in keyof U]: DataStream<U[N]> }
  ): DataStream<T | U[number]> {
    const origins = others.map((other) => given('union', other).origin);
    return new DataStream(this.origin.union(origins));
  }

  /**
   * A stream for each predicate, and `rest`: a value goes to the first that holds, in the order in which they are
   * written. What nobody reads costs nothing.
   *
   * @example
   * const { large, rest } = orders.split({ large: ({ euros }) => euros > 20 });
   * console.log(await large.map(({ id }) => id).executeAndCollect()); // prints [ 1, 3 ]
   */
  split<P extends SplitSpec<T>>(parts: P): SplitStreams<T, P> {
    return splitStream<T, P>(this, parts);
  }

  /**
   * This stream and another of any type, which go into one operator with a function for each. May be itself. Throws a
   * `TypeError` where only one of them is keyed. A broadcast one goes beside any.
   *
   * @example
   * const both = orders.connect(env.fromCollection(['x'])).map(({ id }) => id, (text) => text);
   * console.log((await both.executeAndCollect()).length); // prints 4
   */
  connect<U>(other: BroadcastStream<U>): BroadcastConnectedStream<T, U>;
  connect<U>(other: DataStream<U>): ConnectedStreams<T, U>;
  connect<U>(other: unknown): ConnectedStreams<T, U> | BroadcastConnectedStream<T, U> {
    return this.origin.environment.kinds.connected<T, U>(this.origin, other);
  }

  /**
   * All records of this stream for each key of another: `connect` puts them together, and all see broadcast state.
   *
   * @example
   * const names = env.fromCollection([{ customer: 'ann', name: 'Ann' }]);
   * const greeted = orders.connect(names.broadcast()).process({
   *   emits: type<string>(),
   *   broadcastState: { names: mapState<string, string>('names') },
   *   process: ({ customer }, { broadcast, emit }) => emit(broadcast.names.get(customer) ?? customer),
   *   processBroadcast: ({ customer, name }, { broadcast }) => broadcast.names.set(customer, name),
   * });
   * console.log((await greeted.executeAndCollect()).length); // prints 3
   */
  broadcast(): BroadcastStream<T> {
    return this.origin.environment.kinds.broadcast<T>(this.origin);
  }

  /**
   * What the operator that makes this stream sends to a side output: take it in front of `map` and what else follows.
   * What goes to one that nobody reads is counted as `numSideRecordsDropped` and told once in the log.
   *
   * @example
   * const large = outputTag<Order>('large');
   * const rest = orders.process<Order>((order, ctx) => (order.euros > 30 ? ctx.side(large, order) : ctx.emit(order)));
   * console.log(await rest.sideOutput(large).map(({ id }) => id).executeAndCollect()); // prints [ 3 ]
   */
  sideOutput<S>(tag: OutputTag<S>): DataStream<S> {
    return new DataStream<S>(this.origin.side(tagId(tag)));
  }

  /**
   * Puts records with equal keys in the hands of one owner, in order. A key is a string, a finite number, a bigint, a
   * boolean, or an array of these; another is refused with `KEY_INVALID`.
   *
   * @example
   * const latest = orders.keyBy(({ customer }) => customer).reduce((_before, order) => order);
   * console.log(await latest.map(({ id }) => id).executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  keyBy<K extends Key>(keyOf: (value: T) => K): KeyedStream<T, K> {
    return this.origin.environment.kinds.keyed<T, K>(this.origin.keyed(keyOf));
  }

  /**
   * Cuts all values of the stream into windows, whatever their key: the windows of one key that all share.
   *
   * @example
   * const counts = orders.windowAll(TumblingEventTimeWindows.of('10s')).process((values) => values.length);
   * console.log(await counts.executeAndCollect()); // prints [ 2, 1 ]
   */
  windowAll(assigner: WindowAssigner<T>): WindowedStream<T, ''> {
    return this.keyBy(() => '' as const).window(assigner);
  }

  /**
   * Cuts all values of the stream into windows of `size` values; see `KeyedStream.countWindow`.
   *
   * @example
   * const pairs = orders.countWindowAll(2).process((values) => values.length);
   * console.log(await pairs.executeAndCollect()); // prints [ 2 ]
   */
  countWindowAll(size: number, options: CountWindowOptions = {}): WindowedStream<T, ''> {
    return this.keyBy(() => '' as const).countWindow(size, options);
  }

  /**
   * Takes all values of the stream together, whatever their key, when the input has ended. All are kept until then.
   *
   * @example
   * const dearest = orders.fullWindowPartition().sortPartition(({ euros }) => euros, 'descending');
   * console.log(await dearest.map(({ id }) => id).executeAndCollect()); // prints [ 3, 1, 2 ]
   */
  fullWindowPartition(): PartitionWindowedStream<T> {
    return new PartitionWindowedStream<T>(this.keyBy(() => ''));
  }

  /**
   * Joins this stream with another in windows: gives a result for each pair of values of one key and window. A stream
   * may be joined with itself.
   *
   * @example
   * const byCustomer = orders.join(orders).where(({ customer }) => customer).equalTo(({ customer }) => customer);
   * const windows = byCustomer.window(TumblingEventTimeWindows.of('10s'));
   * const pairs = windows.apply((one, other) => `${one.id},${other.id}`);
   * console.log(await pairs.executeAndCollect()); // prints [ '1,1', '2,2', '3,3' ]
   */
  join<B>(other: DataStream<B>): JoinedStreams<T, B, 'join'> {
    return this.origin.environment.kinds.joined(this, given('join', other), 'join');
  }

  /**
   * Brings this stream and another together in windows: gives a result for both sides of each key and window. What an
   * outer join is can be made of it.
   *
   * @example
   * const byCustomer = orders.coGroup(orders).where(({ customer }) => customer).equalTo(({ customer }) => customer);
   * const sides = byCustomer.window(TumblingEventTimeWindows.of('1m'));
   * const counts = sides.apply((left, right) => left.length + right.length);
   * console.log(await counts.executeAndCollect()); // prints [ 4, 2 ]
   */
  coGroup<B>(other: DataStream<B>): JoinedStreams<T, B, 'coGroup'> {
    return this.origin.environment.kinds.joined(this, given('coGroup', other), 'coGroup');
  }

  /**
   * Puts RxJS operators into the stream, up to six, with the options behind them. They must emit while they handle a
   * value, or when their input completes, which it does with the last value of a bounded input: what they hold then
   * (`reduce`, a buffer) comes out with the timestamp of that value, or behind the watermark if that is later. What
   * they keep is in no checkpoint, and lost by a stop or a restart: with a state directory they must be declared `{
   * stateless: true }`.
   *
   * @example
   * import { map as rxMap } from 'rxjs';
   * const ids = orders.pipe(rxMap(({ id }) => id), { stateless: true });
   * console.log(await ids.executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  pipe<A>(a: Rx<T, A>, options?: PipeOptions): DataStream<A>;
  pipe<A, B>(a: Rx<T, A>, b: Rx<A, B>, options?: PipeOptions): DataStream<B>;
  pipe<A, B, C>(a: Rx<T, A>, b: Rx<A, B>, c: Rx<B, C>, options?: PipeOptions): DataStream<C>;
  pipe<A, B, C, D>(a: Rx<T, A>, b: Rx<A, B>, c: Rx<B, C>, d: Rx<C, D>, options?: PipeOptions): DataStream<D>;
  pipe<A, B, C, D, E>(
    a: Rx<T, A>,
    b: Rx<A, B>,
    c: Rx<B, C>,
    d: Rx<C, D>,
    e: Rx<D, E>,
    options?: PipeOptions,
  ): DataStream<E>;
  pipe<A, B, C, D, E, F>(
    a: Rx<T, A>,
    b: Rx<A, B>,
    c: Rx<B, C>,
    d: Rx<C, D>,
    e: Rx<D, E>,
    f: Rx<E, F>,
    options?: PipeOptions,
  ): DataStream<F>;
  pipe(...parts: readonly (Rx<never, unknown> | PipeOptions | undefined)[]): DataStream<unknown> {
    return new DataStream<unknown>(this.origin.add('pipe', { kind: 'pipe', ...joined(parts) }));
  }
}

/** Refuses what is no stream. */
const given = <B>(method: string, other: DataStream<B>): DataStream<B> => {
  if (!(other instanceof DataStream)) throw refusal(method, 'given a stream', other);
  return other;
};
