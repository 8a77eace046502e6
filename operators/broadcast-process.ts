/**
 * `process` of a stream beside a broadcast one: what the broadcast stream brings (rules, prices, settings) stands in
 * state of the operator, which its records change and all others see. What it shares with a process function of one
 * input stands in `process.ts`.
 */
import type { Key } from '../lib/core/key.ts';
import type { MultiInputOperator, OperatorContext } from '../lib/core/operator.ts';
import type { OperatorStateHandles, OperatorStateSpec, ReadOnlyStateHandles } from '../lib/core/operator-state.ts';
import {
  checkValuesMax,
  frameOf,
  ReusedContext,
  type ProcessContext,
  type ProcessObject,
  type ReusedContextOptions,
  type StateSpec,
} from './process.ts';
import type { Timer } from '../lib/core/timer.ts';

/** What a function may use for a record that is not broadcast, or for a timer. Not to be kept. */
export interface BroadcastReadContext<O, S = object, B = object, K = Key> extends ProcessContext<O, S, K> {
  /** What the broadcast stream has brought, to look at. */
  readonly broadcast: ReadOnlyStateHandles<B>;
}

/** What a function may use for a broadcast record, which belongs to no key. Not to be kept. */
export interface BroadcastWriteContext<O, B = object> extends Pick<
  ProcessContext<O>,
  'timestamp' | 'metrics' | 'emit' | 'side' | 'now'
> {
  readonly broadcast: OperatorStateHandles<B>;
}

/** Functions for the records of a stream and of a broadcast one beside it. */
export interface BroadcastProcessFunction<
  T,
  U,
  O,
  S extends StateSpec = StateSpec,
  B extends OperatorStateSpec = OperatorStateSpec,
  K = Key,
> extends Omit<ProcessObject<never, O, S, K>, 'process' | 'open' | 'onTimer'> {
  /** State that broadcast records change and all others see. Without a time to live. */
  readonly broadcastState: B;
  /** Handles a record that is not broadcast. */
  process(value: T, ctx: BroadcastReadContext<O, S, B, K>): void;
  /** Handles a broadcast record. What it does must follow from the record and the broadcast state alone. */
  processBroadcast(value: U, ctx: BroadcastWriteContext<O, B>): void;
  /** Handles a timer of a key, which is the current one then. */
  onTimer?(timer: Timer, ctx: BroadcastReadContext<O, S, B, K>): void;
  /** Runs once before the first turn. Must not emit. */
  open?(ctx: BroadcastReadContext<O, S, B, K>): void | Promise<void>;
}

/**
 * Makes an operator of two inputs, of which the second is broadcast.
 *
 * @example
 * const flagged = broadcastProcess({
 *   emits: type<number>(),
 *   broadcastState: { limit: valueState<number>('limit') },
 *   process(value: number, ctx) {
 *     if (value > (ctx.broadcast.limit.value() ?? Infinity)) ctx.emit(value);
 *   },
 *   processBroadcast: (limit: number, ctx) => ctx.broadcast.limit.update(limit),
 * });
 * const harness = await OperatorHarness.open(flagged, { inputs: [{ keyOf: (n) => n % 2 }, { broadcast: true }] });
 * harness.input(2).element(5, 0);
 * console.log(harness.element(9, 1).length, harness.element(4, 2).length); // prints 1 0
 */
export const broadcastProcess = <
  T,
  U,
  O = never,
  S extends StateSpec = StateSpec,
  B extends OperatorStateSpec = OperatorStateSpec,
  K extends Key = Key,
>(
  fn: BroadcastProcessFunction<T, U, O, S, B, K>,
): MultiInputOperator<readonly [T, U], O> => {
  // The stream in front of the operator says which keys there are.
  const user = fn as BroadcastProcessFunction<T, U, O, S, B>;
  checkValuesMax(user);
  return (context) => {
    const ctx = new ReusedBroadcastContext<O, S, B>(context, user);
    return {
      inputs: [
        {
          process(value, timestamp) {
            ctx.enter(timestamp);
            const returned = user.process(value, ctx);
            ctx.leave();
            return returned; // The engine looks at it, and refuses a promise.
          },
        },
        {
          process(value, timestamp) {
            ctx.enter(timestamp);
            const returned = user.processBroadcast(value, ctx);
            ctx.leave();
            return returned;
          },
        },
      ],
      ...frameOf(context, ctx, user),
    };
  };
};

class ReusedBroadcastContext<O, S extends StateSpec, B extends OperatorStateSpec>
  extends ReusedContext<O, S>
  implements BroadcastReadContext<O, S, B>
{
  readonly broadcast: OperatorStateHandles<B> & ReadOnlyStateHandles<B>;

  constructor(context: OperatorContext<O>, options: ReusedContextOptions<S> & { readonly broadcastState: B }) {
    super(context, options);
    const handles: Record<string, unknown> = {};
    for (const [name, descriptor] of Object.entries(options.broadcastState))
      handles[name] = context.operatorState(descriptor);
    this.broadcast = handles as typeof this.broadcast; // Name by name what the mapped type says.
  }
}
