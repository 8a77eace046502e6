/** Two streams that keep their types and meet in one operator. */
import type { Key } from '../core/key.ts';
import type { MultiInputOperator } from '../core/operator.ts';
import { callable, withMethods } from '../core/options.ts';
import { coProcess, type CoProcessFunction } from '../../operators/co-process.ts';
import { coSteps } from '../../operators/co-steps.ts';
import type { StateSpec } from '../../operators/process.ts';
import { flatMap, map } from '../../operators/stateless.ts';
import { DataStream } from './data-stream.ts';
import type { OperatorPlace, Origin } from './origin.ts';
import { onlyTo } from './parts.ts';

/**
 * Two streams that go into one operator, each with a function of its own. What it knows of time is the lesser watermark
 * of the two; one that is idle is left out. Their records come in any order.
 *
 * @example
 * const limits = env.fromCollection([{ customer: 'ann', limit: 30 }]);
 * const lines = orders.connect(limits).map(({ id }) => `order ${id}`, ({ limit }) => `limit ${limit}`);
 * console.log((await lines.executeAndCollect()).length); // prints 4
 */
export class ConnectedStreams<A, B, K extends Key = Key> {
  readonly #first: Origin;
  readonly #second: Origin;

  /** @internal */
  constructor(first: Origin, second: Origin) {
    if (first.isKeyed !== second.isKeyed)
      throw new TypeError('Expected `connect` to be given two keyed streams or two that are not, got one of each');
    this.#first = first;
    this.#second = second;
  }

  /**
   * Puts records of both streams with equal keys in the hands of one owner, with one state.
   *
   * @example
   * const limits = env.fromCollection([{ customer: 'ann', limit: 30 }]);
   * const keyed = orders.connect(limits).keyBy(({ customer }) => customer, ({ customer }) => customer);
   * const keys = keyed.process<string>({
   *   process1: (_order, ctx) => ctx.emit(ctx.key),
   *   process2: (_limit, ctx) => ctx.emit(ctx.key),
   * });
   * console.log((await keys.executeAndCollect()).toSorted()); // prints [ 'ann', 'ann', 'ann', 'bob' ]
   */
  keyBy<L extends Key>(first: (value: A) => L, second: (value: B) => L): ConnectedStreams<A, B, L> {
    return new ConnectedStreams<A, B, L>(this.#first.keyed(first), this.#second.keyed(second));
  }

  /**
   * Gives what the function of its stream makes of each value.
   *
   * @example
   * const both = orders.connect(env.fromCollection([7])).map(({ id }) => id, (n) => n);
   * console.log((await both.executeAndCollect()).toSorted()); // prints [ 1, 2, 3, 7 ]
   */
  map<O, P = O>(first: (value: A) => O, second: (value: B) => P): DataStream<O | P> {
    return this.#apply('co-map', coSteps<A, B, O | P>(map(first), map(second)), { writes: onlyTo() });
  }

  /**
   * Gives all that the function of its stream makes of each value.
   *
   * @example
   * const both = orders.connect(env.fromCollection([7])).flatMap(({ id }) => [id, id], () => []);
   * console.log(await both.executeAndCollect()); // prints [ 1, 1, 2, 2, 3, 3 ]
   */
  flatMap<O, P = O>(first: (value: A) => Iterable<O>, second: (value: B) => Iterable<P>): DataStream<O | P> {
    return this.#apply('co-flat-map', coSteps<A, B, O | P>(flatMap(first), flatMap(second)), { writes: onlyTo() });
  }

  /**
   * Runs functions for the records of each stream, on the same state and timers: those of the record's key, or of all
   * records where the streams are not keyed. What they emit can't be inferred, so say it: `emits: type<Summary>()`.
   *
   * @example
   * const limits = env.fromCollection([{ customer: 'ann', limit: 30 }]);
   * const keyed = orders.connect(limits).keyBy(({ customer }) => customer, ({ customer }) => customer);
   * const totals = keyed.process({
   *   emits: type<string>(),
   *   state: { euros: valueState<number>('euros'), limit: valueState<number>('limit') },
   *   process1({ euros }, { key, state, timers }) {
   *     state.euros.update((state.euros.value() ?? 0) + euros);
   *     timers.register(20_000);
   *   },
   *   process2: ({ limit }, { state }) => state.limit.update(limit),
   *   onTimer: (_timer, { key, state, emit }) => emit(`${key} ${state.euros.value()} of ${state.limit.value()}`),
   * });
   * console.log((await totals.executeAndCollect()).toSorted()); // prints [ 'ann 65 of 30', 'bob 5 of undefined' ]
   */
  process<O = never, S extends StateSpec = StateSpec>(fn: CoProcessFunction<A, B, O, S, K>): DataStream<O> {
    withMethods('fn', fn, 'an object with `process1` and `process2`', ['process1', 'process2']);
    return this.#apply('co-process', coProcess(fn));
  }

  /**
   * Runs an operator of your own with two inputs, called `name` in messages and metrics.
   *
   * @example
   * const both = orders.connect(env.fromCollection([7])).transform<number>('both', ({ output }) => ({
   *   inputs: [
   *     { process: ({ id }, timestamp) => output.emit(id, timestamp) },
   *     { process: (n, timestamp) => output.emit(n, timestamp) },
   *   ],
   * }));
   * console.log((await both.executeAndCollect()).toSorted()); // prints [ 1, 2, 3, 7 ]
   */
  transform<O>(name: string, operator: MultiInputOperator<readonly [A, B], O>): DataStream<O> {
    return this.#apply(name, callable('operator', operator), { foreign: true });
  }

  #apply<O>(name: string, operator: MultiInputOperator<readonly [A, B], O>, place?: OperatorPlace): DataStream<O> {
    return new DataStream<O>(this.#first.addOperator(name, operator, place, [this.#second]));
  }
}
