/**
 * One durable call: its attempts with timeout and retry, where back-off blocks nobody, and the context that its
 * function gets. A late result of an attempt that has timed out is refused. Keeps I10.
 */
import { Attempt } from '../../core/attempt.ts';
import { sleep, type Clock } from '../../core/clock.ts';
import { CallNotExecuted, StreamError } from '../../core/errors.ts';
import { callName, type WorkId } from '../../core/journal.ts';
import { timeoutMsOf, type CallContext, type CallOptions } from '../../core/call.ts';
import type { Outcome } from '../../core/work.ts';
import { afterAttempt } from '../../core/retry-options.ts';
import { digest } from '../../core/serde.ts';
import type { Journal, LogEntry } from '../journal/journal.ts';
import type { Lsn, WorkRecord } from '../journal/work-record.ts';
import type { WorkItem } from './work-item.ts';

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
  readonly item: WorkItem;
  readonly services: AttemptServices;
  readonly signal: AbortSignal;
  /**
   * Whether a call may start now: the body goes on and the job does not stop. One that may not stays open, and starts
   * when the job does.
   */
  readonly mayStart: boolean;
  /** Takes the outcome of the last attempt. */
  settled(call: DurableCall, outcome: Outcome<unknown>): void;
  /** The record of an outcome is durable, or stands in that of the body's end. */
  outcomeDurable(call: DurableCall, key: Uint8Array | undefined): void;
  /** A call waits before its next attempt. */
  backOff(): void;
  /** It has waited; `then` runs when the body has its place among those in flight again. */
  backOn(then: () => void): void;
}

/**
 * A call as it was asked for. Its result has the type that the body expects, since the journal returns what the
 * function returned.
 */
export interface DurableCallFacts {
  readonly body: CallingBody;
  /** Which of the body's calls it is, from 0. */
  readonly number: number;
  readonly id: string;
  /** Digest of the arguments, empty when there are none. */
  readonly args: string;
  /** The journal holds another call in its place, whose name must not be given to this one. */
  readonly replaces: boolean;
  readonly fn: (call: CallContext) => unknown;
  readonly options: CallOptions<unknown>;
  /** Resume the body. */
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The outcome of a call as it is appended. */
interface AppendedOutcome {
  readonly lsn: Lsn;
  readonly recorded: Outcome<unknown>;
  /** It had failed before, and was made again. */
  readonly again: boolean;
}

const over = (): void => {};
const noOptions: CallOptions<unknown> = {};

/** A call, and the entry of its outcome in the log: there are many, so each is one object. */
export class DurableCall implements LogEntry, DurableCallFacts {
  readonly body: CallingBody;
  readonly number: number;
  readonly id: string;
  readonly args: string;
  readonly replaces: boolean;
  // Let go of when they have done their work: an outcome waits for the disk, and what the user's code holds need not.
  fn: (call: CallContext) => unknown;
  options: CallOptions<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  /** The outcome for the body, once there is one. */
  given: Outcome<unknown> | undefined;
  #attempts = 0;
  /** Under whose name it was started before; undefined: its body's. */
  #work: WorkId | undefined;
  /** Undefined: nothing is appended, or something that was appended later stands for it. */
  #appended: AppendedOutcome | undefined;
  /** Its record is in a write. */
  #taken = false;

