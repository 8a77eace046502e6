/**
 * Functions that make one value of many: of running aggregates, of windows, and of state that keeps what its values
 * come to. Keeps I13: a function that returns a promise is refused, by whoever calls it.
 */
import { looseCopy } from './own-copy.ts';
import { isPlainObject } from './plain-object.ts';

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
  /**
   * Gives one accumulator of two, the values of the second behind those of the first. Windows that merge need it, and
   * sliding ones whose function has it add a value once, however many of them hold it. Both may be changed and given
   * back.
   */
  merge?(first: A, second: A): A;
}

/** Combines what there is with the next value. */
export type ReduceFunction<T> = (accumulated: T, value: T) => T;

/** An aggregate as the engine calls it. */
export type Aggregator<T, A, R> = Required<Omit<AggregateFunction<T, A, R>, 'merge'>> &
  Pick<AggregateFunction<T, A, R>, 'merge'>;

/** Gives back what a user's function has returned, or refuses it; `what` names the function. */
export type RefusePromise = <V>(returned: V, what: string) => V;

/**
 * An aggregate none of whose functions returns a promise (I13), and none of which shares with others what is kept
 * (I21): `createAccumulator` may give one object each time, and a mutable accumulator may take values in.
 */
export const aggregator = <T, A, R>(
  fn: AggregateFunction<T, A, R>,
  refusePromise: RefusePromise,
): Aggregator<T, A, R> => {
  const { mutable = false } = fn;
  const add = (value: T, accumulator: A): A => refusePromise(fn.add(value, accumulator), '`add`');
  // What is merged may go on beside: a mutable accumulator may take parts of it in. Only called where there is one.
  const merge = (first: A, second: A): A =>
    refusePromise(fn.merge?.(first, mutable ? looseCopy(second) : second) as A, '`merge`');
  return {
    mutable,
    createAccumulator: () => looseCopy(refusePromise(fn.createAccumulator(), '`createAccumulator`')),
    add: mutable ? takingOwn(add) : add,
    getResult: (accumulator) => refusePromise(fn.getResult(accumulator), '`getResult`'),
    ...(fn.merge && { merge }),
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
