/**
 * The body of one work item while it runs: durable calls and the order in which their outcomes resume it.
 *
 * Outcomes resume a body in the order of the journal, one per macrotask, live and on replay; otherwise `Promise.all` in a body would
 * ask for other calls after a crash than before it. Keeps I8 (a journaled outcome is returned, never recomputed), I10 and I14.
 */
import { sleep, type Clock } from '../core/clock.ts';
import { CallNotExecuted, StreamError } from '../core/errors.ts';
import { callName, workName } from '../core/journal.ts';
import type { Key } from '../core/key.ts';
import type { CallContext, CallOptions, Outcome, RetryOptions, WorkContext } from '../core/operator.ts';
import { digest, encodeText } from '../core/serde.ts';
import type { Journal } from './journal.ts';
import { workKey, type CalledRecord, type PendingRecord } from './journal-format.ts';
import type { WorkItem } from './work.ts';

/** What the journal holds of one item. */
export interface RecordedItem {
  readonly calls: ReadonlyMap<number, { readonly pending?: PendingRecord | undefined; readonly called?: CalledRecord | undefined }>;
  /** An end that was journaled and not applied. */
  readonly done?: Outcome<unknown> | undefined;
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
  #abort: AbortController | undefined;
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
    this.#abort ??= childOf(this.#services.signal);
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

  /** Journals a live outcome and resumes the body with it once it is durable. */
  #record(made: { call: number; id: string; args: string; outcome: Outcome<unknown> }, resume: Waiter['resume']): void {
    if (this.#ended) return;
    const { journal } = this.#services;
    const facts = { work: this.#item.id, key: this.key, digest: this.#item.digest() };
    const append = (outcome: Outcome<unknown>): void => {
      if (!outcome.ok) this.#failedCalls.push(made.call);
      journal.append({ kind: 'called', ...facts, ...made, outcome }, () => {
        this.#resumptions.push(() => resume(outcome));
        this.#resumeNext();
      });
    };
    try {
      append(made.outcome);
    } catch (error) {
      append({ ok: false, error }); // An outcome that is not serialisable is an error the body gets to see.
    }
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

  #execute<R>(asked: Asked<R>, onOutcome: (outcome: Outcome<unknown>) => void): void {
    const { services, pending } = { services: this.#services, pending: this.#pending.get(asked.call) };
    const { reconciler } = asked.options;
    const attempt = new CallAttempts(asked, this.#item, services);
    const runAll = (): void => attempt.run(onOutcome);
    if (!services.accepting) return; // The job is stopping: the call stays open and runs when the job does.
    if (reconciler === undefined) {
      runAll();
      return;
    }
    if (pending !== undefined) {
      attempt.reconcile(reconciler, (outcome) => (outcome === undefined ? runAll() : onOutcome(outcome)));
      return;
    }
    const facts = { work: this.#item.id, key: this.key, digest: this.#item.digest() };
    services.journal.append({ kind: 'pending', ...facts, call: asked.call, id: asked.id, args: asked.args }, runAll);
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
    if (!outcome.ok && this.#item.worker.onRejection !== 'outcome') {
      this.#services.failWork(outcome.error, this.#failedCalls.map((call) => workKey(this.#item.id, call, 'called')));
      return;
    }
    const facts = { kind: 'done' as const, work: this.#item.id, key: this.key, digest: this.#item.digest() };
    const append = (end: Outcome<unknown>): void => void this.#services.journal.append({ ...facts, outcome: end }, () => onDone(end));
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
  readonly #item: WorkItem;
  readonly #services: BodyServices;
  #attempt = 0;

  constructor(asked: Asked<R>, item: WorkItem, services: BodyServices) {
    this.#asked = asked;
    this.#item = item;
    this.#services = services;
  }

  run(onOutcome: (outcome: Outcome<unknown>) => void): void {
    this.#attempt += 1;
    this.#once(this.#asked.fn, (outcome) => {
      const delayMs = outcome.ok ? undefined : retryDelayMs(this.#asked.options.retry, this.#attempt, outcome.error, this.#services.clock);
      if (delayMs === undefined) onOutcome(outcome);
      else sleep(this.#services.clock, delayMs, this.#services.signal).then(() => this.run(onOutcome), () => {}); // Aborted: the job stops.
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
    const context = new OpenCall(callName(this.#item.id, this.#asked.call), this.#services, this.#attempt);
    const settle = (outcome: Outcome<unknown>): void => {
      if (settled) return; // A late result of an attempt that timed out is refused.
      settled = true;
      cancel?.();
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
  readonly #services: BodyServices;
  #abort: AbortController | undefined;

  constructor(id: string, services: BodyServices, attempt: number) {
    this.id = id;
    this.attempt = attempt;
    this.#services = services;
  }

  get idempotencyKey(): string {
    return `${this.#services.jobId}.${this.id}`;
  }

  get signal(): AbortSignal {
    this.#abort ??= childOf(this.#services.signal);
    return this.#abort.signal;
  }

  abort(reason: Error): void {
    this.#abort?.abort(reason);
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

const childOf = (parent: AbortSignal): AbortController => {
  const child = new AbortController();
  if (parent.aborted) child.abort(parent.reason);
  else parent.addEventListener('abort', () => child.abort(parent.reason), { once: true, signal: child.signal });
  return child;
};
