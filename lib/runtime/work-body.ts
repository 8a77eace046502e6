/**
 * The body of one work item while it runs: durable calls and the order in which their outcomes resume it.
 *
 * Outcomes resume a body in the order of the journal, one per macrotask, live and on replay; otherwise `Promise.all` in a body would
 * ask for other calls after a crash than before it. Keeps I8 (a journaled outcome is returned, never recomputed), I10 and I14.
 */
import { setMaxListeners } from 'node:events';
import { sleep, type Clock } from '../core/clock.ts';
import { CallNotExecuted, StreamError } from '../core/errors.ts';
import { workName } from '../core/journal.ts';
import type { Key } from '../core/key.ts';
import type { CallContext, CallOptions, Outcome, RetryOptions, WorkContext } from '../core/operator.ts';
import { digest, encodeText } from '../core/serde.ts';
import type { Appended, Journal } from './journal.ts';
import { workKey, type CalledRecord, type PendingRecord } from './journal-format.ts';
import type { WorkItem } from './work.ts';

/** What the journal holds of one item. */
export interface RecordedItem {
  readonly calls: ReadonlyMap<number, { readonly pending?: PendingRecord | undefined; readonly called?: CalledRecord | undefined }>;
  /** An end that was journaled and not applied. */
  readonly done?: Outcome<unknown> | undefined;
  /** Keys of these records. */
  readonly keys: readonly Uint8Array[];
}

export interface BodyServices {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly jobId: string;
  /** Aborted when the job stops for good or is killed. */
  readonly signal: AbortSignal;
  /** False while the job stops: no call starts any more. */
  readonly accepting: boolean;
  /** What the journal holds of an item; taken once. */
  recorded(item: WorkItem): RecordedItem | undefined;
  /** Says that a body asks for other calls than were recorded. Throws in strict mode. */
  diverged(item: WorkItem, what: string): void;
  /** Fails the job; `forget` are records that must not survive it. */
  failWork(error: unknown, forget: readonly Uint8Array[]): void;
  /** Counts calls whose function is running. */
  callsOpen(delta: 1 | -1): void;
}

/** After this long a recorded outcome that nobody asks for is taken for a divergence. */
const blockedMaxMs = 30_000;

interface Waiter {
  resume(outcome: Outcome<unknown>): void;
}

export class WorkBody implements WorkContext {
  readonly key: Key;
  readonly submittedAt: number;
  readonly #item: WorkItem;
  readonly #services: BodyServices;
  #abort: ChildAbort | undefined;
  #ended = false;
  /** Recorded calls not delivered yet, in the order of the journal. */
  #recorded: CalledRecord[] = [];
  #pending = new Map<number, PendingRecord>();
  readonly #waiters = new Map<number, Waiter>();
  /** Resumptions that wait for their macrotask. */
  readonly #resumptions: (() => void)[] = [];
  #resuming = false;
  /** Calls whose outcome is an error. */
  readonly #failedCalls: number[] = [];
  /** Outcomes appended and not durable yet, by call. */
  readonly #undurable = new Map<number, Appended>();
  /** Calls that wait until those are. */
  #gated: (() => void)[] = [];

  constructor(item: WorkItem, services: BodyServices) {
    this.#item = item;
    this.#services = services;
    this.key = item.key;
    this.submittedAt = item.submittedAt;
  }

