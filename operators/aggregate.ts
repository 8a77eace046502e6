/**
 * Running aggregates per key: a result for each record, with that record's timestamp. State is one value per key. Keeps
 * I13: a function that returns a promise is refused.
 */
import { refuseThenable } from '../lib/core/errors.ts';
import type { Operator } from '../lib/core/operator.ts';
import { valueState } from '../lib/core/state-descriptor.ts';
import { looseCopy } from '../lib/core/own-copy.ts';

/**
 * How values become a result. An accumulator is state, so it is plain data and not undefined; `add` returns the new one
 * and leaves the old one as it is, unless the function says that it is `mutable`.
 *
 * @example
 * const mean: AggregateFunction<number, { sum: number; count: number }, number> = {
 *   mutable: true,
 *   createAccumulator: () => ({ sum: 0, count: 0 }),
 *   add(value, accumulator) {
 *     accumulator.sum += value;
 *     accumulator.count += 1;
 *     return accumulator;
 *   },
 *   getResult: ({ sum, count }) => sum / count,
 * };
 */
export interface AggregateFunction<T, A, R> {
  /**
   * `add` may change the accumulator that it is given and return it, which saves an object for each value. Then
   * `createAccumulator` makes a new one each time, and `getResult` gives away nothing of it that a later `add` changes.
   * @defaultValue false
   */
  readonly mutable?: boolean;
  /** Makes what there is before the first value. */
  createAccumulator(): A;
  /** Gives the accumulator with one more value. */
  add(value: T, accumulator: A): A;
  /** Gives what leaves, of the accumulator so far. */
  getResult(accumulator: A): R;
  /** Needed only by windows that merge. */
  merge?(first: A, second: A): A;
}

/** Combines what there is with the next value. */
export type ReduceFunction<T> = (accumulated: T, value: T) => T;

/**
 * Makes the operator of `reduce`: emits the key's values so far, reduced to one.
 *
 * @example
 * const harness = await OperatorHarness.open(reduce<number>((a, b) => a + b), { keyOf: () => 'all' });
 * console.log(harness.element(1, 0)[0]); // prints { kind: 'record', value: 1, timestamp: 0 }
 * console.log(harness.element(2, 5)[0]); // prints { kind: 'record', value: 3, timestamp: 5 }
 */
export const reduce =
  <T>(fn: ReduceFunction<T>): Operator<T, T> =>
  (context) => {
    const reduced = context.state(valueState<T>('reduced'));
    return {
      direct: true,
      process(value, timestamp) {
        const before = reduced.value();
        const after = before === undefined ? value : refuseThenable(fn(before, value), 'the function', context.uid);
        reduced.update(after);
        context.output.emit(looseCopy(after), timestamp); // It is kept too (I21).
      },
    };
  };

/**
 * Makes the operator of `aggregate`: emits the result over the key's values so far.
 *
 * @example
 * const count = aggregate<string, number, number>({
 *   createAccumulator: () => 0,
 *   add: (_word, count) => count + 1,
 *   getResult: (count) => count,
 * });
 * const harness = await OperatorHarness.open(count, { keyOf: (word) => word });
 * harness.element('a', 0);
 * console.log(harness.element('a', 5)); // prints [ { kind: 'record', value: 2, timestamp: 5 } ]
 */
export const aggregate =
  <T, A, R>(fn: AggregateFunction<T, A, R>): Operator<T, R> =>
  (context) => {
    const { createAccumulator, add, getResult } = synchronous(fn, context.uid);
    const accumulator = context.state(valueState<A>('accumulator', { inPlace: fn.mutable }));
    return {
      direct: true,
      process(value, timestamp) {
        const after = add(value, accumulator.value() ?? createAccumulator());
        accumulator.update(after);
        context.output.emit(looseCopy(getResult(after)), timestamp); // It may be part of what is kept (I21).
      },
    };
  };

/** The same aggregate with each of its functions looked at: none may return a promise (I13). */
export const synchronous = <T, A, R>(
  fn: AggregateFunction<T, A, R>,
  uid: string,
): Required<Omit<AggregateFunction<T, A, R>, 'merge' | 'mutable'>> => ({
  createAccumulator: () => refuseThenable(fn.createAccumulator(), '`createAccumulator`', uid),
  add: (value, accumulator) => refuseThenable(fn.add(value, accumulator), '`add`', uid),
  getResult: (accumulator) => refuseThenable(fn.getResult(accumulator), '`getResult`', uid),
});
