/**
 * The body of one work item while it runs, and its durable calls. Keeps I8 (a journaled outcome is returned, never
 * recomputed), I10, I14 and I21.
 *
 * Outcomes resume a body in the order of the journal, one per macrotask, live and on replay; otherwise `Promise.all` in
 * a body would ask for other calls after a crash than before it. A body goes on with an outcome when that is durable.
 * With `durability: 'effect'` it goes on at once, but nothing leaves the process meanwhile: its next call waits until
 * it is, and its end stands for outcomes that are in no write yet.
 */
import { StreamError } from '../../core/errors.ts';
import { Fifo } from '../../core/fifo.ts';
import type { Key } from '../../core/key.ts';
import { timeoutMsOf, type CallContext, type CallOptions } from '../../core/call.ts';
import { isRunning, type Durability, type Outcome, type Running, type WorkContext } from '../../core/work.ts';
import { deepFreeze, ownCopy } from '../../core/own-copy.ts';
import type { LogEntry } from '../journal/journal.ts';
import { callsMax } from '../journal/journal-format.ts';
import type { Lsn, WorkRecord } from '../journal/work-record.ts';
import type { BodyOwner, BodyServices } from './body-services.ts';
import { digestOf } from './call-arguments.ts';
import { DurableCall, type CallingBody } from './durable-call.ts';
import { noFailedCalls, rejectionOf, voidFailedCalls, workFailure, type FailedCall } from './failed-calls.ts';
import { fixed, handOver, isImmutable, type HandedOver } from './hand-over.ts';
import { noteOutside } from './outside.ts';
import { PlacedAttempt } from './placed-attempt.ts';
import { RecordedCalls, type RecordedItem } from './recorded-calls.ts';
import type { WorkItem } from './work-item.ts';

/** A live resumption that waits for its macrotask. */
interface Resumption {
  readonly call: DurableCall;
  readonly outcome: Outcome<unknown>;
}

export class WorkBody extends PlacedAttempt<BodyOwner> implements WorkContext, CallingBody, LogEntry {
  readonly item: WorkItem;
  readonly services: BodyServices;
  #running: Running<unknown> | undefined;
  #recorded: RecordedCalls | undefined;
  // The lists are made with their first member: most bodies that wait have none, and most others one.
  /** Calls whose outcome is not durable yet. */
  #undurable: DurableCall[] | undefined;
  /** Calls that start when all outcomes are durable. */
  #gated: DurableCall[] | undefined;
  #resumptions: Fifo<Resumption> | undefined;
  /** The macrotask of the last resumption. */
  #resumedIn = -1;
  /** That in which the next resumption was asked for. */
  #askedIn = -1;
  /** Calls whose outcome is an error. */
  #failedCalls: FailedCall[] | undefined;
  /** The last value that the body was given, and what its record keeps; undefined where the body may change it. */
  #lastGiven: { readonly value: unknown; readonly recorded: unknown } | undefined;
  readonly #durability: Durability;
  /** Its end, from when it is appended on. */
  #end: { readonly lsn: Lsn; readonly recorded: Outcome<unknown>; readonly given: Outcome<unknown> } | undefined;

  constructor(item: WorkItem, services: BodyServices, owner: BodyOwner) {
    const { durability = 'call', placeless } = item.worker;
    super(owner, placeless !== true);
    this.item = item;
    this.services = services;
    this.#durability = typeof durability === 'string' ? durability : durability(item.shown);
  }

  get id(): string {
    return this.item.name;
  }

  get key(): Key {
    return this.item.key;
  }

  get submittedAt(): number {
    return this.item.submittedAt;
  }

  protected get parentSignal(): AbortSignal {
    return this.services.signal;
  }

  protected get title(): string {
    return this.item.title;
  }

  /** With the job over, the journal takes nothing any more. */
  protected override get isForgotten(): boolean {
    return this.services.signal.aborted;
  }

