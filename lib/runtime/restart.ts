/** Restart strategies: whether and when a failed job starts again from its last checkpoint. Formula of exponential delay: Flink's. */
import type { Clock } from '../core/clock.ts';
import { durationMs, integer, refusal, type Duration } from '../core/options.ts';

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
  /** @defaultValue '1m' */
  readonly max?: Duration | undefined;
  /** @defaultValue 1.5 */
  readonly multiplier?: number | undefined;
  /** Share of the delay that is random, 0 to 1. @defaultValue 0.1 */
  readonly jitter?: number | undefined;
  /** Running this long without a failure sets the delay back to `initial`. @defaultValue '1h' */
  readonly resetAfter?: Duration | undefined;
  /** Failures in a row after which the job gives up. @defaultValue Infinity */
  readonly attempts?: number | undefined;
}

/** The job fails with its first failure. */
export const noRestart = (): RestartStrategy => ({ name: 'none', make: () => ({ onFailure: () => undefined }) });

/** Starts again `attempts` times, `delay` after each failure. */
export const fixedDelay = (options: { readonly attempts: number; readonly delay: Duration }): RestartStrategy => {
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

/** Waits longer after each failure in a row: `initial * multiplier^(n-1)`, at most `max`, varied by `jitter`. */
export const exponentialDelay = (options: ExponentialDelayOptions = {}): RestartStrategy => {
  const { initial = '1s', max = '1m', multiplier = 1.5, jitter = 0.1, resetAfter = '1h', attempts = Number.POSITIVE_INFINITY } = options;
  const initialMs = durationMs('initial', initial, { min: 1 });
  const maxMs = durationMs('max', max, { min: initialMs });
  const resetMs = durationMs('resetAfter', resetAfter);
  if (!(multiplier >= 1)) throw refusal('multiplier', 'a number from 1 up', multiplier);
  if (!(jitter >= 0 && jitter <= 1)) throw refusal('jitter', 'a number from 0 to 1', jitter);
  return {
    name: 'exponential-delay',
    make(clock) {
      let failures = 0;
      let lastMs = clock.elapsed();
      return {
        onFailure() {
          const nowMs = clock.elapsed();
          if (nowMs - lastMs >= resetMs) failures = 0;
          lastMs = nowMs;
          failures += 1;
          if (failures > attempts) return undefined;
          const delayMs = Math.min(initialMs * multiplier ** (failures - 1), maxMs);
          return delayMs * (1 + jitter * (2 * clock.random() - 1));
        },
      };
    },
  };
};
