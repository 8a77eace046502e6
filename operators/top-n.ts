/**
 * The first so many values of a window by an order, as an aggregate: it keeps no more than those, and windows may
 * merge.
 */
import type { AggregateFunction } from '../lib/core/aggregate-function.ts';
import { isThenable, refusedPromise } from '../lib/core/errors.ts';
import { callable, integer } from '../lib/core/options.ts';
import { compared, ordered, type Ordered } from './ordered.ts';

/** The greatest `n` (from 1) by what `by` gives, greatest first; of equal ones the earlier ones. */
export const topN = <T>(n: number, by: (value: T) => Ordered): AggregateFunction<T, readonly T[], readonly T[]> => {
  integer('n', n, { min: 1 });
  callable('by', by);
  const place = 'what `by` of `topN` gives';
  const rank = (value: T): Ordered => {
    const given: unknown = by(value);
    if (isThenable(given)) throw refusedPromise('`by` of `topN`', given);
    return ordered(given, place);
  };
  const add = (value: T, top: readonly T[]): readonly T[] => {
    const own = rank(value);
    const found = top.findIndex((each) => compared(own, rank(each), place) > 0);
    const at = found < 0 ? top.length : found;
    return at >= n ? top : [...top.slice(0, at), value, ...top.slice(at, n - 1)];
  };
  return {
    createAccumulator: () => [],
    add,
    getResult: (top) => top,
    merge: (first, second) => second.reduce<readonly T[]>((top, value) => add(value, top), first),
  };
};
