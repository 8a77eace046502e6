/**
 * The journal: turns and outcomes in one order, written in groups with one write in flight, so that the durable log is
 * always a prefix (I8, I14). Turns ride along with the next durable record and nobody waits for them; `flush` makes
 * them durable when something is about to leave the process.
 */
import type { Clock } from '../../core/clock.ts';
import { messageOf, StreamError } from '../../core/errors.ts';
import type { ActionStateStore, JournalEntry } from '../../core/journal.ts';
import { LoopSlice } from '../../core/slice.ts';
import { encodeTurns, encodeWork, turnsKey, type TurnsRecord } from './journal-format.ts';
import type { Lsn, WorkRecord } from './work-record.ts';
import { mergeTurns, packTurn, type Turn } from './turn.ts';

/** Where a journal goes on after a restart, and what the checkpoint header keeps of it. */
export interface JournalState {
  /** The LSN of the newest record. */
  readonly lsn: Lsn;
  /** Turns so far. */
  readonly turns: number;
}

export const emptyJournal: JournalState = { lsn: 0, turns: 0 };

/** Acknowledgements between two looks at the clock. */
const lookEvery = 16;

/** What is appended: an object of whoever appends it, where there are many of them. */
export interface LogEntry {
  /**
   * Called once, when a write takes it; nobody may change what is in the record any more, and it must be storable
   * (I21). Undefined: there is nothing to write, it is only told.
   */
  takeRecord(): WorkRecord | undefined;
  /** It and all before it are durable; `key` is that of its record, where one is kept. */
  onDurable(key: Uint8Array | undefined): void;
}

/** A record with a function that is told. */
class QueuedRecord implements LogEntry {
  readonly onDurable: (key: Uint8Array | undefined) => void;
  readonly #record: WorkRecord | undefined;

  constructor(record: WorkRecord | undefined, onDurable: (key: Uint8Array | undefined) => void) {
    this.#record = record;
    this.onDurable = onDurable;
  }

  takeRecord(): WorkRecord | undefined {
    return this.#record;
  }
}

/** What is in one write, and the keys of the records, each at the place of its entry. */
interface Group {
  readonly members: readonly LogEntry[];
  readonly keys: readonly (Uint8Array | undefined)[];
}

export interface JournalOptions {
  /** Undefined: nothing is kept and everything is acknowledged at once (a job without a state directory). */
  readonly store: ActionStateStore | undefined;
  readonly clock: Clock;
  /** Whether turns are recorded at all. */
  readonly recordTurns: () => boolean;
  readonly from: JournalState;
  /** A write failed: nothing is acknowledged any more, and the store must be reopened (I15). */
  readonly onFailure: (error: unknown) => void;
  /** How long a write took, in milliseconds. */
  readonly onWritten?: (ms: number, entries: number) => void;
}

