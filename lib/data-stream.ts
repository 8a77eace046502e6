/**
 * The fluent face: each method adds a node to the graph and gives the stream behind it. Nothing runs until the environment executes.
 * One file, because the three classes refer to each other.
 */
import { Observable, type OperatorFunction } from 'rxjs';
import type { Sink } from './core/connector.ts';
import type { Key } from './core/key.ts';
import type { CallContext, Operator, OutputTag, Step } from './core/operator.ts';
import { looseCopy } from './core/own-copy.ts';
import type { Duration } from './core/options.ts';
import { callable, durationMs, knownOptions, refusal, withMethods } from './core/options.ts';
import type { GraphEdge, GraphNode, NodeBody, Partitioning, StreamGraph } from './runtime/edges/graph.ts';
import type { AgentOperatorOptions } from '../operators/agent-options.ts';
import type { DeadLetter, FitsDeadLetters } from '../operators/dead-letter.ts';
import { aggregate, reduce, type AggregateFunction, type ReduceFunction } from '../operators/aggregate.ts';
import { asyncMap, type AsyncMapOptions } from '../operators/async-map.ts';
import { process, type ProcessFunction, type StateSpec } from '../operators/process.ts';
import { filter, flatMap, map } from '../operators/stateless.ts';
import type { WindowAssigner } from '../operators/window-assigners.ts';
import type { ProcessWindowFunction } from '../operators/window-function.ts';
import { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../operators/window.ts';
import { printSink, type PrintOptions } from '../connectors/print.ts';
import type { Agent, AgentClass } from './agents/agent.ts';
import { DataStreamSink } from './data-stream-sink.ts';

/** The operator that runs an agent: the name that its uid is made of, and the one that people read. */
export interface AgentNode {
  readonly name: string;
  readonly label: string;
  readonly operator: Operator<never, unknown>;
}

/** @internal What streams need of the environment that they belong to. */
export interface PipelineOwner {
  readonly graph: StreamGraph;
  /** The operator that runs an agent, and what it is called. */
  agentOperator<I, O>(agent: Agent<I, O> | AgentClass<I, O>, options: AgentOperatorOptions): AgentNode;
  executeAndCollect<T>(stream: DataStream<T>, name?: string): Promise<T[]>;
  /** Calls the listener when the job ends, at once when it has ended. Returns how to stop listening. */
  onEnd(listener: (error: unknown) => void): () => void;
}

/** Where a stream starts: a node's main output or one of its side outputs. */
interface Origin {
  readonly environment: PipelineOwner;
  readonly node: GraphNode;
  readonly tag?: string | undefined;
}

/** A stream of records, as a graph node gives them. */
export class DataStream<T> {
  readonly #origin: Origin;

  /** @internal */
  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** @internal The edge that a consumer of this stream has. */
  edge(partitioning: Partitioning = { kind: 'forward' }): GraphEdge {
    const { node, tag } = this.#origin;
    return { from: node.id, partitioning, tag };
  }

  /** @internal */
  protected get environment(): PipelineOwner {
    return this.#origin.environment;
  }

  /** @internal Adds a node behind this stream and gives its output. */
  protected add<O>(name: string, body: NodeBody, edges: readonly GraphEdge[] = [this.edge()]): DataStream<O> {
    const { environment } = this.#origin;
    return new DataStream<O>({ environment, node: environment.graph.add(name, body, edges) });
  }

  /** @internal */
  belongsTo(environment: PipelineOwner): boolean {
    return this.#origin.environment === environment;
  }

  /** Pins the uid of the operator that makes this stream: its state belongs to it. Two operators with one uid are an error. */
  uid(uid: string): this {
    this.environment.graph.pin(this.operatorFor('uid'), uid);
    return this;
  }

  /** Names the operator that makes this stream, in messages and metrics. */
  name(name: string): this {
    this.environment.graph.rename(this.operatorFor('name'), name);
    return this;
  }

  /** @internal The operator that a method names: the one that makes this stream as its main output. */
  protected operatorFor(method: string): GraphNode {
    const { node, tag } = this.#origin;
    if (tag !== undefined) {
      throw new TypeError(`Expected \`${method}\` to follow an operator; "${tag}" is a side output of "${node.uid}", which has a name already`);
    }
    return node;
  }

  /** Gives what `fn` makes of each value. */
  map<O>(fn: (value: T) => O): DataStream<O> {
    return this.apply('map', map(fn));
  }

  /** Keeps the values for which `keep` is true. */
  filter<S extends T>(keep: (value: T) => value is S): DataStream<S>;
  filter(keep: (value: T) => boolean): DataStream<T>;
  filter(keep: (value: T) => boolean): DataStream<T> {
    return this.apply('filter', filter(keep));
  }

  /** Gives all that `fn` makes of each value. */
  flatMap<O>(fn: (value: T) => Iterable<O>): DataStream<O> {
    return this.apply('flat-map', flatMap(fn));
  }

  /**
   * Runs a process function; on a stream that is not keyed its state has one key. What it emits can't be inferred, so say it:
   * `process<Summary>((review, ctx) => ctx.emit(...))`, or `emits: type<Summary>()` in an object with state.
   */
  process<O = never, S extends StateSpec = StateSpec>(fn: ProcessFunction<T, O, S>): DataStream<O> {
    return this.apply('process', process(fn));
  }

  /** Runs an operator of your own. Timestamps that it hands on must be finite numbers, or those of records that have none. */
  transform<O>(name: string, operator: Operator<T, O> | Step<T, O>): DataStream<O> {
    return this.apply(name, operator, true);
  }

  /** @internal Runs an operator; `foreign`: what it hands on is looked at. */
  apply<O>(name: string, operator: Operator<T, O> | Step<T, O>, foreign = false): DataStream<O> {
    return this.add(name, { kind: 'operator', operator, boundary: false, foreign });
  }

  /** Waits for `fn`, many values at once; what it gave is journaled, so that it is not asked again after a crash. */
  asyncMap<O, D = DeadLetter<T>>(
    fn: (value: T, call: CallContext) => O | Promise<O>,
    options?: AsyncMapOptions<D> & FitsDeadLetters<T, D>,
  ): DataStream<Awaited<O>> {
    const operator = asyncMap(fn, options as AsyncMapOptions | undefined); // as above: the tag takes what is written to it
    if (options?.perKey === true) throw new TypeError('Expected `perKey` to follow `keyBy`: the records of this stream have no key, so no call could have the turn of one');
    return this.add('async-map', { kind: 'operator', operator, boundary: true });
  }

  /** This stream and others as one. */
  union<U extends readonly unknown[]>(...others: { readonly [N in keyof U]: DataStream<U[N]> }): DataStream<T | U[number]> {
    for (const other of others) {
      if (!(other instanceof DataStream)) throw refusal('union', 'given streams', other);
      if (!other.belongsTo(this.environment)) throw new TypeError('Expected `union` to be given streams of one environment, got one of another');
    }
    const edges = [this, ...others].map((stream: DataStream<unknown>) => stream.edge());
    const names = new Set(edges.map(({ from, tag }) => `${from}/${tag ?? ''}`));
    if (names.size < edges.length) throw new TypeError('Expected `union` to be given different streams, got one of them twice');
    return this.add('union', { kind: 'union' }, edges);
  }

  /** What the operator that makes this stream sends to a side output. */
  sideOutput<S>(tag: OutputTag<S>): DataStream<S> {
    return new DataStream<S>({ ...this.#origin, tag: tag.id });
  }

  /** Puts records with equal keys in the hands of one owner, in order. */
  keyBy<K extends Key>(keyOf: (value: T) => K): KeyedStream<T, K> {
    return new KeyedStream<T, K>(this.#origin, keyOf);
  }

  /**
   * Puts an RxJS operator into the stream. It must emit while it handles a value, or when its input completes, which it does with the
   * last value of a bounded input: what it holds then (`reduce`, a buffer) comes out with the timestamp of that value, or behind the
   * watermark if that is later. What it keeps is in no checkpoint, and lost by a stop or a restart: with a state directory it must be
   * declared `{ stateless: true }`.
   */
  pipe<O>(operator: OperatorFunction<T, O>, options: { readonly stateless?: boolean | undefined } = {}): DataStream<O> {
    callable('operator', operator);
    knownOptions('pipe', options, { stateless: true });
    return this.add('pipe', { kind: 'pipe', operator: operator as OperatorFunction<never, unknown>, stateless: options.stateless ?? false });
  }

  /**
   * Values as they pass while the job runs: at least once, and before any checkpoint. Completes with the job or fails with it, at once
   * for who subscribes when it is over.
   */
  asObservable(): Observable<T> {
    const { environment } = this.#origin;
    const listeners = new Set<(value: T) => void>();
    this.add('tap', { kind: 'tap', next: (value: T) => listeners.forEach((next) => next(looseCopy(value))) });
    return new Observable<T>((subscriber) => {
      const next = (value: T): void => subscriber.next(value);
      listeners.add(next);
      subscriber.add(() => listeners.delete(next));
      subscriber.add(environment.onEnd((error) => (error === undefined ? subscriber.complete() : subscriber.error(error))));
    });
  }

  /** Prints each value as a line of JSON: at least once. */
  print(options: PrintOptions = {}): DataStreamSink {
    return this.sinkTo(printSink(options), 'print');
  }

  /** Ends the stream in a sink. A stream may have several. */
  sinkTo(sink: Sink<T>, name: string = sink.name): DataStreamSink {
    const { graph } = this.environment;
    return new DataStreamSink(graph, graph.add(name, { kind: 'sink', sink: sink as Sink<never> }, [this.edge()]));
  }

  /** Runs the job to the end of its input and gives what this stream brought. Meant for tests and small data. */
  executeAndCollect(name?: string): Promise<T[]> {
    return this.environment.executeAndCollect(this, name);
  }
}

/** A stream whose records have a key: their operators have state per key. */
export class KeyedStream<T, K extends Key = Key> extends DataStream<T> {
  /** Declared so that a stream of a type is also one of a wider type. */
  readonly #keyOf: (value: never) => K;

  /** @internal */
  constructor(origin: Origin, keyOf: (value: T) => K) {
    super(origin);
    if (typeof keyOf !== 'function') throw new TypeError(`Expected \`keyOf\` to be a function, got \`${typeof keyOf}\``);
    this.#keyOf = keyOf;
  }

  protected override operatorFor(method: string): never {
    throw new TypeError(`Expected \`${method}\` to follow an operator; \`keyBy\` is the way to one: call it in front of \`keyBy\` or behind what comes next`);
  }

  /** @internal */
  override apply<O>(name: string, operator: Operator<T, O> | Step<T, O>, foreign = false): DataStream<O> {
    return this.add(name, { kind: 'operator', operator, boundary: false, foreign }, [this.#keyedEdge()]);
  }

  /**
   * Waits for `fn`, many values at once, those of one key too: `order: 'arrival'` orders the results, and only `perKey: true` lets the
   * call for a key's value end before that for its next begins. What a call gave is journaled, so that it is not made again after a crash.
   */
  override asyncMap<O, D = DeadLetter<T>>(
    fn: (value: T, call: CallContext) => O | Promise<O>,
    options?: AsyncMapOptions<D> & FitsDeadLetters<T, D>,
  ): DataStream<Awaited<O>> {
    const operator = asyncMap(fn, options as AsyncMapOptions | undefined); // as above
    return this.add('async-map', { kind: 'operator', operator, boundary: true }, [this.#keyedEdge()]);
  }

  override process<O = never, S extends StateSpec = StateSpec>(fn: ProcessFunction<T, O, S, K>): DataStream<O> {
    return this.apply('process', process(fn));
  }

  /** Folds the values of each key into one; gives the result after each value. */
  reduce(fn: ReduceFunction<T>): DataStream<T> {
    return this.apply('reduce', reduce(fn));
  }

  /** Folds the values of each key into an accumulator; gives its result after each value. */
  aggregate<A, O>(fn: AggregateFunction<T, A, O>): DataStream<O> {
    return this.apply('aggregate', aggregate(fn));
  }

  /** Cuts each key's values into windows. */
  window(assigner: WindowAssigner): WindowedStream<T, K> {
    withMethods('assigner', assigner, 'a WindowAssigner', ['lastStart']);
    return new WindowedStream<T, K>(this, { assigner });
  }

  /** Runs an agent: one input of a key at a time, many keys at once. */
  applyAgent<O, D = DeadLetter<T>>(
    agent: Agent<T, O> | AgentClass<T, O>,
    options?: AgentOperatorOptions<D> & FitsDeadLetters<T, D>,
  ): DataStream<O> {
    // The tag takes what the operator writes to it, as the type of the options says.
    const { name, label, operator } = this.environment.agentOperator(agent, (options ?? {}) as AgentOperatorOptions);
    return this.add<O>(name, { kind: 'operator', operator, boundary: true }, [this.#keyedEdge()]).name(label);
  }

  #keyedEdge(): GraphEdge {
    return this.edge({ kind: 'hash', keyOf: this.#keyOf });
  }
}

/** Windows of a keyed stream, waiting for the function that makes their results. */
export class WindowedStream<T, K extends Key = Key> {
  readonly #stream: KeyedStream<T, K>;
  readonly #options: WindowOptions<T>;

  /** @internal */
  constructor(stream: KeyedStream<T, K>, options: WindowOptions<T>) {
    this.#stream = stream;
    this.#options = options;
  }

  /** Keeps each window this long behind its end; a record that comes then makes it fire again, with all its content. */
  allowedLateness(duration: Duration): WindowedStream<T, K> {
    durationMs('allowedLateness', duration);
    return new WindowedStream(this.#stream, { ...this.#options, allowedLateness: duration });
  }

  /** Sends records that come after their windows are gone to a side output. */
  sideOutputLateData(tag: OutputTag<T>): WindowedStream<T, K> {
    return new WindowedStream(this.#stream, { ...this.#options, lateTag: tag });
  }

  /** Folds the values of a window into one as they come; `fn` may make the result, looking at key and window. */
  reduce(reduce: ReduceFunction<T>): DataStream<T>;
  reduce<O, W, S extends StateSpec>(reduce: ReduceFunction<T>, fn: ProcessWindowFunction<T, O, W, S, K>): DataStream<O>;
  reduce<O, W, S extends StateSpec>(reduce: ReduceFunction<T>, fn?: ProcessWindowFunction<T, O, W, S, K>): DataStream<T | O> {
    const options = this.#options;
    return fn === undefined ? this.#apply<T | O>(reduceWindow(options, reduce)) : this.#apply<T | O>(reduceWindow(options, reduce, fn));
  }

  /** Folds the values of a window into an accumulator as they come; `fn` may make the result, looking at key and window. */
  aggregate<A, R>(aggregate: AggregateFunction<T, A, R>): DataStream<R>;
  aggregate<A, R, O, W, S extends StateSpec>(aggregate: AggregateFunction<T, A, R>, fn: ProcessWindowFunction<R, O, W, S, K>): DataStream<O>;
  aggregate<A, R, O, W, S extends StateSpec>(aggregate: AggregateFunction<T, A, R>, fn?: ProcessWindowFunction<R, O, W, S, K>): DataStream<R | O> {
    const options = this.#options;
    return fn === undefined ? this.#apply<R | O>(aggregateWindow(options, aggregate)) : this.#apply<R | O>(aggregateWindow(options, aggregate, fn));
  }

  /** Gives what `fn` makes of all values of a window. */
  process<O, W, S extends StateSpec>(fn: ProcessWindowFunction<readonly T[], O, W, S, K>): DataStream<O> {
    return this.#apply<O>(processWindow(this.#options, fn));
  }

  #apply<O>(operator: Operator<T, O>): DataStream<O> {
    return this.#stream.apply<O>('window', operator);
  }
}
