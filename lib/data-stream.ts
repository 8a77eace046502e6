/**
 * The fluent face: each method adds a node to the graph and gives the stream behind it. Nothing runs until the
 * environment executes. One file, because the three classes refer to each other.
 */
import type { Observable, OperatorFunction as Rx } from 'rxjs';
import type { CallContext } from './core/call.ts';
import type { Sink } from './core/connector.ts';
import type { Key } from './core/key.ts';
import type { Operator, Step } from './core/operator.ts';
import { callable, durationMs, refusal, withMethods, type Duration } from './core/options.ts';
import type { OutputTag } from './core/output-tag.ts';
import type { Agent, AgentClass } from './agents/definition/agent.ts';
import type { AgentOperatorOptions } from '../operators/agent-options.ts';
import { aggregate, reduce, type AggregateFunction, type ReduceFunction } from '../operators/aggregate.ts';
import { asyncMap, type AsyncMapOptions } from '../operators/async-map.ts';
import type { DeadLetter, FitsDeadLetters } from '../operators/dead-letter.ts';
import { process, type ProcessFunction, type StateSpec } from '../operators/process.ts';
import { filter, flatMap, map, type FlatMapOptions } from '../operators/stateless.ts';
import type { WindowAssigner } from '../operators/window-assigners.ts';
import type { ProcessWindowFunction } from '../operators/window-function.ts';
import { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../operators/window.ts';
import { collectSink } from '../connectors/collect.ts';
import { printSink, type PrintOptions } from '../connectors/print.ts';
import { DataStreamSink } from './data-stream-sink.ts';
import type { OperatorPlace, Origin } from './stream-origin.ts';
import { aggregateFunction, joined, onlyTo, operatorOrStep, processFunction, tagId } from './stream-parts.ts';
import type { PipeOptions } from './stream-parts.ts';

/**
 * A stream of records. Each method that transforms it puts an operator behind it and gives that operator's output; a
 * stream may have several.
 *
 * @example
 * const names = orders.filter(({ euros }) => euros >= 10).map(({ customer }) => customer);
 * console.log(await names.executeAndCollect()); // prints [ 'ann', 'ann' ]
 */
export class DataStream<T> {
  readonly #origin: Origin;

  /** @internal */
  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** @internal Where it starts. */
  get origin(): Origin {
    return this.#origin;
  }

  /**
   * Pins the uid of the operator that makes this stream: its state belongs to it. Two operators with one uid are
   * refused with `UID_CLASH` when the job starts.
   *
   * @example
   * const names = orders.map(({ customer }) => customer).uid('names');
   * console.log(await names.executeAndCollect()); // prints [ 'ann', 'bob', 'ann' ]
   */
  uid(uid: string): this {
    this.#origin.environment.graph.pin(this.#origin.operatorFor('uid'), uid);
    return this;
  }

  /**
   * Names the operator that makes this stream, in messages and metrics.
   *
   * @example
   * const names = orders.map(({ customer }) => customer).name('customers');
   * console.log(await names.executeAndCollect()); // prints [ 'ann', 'bob', 'ann' ]
   */
  name(name: string): this {
    this.#origin.environment.graph.rename(this.#origin.operatorFor('name'), name);
    return this;
  }

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
    return new DataStream<O>(this.#origin.addOperator(name, operator, place));
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
    options?: AsyncMapOptions<D> & FitsDeadLetters<T, D>,
  ): DataStream<Awaited<O>> {
    // as above: the tag takes what is written to it
    const operator = asyncMap(fn, options as AsyncMapOptions | undefined);
    if (options?.perKey === true && !this.#origin.isKeyed) {
      const why = 'the records of this stream have no key, so no call could have the turn of one';
      throw new TypeError(`Expected \`perKey\` to follow \`keyBy\`: ${why}`);
    }
    return this.apply('async-map', operator, { boundary: true, writes: onlyTo(options?.deadLetters) });
  }

  /**
   * This stream and others as one, of all their types. Throws a `TypeError` for a stream of another environment, and
   * for one given twice.
   *
   * @example
   * const both = orders.map(({ id }) => id).union(orders.map(({ customer }) => customer));
   * console.log((await both.executeAndCollect()).length); // prints 6
   */
  union<U extends readonly unknown[]>(
    ...others: { readonly [N in keyof U]: DataStream<U[N]> }
  ): DataStream<T | U[number]> {
    const origins = others.map((other: unknown) => {
      if (!(other instanceof DataStream)) throw refusal('union', 'given streams', other);
      return other.origin;
    });
    return new DataStream(this.#origin.union(origins));
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
    return new DataStream<S>(this.#origin.side(tagId(tag)));
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
    return new KeyedStream<T, K>(this.#origin.keyed(keyOf));
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
    return new DataStream<unknown>(this.#origin.add('pipe', { kind: 'pipe', ...joined(parts) }));
  }

  /**
   * Values as they pass while the job runs: at least once, and before any checkpoint. Completes with the job or fails
   * with it, at once for who subscribes when it is over.
   *
   * @example
   * orders.map(({ id }) => id).asObservable().subscribe((id) => console.log(id));
   * await env.execute();
   * // prints 1
   * // prints 2
   * // prints 3
   */
  asObservable(): Observable<T> {
    return this.#origin.observe<T>();
  }

  /**
   * Prints each value as a line of the standard output, strings as they are and others as JSON: at least once.
   *
   * @example
   * orders.map(({ id }) => id).print({ prefix: 'order ' });
   * // prints order 1
   * // prints order 2
   * // prints order 3
   */
  print(options: PrintOptions = {}): DataStreamSink {
    return this.sinkTo(printSink(options), 'print');
  }

  /**
   * Ends the stream in a sink, called `name` in messages, metrics and, unless it is pinned, its uid. A stream may have
   * several.
   *
   * @example
   * orders.sinkTo(jsonLinesSink('orders.jsonl'));
   * orders.filter(({ euros }) => euros > 30).sinkTo(callbackSink(({ id }) => console.log(id))); // prints 3
   */
  sinkTo(sink: Sink<T>, name?: string): DataStreamSink {
    withMethods('sink', sink, 'a Sink; `callbackSink(fn)` makes one of a function', ['open']);
    const node = this.#origin.addNode(name ?? sink.name, { kind: 'sink', sink });
    return new DataStreamSink(this.#origin.environment.graph, node);
  }

  /**
   * Runs the job to the end of its input and gives what this stream brought. Meant for tests and small data.
   *
   * @example
   * console.log(await env.fromCollection([1, 2, 3]).executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  async executeAndCollect(name?: string): Promise<T[]> {
    const values: T[] = [];
    this.sinkTo(collectSink(values));
    await this.#origin.environment.execute(name);
    return values;
  }
}

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
    options?: AsyncMapOptions<D> & FitsDeadLetters<T, D>,
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
   * Cuts each key's values into windows. A record without a timestamp is refused with `TIMESTAMP_MISSING`.
   *
   * @example
   * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s'));
   * const largest = windows.reduce((a, b) => (a.euros > b.euros ? a : b));
   * console.log(await largest.map(({ id }) => id).executeAndCollect()); // prints [ 1, 3 ]
   */
  window(assigner: WindowAssigner): WindowedStream<T, K> {
    withMethods('assigner', assigner, 'a WindowAssigner; `TumblingEventTimeWindows.of(size)` makes one', ['lastStart']);
    return new WindowedStream<T, K>(this, { assigner });
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
      ? this.#apply<T | O>(reduceWindow(options, reduce))
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
