/** The options of a retry, wherever a call takes them: what is refused, and what they come to. */
import type { RetryOptions } from './operator.ts';
import { callable, durationMs, integer, knownOptions, refusal, type Duration } from './options.ts';

const names = [
  'attempts',
  'initialInterval',
  'initialIntervalMs',
  'backoffFactor',
  'maxInterval',
  'maxIntervalMs',
  'jitter',
  'retryOn',
] as const satisfies readonly (keyof RetryOptions)[];

/** Throws a `TypeError` that names the option, as in `retry.attempts`. Gives what it was given. */
export const checkRetry = (option: string, retry: RetryOptions): RetryOptions => {
  knownOptions(option, retry, names);
  const { attempts, backoffFactor, jitter, retryOn } = retry;
  if (attempts !== undefined) integer(`${option}.attempts`, attempts, { min: 1 });
  for (const name of ['initialInterval', 'maxInterval'] as const) checkInterval(`${option}.${name}`, retry[name], retry[`${name}Ms`]);
  if (backoffFactor !== undefined) number(`${option}.backoffFactor`, backoffFactor, 'a number from 1 up', 1);
  if (jitter !== undefined) number(`${option}.jitter`, jitter, 'a number from 0 to 1', 0, 1);
  if (retryOn !== undefined) callable(`${option}.retryOn`, retryOn);
  return retry;
};

const checkInterval = (option: string, interval: Duration | undefined, ms: number | undefined): void => {
  if (interval !== undefined && ms !== undefined) throw refusal(option, `absent beside \`${option}Ms\``, interval);
  if (interval !== undefined) durationMs(option, interval);
  if (ms !== undefined) number(`${option}Ms`, ms, 'milliseconds from 0 up', 0);
};

const number = (option: string, value: number, rule: string, min: number, max = Number.POSITIVE_INFINITY): void => {
  if (typeof value !== 'number' || !(value >= min && value <= max)) throw refusal(option, rule, value);
};

/** How long to wait after an attempt that failed, without what is random in it, in milliseconds; the number of the attempt from 1. */
export const retryIntervalMs = (retry: RetryOptions, attempt: number): number => {
  const { initialInterval = '1s', backoffFactor = 2, maxInterval = '1m' } = retry;
  const initialMs = retry.initialIntervalMs ?? durationMs('initialInterval', initialInterval);
  const maxMs = retry.maxIntervalMs ?? durationMs('maxInterval', maxInterval);
  return Math.min(initialMs * backoffFactor ** (attempt - 1), maxMs);
};
