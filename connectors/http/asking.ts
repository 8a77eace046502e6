/** Asks until there is an answer: the retries of sources that ask by HTTP, which wait on the clock of the job (I9). */
import type { RetryOptions } from '../../lib/core/call.ts';
import { sleep, type Clock } from '../../lib/core/clock.ts';
import { afterFailure, checkRetry } from '../../lib/core/retry-options.ts';
import type { HttpCodes } from './door.ts';

/** Of all sources that ask by HTTP. */
export const sourceCodes: HttpCodes = {
  refused: 'SOURCE_FAILED',
  unavailable: 'SOURCE_FAILED',
  response: 'SOURCE_FAILED',
};

/** The retries of a source where nothing else is said: for as long as the job runs. */
export const sourceRetry = (retry: Omit<RetryOptions, 'retryOnResult'>): RetryOptions => ({
  ...checkRetry('retry', retry),
  attempts: retry.attempts ?? Number.MAX_SAFE_INTEGER,
});

/** Counts failures in a row, and waits after each; throws when there is to be no other attempt. */
export class Patience {
  readonly #retry: RetryOptions;
  readonly #clock: Clock;
  #failures = 0;

  constructor(retry: RetryOptions, clock: Clock) {
    this.#retry = retry;
    this.#clock = clock;
  }

  async failed(error: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#failures += 1;
    const next = afterFailure(this.#retry, this.#failures, error, this.#clock);
    if (next.kind === 'end') throw next.error;
    await sleep(this.#clock, next.waitMs, signal);
  }

  succeeded(): void {
    this.#failures = 0;
  }
}