  get id(): string {
    return workName(this.#item.id);
  }

  get signal(): AbortSignal {
    this.#abort ??= new ChildAbort(this.#services.signal);
    return this.#abort.signal;
  }

  read<T>(fn: () => T): T {
    let read: { readonly value: T } | undefined;
    this.#item.keys.within(this.key, () => {
      read = { value: fn() };
    });
    return (read as unknown as { readonly value: T }).value; // `within` has called its body.
  }

  /** Runs the body and calls `onDone` once, when its outcome is durable. */
  run(onDone: (outcome: Outcome<unknown>) => void): void {
    const { clock } = this.#services;
    this.#item.digest(); // Before the body can change the item.
    const recorded = this.#services.recorded(this.#item);
    this.#item.journaled.push(...(recorded?.keys ?? []));
    if (recorded?.done !== undefined) {
      const outcome = recorded.done;
      this.#ended = true;
      clock.defer(() => onDone(outcome));
      return;
    }
    for (const [call, { pending, called }] of recorded?.calls ?? []) {
      if (called?.outcome.ok === false) this.#failedCalls.push(call);
      if (called !== undefined) this.#recorded.push(called);
      else if (pending !== undefined) this.#pending.set(call, pending);
    }
    this.#recorded.sort((a, b) => a.lsn - b.lsn);
    const cancelTimeout = this.#startTimeout(onDone);
    const end = (outcome: Outcome<unknown>): void => {
      cancelTimeout?.();
      this.#end(outcome, onDone);
    };
    run(() => this.#item.worker.run(this.#item.item, this), end);
  }

  call<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options: CallOptions<R> = {}): Promise<R> {
    const call = this.#item.calls++;
    const args = options.args === undefined ? '' : digest(encodeText(options.args));
    return new Promise<R>((resolve, reject) => {
      // The journal returns what this call's function returned, so an outcome of it is an R.
      const resume = (outcome: Outcome<unknown>): void => (outcome.ok ? resolve(outcome.value as R) : reject(outcome.error as Error));
      if (this.#ended) {
        reject(new StreamError('WORK_ABORTED', `durable call \`${id}\` was asked for after its work had ended`));
        return;
      }
      if (this.#isRecorded(call, id, args)) {
        this.#waiters.set(call, { resume });
        this.#deliverRecorded();
        return;
      }
      this.#execute({ call, id, args, fn, options }, (outcome) => this.#record({ call, id, args, outcome }, resume));
    });
  }

  /** True when the journal holds this call's outcome; false when it must run. */
  #isRecorded(call: number, id: string, args: string): boolean {
    const record = this.#recorded.find((each) => each.call === call) ?? this.#pending.get(call);
    if (record === undefined) return false;
    if (record.id === id && record.args === args) return record.kind === 'called';
    const asked = `durable call ${call} of work ${this.id} is \`${id}\` with arguments ${args || 'none'}`;
    this.#services.diverged(this.#item, `${asked}, recorded was \`${record.id}\` with arguments ${record.args || 'none'}`);
    this.#recorded = this.#recorded.filter((each) => each.call < call);
    for (const pending of this.#pending.keys()) if (pending >= call) this.#pending.delete(pending);
    return false;
  }

  /** Resumes the body with the recorded outcomes, in their order, each in a macrotask of its own. */
  #deliverRecorded(): void {
    const next = this.#recorded[0];
    const waiter = next === undefined ? undefined : this.#waiters.get(next.call);
    if (next === undefined || waiter === undefined) {
      if (next !== undefined && this.#waiters.size > 0) this.#watchBlocked(next);
      return;
    }
    this.#recorded.shift();
    this.#waiters.delete(next.call);
    this.#services.clock.defer(() => {
      waiter.resume(next.outcome);
      this.#services.clock.defer(() => {
        this.#deliverRecorded();
        this.#resumeNext();
      });
    });
  }

  #watchBlocked(next: CalledRecord): void {
    this.#services.clock.setTimer(blockedMaxMs, () => {
      if (this.#recorded[0] !== next || this.#ended || this.#waiters.has(next.call)) return;
      this.#services.diverged(this.#item, `durable call ${next.call} (\`${next.id}\`) of work ${this.id} was recorded and is not asked for again`);
      this.#recorded.shift();
      this.#deliverRecorded();
    });
  }

  /**
   * Journals a live outcome. The body goes on with it at once, but what leaves the process next waits until it is durable: the next
   * call starts then, and the end of the body stands for outcomes that are in no write yet.
   */
  #record(made: { call: number; id: string; args: string; outcome: Outcome<unknown> }, resume: Waiter['resume']): void {
    if (this.#ended) return;
    let { outcome } = made;
    try {
      this.#append(made);
    } catch (error) {
      outcome = { ok: false, error }; // An outcome that is not serialisable is an error the body gets to see.
      this.#append({ ...made, outcome });
    }
    if (!outcome.ok) this.#failedCalls.push(made.call);
    this.#resumptions.push(() => resume(outcome));
    this.#resumeNext();
  }

  #append(made: { call: number; id: string; args: string; outcome: Outcome<unknown> }): void {
    const facts = { work: this.#item.id, key: this.key, digest: this.#item.digest() };
    const appended = this.#services.journal.append({ kind: 'called', ...facts, ...made }, () => {
      // One that was superseded has left the set, and has no record.
      if (!this.#undurable.delete(made.call)) return;
      this.#item.journaled.push(workKey(this.#item.id, made.call, 'called'));
      if (this.#undurable.size > 0) return;
      const gated = this.#gated;
      this.#gated = [];
      for (const start of gated) start();
    });
    this.#undurable.set(made.call, appended);
  }

  #resumeNext(): void {
    if (this.#resuming || this.#recorded.length > 0) return;
    const next = this.#resumptions.shift();
    if (next === undefined) return;
    this.#resuming = true;
    next();
    this.#services.clock.defer(() => {
      this.#resuming = false;
      this.#resumeNext();
    });
  }

  /** Runs a call that the journal has no outcome of, once what it may follow from is durable (I14). */
  #execute<R>(asked: Asked<R>, onOutcome: (outcome: Outcome<unknown>) => void): void {
    const start = (): void => {
      // When the job is stopping the call stays open, and runs when the job does.
      if (this.#services.accepting && !this.#ended) this.#start(asked, onOutcome);
    };
    if (this.#undurable.size > 0) this.#gated.push(start);
    else start();
  }

  #start<R>(asked: Asked<R>, onOutcome: (outcome: Outcome<unknown>) => void): void {
    const { reconciler } = asked.options;
    const attempt = new CallAttempts(asked, this, this.#services);
    const runAll = (): void => attempt.run(onOutcome);
    if (reconciler === undefined) runAll();
    else if (this.#pending.has(asked.call)) {
      attempt.reconcile(reconciler, (outcome) => (outcome === undefined ? runAll() : onOutcome(outcome)));
    } else {
      const { id, args, call } = asked;
      const facts = { work: this.#item.id, key: this.key, digest: this.#item.digest() };
      this.#services.journal.append({ kind: 'pending', ...facts, call, id, args }, () => {
        this.#item.journaled.push(workKey(this.#item.id, call, 'pending'));
        runAll();
      });
    }
  }

  #startTimeout(onDone: (outcome: Outcome<unknown>) => void): (() => void) | undefined {
    const { timeoutMs } = this.#item;
    if (timeoutMs === undefined) return undefined;
    return this.#services.clock.setTimer(timeoutMs, () => {
      const error = new StreamError('WORK_TIMEOUT', `work ${this.id} took longer than ${timeoutMs} ms`);
      this.#abort?.abort(error);
      this.#end({ ok: false, error }, onDone);
    });
  }

  /** Journals the end of the body; whatever it does later is refused. */
  #end(outcome: Outcome<unknown>, onDone: (outcome: Outcome<unknown>) => void): void {
    if (this.#ended || this.#services.signal.aborted) return;
    this.#ended = true;
    this.#abort?.letGo();
    if (!outcome.ok && this.#item.worker.onRejection !== 'outcome') {
      for (const call of this.#failedCalls) this.#undurable.get(call)?.supersede();
      this.#services.failWork(outcome.error, this.#failedCalls.map((call) => workKey(this.#item.id, call, 'called')));
      return;
    }
    for (const [call, appended] of this.#undurable) if (appended.supersede()) this.#undurable.delete(call);
    const { id, calls } = this.#item;
    const facts = { kind: 'done' as const, work: id, key: this.key, digest: this.#item.digest(), calls };
    const append = (end: Outcome<unknown>): void => {
      this.#services.journal.append({ ...facts, outcome: end }, () => {
        this.#item.journaled.push(workKey(id, 0, 'done'));
        onDone(end);
      });
    };
    try {
      append(outcome);
    } catch (error) {
      append({ ok: false, error });
    }
  }
}

interface Asked<R> {
  readonly call: number;
  readonly id: string;
  readonly args: string;
  readonly fn: (call: CallContext) => R | Promise<R>;
  readonly options: CallOptions<R>;
}

/** The attempts of one durable call. */
class CallAttempts<R> {
  readonly #asked: Asked<R>;
  readonly #body: WorkBody;
  readonly #services: BodyServices;
  #attempt = 0;

  constructor(asked: Asked<R>, body: WorkBody, services: BodyServices) {
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
    run(() => fn(context), settle);
  }
}

class OpenCall implements CallContext {
  readonly id: string;
  readonly attempt: number;
  readonly #jobId: string;
  readonly #body: WorkBody;
  #abort: ChildAbort | undefined;

  constructor({ id, jobId, body, attempt }: { id: string; jobId: string; body: WorkBody; attempt: number }) {
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
const run = (fn: () => unknown, settle: (outcome: Outcome<unknown>) => void): void => {
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
class ChildAbort {
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
