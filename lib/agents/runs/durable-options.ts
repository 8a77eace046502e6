/** What a durable call is asked for with, checked: nonsense is refused before anything is done. */
import { knownOptions, refusal, type OptionNames } from '../../core/options.ts';
import { checkRetry } from '../../core/retry-options.ts';
import type { DurableFunction, DurableOptions } from '../contract.ts';

const durableOptionNames = {
  args: true,
  reconciler: true,
  timeout: true,
  retry: true,
} as const satisfies OptionNames<DurableOptions<unknown>>;

export const noOptions: DurableOptions<never> = {};

/** Gives back the function. */
export const checkDurable = <R>(
  id: string,
  fn: DurableFunction<R> | undefined,
  options: DurableOptions<R>,
): DurableFunction<R> => {
  if (typeof id !== 'string' || id === '') throw refusal('id', 'a non-empty string', id);
  if (typeof fn !== 'function') throw refusal('fn', 'a function', fn);
  if (options === noOptions) return fn;
  knownOptions('durableExecute', options, durableOptionNames);
  const { reconciler, retry } = options;
  if (retry !== undefined) checkRetry('retry', retry);
  if (reconciler !== undefined && typeof reconciler !== 'function')
    throw refusal('reconciler', 'a function', reconciler);
  return fn;
};
