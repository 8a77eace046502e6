/**
 * Time, delay and randomness from outside. The only file that touches `Date`, timers and `Math.random` (I9), so that a
 * simulation can replace all three and one seed gives one history.
 */

export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Monotonic milliseconds, for measuring how long something took. */
  elapsed(): number;
  /** Runs `fn` once after `delayMs`. */
  setTimer(delayMs: number, fn: () => void): Cancel;
  /** Runs `fn` in a macrotask of its own, after the promise jobs that are ready now. */
  defer(fn: () => void): void;
  /** From 0 (included) to 1 (excluded). */
  random(): number;
}

/** Longest delay that a Node timer takes, in milliseconds. */
const timerMax = 2 ** 31 - 1;

/**
 * The clock of the machine: what a job goes by unless its environment is given another `clock`.
 *
 * @example
 * const before = systemClock.elapsed();
 * await settled();
 * console.log(systemClock.elapsed() >= before, systemClock.now() > Date.UTC(2026)); // prints true true
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  setTimer(delayMs, fn) {
    let timer: NodeJS.Timeout;
    const start = (restMs: number): void => {
      timer = setTimeout(() => (restMs > timerMax ? start(restMs - timerMax) : fn()), Math.min(restMs, timerMax));
    };
    start(delayMs);
    return () => clearTimeout(timer);
  },
  defer: (fn) => void setImmediate(fn),
  random: () => Math.random(),
};

/** Resolves after `delayMs`; rejects with the signal's reason when it is aborted first. */
export const sleep = (clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