  read<T>(fn: () => T): T {
    let read: { readonly value: T } | undefined;
    this.item.keys.reading(this.key, () => {
      read = { value: fn() };
    });
    return (read as unknown as { readonly value: T }).value; // `reading` has called its body.
  }

  /** Runs the body; its owner is told when the outcome is durable. */
  run(): void {
    this.item.digest(); // Before the body can change the item.
    const recorded = this.services.recorded(this.item);
    if (recorded?.done !== undefined) {
      const outcome = recorded.done;
      this.end();
      this.item.addJournaled(recorded.keys);
      this.services.clock.defer(() => this.#tell(outcome));
      return;
    }
    if (recorded !== undefined) this.#adopt(recorded);
    this.begin(this.services.clock, this.item.timeoutMs);
  }

  protected invoke(): unknown {
    const { worker, item } = this.item;
    const running = worker.run(worker.owned === true ? item : this.#handOver(item), this);
    if (!isRunning(running)) return running;
    this.#running = running;
    return running.code;
  }

  protected override outcomeOf(invoked: Outcome<unknown>): Outcome<unknown> {
    const running = this.#running;
    this.#running = undefined; // The outcome waits for the disk, and what the user's code holds need not.
    return running === undefined ? invoked : running.ended(invoked);
  }

  protected timeoutError(timeoutMs: number): Error {
    const { title, details } = this.item;
    return new StreamError('WORK_TIMEOUT', `${title} took longer than ${timeoutMs} ms`, { details });
  }

  call<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options: CallOptions<R> = {}): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const refusal = this.#refusal(id);
      if (refusal !== undefined) throw refusal;
      timeoutMsOf(options); // What is no duration is refused here, not in an attempt.
      const args = digestOf(id, options.args);
      const number = this.item.calls++;
      const found = this.#recorded?.find(number, id, args);
      if (found === 'other') this.#void(number);
      const replaces = this.#recorded?.replaces(number) === true;
      const call = new DurableCall({
        body: this,
        number,
        id,
        args,
        replaces,
        fn,
        options,
        // The journal returns what this call's function returned, so an outcome of it is an R.
        resolve: resolve as (value: unknown) => void,
        reject,
      });
      if (found === 'outcome') this.#recorded?.deliver(number, (outcome) => call.resume(outcome));
      else this.#execute(call);
    });
  }

  #refusal(id: string): StreamError | undefined {
    if (this.isOver)
      return new StreamError('WORK_ABORTED', `durable call \`${id}\` was asked for after its work had ended`, {
        hint: 'await each durable call before the action ends',
      });
    if (this.item.calls < callsMax) return undefined;
    return new StreamError('CALLS_EXCEEDED', `${this.item.title} made more than ${callsMax} durable calls`, {
      details: this.item.details,
    });
  }

  get mayStart(): boolean {
    return this.services.accepting && !this.isOver && !this.services.signal.aborted;
  }

  /** Journals a live outcome and resumes the body with it. */
  settled(call: DurableCall, live: Outcome<unknown>): void {
    this.callEnded();
    if (this.isOver) return;
    const { recorded, given } = isImmutable(live) ? { recorded: live, given: live } : this.#handOverCall(call, live);
    call.given = given;
    this.#append(call, recorded);
    if (this.#durability === 'effect') this.#give(call, given);
  }

  #handOverCall(call: DurableCall, live: Outcome<unknown>): HandedOver {
    const { freeze = false } = this.services;
    const handed = handOver(live, { what: () => `durable call \`${call.id}\``, freeze });
    const { recorded, given } = handed;
    if (this.item.worker.owned === true && recorded.ok && given.ok)
      this.#lastGiven = { value: given.value, recorded: recorded.value };
    return handed;
  }

  /** The item as the body gets it: its row is stored later. */
  #handOver(item: unknown): unknown {
    return this.services.freeze === true ? deepFreeze(ownCopy(item)) : ownCopy(item);
  }

  /** Hands an outcome to the body, when its turn comes. */
  #give(call: DurableCall, outcome: Outcome<unknown>): void {
    if (this.#recorded?.madeAgain(call.number, outcome, (taken) => call.resume(taken)) === true) return;
    if (this.#recorded?.delivers !== true && !this.#liveWait && this.#mayResume()) {
      call.resume(outcome);
      return;
    }
    (this.#resumptions ??= new Fifo()).push({ call, outcome });
    this.#resumeNext();
  }

  #adopt(recorded: RecordedItem): void {
    const { clock, macrotasks, signal } = this.services;
    this.item.addJournaled(recorded.keys);
    this.#recorded = new RecordedCalls({
      recorded,
      name: this.id,
      clock,
      macrotasks,
      signal,
      diverged: (what) => this.services.diverged(this.item, what),
      overtaken: (what) => this.services.overtaken(this.item, what),
      liveWait: () => this.#liveWait,
      onDelivered: () => this.#resumeNext(),
    });
    this.#failedCalls = [...this.#recorded.failed];
  }

  #append(call: DurableCall, recorded: Outcome<unknown>): void {
    const { journal } = this.services;
    const { number, id, args } = call;
    const place = this.#recorded?.placeOf(number);
    const lsn = place ?? journal.nextLsn();
    call.append(journal, { lsn, recorded, again: place !== undefined });
    if (this.#undurable === undefined) this.#undurable = [call];
    else this.#undurable.push(call);
    if (recorded.ok) return;
    const failed = { call: number, id, args, lsn, supersede: () => call.supersede() };
    (this.#failedCalls ??= []).push(failed);
  }

  /**
   * Another call has come in the place of a recorded one: after the next crash its record, and those behind it, must
   * not be found.
   */
  #void(call: number): void {
    const { journal } = this.services;
    journal.append({ kind: 'voided', lsn: journal.nextLsn(), ...this.item.facts(), call }, (key) =>
      this.#journaled(key),
    );
  }

  outcomeDurable(call: DurableCall, key: Uint8Array | undefined): void {
    if (this.#undurable?.[0] === call) this.#undurable.shift(); // They become durable in the order of the log.
    this.#journaled(key);
    if (this.#durability === 'call' && call.given !== undefined && !this.isOver) this.#give(call, call.given);
    if (this.#hasUndurable || this.#gated === undefined) return;
    const gated = this.#gated;
    this.#gated = undefined;
    for (const each of gated) this.#startLive(each);
  }

  get #hasUndurable(): boolean {
    return this.#undurable !== undefined && this.#undurable.length > 0;
  }

  /** A record of it is durable; `key` is undefined where none is kept. */
  #journaled(key: Uint8Array | undefined): void {
    if (key !== undefined) this.item.addJournaledKey(key);
  }

  /** Whether live outcomes wait for their macrotask. */
  get #liveWait(): boolean {
    return this.#resumptions !== undefined && this.#resumptions.size > 0;
  }

  /** Whether the body may go on in this macrotask: once in each. */
  #mayResume(): boolean {
    const now = this.services.macrotasks.current();
    if (this.#resumedIn === now) return false;
    this.#resumedIn = now;
    return true;
  }

  #resumeNext(): void {
    if (this.#resumptions === undefined || this.#resumptions.size === 0) return;
    if (this.#recorded?.delivers === true) {
      this.#recorded.watch();
      return;
    }
    if (this.#mayResume()) {
      const next = this.#resumptions.shift();
      next?.call.resume(next.outcome);
    }
    const now = this.services.macrotasks.current();
    if (this.#resumptions.size === 0 || this.#askedIn === now) return;
    this.#askedIn = now; // Once, however many outcomes wait.
    this.services.macrotasks.next(() => this.#resumeNext());
  }

  /** Runs a call that the journal has no outcome of, once what it may follow from is durable (I14). */
  #execute(call: DurableCall): void {
    this.callBegins();
    if (this.#durability === 'effect' && this.#hasUndurable) (this.#gated ??= []).push(call);
    else if (this.isPlaced) this.#startLive(call);
    else this.inPlace(() => this.#startLive(call));
  }

  #startLive(call: DurableCall): void {
    if (!this.mayStart) return;
    const { number, id, args, options } = call;
    const { reconciler } = options;
    const pending = this.#recorded?.pending(number);
    if (reconciler === undefined) call.start();
    else if (pending !== undefined) call.reconcile(reconciler, pending.work);
    else {
      const { journal } = this.services;
      const lsn = journal.nextLsn();
      journal.append({ kind: 'pending', lsn, ...this.item.facts(), call: number, id, args }, (key) => {
        this.#journaled(key);
        call.start();
      });
    }
  }

  /** Journals the end of the body; whatever it does later is refused. */
  protected conclude(outcome: Outcome<unknown>): void {
    this.#recorded?.end({ complete: outcome.ok });
    if (!outcome.ok) {
      this.#reject(outcome.error);
      return;
    }
    try {
      this.#appendEnd(outcome);
    } catch (error) {
      this.#reject(error); // A result that is not serialisable is an error.
    }
  }

  /** What the record of an end keeps and what is applied: what nobody else holds is applied as it is. */
  #handOverEnd(outcome: Outcome<unknown>): HandedOver {
    if (this.item.worker.owned !== true || !outcome.ok)
      return handOver(outcome, { what: () => this.item.title, freeze: false });
    const { value } = outcome;
    const last = this.#lastGiven;
    return {
      recorded: { ok: true, value: last !== undefined && last.value === value ? last.recorded : fixed(value) },
      given: outcome,
    };
  }

  #reject(rejected: unknown): void {
    const { kind, error } = rejectionOf(this.item.worker, rejected);
    if (kind === 'fail') this.#fail(error);
    else this.#appendEnd({ ok: false, error });
  }

  /**
   * A failure that nobody handled is no outcome: the calls that failed are made again after the restart, whatever the
   * journal holds of them.
   */
  #fail(error: unknown): void {
    const { journal } = this.services;
    const failedCalls = this.#failedCalls ?? noFailedCalls;
    const again = voidFailedCalls(failedCalls, this.item, journal);
    const failed = workFailure(this.item, error);
    if (failedCalls.length > 0) noteOutside(failed);
    // First the outcomes that no write holds yet: what was paid for is not paid for again.
    if (!again && !this.#hasUndurable) this.services.failWork(failed);
    else journal.flush(() => this.services.failWork(failed));
  }

  #appendEnd(outcome: Outcome<unknown>): void {
    const { journal } = this.services;
    const { recorded, given } = this.#handOverEnd(outcome);
    // A result that can't be stored is a failure of the body, which says what comes of it.
    if (outcome.ok && !given.ok) throw given.error;
    this.#end = { lsn: journal.nextLsn(), recorded, given };
    journal.enqueue(this);
    // It stands for the outcomes that are in no write yet.
    if (this.#hasUndurable) this.#undurable = this.#undurable?.filter((call) => !call.supersede());
  }

  takeRecord(): WorkRecord | undefined {
    if (this.#end === undefined) return undefined;
    const { item } = this;
    const { lsn, recorded } = this.#end;
    const [work, key, digest] = [item.id, item.key, item.digest()];
    return { kind: 'done', lsn, work, key, digest, calls: item.calls, outcome: recorded };
  }

  onDurable(key: Uint8Array | undefined): void {
    this.#journaled(key);
    if (this.#end !== undefined) this.#tell(this.#end.given);
  }

  #tell(outcome: Outcome<unknown>): void {
    this.owner.ended(this.item, outcome);
    if (this.isPlaced) this.leave();
  }
}
