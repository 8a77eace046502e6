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

/** After this long a recorded outcome that nobody asks for is taken for a divergence. */
const blockedMaxMs = 30_000;

export class RecordedCalls {
  readonly #options: RecordedCallsOptions;
  /** Outcomes not delivered yet, in the order of the journal. */
  #called: CalledRecord[];
  readonly #pending = new Map<number, PendingRecord>();
  readonly #waiters = new Map<number, Resume>();
  #delivering = false;

  constructor(options: RecordedCallsOptions) {
    this.#options = options;
    const calls = [...options.recorded.calls];
    this.#called = calls.flatMap(([, { called }]) => (called === undefined ? [] : [called])).sort((a, b) => a.lsn - b.lsn);
    for (const [call, { pending, called }] of calls) if (called === undefined && pending !== undefined) this.#pending.set(call, pending);
  }

  /** True while recorded outcomes are to be delivered: live ones come after them. */
  get delivers(): boolean {
    return this.#called.length > 0 || this.#delivering;
  }

  /** Calls whose recorded outcome is an error. */
  get failed(): readonly number[] {
    return this.#called.filter(({ outcome }) => !outcome.ok).map(({ call }) => call);
  }

  /** Whether a call had started and its outcome is not known. */
  isPending(call: number): boolean {
    return this.#pending.has(call);
  }

  /** Whether the journal has the outcome of this call. Another call at its place is a divergence: it and all later ones are forgotten. */
  has(call: number, id: string, args: string): boolean {
    const record = this.#called.find((each) => each.call === call) ?? this.#pending.get(call);
    if (record === undefined) return false;
    if (record.id === id && record.args === args) return record.kind === 'called';
    const asked = `durable call ${call} of work ${this.#options.name} is \`${id}\` with arguments ${args || 'none'}`;
    this.#options.diverged(`${asked}, recorded was \`${record.id}\` with arguments ${record.args || 'none'}`);
    this.#called = this.#called.filter((each) => each.call < call);
    for (const pending of this.#pending.keys()) if (pending >= call) this.#pending.delete(pending);
    return false;
  }

  /** Resumes with the recorded outcome of a call, when it is its turn. */
  deliver(call: number, resume: Resume): void {
    this.#waiters.set(call, resume);
    this.#next();
  }

  #next(): void {
    if (this.#delivering) return;
    const next = this.#called[0];
    if (next === undefined) {
      this.#options.onDelivered();
      return;
    }
    const resume = this.#waiters.get(next.call);
    if (resume === undefined) {
      if (this.#waiters.size > 0) this.#watchBlocked(next);
      return;
    }
    this.#called.shift();
    this.#waiters.delete(next.call);
    this.#delivering = true;
    this.#options.macrotasks.next(() => {
      resume(next.outcome);
      this.#options.macrotasks.next(() => {
        this.#delivering = false;
        this.#next();
      });
    });
  }

  #watchBlocked(next: CalledRecord): void {
    this.#options.clock.setTimer(blockedMaxMs, () => {
      if (this.#called[0] !== next || this.#waiters.has(next.call)) return;
      this.#options.diverged(`durable call ${next.call} (\`${next.id}\`) of work ${this.#options.name} was recorded and is not asked for again`);
      this.#called.shift();
      this.#next();
    });
  }
}
