/** Checks of the options of a retry, wherever a call takes them. */
import type { RetryOptions } from './operator.ts';
import { callable, integer, knownOptions, refusal } from './options.ts';

const names = [
  'attempts',
  'initialIntervalMs',
  'backoffFactor',
  'maxIntervalMs',
  'jitter',
  'retryOn',
] as const satisfies readonly (keyof RetryOptions)[];

/** Throws a `TypeError` that names the option, as in `retry.attempts`. Gives what it was given. */
export const checkRetry = (option: string, retry: RetryOptions): RetryOptions => {
  knownOptions(option, retry, names);
  const { attempts, initialIntervalMs, backoffFactor, maxIntervalMs, jitter, retryOn } = retry;
  if (attempts !== undefined) integer(`${option}.attempts`, attempts, { min: 1 });
  if (initialIntervalMs !== undefined) number(`${option}.initialIntervalMs`, initialIntervalMs, 'milliseconds from 0 up', 0);
  if (backoffFactor !== undefined) number(`${option}.backoffFactor`, backoffFactor, 'a number from 1 up', 1);
  if (maxIntervalMs !== undefined) number(`${option}.maxIntervalMs`, maxIntervalMs, 'milliseconds from 0 up', 0);
  if (jitter !== undefined) number(`${option}.jitter`, jitter, 'a number from 0 to 1', 0, 1);
  if (retryOn !== undefined) callable(`${option}.retryOn`, retryOn);
  return retry;
};

const number = (option: string, value: number, rule: string, min: number, max = Number.POSITIVE_INFINITY): void => {
  if (typeof value !== 'number' || !(value >= min && value <= max)) throw refusal(option, rule, value);
};
