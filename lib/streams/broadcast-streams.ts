/** A stream whose records go to every owner of keys, and another stream beside it. */
import type { Key } from '../core/key.ts';
import type { OperatorStateSpec } from '../core/operator-state.ts';
import { withMethods } from '../core/options.ts';
import { broadcastProcess, type BroadcastProcessFunction } from '../../operators/broadcast-process.ts';
import type { StateSpec } from '../../operators/process.ts';
import { DataStream } from './data-stream.ts';
import type { Origin } from './origin.ts';

/**
 * A stream of which every owner of keys has all records; `connect` puts it beside another.
 *
 * @example
 * const names = env.fromCollection([{ customer: 'ann', name: 'Ann' }]).broadcast();
 * const greeted = orders.connect(names).process({
 *   emits: type<string>(),
 *   broadcastState: { names: mapState<string, string>('names') },
 *   process: ({ customer }, { broadcast, emit }) => emit(broadcast.names.get(customer) ?? customer),
 *   processBroadcast: ({ customer, name }, { broadcast }) => broadcast.names.set(customer, name),
 * });
 * console.log((await greeted.executeAndCollect()).length); // prints 3
 */
export class BroadcastStream<U> {
  /** Carries the type only; never present at run time. */
  declare readonly values?: U;
  readonly #origin: Origin;

  /** @internal */
  constructor(origin: Origin) {
    this.#origin = origin.broadcast();
  }

  /** @internal Where it starts. */
  get origin(): Origin {
    return this.#origin;
  }
}

/**
 * A stream and a broadcast one, which go into one operator. Their records come in any order.
 *
 * @example
 * const counted = orders.connect(orders.broadcast()).process({
 *   emits: type<number>(),
 *   broadcastState: { count: reducingState<number>('count', (a, b) => a + b) },
 *   process: () => {},
 *   processBroadcast(_order, { broadcast, emit }) {
 *     broadcast.count.add(1);
 *     emit(broadcast.count.get() ?? 0);
 *   },
 * });
 * console.log(await counted.executeAndCollect()); // prints [ 1, 2, 3 ]
 */
export class BroadcastConnectedStream<T, U, K extends Key = Key> {
  readonly #first: Origin;
  readonly #second: Origin;

  /** @internal */
  constructor(first: Origin, second: Origin) {
    this.#first = first;
    this.#second = second;
  }

  /**
   * Runs functions for the records of each. What they emit can't be inferred, so say it: `emits: type<Summary>()`.
   *
   * @example
   * const limits = env.fromCollection([{ customer: 'ann', euros: 30 }]);
   * const large = orders
   *   .keyBy(({ customer }) => customer)
   *   .connect(limits.broadcast())
   *   .process({
   *     emits: type<string>(),
   *     state: { spent: reducingState<number>('spent', (a, b) => a + b) },
   *     broadcastState: { limits: mapState<string, number>('limits') },
   *     process({ customer, euros }, { state, timers }) {
   *       state.spent.add(euros);
   *       timers.register(60_000);
   *     },
   *     processBroadcast: ({ customer, euros }, { broadcast }) => broadcast.limits.set(customer, euros),
   *     onTimer(_timer, { key, state, broadcast, emit }) {
   *       if ((state.spent.get() ?? 0) > (broadcast.limits.get(key) ?? Infinity)) emit(`${key} spent too much`);
   *     },
   *   });
   * console.log(await large.executeAndCollect()); // prints [ 'ann spent too much' ]
   */
  process<O = never, S extends StateSpec = StateSpec, B extends OperatorStateSpec = OperatorStateSpec>(
    fn: BroadcastProcessFunction<T, U, O, S, B, K>,
  ): DataStream<O> {
    const expected = 'an object with `process` and `processBroadcast`';
    withMethods('fn', fn, expected, ['process', 'processBroadcast']);
    const operator = broadcastProcess(fn);
    return new DataStream<O>(this.#first.addOperator('broadcast-process', operator, {}, [this.#second]));
  }
}
