/**
 * The attempts of one durable call: timeout, retry with back-off that blocks nobody, and the context that its function gets. A late result
 * of an attempt that has timed out is refused. Keeps I10.
 */
import { setMaxListeners } from 'node:events';
import { sleep, type Clock } from '../core/clock.ts';
import { CallNotExecuted, StreamError } from '../core/errors.ts';
import type { CallContext, CallOptions, Outcome, RetryOptions } from '../core/operator.ts';

/** What attempts need of their job. */
export interface AttemptServices {
  readonly clock: Clock;
  readonly jobId: string;
  /** Aborted when the job stops for good or is killed. */
  readonly signal: AbortSignal;
  /** Counts calls whose function is running. */
  callsOpen(delta: 1 | -1): void;
}

/** The body that made a call. */
export interface CallingBody {
  readonly id: string;
  readonly signal: AbortSignal;
}

/** A durable call as it was asked for. */
export interface Asked<R> {
  readonly call: number;
  readonly id: string;
  readonly args: string;
  readonly fn: (call: CallContext) => R | Promise<R>;
  readonly options: CallOptions<R>;
}

/** The attempts of one durable call. */
export class CallAttempts<R> {
  readonly #asked: Asked<R>;
  readonly #body: CallingBody;
  readonly #services: AttemptServices;
  #attempt = 0;

  constructor(asked: Asked<R>, body: CallingBody, services: AttemptServices) {
    this.#asked = asked;
    this.#body = body;
    this.#services = services;
  }

  run(onOutcome: (outcome: Outcome<unknown>) => void): void {
    this.#attempt += 1;
    this.#once(this.#asked.fn, (outcome) => {
      const delayMs = outcome.ok ? undefined : retryDelayMs(this.#asked.options.retry, this.#attempt, outcome.error, this.#services.clock);
      if (delayMs === undefined) onOutcome(outcome);
      else sleep(this.#services.clock, delayMs, this.#body.signal).then(() => this.run(onOutcome), () => {}); // Aborted: nobody waits any more.
    });
  }

  /** Asks whether the call took effect before the crash; undefined when it did not. */
  reconcile(reconciler: (call: CallContext) => R | Promise<R>, onAnswer: (outcome: Outcome<unknown> | undefined) => void): void {
    this.#once(reconciler, (outcome) => onAnswer(!outcome.ok && outcome.error instanceof CallNotExecuted ? undefined : outcome));
  }

  #once(fn: (call: CallContext) => R | Promise<R>, onOutcome: (outcome: Outcome<unknown>) => void): void {
    const { timeoutMs } = this.#asked.options;
    const { clock, signal } = this.#services;
    let settled = false;
    const context = new OpenCall({ id: `${this.#body.id}.${this.#asked.call}`, jobId: this.#services.jobId, body: this.#body, attempt: this.#attempt });
    const settle = (outcome: Outcome<unknown>): void => {
      if (settled) return; // A late result of an attempt that timed out is refused.
      settled = true;
      cancel?.();
      context.letGo();
      this.#services.callsOpen(-1);
      if (!signal.aborted) onOutcome(outcome);
    };
    this.#services.callsOpen(1);
    const cancel =
      timeoutMs === undefined
        ? undefined
        : clock.setTimer(timeoutMs, () => {
            const error = new StreamError('WORK_TIMEOUT', `durable call \`${this.#asked.id}\` took longer than ${timeoutMs} ms`);
            context.abort(error);
            settle({ ok: false, error });
          });
    settleOnce(() => fn(context), settle);
  }
}

class OpenCall implements CallContext {
  readonly id: string;
  readonly attempt: number;
  readonly #jobId: string;
  readonly #body: CallingBody;
  #abort: ChildAbort | undefined;

  constructor({ id, jobId, body, attempt }: { id: string; jobId: string; body: CallingBody; attempt: number }) {
    this.id = id;
    this.attempt = attempt;
    this.#jobId = jobId;
    this.#body = body;
  }

  get idempotencyKey(): string {
    return `${this.#jobId}.${this.id}`;
  }

  get signal(): AbortSignal {
    this.#abort ??= new ChildAbort(this.#body.signal);
    return this.#abort.signal;
  }

  abort(reason: Error): void {
    this.#abort?.abort(reason);
  }

  letGo(): void {
    this.#abort?.letGo();
  }
}

/** Runs a function that may throw, return or promise, and settles once. */
export const settleOnce = (fn: () => unknown, settle: (outcome: Outcome<unknown>) => void): void => {
  let result: unknown;
  try {
    result = fn();
  } catch (error) {
    settle({ ok: false, error });
    return;
  }
  Promise.resolve(result).then(
    (value) => settle({ ok: true, value }),
    (error: unknown) => settle({ ok: false, error }),
  );
};

/** How long to wait before the next attempt; undefined when there is none. */
export const retryDelayMs = (retry: RetryOptions | undefined, attempt: number, error: unknown, clock: Clock): number | undefined => {
  const { attempts = 1, initialIntervalMs = 1000, backoffFactor = 2, maxIntervalMs = 60_000, jitter = 0.1, retryOn = canRetry } = retry ?? {};
  if (attempt >= attempts || !retryOn(error)) return undefined;
  const intervalMs = Math.min(initialIntervalMs * backoffFactor ** (attempt - 1), maxIntervalMs);
  const askedMs = error instanceof StreamError && typeof error.details['retryAfterMs'] === 'number' ? error.details['retryAfterMs'] : 0;
  return Math.max(askedMs, intervalMs * (1 + jitter * (2 * clock.random() - 1)));
};

const canRetry = (error: unknown): boolean => !(typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === false);

/** Aborted with its parent until it is let go, so that what has ended leaves no listener behind. */
export class ChildAbort {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #follow = (): void => this.#controller.abort(this.#parent.reason);

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    setMaxListeners(0, this.signal); // A body may have any number of calls open.
    if (parent.aborted) this.#follow();
    else parent.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#controller.abort(reason);
    this.letGo();
  }

  letGo(): void {
    this.#parent.removeEventListener('abort', this.#follow);
  }
}
