/**
 * How the key groups of a job are shared out: which range falls to which of its parallel instances, so that state moves
 * in whole groups when their number changes. Formulas: Flink's.
 */
import { integer } from './options.ts';

/** The groups of the instance `index` of `parallelism`, both ends included. */
export const keyGroupRange = (
  maxParallelism: number,
  parallelism: number,
  index: number,
): readonly [first: number, last: number] => {
  integer('maxParallelism', maxParallelism, { min: 1 });
  // A group is not shared, so who has none would wait for ever.
  integer('parallelism', parallelism, { min: 1, max: maxParallelism });
  integer('index', index, { max: parallelism - 1 });
  const first = Math.ceil((index * maxParallelism) / parallelism);
  return [first, Math.floor(((index + 1) * maxParallelism - 1) / parallelism)];
};

/** The instance that has a group. */
export const instanceOf = (keyGroup: number, maxParallelism: number, parallelism: number): number =>
  Math.floor((keyGroup * parallelism) / maxParallelism);

/** How many groups leave room to grow from so many instances. */
export const maxParallelismFor = (parallelism: number): number => {
  const wanted = 2 ** Math.ceil(Math.log2(parallelism + Math.floor(parallelism / 2)));
  return Math.min(Math.max(wanted, 128), 32_768);
};
