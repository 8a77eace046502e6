/**
 * Running aggregates per key: a result for each record, with that record's timestamp. State is one value per key. Keeps
 * I13: a function that returns a promise is refused.
 */
import { refuseThenable } from '../lib/core/errors.ts';
import type { Operator } from '../lib/core/operator.ts';
import { givenAway, valueState } from '../lib/core/state-descriptor.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import { isPlainObject } from '../lib/core/plain-object.ts';

/**
 * How values become a result. An accumulator is state, so it is plain data and not undefined. `add` returns the new
 * one, which may be the one that it was given, changed; a copy is kept, unless the function says that it is `mutable`.
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
   * The accumulator is kept as `add` returns it, without a copy: for large ones, like lists, and for speed. Then
   * nothing outside changes one later, nor anything that `add` has put into it; parts of the value it may put in as
   * they are. @defaultValue false: a copy is kept for each value
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
    const reduced = context.state(givenAway(valueState<T>('reduced')));
    return {
      direct: true,
      process(value, timestamp) {
        const before = reduced.value();
        const after = before === undefined ? value : refuseThenable(fn(before, value), 'the function', context.uid);
        reduced.update(after);
        context.output.emit(after, timestamp);
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
    const { mutable, createAccumulator, add, getResult } = aggregatorOf(fn, context.uid);
    const accumulator = context.state(givenAway(valueState<A>('accumulator', { inPlace: mutable })));
    return {
      direct: true,
      process(value, timestamp) {
        const after = add(value, accumulator.value() ?? createAccumulator());
        accumulator.update(after);
        const result = getResult(after);
        context.output.emit(mutable ? looseCopy(result) : result, timestamp); // It may be part of what is kept (I21).
      },
    };
  };

/**
 * An aggregate as operators call it. None of its functions may return a promise (I13), and none shares with others what
 * is kept (I21): `createAccumulator` may give one object each time, and a mutable accumulator may take values in.
 */
export const aggregatorOf = <T, A, R>(
  fn: AggregateFunction<T, A, R>,
  uid: string,
): Required<Omit<AggregateFunction<T, A, R>, 'merge'>> => {
  const { mutable = false } = fn;
  const add = (value: T, accumulator: A): A => refuseThenable(fn.add(value, accumulator), '`add`', uid);
  return {
    mutable,
    createAccumulator: () => looseCopy(refuseThenable(fn.createAccumulator(), '`createAccumulator`', uid)),
    add: mutable ? takingOwn(add) : add,
    getResult: (accumulator) => refuseThenable(fn.getResult(accumulator), '`getResult`', uid),
  };
};

/**
 * `add` of accumulators that are kept as they are: what they may take in of a value is theirs. Of sums and counts that
 * is nothing; once one holds objects, values are copied.
 */
const takingOwn = <T, A>(add: (value: T, accumulator: A) => A): ((value: T, accumulator: A) => A) => {
  let takesObjects = false;
  return (value, accumulator) => {
    if (typeof value !== 'object' || value === null) return add(value, accumulator);
    if (takesObjects) return add(looseCopy(value), accumulator);
    const after = add(value, accumulator);
    if (isFlat(after)) return after;
    takesObjects = true;
    return looseCopy(after);
  };
};

/** Members of an accumulator that are looked at; one that has more is taken for one that holds objects. */
const flatMax = 16;

/** Whether no object is in it. */
const isFlat = (accumulator: unknown): boolean => {
  if (typeof accumulator !== 'object' || accumulator === null) return true;
  if (!isPlainObject(accumulator)) return false;
  let count = 0;
  for (const name in accumulator) {
    count += 1;
    const member = accumulator[name];
    if (count > flatMax || (typeof member === 'object' && member !== null)) return false;
  }
  return true;
};