export class Journal {
  readonly #options: JournalOptions;
  #lsn: Lsn;
  #turns: number;
  /** Turns noted and not handed to a write yet. */
  #noted: Turn[] = [];
  /** False after a cut: what comes then must not be merged into a turn that the checkpoint covers. */
  #mergeable = false;
  #queued: LogEntry[] = [];
  #scheduled = false;
  #writing = false;
  #dead = false;
  /** Whether turns are recorded; asked with the first one, when the whole graph is there. */
  #records: boolean | undefined;
  /** LSNs of the turns records a later checkpoint makes garbage, with the number of their last turn. */
  #written: { readonly lsn: Lsn; readonly last: number }[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#lsn = options.from.lsn;
    this.#turns = options.from.turns;
  }

  get state(): JournalState {
    return { lsn: this.#lsn, turns: this.#turns };
  }

  /** Whether anything is kept. */
  get keeps(): boolean {
    return this.#options.store !== undefined;
  }

  /** Records appended and turns noted that are not durable yet. */
  get backlog(): number {
    return this.#queued.length + this.#noted.length;
  }

  /** Appends a turn without asking for durability: it rides with the next durable record. */
  note(turn: Turn): void {
    this.#records ??= this.#options.recordTurns();
    if (!this.#records) return;
    const last = this.#mergeable ? this.#noted.at(-1) : undefined;
    const merged = last === undefined ? undefined : mergeTurns(last, turn);
    this.#mergeable = true;
    if (merged === undefined) {
      this.#turns += 1;
      this.#noted.push(turn);
    } else this.#noted[this.#noted.length - 1] = merged;
  }

  /** The instant of a checkpoint: the state it covers. */
  cut(): JournalState {
    this.#mergeable = false;
    return this.state;
  }

  /** The LSN of the record that is appended next. */
  nextLsn(): Lsn {
    this.#lsn += 1;
    return this.#lsn;
  }

  /** Appends a record; `onDurable` is called, in LSN order, when it and everything before it are durable. */
  append(record: WorkRecord, onDurable: (key: Uint8Array | undefined) => void): void {
    this.enqueue(new QueuedRecord(record, onDurable));
  }

  /** Calls `onDurable` when every turn noted so far is durable. */
  flush(onDurable: () => void): void {
    this.enqueue(new QueuedRecord(undefined, onDurable));
  }

  /** Appends what the entry's record is when a write takes it. */
  enqueue(entry: LogEntry): void {
    this.#queued.push(entry);
    if (this.#scheduled || this.#writing) return;
    this.#scheduled = true;
    // A macrotask later, so that every caller that is ready now joins the group.
    this.#options.clock.defer(() => {
      this.#scheduled = false;
      this.#write();
    });
  }

  /** Forgets turns that a durable checkpoint covers, and these records. */
  async prune(turns: number, keys: readonly Uint8Array[]): Promise<void> {
    const { store } = this.#options;
    if (store === undefined) return;
    // Those that nothing has written yet need not be written any more: else a job that appends nothing would keep them
    // for ever.
    this.#noted.splice(0, Math.max(0, turns - (this.#turns - this.#noted.length)));
    const covered = this.#written.filter(({ last }) => last <= turns);
    this.#written = this.#written.filter(({ last }) => last > turns);
    // Turns last: as long as they are there they tell which work they have applied.
    const all = [...keys, ...covered.map(({ lsn }) => turnsKey(lsn))];
    if (all.length > 0 && !this.#dead) await store.pruneState(all);
  }

  /** Says that the log holds this turns record already (after a restart), so that it can be pruned. */
  adopt(lsn: Lsn, last: number): void {
    this.#written.push({ lsn, last });
  }

  /** Stops: nothing is written or acknowledged any more. */
  kill(): void {
    this.#dead = true;
  }

  #write(): void {
    if (this.#dead || this.#queued.length === 0) return;
    const { store } = this.#options;
    const members = this.#queued;
    const keys: (Uint8Array | undefined)[] = [];
    this.#queued = [];
    const entries: JournalEntry[] = [];
    try {
      this.#takeTurns(entries);
      for (const member of members) {
        const record = member.takeRecord();
        const entry = record === undefined || store === undefined ? undefined : encodeWork(record);
        keys.push(entry?.key);
        if (entry !== undefined) entries.push(entry);
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#writing = true;
    const group = { members, keys };
    if (entries.length === 0 || store === undefined) {
      this.#acknowledge(group, 0);
      return;
    }
    const start = this.#options.clock.elapsed();
    store.append(entries).then(
      () => {
        this.#options.onWritten?.(this.#options.clock.elapsed() - start, entries.length);
        this.#acknowledge(group, 0);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /**
   * Tells a group, from one member on, that it is durable; in slices, since each may run a turn. The next write waits
   * for the last.
   */
  #acknowledge(group: Group, from: number): void {
    const { clock } = this.#options;
    const { members, keys } = group;
    const slice = new LoopSlice(clock);
    try {
      for (let at = from; at < members.length && !this.#dead; at += 1) {
        members[at]?.onDurable(keys[at]);
        if (at % lookEvery === 0 && slice.isOver) {
          clock.defer(() => this.#acknowledge(group, at + 1));
          return;
        }
      }
    } catch (error) {
      this.#fail(error); // Nobody else would hear of it: this is a macrotask of its own.
      return;
    }
    this.#writing = false;
    if (!this.#scheduled) this.#write();
  }

  #fail(error: unknown): void {
    if (this.#dead) return;
    this.kill();
    this.#options.onFailure(error);
  }

  /** The turns that were noted go in front of what waits. */
  #takeTurns(entries: JournalEntry[]): void {
    if (this.#noted.length === 0) return;
    this.#lsn += 1;
    const first = this.#turns - this.#noted.length;
    entries.push(turnsEntry({ kind: 'turns', lsn: this.#lsn, first, turns: this.#noted.map(packTurn) }));
    this.#written.push({ lsn: this.#lsn, last: this.#turns });
    this.#noted = [];
  }
}

/** Of all that a turn records only accepted records come from outside, so nothing else can fail to be stored. */
const turnsEntry = (record: TurnsRecord): JournalEntry => {
  try {
    return encodeTurns(record);
  } catch (cause) {
    throw new StreamError(
      'NOT_SERIALISABLE',
      `a record of a source that can't be read again can not be journaled: ${messageOf(cause)}`,
      { cause },
    );
  }
};
