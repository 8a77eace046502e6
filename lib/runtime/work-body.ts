/**
 * The body of one work item while it runs, and its durable calls. Keeps I8 (a journaled outcome is returned, never recomputed), I10 and I14.
 *
 * Outcomes resume a body in the order of the journal, one per macrotask, live and on replay; otherwise `Promise.all` in a body would
 * ask for other calls after a crash than before it. A body goes on with an outcome before it is durable, but nothing leaves the process
 * meanwhile: its next call waits until it is, and its end stands for outcomes that are in no write yet.
 */
import { StreamError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { CallContext, CallOptions, Outcome, WorkContext } from '../core/operator.ts';
import { digest, encodeText } from '../core/serde.ts';
import { CallAttempts, ChildAbort, settleOnce, type Asked, type AttemptServices } from './call-attempts.ts';
import type { Appended, Journal } from './journal.ts';
import { workKey, type WorkRecord } from './journal-format.ts';
import type { Macrotasks } from './macrotasks.ts';
import { RecordedCalls, type RecordedItem } from './recorded-calls.ts';
import type { WorkItem } from './work.ts';

export interface BodyServices extends AttemptServices {
  readonly journal: Journal;
  readonly macrotasks: Macrotasks;
  /** False while the job stops: no call starts any more. */
  readonly accepting: boolean;
  /** What the journal holds of an item; taken once. */
  recorded(item: WorkItem): RecordedItem | undefined;
  /** Says that a body asks for other calls than were recorded. Throws in strict mode. */
  diverged(item: WorkItem, what: string): void;
  /** Fails the job; `forget` are records that must not survive it. */
  failWork(error: unknown, forget: readonly Uint8Array[]): void;
}

interface Made {
  readonly call: number;
  readonly id: string;
  readonly args: string;
  readonly outcome: Outcome<unknown>;
}

/** Outcomes that are not durable yet, and what waits for them. Made with the first one: most bodies that wait have none. */
class Undurable {
  readonly appended = new Map<number, Appended>();
  /** Calls that start when all are durable. */
  gated: (() => void)[] = [];
}

export class WorkBody implements WorkContext {
  readonly key: Key;
  readonly submittedAt: number;
  readonly #item: WorkItem;
  readonly #services: BodyServices;
  #abort: ChildAbort | undefined;
  #ended = false;
  #recorded: RecordedCalls | undefined;
  #undurable: Undurable | undefined;
  /** Live resumptions that wait for their macrotask. */
  #resumptions: (() => void)[] | undefined;
  /** The macrotask of the last one. */
  #resumedIn = -1;
  /** Calls whose outcome is an error. */
  #failedCalls: readonly number[] = [];

  constructor(item: WorkItem, services: BodyServices) {
    this.#item = item;
    this.#services = services;
    this.key = item.key;
    this.submittedAt = item.submittedAt;
  }

  get id(): string {
    return this.#item.name;
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
    this.#item.digest(); // Before the body can change the item.
    const recorded = this.#services.recorded(this.#item);
    if (recorded?.done !== undefined) {
      const outcome = recorded.done;
      this.#ended = true;
      this.#item.journaled.push(...recorded.keys);
      this.#services.clock.defer(() => onDone(outcome));
      return;
    }
    if (recorded !== undefined) this.#adopt(recorded);
    const cancelTimeout = this.#startTimeout(onDone);
    settleOnce(
      () => this.#item.worker.run(this.#item.item, this),
      (outcome) => {
        cancelTimeout?.();
        this.#end(outcome, onDone);
      },
    );
  }

  call<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options: CallOptions<R> = {}): Promise<R> {
    const call = this.#item.calls++;
    const args = options.args === undefined ? '' : digest(encodeText(options.args));
    return new Promise<R>((resolve, reject) => {
      // The journal returns what this call's function returned, so an outcome of it is an R.
      const resume = (outcome: Outcome<unknown>): void => (outcome.ok ? resolve(outcome.value as R) : reject(outcome.error as Error));
      if (this.#ended) reject(new StreamError('WORK_ABORTED', `durable call \`${id}\` was asked for after its work had ended`));
      else if (this.#recorded?.has(call, id, args) === true) this.#recorded.deliver(call, resume);
      else this.#execute({ call, id, args, fn, options }, (outcome) => this.#record({ call, id, args, outcome }, resume));
    });
  }

  #adopt(recorded: RecordedItem): void {
    const { clock, macrotasks } = this.#services;
    this.#item.journaled.push(...recorded.keys);
    this.#recorded = new RecordedCalls({
      recorded,
      name: this.id,
      clock,
      macrotasks,
      diverged: (what) => this.#services.diverged(this.#item, what),
      onDelivered: () => this.#resumeNext(),
    });
    this.#failedCalls = this.#recorded.failed;
  }

  /** Journals a live outcome and resumes the body with it. */
  #record(made: Made, resume: (outcome: Outcome<unknown>) => void): void {
    if (this.#ended) return;
    let { outcome } = made;
    try {
      this.#append(made);
    } catch (error) {
      outcome = { ok: false, error }; // An outcome that is not serialisable is an error the body gets to see.
      this.#append({ ...made, outcome });
    }
    if (!outcome.ok) this.#failedCalls = [...this.#failedCalls, made.call];
    (this.#resumptions ??= []).push(() => resume(outcome));
    this.#resumeNext();
  }

  #append(made: Made): void {
    const undurable = (this.#undurable ??= new Undurable());
    const { journal } = this.#services;
    const { call, id, args, outcome } = made;
    const record = { kind: 'called', lsn: journal.nextLsn(), work: this.#item.id, key: this.key, digest: this.#item.digest(), call, id, args, outcome } as const;
    const appended = journal.append(record, () => {
      // One that was superseded is not there any more, and has no record.
      if (!undurable.appended.delete(made.call)) return;
      this.#journaled(made.call, 'called');
      if (undurable.appended.size > 0) return;
      const { gated } = undurable;
      undurable.gated = [];
      for (const start of gated) start();
    });
    undurable.appended.set(made.call, appended);
  }

  #journaled(call: number, kind: WorkRecord['kind']): void {
    if (this.#services.journal.keeps) this.#item.journaled.push(workKey(this.#item.id, call, kind));
  }

  #resumeNext(): void {
    if (this.#recorded?.delivers === true || this.#resumptions === undefined || this.#resumptions.length === 0) return;
    const { macrotasks } = this.#services;
    const now = macrotasks.current();
    if (this.#resumedIn !== now) {
      this.#resumedIn = now;
      this.#resumptions.shift()?.();
    }
    if (this.#resumptions.length > 0) macrotasks.next(() => this.#resumeNext());
  }

  /** Runs a call that the journal has no outcome of, once what it may follow from is durable (I14). */
  #execute<R>(asked: Asked<R>, onOutcome: (outcome: Outcome<unknown>) => void): void {
    const start = (): void => {
      // When the job is stopping the call stays open, and runs when the job does.
      if (this.#services.accepting && !this.#ended) this.#start(asked, onOutcome);
    };
    if (this.#undurable !== undefined && this.#undurable.appended.size > 0) this.#undurable.gated.push(start);
    else start();
  }

  #start<R>(asked: Asked<R>, onOutcome: (outcome: Outcome<unknown>) => void): void {
    const { reconciler } = asked.options;
    const attempts = new CallAttempts(asked, this, this.#services);
    if (reconciler === undefined) attempts.run(onOutcome);
    else if (this.#recorded?.isPending(asked.call) === true) {
      attempts.reconcile(reconciler, (outcome) => (outcome === undefined ? attempts.run(onOutcome) : onOutcome(outcome)));
    } else {
      const { id, args, call } = asked;
      const { journal } = this.#services;
      const record = { kind: 'pending', lsn: journal.nextLsn(), work: this.#item.id, key: this.key, digest: this.#item.digest(), call, id, args } as const;
      journal.append(record, () => {
        this.#journaled(call, 'pending');
        attempts.run(onOutcome);
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
    const undurable = this.#undurable?.appended;
    if (!outcome.ok && this.#item.worker.onRejection !== 'outcome') {
      for (const call of this.#failedCalls) undurable?.get(call)?.supersede();
      this.#services.failWork(outcome.error, this.#failedCalls.map((call) => workKey(this.#item.id, call, 'called')));
      return;
    }
    if (undurable !== undefined) for (const [call, appended] of undurable) if (appended.supersede()) undurable.delete(call);
    try {
      this.#appendEnd(outcome, onDone);
    } catch (error) {
      this.#appendEnd({ ok: false, error }, onDone); // A result that is not serialisable is an error.
    }
  }

  #appendEnd(outcome: Outcome<unknown>, onDone: (outcome: Outcome<unknown>) => void): void {
    const { journal } = this.#services;
    const { id, calls } = this.#item;
    journal.append({ kind: 'done', lsn: journal.nextLsn(), work: id, key: this.key, digest: this.#item.digest(), calls, outcome }, () => {
      this.#journaled(0, 'done');
      onDone(outcome);
    });
  }
}
