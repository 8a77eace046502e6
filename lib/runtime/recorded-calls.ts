/**
 * What the journal holds of one work item's durable calls, and the order in which they resume its body after a restart: that of the
 * journal, one per macrotask, as they did before (I8).
 */
import type { Clock } from '../core/clock.ts';
import type { Outcome } from '../core/operator.ts';
import type { CalledRecord, PendingRecord } from './journal-format.ts';
import type { Macrotasks } from './macrotasks.ts';

/** What the journal holds of one item. */
export interface RecordedItem {
  readonly calls: ReadonlyMap<number, { readonly pending?: PendingRecord | undefined; readonly called?: CalledRecord | undefined }>;
  /** An end that was journaled and not applied. */
  readonly done?: Outcome<unknown> | undefined;
  /** Keys of these records. */
  readonly keys: readonly Uint8Array[];
  /** It was another item's, before a divergence. */
  readonly claimed: boolean;
}

export interface RecordedCallsOptions {
  readonly recorded: RecordedItem;
  /** Name of the item, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly macrotasks: Macrotasks;
  readonly diverged: (what: string) => void;
  /** Every recorded outcome has been delivered. */
  readonly onDelivered: () => void;
}

type Resume = (outcome: Outcome<unknown>) => void;

/** The outcomes of an item, in the order of the journal. */
export const inOrder = ({ calls }: RecordedItem): CalledRecord[] =>
  [...calls.values()].flatMap(({ called }) => called ?? []).sort((a, b) => a.lsn - b.lsn);

/** After this long a recorded outcome that nobody asks for is taken for a divergence. */
const blockedMaxMs = 30_000;

export class RecordedCalls {
  readonly #options: RecordedCallsOptions;
  /** Outcomes not delivered yet, in the order of the journal. */
  #called: CalledRecord[];
  readonly #pending = new Map<number, PendingRecord>();
  readonly #waiters = new Map<number, Resume>();
  /** Calls that are made again because they failed with their body: others behind them may be none of this body's any more. */
  readonly #again: ReadonlySet<CalledRecord>;
  /** Those of them that the body has asked for. */
  readonly #making = new Set<number>();
  #delivering = false;

  constructor(options: RecordedCallsOptions) {
    this.#options = options;
    this.#called = inOrder(options.recorded);
    this.#again = new Set(this.#called.filter(({ outcome, again }) => outcome === undefined || again === true));
    for (const [call, { pending, called }] of options.recorded.calls) {
      if (called?.outcome === undefined && pending !== undefined) this.#pending.set(call, pending);
    }
  }

  /** True while recorded outcomes are to be delivered: live ones come after them. */
  get delivers(): boolean {
    return this.#called.length > 0 || this.#delivering;
  }

  /** Calls whose recorded outcome is an error. */
  get failed(): readonly CalledRecord[] {
    return this.#called.filter(({ outcome }) => outcome?.ok === false);
  }

  /** Whether a call had started and its outcome is not known. */
  isPending(call: number): boolean {
    return this.#pending.has(call);
  }

  /**
   * Whether the journal has the outcome of this call. `other` when it has another call at its place: that is a divergence, and it and all
   * later ones are forgotten.
   */
  find(call: number, id: string, args: string): 'outcome' | 'none' | 'other' {
    const record = this.#called.find((each) => each.call === call) ?? this.#pending.get(call);
    if (record === undefined) return 'none';
    if (record.id === id && record.args === args) {
      if (record.kind === 'called' && record.outcome === undefined) this.#making.add(call);
      return record.kind === 'called' && record.outcome !== undefined ? 'outcome' : 'none';
    }
    const asked = `durable call ${call} of work ${this.#options.name} is \`${id}\` with arguments ${args || 'none'}`;
    this.#diverged(record, `${asked}, recorded was \`${record.id}\` with arguments ${record.args || 'none'}`);
    this.#called = this.#called.filter((each) => each.call < call);
    for (const pending of this.#pending.keys()) if (pending >= call) this.#pending.delete(pending);
    return 'other';
  }

  /** Resumes with the recorded outcome of a call, when it is its turn. */
  deliver(call: number, resume: Resume): void {
    this.#waiters.set(call, resume);
    this.#next();
  }

  /** The place in the log that the outcome of a call gets which is made again. */
  placeOf(call: number): number | undefined {
    return this.#making.has(call) ? this.#called.find((each) => each.call === call)?.lsn : undefined;
  }

  /** Takes the live outcome of a call that is made again: it resumes the body in its old place. False for any other call. */
  settle(call: number, outcome: Outcome<unknown>, resume: Resume): boolean {
    if (!this.#making.delete(call)) return false;
    this.#called = this.#called.map((each) => (each.call === call ? { ...each, outcome, again: true } : each));
    this.deliver(call, resume);
    return true;
  }

  /** Live outcomes wait behind the recorded ones. */
  watch(): void {
    const [head] = this.#called;
    if (head !== undefined && !this.#isAsked(head)) this.#watchBlocked(head);
  }

  #isAsked({ call }: CalledRecord): boolean {
    return this.#waiters.has(call) || this.#making.has(call);
  }

  /** What a body does after a failed call may be something else when the call succeeds: then it is no divergence. */
  #diverged(record: CalledRecord | PendingRecord, what: string): void {
    for (const { lsn } of this.#again) if (lsn < record.lsn) return;
    this.#options.diverged(what);
  }

  #next(): void {
    if (this.#delivering) return;
    const next = this.#called[0];
    if (next === undefined) {
      this.#options.onDelivered();
      return;
    }
    const { outcome } = next;
    const resume = this.#waiters.get(next.call);
    if (resume === undefined || outcome === undefined) {
      if (this.#waiters.size > 0 && !this.#isAsked(next)) this.#watchBlocked(next);
      return;
    }
    this.#called.shift();
    this.#waiters.delete(next.call);
    this.#delivering = true;
    this.#options.macrotasks.next(() => {
      resume(outcome);
      this.#options.macrotasks.next(() => {
        this.#delivering = false;
        this.#next();
      });
    });
  }

  #watchBlocked(next: CalledRecord): void {
    this.#options.clock.setTimer(blockedMaxMs, () => {
      if (this.#called[0] !== next || this.#isAsked(next)) return;
      this.#diverged(next, `durable call ${next.call} (\`${next.id}\`) of work ${this.#options.name} was recorded and is not asked for again`);
      this.#called.shift();
      this.#next();
    });
  }
}
