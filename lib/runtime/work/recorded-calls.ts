/**
 * What the journal holds of one work item's durable calls, and the order in which they resume its body after a restart:
 * that of the journal, one per macrotask, as they did before (I8).
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Outcome } from '../../core/work.ts';
import type { CalledRecord, PendingRecord } from '../journal/work-record.ts';
import type { Macrotasks } from './macrotasks.ts';

/** What the journal holds of one item. */
export interface RecordedItem {
  readonly calls: ReadonlyMap<
    number,
    { readonly pending?: PendingRecord | undefined; readonly called?: CalledRecord | undefined }
  >;
  /** An end that was journaled and not applied. */
  readonly done?: Outcome<unknown> | undefined;
  /** From this call on others than were recorded have been asked for. */
  readonly voided?: number | undefined;
  /** Keys of these records. */
  readonly keys: readonly Uint8Array[];
}

export interface RecordedCallsOptions {
  readonly recorded: RecordedItem;
  /** Name of the item, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly macrotasks: Macrotasks;
  /** The body asks for other calls than were recorded. */
  readonly diverged: (what: string) => void;
  /** The body has waited long: an outcome goes before those that it was recorded behind. */
  readonly overtaken: (what: string) => void;
  /** Whether live outcomes wait until the recorded ones are delivered. */
  readonly liveWait: () => boolean;
  /** Aborted when the job is over. */
  readonly signal: AbortSignal;
  /** Every recorded outcome has been delivered. */
  readonly onDelivered: () => void;
}

type Resume = (outcome: Outcome<unknown>) => void;

/** The outcomes of an item, in the order of the journal. */
const inOrder = ({ calls }: RecordedItem): CalledRecord[] =>
  [...calls.values()].flatMap(({ called }) => called ?? []).sort((a, b) => a.lsn - b.lsn);

/**
 * So long after a body last did anything a recorded outcome that it has not asked for holds back those behind it no
 * longer.
 */
const blockedMaxMs = 30_000;

export class RecordedCalls {
  readonly #options: RecordedCallsOptions;
  /** Outcomes not delivered yet, by call. */
  readonly #called: Map<number, CalledRecord>;
  /** The order of the journal. Those before `#head` have been delivered, forgotten or overtaken. */
  readonly #order: readonly CalledRecord[];
  #head = 0;
  /** Calls that have been overtaken, made with the first of them. */
  #overtaken: Set<number> | undefined;
  readonly #pending = new Map<number, PendingRecord>();
  readonly #waiters = new Map<number, Resume>();
  /**
   * The oldest of the calls that are made again because they failed with their body: others behind it may be none of
   * this body's any more.
   */
  readonly #againFrom: number;
  /** Calls made again that the body has asked for. */
  readonly #making = new Set<number>();
  /** From this call on names of calls are taken by others, which were recorded before the code changed. */
  #voided: number;
  #delivering = false;
  #cancelBlocked: Cancel | undefined;

  constructor(options: RecordedCallsOptions) {
    this.#options = options;
    this.#order = inOrder(options.recorded);
    this.#voided = options.recorded.voided ?? Number.POSITIVE_INFINITY;
    this.#called = new Map(this.#order.map((record) => [record.call, record]));
    this.#againFrom =
      this.#order.find(({ outcome, again }) => outcome === undefined || again === true)?.lsn ??
      Number.POSITIVE_INFINITY;
    for (const [call, { pending, called }] of options.recorded.calls) {
      if (called?.outcome === undefined && pending !== undefined) this.#pending.set(call, pending);
    }
  }

  /** True while recorded outcomes are to be delivered: live ones come after them. */
  get delivers(): boolean {
    return this.#delivering || this.#next() !== undefined;
  }

  /** Calls whose recorded outcome is an error. */
  get failed(): readonly CalledRecord[] {
    return this.#order.filter(({ outcome }) => outcome?.ok === false);
  }

  /** Whether the journal had another call by the name of this one. */
  replaces(call: number): boolean {
    return call >= this.#voided;
  }

  /** The record of a call that had started and whose outcome is not known. */
  pending(call: number): PendingRecord | undefined {
    return this.#pending.get(call);
  }

