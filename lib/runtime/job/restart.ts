/** Restart strategies: whether and when a failed job starts again from its last checkpoint. Formulas: Flink's. */
import { backOffMs, jittered } from '../../core/back-off.ts';
import type { Clock } from '../../core/clock.ts';
import { isThenable, refusedPromise } from '../../core/errors.ts';
import { failureOf, named } from '../../core/failures.ts';
import {
  durationMs,
  integer,
  knownOptions,
  numberFrom,
  refusal,
  resultWith,
  type Duration,
  type OptionNames,
} from '../../core/options.ts';

export interface RestartStrategy {
  readonly name: string;
  /** Starts anew for each job: what happens at each failure. */
  make(clock: Clock): Restarts;
}

export interface Restarts {
  /** Milliseconds to wait before the next start; undefined when the job must give up. */
  onFailure(): number | undefined;
}

export interface ExponentialDelayOptions {
  /** @defaultValue '1s' */
  readonly initial?: Duration | undefined;
  /** Not below `initial`. @defaultValue '1m', or `initial` if that is longer */
  readonly max?: Duration | undefined;
  /** @defaultValue 1.5 */
  readonly multiplier?: number | undefined;
  /** Share of the delay that is random, 0 to 1. @defaultValue 0.1 */
  readonly jitter?: number | undefined;
  /** Running this long after a restart without a failure sets the delay back to `initial`. @defaultValue '1h' */
  readonly resetAfter?: Duration | undefined;
  /** Failures in a row after which the job gives up. @defaultValue Infinity */
  readonly attempts?: number | undefined;
}

const exponentialNames = {
  initial: true,
  max: true,
  multiplier: true,
  jitter: true,
  resetAfter: true,
  attempts: true,
} as const satisfies OptionNames<ExponentialDelayOptions>;

/**
 * Fails the job with its first failure. The default without a place for state.
 *
 * @example
 * const env = StreamExecutionEnvironment.create({ checkpoint: { directory: '.millrace/once' }, restart: noRestart() });
 */
export const noRestart = (): RestartStrategy => ({ name: 'none', make: () => ({ onFailure: () => undefined }) });

/**
 * Starts again `attempts` times (from 1 up), `delay` after each failure; the next failure is the end of the job.
 *
 * @example
 * const restart = fixedDelay({ attempts: 3, delay: '50ms' });
 * const env = StreamExecutionEnvironment.create({ restart, logger: 'fatal' });
 * const numbers = env.fromSource(scriptedSource([1, ABORT, 2])); // fails once, behind the first record
 * console.log(await numbers.executeAndCollect()); // prints [ 1, 2 ]
 */
export const fixedDelay = (options: { readonly attempts: number; readonly delay: Duration }): RestartStrategy => {
  knownOptions('fixedDelay', options, { attempts: true, delay: true });
  const attempts = integer('attempts', options.attempts, { min: 1 });
  const delayMs = durationMs('delay', options.delay);
  return {
    name: 'fixed-delay',
    make() {
      let failures = 0;
      return { onFailure: () => (++failures > attempts ? undefined : delayMs) };
    },
  };
};

/**
 * Waits longer after each failure in a row: `initial * multiplier^(n-1)`, at most `max`, varied by `jitter`. A failure
 * while it waits belongs to the same attempt: what is left of the wait is all it costs. The default with a place for
 * state.
 *
 * @example
 * const restarts = exponentialDelay({ initial: '1s', multiplier: 2, jitter: 0, max: '30s' }).make(new ManualClock());
 * console.log(restarts.onFailure()); // prints 1000
 */
