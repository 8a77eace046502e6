/**
 * `process` of two connected streams: a function for each input, on the same state and timers. What they share with a
 * process function of one input stands in `process.ts`.
 */
import type { MultiInputOperator } from '../lib/core/operator.ts';
import type { Key } from '../lib/core/key.ts';
import {
  checkValuesMax,
  frameOf,
  ReusedContext,
  type ProcessContext,
  type ProcessObject,
  type StateSpec,
} from './process.ts';

/** Functions for the records of two inputs, which share state, timers and the key of the record in hand. */
export interface CoProcessFunction<A, B, O, S extends StateSpec = StateSpec, K = Key> extends Omit<
  ProcessObject<never, O, S, K>,
  'process'
> {
  /** Handles a record of the first input. Results are emitted; one that is returned, or a promise, is refused. */
  process1(value: A, ctx: ProcessContext<O, S, K>): void;
  /** Handles a record of the second input. */
  process2(value: B, ctx: ProcessContext<O, S, K>): void;
}

/**
 * Makes an operator of two inputs.
 *
 * @example
 * const limited = coProcess({
 *   emits: type<number>(),
 *   state: { limit: valueState<number>('limit') },
 *   process1(value: number, ctx) {
 *     if (value <= (ctx.state.limit.value() ?? 0)) ctx.emit(value);
 *   },
 *   process2: (limit: number, ctx) => ctx.state.limit.update(limit),
 * });
 * const harness = await OperatorHarness.open(limited, { inputs: [{ keyOf: () => 'all' }, { keyOf: () => 'all' }] });
 * harness.input(2).element(5, 0);
 * console.log(harness.element(9, 1).length, harness.element(4, 2).length); // prints 0 1
 */
export const coProcess = <A, B, O = never, S extends StateSpec = StateSpec, K extends Key = Key>(
  fn: CoProcessFunction<A, B, O, S, K>,
): MultiInputOperator<readonly [A, B], O> => {
  // The stream in front of the operator says which keys there are.
  const user = fn as CoProcessFunction<A, B, O, S>;
  checkValuesMax(user);
  return (context) => {
    const ctx = new ReusedContext(context, user);
    const frame = frameOf(context, ctx, user);
    return {
      inputs: [
        {
          process(value, timestamp) {
            ctx.enter(timestamp);
            const returned = user.process1(value, ctx);
            ctx.leave();
            return returned; // The engine looks at it, and refuses a promise.
          },
        },
        {
          process(value, timestamp) {
            ctx.enter(timestamp);
            const returned = user.process2(value, ctx);
            ctx.leave();
            return returned;
          },
        },
      ],
      ...frame,
    };
  };
};