  /**
   * Whether the journal has the outcome of this call. `other` when it has another call at its place: that is a
   * divergence, and it and all later ones are forgotten.
   */
  find(call: number, id: string, args: string): 'outcome' | 'none' | 'other' {
    this.#progressed();
    const record = this.#called.get(call) ?? this.#pending.get(call);
    if (record === undefined) return 'none';
    if (record.id === id && record.args === args) {
      if (record.kind === 'pending') return 'none';
      if (record.outcome !== undefined) return 'outcome';
      this.#making.add(call);
      return 'none';
    }
    const asked = `durable call ${call} of work ${this.#options.name} is \`${id}\` with arguments ${args || 'none'}`;
    this.#diverged(record, `${asked}, recorded was \`${record.id}\` with arguments ${record.args || 'none'}`);
    this.#voided = Math.min(this.#voided, call);
    for (const number of this.#called.keys()) if (number >= call) this.#called.delete(number);
    for (const number of this.#pending.keys()) if (number >= call) this.#pending.delete(number);
    this.#deliverNext(); // What was behind the forgotten ones need not wait for them.
    return 'other';
  }

  /** Resumes with the recorded outcome of a call, when it is its turn. */
  deliver(call: number, resume: Resume): void {
    this.#waiters.set(call, resume);
    this.#deliverNext();
  }

  /** The place in the log that the outcome of a call gets which is made again. */
  placeOf(call: number): number | undefined {
    return this.#making.has(call) ? this.#called.get(call)?.lsn : undefined;
  }

  /**
   * Takes the live outcome of a call that is made again: it resumes the body in its old place. False for any other
   * call.
   */
  madeAgain(call: number, outcome: Outcome<unknown>, resume: Resume): boolean {
    const record = this.#called.get(call);
    if (!this.#making.delete(call) || record === undefined) return false;
    this.#called.set(call, { ...record, outcome, again: true });
    this.deliver(call, resume);
    return true;
  }

  /** Live outcomes wait behind the recorded ones. */
  watch(): void {
    const next = this.#next();
    if (next !== undefined && !this.#isAsked(next) && (this.#waiters.size > 0 || this.#options.liveWait()))
      this.#watchBlocked();
  }

  /** The body has ended; `complete` unless it was cut short. What it has not asked for was recorded for other code. */
  end({ complete }: { readonly complete: boolean }): void {
    this.#unwatch();
    if (!complete) return;
    for (const record of this.#order) {
      if (!this.#called.has(record.call) || this.#isAsked(record)) continue;
      this.#diverged(
        record,
        `durable call ${record.call} (\`${record.id}\`) of work ${this.#options.name} was recorded and is not asked for again`,
      );
      return;
    }
  }

  #isAsked({ call }: CalledRecord): boolean {
    return this.#waiters.has(call) || this.#making.has(call);
  }

  /** What a body does after a failed call may be something else when the call succeeds: then it is no divergence. */
  #diverged(record: CalledRecord | PendingRecord, what: string): void {
    if (record.lsn <= this.#againFrom) this.#options.diverged(what);
  }

  /** The outcome that comes next. */
  #next(): CalledRecord | undefined {
    for (; this.#head < this.#order.length; this.#head += 1) {
      const record = this.#called.get(this.#order[this.#head]?.call ?? -1);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  #deliverNext(): void {
    if (this.#delivering) return;
    const next = this.#overtakenAndAsked() ?? this.#next();
    if (next === undefined) {
      this.#options.onDelivered();
      return;
    }
    const { call, outcome } = next;
    const resume = this.#waiters.get(call);
    if (resume === undefined || outcome === undefined) {
      this.watch();
      return;
    }
    this.#called.delete(call);
    this.#waiters.delete(call);
    this.#delivering = true;
    this.#progressed();
    this.#options.macrotasks.next(() => {
      resume(outcome);
      this.#options.macrotasks.next(() => {
        this.#delivering = false;
        this.#deliverNext();
      });
    });
  }

  #overtakenAndAsked(): CalledRecord | undefined {
    for (const call of this.#overtaken ?? none) if (this.#waiters.has(call)) return this.#called.get(call);
    return undefined;
  }

  /** The body does something, so the time that it may take begins anew. */
  #progressed(): void {
    if (this.#cancelBlocked === undefined) return;
    this.#unwatch();
    this.#options.macrotasks.next(() => this.watch());
  }

  /**
   * Code that asks for a call only after it has what was recorded behind it would wait for ever. Slow code looks the
   * same, so nothing is forgotten: the outcome stays for when it is asked for.
   */
  #watchBlocked(): void {
    if (this.#cancelBlocked !== undefined) return;
    const { clock, signal, name, overtaken } = this.#options;
    const abort = (): void => this.#unwatch();
    const cancel = clock.setTimer(blockedMaxMs, () => {
      this.#unwatch();
      const next = this.#next();
      if (next === undefined || this.#isAsked(next)) return;
      const waits = `work ${name} has not asked for durable call ${next.call} (\`${next.id}\`) in ${blockedMaxMs} ms`;
      overtaken(`${waits}; it goes on with what was recorded behind it`);
      (this.#overtaken ??= new Set()).add(next.call);
      this.#head += 1;
      this.#deliverNext();
    });
    signal.addEventListener('abort', abort, { once: true });
    this.#cancelBlocked = () => {
      cancel();
      signal.removeEventListener('abort', abort);
    };
  }

  #unwatch(): void {
    this.#cancelBlocked?.();
    this.#cancelBlocked = undefined;
  }
}

const none: ReadonlySet<number> = new Set();