  constructor({ body, number, id, args, replaces, fn, options, resolve, reject }: DurableCallFacts) {
    this.body = body;
    this.number = number;
    this.id = id;
    this.args = args;
    this.replaces = replaces;
    this.fn = fn;
    this.options = options;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Hands an outcome to the body's code. */
  resume(outcome: Outcome<unknown>): void {
    const { resolve, reject } = this;
    this.resolve = over;
    this.reject = over;
    if (outcome.ok) resolve(outcome.value);
    else reject(outcome.error);
  }

  /** Makes the next attempt, if it may. */
  start(): void {
    if (!this.body.mayStart) return;
    const { limit } = this.options;
    if (limit === undefined) this.#attempt();
    else
      limit.enter(() => {
        if (this.body.mayStart) this.#attempt();
        else limit.leave();
      });
  }

  #attempt(): void {
    this.#attempts += 1;
    new CallAttempt(this, this.#attempts, this.fn).run();
  }

  /** Unique in the journal. What replaces another call has another name. */
  get name(): string {
    const { body, number, replaces } = this;
    const name = this.#work === undefined ? `${body.id}.${number}` : callName(this.#work, number);
    return replaces ? `${name}~${this.content}` : name;
  }

  /** Digest of what the call asks for. */
  get content(): string {
    return digest(`${this.id}\n${this.args}`);
  }

  /**
   * Asks whether the call took effect before the crash, when it went by the name of `work`, and starts it when it did
   * not.
   */
  reconcile(reconciler: (call: CallContext) => unknown, work: WorkId): void {
    this.#work = work;
    new CallAttempt(this, 0, reconciler).run();
  }

  /** Takes the outcome of an attempt, or with number 0 the reconciler's answer. */
  attempted(attempt: number, outcome: Outcome<unknown>): void {
    const { body, options } = this;
    if (attempt === 0 && !outcome.ok && outcome.error instanceof CallNotExecuted) {
      this.start();
      return;
    }
    if (attempt === 0) {
      body.settled(this, outcome);
      return;
    }
    const { clock } = body.services;
    const next = afterAttempt(options.retry, attempt, outcome, clock);
    if (next.kind === 'end') {
      body.settled(this, next.outcome);
      return;
    }
    body.backOff();
    const again = (): void => body.backOn(() => this.start());
    sleep(clock, next.waitMs, body.signal).then(again, () => {}); // Aborted: nobody waits any more.
  }

  // ---------- its entry in the log

  /** There is no attempt behind that with this outcome. */
  append(journal: Journal, outcome: AppendedOutcome): void {
    this.fn = over;
    this.options = noOptions;
    this.#appended = outcome;
    journal.enqueue(this);
  }

  /**
   * Takes the record back, if it is in no write yet: something appended later stands for it. False when it is too late.
   */
  supersede(): boolean {
    if (this.#taken) return false;
    this.#appended = undefined;
    return true;
  }

  takeRecord(): WorkRecord | undefined {
    this.#taken = true;
    if (this.#appended === undefined) return undefined;
    const { lsn, recorded, again } = this.#appended;
    const { number, id, args } = this;
    const { item } = this.body;
    const [work, key, ofItem] = [item.id, item.key, item.digest()];
    return { kind: 'called', lsn, work, key, digest: ofItem, call: number, id, args, outcome: recorded, again };
  }

  onDurable(key: Uint8Array | undefined): void {
    if (this.#appended !== undefined) this.body.outcomeDurable(this, key);
  }
}

/** One attempt, as its function sees it. */
class CallAttempt extends Attempt implements CallContext {
  readonly attempt: number;
  readonly #call: DurableCall;
  readonly #fn: (call: CallContext) => unknown;

  /** `fn` is the call's function, or its reconciler. */
  constructor(call: DurableCall, attempt: number, fn: (call: CallContext) => unknown) {
    super();
    this.#call = call;
    this.#fn = fn;
    this.attempt = attempt;
  }

  get id(): string {
    return this.#call.name;
  }

  /**
   * It goes by what the call asks for too: when code changes after a call has started and before that is journaled,
   * nothing else tells.
   */
  get idempotencyKey(): string {
    const { body, replaces, name, content } = this.#call;
    return replaces ? `${body.services.jobId}.${name}` : `${body.services.jobId}.${name}~${content}`;
  }

  get isOpen(): boolean {
    return !this.isOver;
  }

  protected get parentSignal(): AbortSignal {
    return this.#call.body.signal;
  }

  /** By the id that the user gave. */
  protected get title(): string {
    return `durable call \`${this.#call.id}\``;
  }

  run(): void {
    const { options, body } = this.#call;
    body.services.callsOpen(1);
    this.begin(body.services.clock, timeoutMsOf(options));
  }

  protected invoke(): unknown {
    return this.#fn(this);
  }

  protected timeoutError(timeoutMs: number): Error {
    return new StreamError('WORK_TIMEOUT', `${this.title} (${this.id}) took longer than ${timeoutMs} ms`);
  }

  protected conclude(outcome: Outcome<unknown>): void {
    const { body, options } = this.#call;
    body.services.callsOpen(-1);
    if (this.attempt > 0) options.limit?.leave(); // A reconciler has not entered.
    if (!body.services.signal.aborted) this.#call.attempted(this.attempt, outcome);
  }
}
