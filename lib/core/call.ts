/**
 * Durable calls: what a body of work does outside is done in them, each under an id and a key that stay the same over
 * attempts and crashes, and its outcome is journaled, so that a call whose outcome is there is not made again (I8).
 */
import { durationMs, type Duration } from './options.ts';

export interface CallContext {
  /** Unique name of this call in the journal: `branch.operator.keyGroup.number.call`. */
  readonly id: string;
  /** Stable across crashes and attempts; unique over all jobs. */
  readonly idempotencyKey: string;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** Aborted on timeout and when the job stops. Made when first read. */
  readonly signal: AbortSignal;
  /** True until the function has ended or has timed out. */
  readonly isOpen: boolean;
}

export interface CallOptions<R> {
  /**
   * Arguments of the call; their digest is journaled, and another digest at the same place is a divergence.
   * @defaultValue none
   */
  readonly args?: unknown;
  /**
   * Asked after a crash whether a call that had started took effect. Resolves with its result; throws `CallNotExecuted`
   * when it did not. @defaultValue none: such a call is made again
   */
  readonly reconciler?: ((call: CallContext) => R | Promise<R>) | undefined;
  /** Limit of one attempt, from 1 ms. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /** When and how often a failed attempt is made again. @defaultValue one attempt */
  readonly retry?: RetryOptions<NoInfer<R>> | undefined;
  /** Bounds how many attempts run at once, together with other calls. @defaultValue no bound of its own */
  readonly limit?: CallLimit | undefined;
}

/** A limit of time in milliseconds. Throws a `TypeError` for what is no duration. */
export const timeoutMsOf = ({ timeout }: { readonly timeout?: Duration | undefined }): number | undefined =>
  timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 });

/**
 * A bound on attempts that run at once. An attempt enters before its time limit begins, and is outside while it waits
 * to be made again.
 */
export interface CallLimit {
  /** Runs `start` now or when there is room. */
  enter(start: () => void): void;
  /** Called once for each that has entered. */
  leave(): void;
}

/** A test of a result. As a method is, it is taken where more may come than it asks for. */
export type ResultTest<R> = { test(result: R): boolean }['test'];

export interface RetryOptions<R = unknown> {
  /** Attempts in all, the first included. @defaultValue 1 */
  readonly attempts?: number | undefined;
  /** Wait before the second attempt. @defaultValue '1s' */
  readonly initialInterval?: Duration | undefined;
  /** The same in milliseconds; give one of the two. @defaultValue `initialInterval` */
  readonly initialIntervalMs?: number | undefined;
  /** Each wait is this many times the one before. @defaultValue 2 */
  readonly backoffFactor?: number | undefined;
  /** Bounds the wait; not below the first one. @defaultValue '1m', or the first wait if that is longer */
  readonly maxInterval?: Duration | undefined;
  /** The same in milliseconds; give one of the two. @defaultValue `maxInterval` */
  readonly maxIntervalMs?: number | undefined;
  /** Share of the interval that is random, 0 to 1. @defaultValue 0.1 */
  readonly jitter?: number | undefined;
  /**
   * Longest wait that an error may ask for by `details.retryAfterMs`; after one that asks for more there is no attempt.
   * @defaultValue '10m'
   */
  readonly retryAfterMax?: Duration | undefined;
  /**
   * Whether to try again after this error. One that throws ends the call with what it throws.
   * @defaultValue every error that shows no mistake in code and does not say `retryable: false`
   */
  readonly retryOn?: ((error: unknown) => boolean) | undefined;
  /**
   * Whether to try again after this result. That of the last attempt is the outcome whatever this says. One that throws
   * ends the call with what it throws. @defaultValue no result is tried again
   */
  readonly retryOnResult?: ResultTest<R> | undefined;
}
