/**
 * The options of a retry, wherever a call takes them: what is refused, and what they come to after a failure. Keeps
 * I10.
 */
import { backOffMs, jittered } from './back-off.ts';
import type { Clock } from './clock.ts';
import { isMistake, isThenable, messageOf, refusedPromise, StreamError } from './errors.ts';
import { failureOf } from './failures.ts';
import type { RetryOptions } from './call.ts';
import type { Outcome } from './work.ts';
import {
  callable,
  durationMs,
  integer,
  knownOptions,
  numberFrom,
  refusal,
  type Duration,
  type OptionNames,
} from './options.ts';

const names = {
  attempts: true,
  initialInterval: true,
  initialIntervalMs: true,
  backoffFactor: true,
  maxInterval: true,
  maxIntervalMs: true,
  jitter: true,
  retryAfterMax: true,
  retryOn: true,
  retryOnResult: true,
} as const satisfies OptionNames<RetryOptions>;

/** Throws a `TypeError` that names the option, as in `retry.attempts`. Gives what it was given. */
export const checkRetry = (option: string, retry: RetryOptions): RetryOptions => {
  knownOptions(option, retry, names);
  const { attempts, backoffFactor, jitter, retryAfterMax, retryOn, retryOnResult } = retry;
  if (attempts !== undefined) integer(`${option}.attempts`, attempts, { min: 1 });
  for (const name of ['initialInterval', 'maxInterval'] as const)
    checkInterval(`${option}.${name}`, retry[name], retry[`${name}Ms`]);
  const [firstMs = 0, maxMs = firstMs] = [intervalMs(retry, 'initialInterval'), intervalMs(retry, 'maxInterval')];
  if (maxMs < firstMs)
    throw refusal(
      `${option}.maxInterval`,
      `at least \`initialInterval\` (${firstMs} ms)`,
      retry.maxInterval ?? retry.maxIntervalMs,
    );
  if (backoffFactor !== undefined) numberFrom(`${option}.backoffFactor`, backoffFactor, { min: 1 });
  if (jitter !== undefined) numberFrom(`${option}.jitter`, jitter, { min: 0, max: 1 });
  if (retryAfterMax !== undefined) durationMs(`${option}.retryAfterMax`, retryAfterMax);
  if (retryOn !== undefined) callable(`${option}.retryOn`, retryOn);
  if (retryOnResult !== undefined) callable(`${option}.retryOnResult`, retryOnResult);
  return retry;
};

const checkInterval = (option: string, interval: Duration | undefined, ms: number | undefined): void => {
  if (interval !== undefined && ms !== undefined) throw refusal(option, `absent beside \`${option}Ms\``, interval);
  if (interval !== undefined) durationMs(option, interval);
  if (ms !== undefined) numberFrom(`${option}Ms`, ms, { min: 0 });
};

const intervalMs = (retry: RetryOptions, name: 'initialInterval' | 'maxInterval'): number | undefined => {
  const interval = retry[name];
  return retry[`${name}Ms`] ?? (interval === undefined ? undefined : durationMs(name, interval));
};

/**
 * How long to wait after an attempt that failed, without what is random in it, in milliseconds; the number of the
 * attempt from 1.
 */
export const retryIntervalMs = (retry: RetryOptions, attempt: number): number => {
  const { backoffFactor = 2 } = retry;
  const givenMaxMs = intervalMs(retry, 'maxInterval');
  // A default gives way to what was said of the other.
  const firstMs = intervalMs(retry, 'initialInterval') ?? Math.min(1000, givenMaxMs ?? 1000);
  const maxMs = givenMaxMs ?? Math.max(60_000, firstMs);
  return backOffMs({ firstMs, factor: backoffFactor, maxMs }, attempt);
};

/** What follows a failed attempt: another one after a wait, or the end with this error. */
export type AfterFailure =
  { readonly kind: 'again'; readonly waitMs: number } | { readonly kind: 'end'; readonly error: unknown };

/** What follows an attempt: another one after a wait, or the end with this outcome. */
export type AfterAttempt =
  { readonly kind: 'again'; readonly waitMs: number } | { readonly kind: 'end'; readonly outcome: Outcome<unknown> };

/** The rule of every retry. */
export const afterAttempt = (
  retry: RetryOptions | undefined,
  attempt: number,
  outcome: Outcome<unknown>,
  clock: Clock,
): AfterAttempt => {
  const next = outcome.ok
    ? afterResult(retry, attempt, outcome.value, clock)
    : afterFailure(retry, attempt, outcome.error, clock);
  if (next === undefined) return { kind: 'end', outcome };
  return next.kind === 'again' ? next : { kind: 'end', outcome: { ok: false, error: next.error } };
};

/** Undefined when the result is the outcome. */
const afterResult = (
  retry: RetryOptions | undefined,
  attempt: number,
  result: unknown,
  clock: Clock,
): AfterFailure | undefined => {
  const { attempts = 1, jitter = 0.1, retryOnResult } = retry ?? {};
  if (retry === undefined || retryOnResult === undefined || attempt >= attempts) return undefined;
  let again: unknown;
  try {
    again = retryOnResult(result);
  } catch (cause) {
    return { kind: 'end', error: failureOf(cause, { code: 'WORK_FAILED', what: '`retryOnResult` threw' }) };
  }
  if (isThenable(again))
    return { kind: 'end', error: refusedPromise('`retryOnResult`', again, { hint: 'give true or false at once' }) };
  if (!again) return undefined;
  return { kind: 'again', waitMs: jittered(retryIntervalMs(retry, attempt), jitter, clock.random()) };
};

/** The error may ask for a longer wait than the back-off, up to a bound of its own. */
export const afterFailure = (
  retry: RetryOptions | undefined,
  attempt: number,
  error: unknown,
  clock: Clock,
): AfterFailure => {
  const { attempts = 1, jitter = 0.1, retryAfterMax = '10m', retryOn = canRetry } = retry ?? {};
  if (retry === undefined || attempt >= attempts) return { kind: 'end', error };
  let again: unknown;
  try {
    again = retryOn(error);
  } catch (cause) {
    const what = `\`retryOn\`, asked about "${messageOf(error)}", threw`;
    return { kind: 'end', error: failureOf(cause, { code: 'WORK_FAILED', what }) };
  }
  if (isThenable(again))
    return {
      kind: 'end',
      error: refusedPromise('`retryOn`', again, { cause: error, hint: 'give true or false at once' }),
    };
  if (!again) return { kind: 'end', error };
  const asked: unknown = error instanceof StreamError ? error.details['retryAfterMs'] : undefined;
  const askedMs = typeof asked === 'number' && asked > 0 ? asked : 0;
  const maxMs = durationMs('retryAfterMax', retryAfterMax);
  if (error instanceof StreamError && askedMs > maxMs)
    return { kind: 'end', error: waitsTooLong(error, askedMs, maxMs) };
  return {
    kind: 'again',
    waitMs: Math.max(askedMs, jittered(retryIntervalMs(retry, attempt), jitter, clock.random())),
  };
};

const canRetry = (error: unknown): boolean => {
  if (isMistake(error)) return false;
  return !(typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === false);
};

const waitsTooLong = ({ code, message, details, cause }: StreamError, askedMs: number, maxMs: number): StreamError =>
  new StreamError(
    code,
    `${message}; it asks to wait ${askedMs / 1000} s, longer than the ${maxMs / 1000} s of \`retryAfterMax\``,
    {
      cause,
      retryable: false,
      hint: 'ask again after that time, or raise `retryAfterMax`',
      details,
    },
  );
