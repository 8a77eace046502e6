/**
 * One attempt at something that may take long: it runs, has a time, hands out a signal, and ends once. What comes after
 * its end is refused (I10). Durable calls and bodies of work are attempts.
 */
import { makeAbort } from './abort.ts';
import type { Cancel, Clock } from './clock.ts';
import { StreamError, thrown } from './errors.ts';
import type { Outcome } from './work.ts';

/**
 * What runs once by `begin`. It leaves no listener and no timer behind it. A class to extend, since there is one object
 * for each call.
 */
export abstract class Attempt {
  #abort: ChildAbort | undefined;
  #cancelTimeout: Cancel | undefined;
  #timedOut: Error | undefined;
  #isOver = false;

  /** Of what the attempt is a part, and with which it is aborted. */
  protected abstract get parentSignal(): AbortSignal;

  /** What it is called when somebody asks for its signal too late. */
  protected abstract get title(): string;

  /** Does it. What it returns, throws or rejects with is the outcome. */
  protected abstract invoke(): unknown;

  /** The outcome, of that of what `invoke` returned; asked of what comes too late as well. */
  protected outcomeOf(invoked: Outcome<unknown>): Outcome<unknown> {
    return invoked;
  }

  /** The error of an attempt that takes longer than it may. */
  protected abstract timeoutError(timeoutMs: number): Error;

  /** Takes the outcome, once. */
  protected abstract conclude(outcome: Outcome<unknown>): void;

  /** Whether nobody waits for an outcome any more, so that none is taken. */
  protected get isForgotten(): boolean {
    return false;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Aborted on timeout, and with what the attempt is a part of. Made when first read. */
  get signal(): AbortSignal {
    // Who asks for it only now must not wait for what nobody will abort any more.
    if (this.#abort === undefined && this.#isOver) return AbortSignal.abort(this.#timedOut ?? hasEnded(this.title));
    this.#abort ??= new ChildAbort(this.parentSignal);
    return this.#abort.signal;
  }

  /** Starts it, once; without a limit of time if `timeoutMs` is undefined. */
  protected begin(clock: Clock, timeoutMs: number | undefined): void {
    if (timeoutMs !== undefined)
      this.#cancelTimeout = clock.setTimer(timeoutMs, () => this.#timeOut(this.timeoutError(timeoutMs)));
    let result: unknown;
    try {
      result = this.invoke();
    } catch (error) {
      this.#settle({ ok: false, error: thrown(error) });
      return;
    }
    Promise.resolve(result).then(
      (value) => this.#settle(this.outcomeOf({ ok: true, value })),
      (error: unknown) => this.#settle(this.outcomeOf({ ok: false, error: thrown(error) })),
    );
  }

  /** Ends it without an outcome of its own. */
  protected end(): void {
    this.#isOver = true;
    this.#cancelTimeout?.();
    this.#abort?.letGo();
  }

  #timeOut(error: Error): void {
    this.#timedOut = error;
    this.#abort?.abort(error);
    this.#settle({ ok: false, error });
  }

  #settle(outcome: Outcome<unknown>): void {
    if (this.#isOver || this.isForgotten) return;
    this.end();
    this.conclude(outcome);
  }
}

/** The reason of a signal that is asked for when what it belongs to is over. */
export const hasEnded = (what: string): StreamError => new StreamError('WORK_ABORTED', `${what} has ended`);

/** Aborted with its parent until it is let go, so that what has ended leaves no listener behind. */
export class ChildAbort {
  /** A body may have any number of calls open. */
  readonly #controller = makeAbort();
  readonly #parent: AbortSignal;
  readonly #follow = (): void => this.#controller.abort(this.#parent.reason);

  constructor(parent: AbortSignal) {
    this.#parent = parent;
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