export const exponentialDelay = (options: ExponentialDelayOptions = {}): RestartStrategy => {
  knownOptions('exponentialDelay', options, exponentialNames);
  const {
    initial = '1s',
    max,
    multiplier = 1.5,
    jitter = 0.1,
    resetAfter = '1h',
    attempts = Number.POSITIVE_INFINITY,
  } = options;
  const initialMs = durationMs('initial', initial, { min: 1 });
  const maxMs = max === undefined ? Math.max(60_000, initialMs) : durationMs('max', max, { min: initialMs });
  const resetMs = durationMs('resetAfter', resetAfter);
  if (attempts !== Number.POSITIVE_INFINITY) integer('attempts', attempts, { min: 1 });
  numberFrom('multiplier', multiplier, { min: 1 });
  numberFrom('jitter', jitter, { min: 0, max: 1 });
  return {
    name: 'exponential-delay',
    make(clock) {
      let failures = 0;
      let nextStartMs = Number.NEGATIVE_INFINITY;
      let waiting = false;
      return {
        onFailure() {
          const nowMs = clock.elapsed();
          if (!waiting || nowMs > nextStartMs) {
            if (nowMs - nextStartMs >= resetMs) failures = 0;
            failures += 1;
            const delayMs = Math.floor(backOffMs({ firstMs: initialMs, factor: multiplier, maxMs }, failures));
            nextStartMs = nowMs + jittered(delayMs, jitter, clock.random());
          }
          const restMs = nextStartMs - nowMs;
          // With nothing left to wait the job starts, so what fails at this very instant is a new attempt and not the
          // same for ever.
          waiting = restMs >= 1;
          return failures > attempts ? undefined : restMs;
        },
      };
    },
  };
};

/**
 * Starts again, `delay` after each failure, unless more than `failures` of them fall into one `interval`.
 *
 * @example
 * const strategy = failureRate({ failures: 3, interval: '1m', delay: '5s' });
 * const restarts = strategy.make(new ManualClock());
 * console.log([1, 2, 3, 4].map(() => restarts.onFailure())); // prints [ 5000, 5000, 5000, undefined ]
 */
export const failureRate = (options: {
  readonly failures: number;
  readonly interval: Duration;
  readonly delay: Duration;
}): RestartStrategy => {
  knownOptions('failureRate', options, { failures: true, interval: true, delay: true });
  const failures = integer('failures', options.failures, { min: 1 });
  const intervalMs = durationMs('interval', options.interval, { min: 1 });
  const delayMs = durationMs('delay', options.delay);
  return {
    name: 'failure-rate',
    make(clock) {
      /** Times of the last failures, oldest first; one more than is allowed. */
      const lastMs: number[] = [];
      return {
        onFailure() {
          const nowMs = clock.elapsed();
          if (lastMs.length > failures) lastMs.shift();
          lastMs.push(nowMs);
          const [oldestMs = nowMs] = lastMs;
          return lastMs.length > failures && nowMs - oldestMs <= intervalMs ? undefined : delayMs;
        },
      };
    },
  };
};

/**
 * What the restart strategy says: when to start again, or with which error to give up. What is wrong in the strategy
 * itself ends the job as well, in the same way.
 */
export const nextStart = (
  restarts: Restarts,
  name: string,
  error: unknown,
): { readonly delayMs: number | undefined; readonly error: unknown } => {
  try {
    const delayMs: unknown = restarts.onFailure();
    const what = `\`onFailure\` of restart strategy \`${name}\``;
    if (isThenable(delayMs))
      throw refusedPromise(what, delayMs, { cause: error, hint: 'give the milliseconds at once' });
    if (delayMs === undefined) return { delayMs, error };
    if (typeof delayMs === 'number' && delayMs >= 0) return { delayMs, error };
    throw refusal(what, 'milliseconds from 0 up or undefined', delayMs);
  } catch (mistake) {
    const failing = { code: 'RESTARTS_EXHAUSTED', what: `restart strategy \`${name}\` failed`, hint } as const;
    const told = failureOf(mistake, failing);
    return { delayMs: undefined, error: told };
  }
};

const hint = 'mend the restart strategy: the job has failed, and it does not say when to start again';

/** Begins to count failures. */
export const beginRestarts = (strategy: RestartStrategy, clock: Clock): Restarts =>
  named({ code: 'RESTARTS_EXHAUSTED', what: `restart strategy \`${strategy.name}\` failed to begin`, hint }, () =>
    resultWith('make', strategy.make(clock), ['onFailure']),
  );
