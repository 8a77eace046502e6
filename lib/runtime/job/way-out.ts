/**
 * How a job is asked to leave, and how long what it waits for from then on may take (I18): a stop gives it a time, a
 * cancel none. Code of a user or a service that hangs can make a job leave something behind, and never keeps it.
 */
import { makeAbort } from '../../core/abort.ts';
import { sleep, type Clock } from '../../core/clock.ts';
import { StreamError } from '../../core/errors.ts';

/**
 * What closes gets this long at any rate, in milliseconds: files and connections need it, and what hangs is left behind
 * after it.
 */
const closeMs = 250;

export class WayOut {
  /** Aborted as soon as the job is asked to leave. */
  readonly asked: AbortSignal;
  readonly #clock: Clock;
  readonly #asked = makeAbort();
  #wanted: 'run' | 'stop' | 'cancel' = 'run';
  #endMs = Number.POSITIVE_INFINITY;
  /** Aborted when the end has come nearer. */
  #nearer = makeAbort();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.asked = this.#asked.signal;
  }

  get wanted(): 'run' | 'stop' | 'cancel' {
    return this.#wanted;
  }

  /** Asks for a stop that takes no longer than this. Asked again, the shorter time counts. */
  stop(timeoutMs: number): void {
    if (this.#wanted !== 'cancel') this.#leave('stop', timeoutMs);
  }

  cancel(): void {
    this.#leave('cancel', 0);
  }

  /**
   * True when the promise has resolved; false when the time is over. Rejects as the promise does. What begins when the
   * job has been asked to leave already has `atLeastMs`.
   */
  inTime(promise: Promise<unknown>, atLeastMs = 0): Promise<boolean> {
    return this.#first(promise, (left) => [this.#timeOver(atLeastMs, left)]);
  }

  /** For what closes: false when `limitMs` have passed too, whether the job was asked to leave or not. */
  closed(closing: Promise<unknown>, limitMs: number): Promise<boolean> {
    const limit = Math.max(closeMs, limitMs);
    return this.#first(closing, (left) => [sleep(this.#clock, limit, left), this.#timeOver(closeMs, left)]);
  }

  #leave(how: 'stop' | 'cancel', timeoutMs: number): void {
    this.#wanted = how;
    this.#endMs = Math.min(this.#endMs, this.#clock.elapsed() + timeoutMs);
    this.#asked.abort(new StreamError('WORK_ABORTED', `the job is to ${how}`));
    this.#nearer.abort();
    this.#nearer = makeAbort();
  }

  async #first(promise: Promise<unknown>, limits: (left: AbortSignal) => readonly Promise<void>[]): Promise<boolean> {
    const left = makeAbort();
    try {
      return await Promise.race([
        promise.then(() => true),
        ...limits(left.signal).map((limit) => limit.then(() => false)),
      ]);
    } finally {
      left.abort();
    }
  }

  async #timeOver(atLeastMs: number, left: AbortSignal): Promise<void> {
    const leastMs = this.asked.aborted ? this.#clock.elapsed() + atLeastMs : 0;
    await aborted(this.asked, left);
    for (;;) {
      const restMs = Math.max(leastMs, this.#endMs) - this.#clock.elapsed();
      if (restMs <= 0) return;
      await sleep(this.#clock, restMs, AbortSignal.any([left, this.#nearer.signal])).catch(() => left.throwIfAborted());
    }
  }
}

/** Resolves when the signal is aborted. Nobody waits for it any more once `left` is. */
const aborted = (signal: AbortSignal, left: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true, signal: left });
  });
