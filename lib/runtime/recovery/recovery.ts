/**
 * What the journal holds behind a checkpoint: the turns after it, and the records of work that is open or will be
 * submitted again. Everything else in the journal is garbage by rule, or left over of a branch that was left. Keeps I8.
 */
import { StreamError } from '../../core/errors.ts';
import type { ActionStateStore } from '../../core/journal.ts';
import { workName } from '../../core/journal.ts';
import type { Outcome } from '../../core/work.ts';
import type { Header, LeftOverSnapshot } from '../checkpoint/header.ts';
import type { JournalState } from '../journal/journal.ts';
import { decodeJournalEntry, type TurnsRecord } from '../journal/journal-format.ts';
import type { DoneRecord, JournaledItem } from '../journal/work-record.ts';
import { JournaledItems, recordedOf } from './journaled-item.ts';
import { LeftOver } from './left-over.ts';
import { moves, unpackTurn, type PackedTurn, type Turn } from '../journal/turn.ts';
import type { WorkItem } from '../work/work-item.ts';
import type { RecordedItem } from '../work/recorded-calls.ts';

/** What a checkpoint header says of the journal. */
export type Covered = Pick<Header, 'journal' | 'journalPosition' | 'branch' | 'leftOver'>;

interface Loaded {
  readonly covered: Covered;
  readonly turns: readonly Turn[];
  readonly state: JournalState;
  readonly kept: readonly { readonly lsn: number; readonly last: number }[];
  readonly items: Map<string, JournaledItem>;
}

/** How much a restart has of before. */
export interface Recorded {
  /** Turns behind the checkpoint, and the records that they handed over. */
  readonly turns: number;
  readonly records: number;
  /** Journaled outcomes of calls and of whole items of work. */
  readonly outcomes: number;
}

/** The journal's tail, as it was found at a restart. */
export class Recovery {
  /** Where the journal goes on. */
  readonly state: JournalState;
  /** Turns records that stay until a checkpoint covers them: LSN and number of their last turn. */
  readonly kept: readonly { readonly lsn: number; readonly last: number }[];
  /** Counts what a start that gets nowhere does not record: by it progress is told. */
  readonly progress: number;
  readonly recorded: Recorded;
  readonly #covered: Covered;
  #turns: readonly Turn[];
  readonly #items: Map<string, JournaledItem>;
  #garbage: Uint8Array[] = [];
  #leftOver: LeftOver | undefined;

  private constructor({ covered, turns, state, kept, items }: Loaded) {
    this.#covered = covered;
    this.#turns = turns;
    this.state = state;
    this.kept = kept;
    this.#items = items;
    this.recorded = { turns: turns.length, records: recordsOf(turns), outcomes: outcomesOf(items.values()) };
    this.progress = [...items.values()].reduce((sum, { keys }) => sum + keys.length, turns.filter(moves).length);
  }

  static empty(covered: Covered): Recovery {
    return new Recovery({ covered, turns: [], state: covered.journal, kept: [], items: new Map() });
  }

  /**
   * Reads what the journal holds behind `covered`. Throws `STORE_DAMAGED` when it is an older one or a turns record is
   * missing.
   */
  static async load(store: ActionStateStore, covered: Covered): Promise<Recovery> {
    const { journalPosition } = covered;
    if (journalPosition !== undefined && (await store.reaches?.(journalPosition)) === false)
      throw new StreamError(
        'STORE_DAMAGED',
        'the journal is older than the checkpoint: it lacks what was durable when that was written',
      );
    const records = new JournaledItems();
    const logs: TurnsRecord[] = [];
    let { lsn } = covered.journal;
    for await (const entry of store.rebuildState()) {
      const record = decodeJournalEntry(entry);
      lsn = Math.max(lsn, record.lsn);
      if (record.kind === 'turns') logs.push(record);
      else records.add(record, entry.key);
    }
    logs.sort((a, b) => a.lsn - b.lsn);
    const { turns, number } = contiguous(logs, covered.journal);
    const items = records.byName();
    const kept = logs.map((log) => ({ lsn: log.lsn, last: log.first + log.turns.length }));
    const recovery = new Recovery({
      covered,
      turns: turns.map(unpackTurn),
      state: { lsn, turns: number },
      kept,
      items,
    });
    for (const name of appliedBefore(logs, covered)) recovery.#forget(name);
    return recovery;
  }

  /** The turns after the checkpoint, in order. */
  get turns(): readonly Turn[] {
    return this.#turns;
  }

  /** Hands over the turns, which may hold all records that a source has accepted since, and keeps them no longer. */
  takeTurns(): readonly Turn[] {
    const turns = this.#turns;
    this.#turns = [];
    return turns;
  }

  /** What may be claimed of the branch before; undefined when nothing is. */
  get leftOver(): LeftOver | undefined {
    return this.#leftOver;
  }

  /** The recorded end of an item, for replay. */
  doneOf(item: WorkItem): DoneRecord | undefined {
    return this.#items.get(item.name)?.done;
  }

  /** Replay has applied the item: nobody may claim its records, which are garbage once a checkpoint covers that. */
  applied(item: WorkItem): void {
    this.#forget(item.name);
  }

  /** The recorded ends that no turn has applied yet, in the order of the log. */
  ends(items: Iterable<WorkItem>): readonly { readonly item: WorkItem; readonly outcome: Outcome<unknown> }[] {
    const found: { item: WorkItem; outcome: Outcome<unknown>; lsn: number }[] = [];
    for (const item of items) {
      const done = this.doneOf(item);
      if (done !== undefined && done.digest === item.digest())
        found.push({ item, outcome: done.outcome, lsn: done.lsn });
    }
    return found.sort((a, b) => a.lsn - b.lsn);
  }

  /** What the journal holds of an item that is about to run; handed out once. */
  take(item: WorkItem): RecordedItem | undefined {
    if (this.#items.size === 0) return undefined;
    const { name } = item;
    const found = this.#items.get(name);
    if (found === undefined) return undefined;
    this.#items.delete(name);
    return found.facts.digest === item.digest() ? recordedOf(found) : undefined;
  }

  /**
   * Of all that is neither open nor applied, what an earlier branch has left over may be claimed, and so may what lies
   * behind `divergence`; the rest ended before the checkpoint.
   */
  endReplay(open: ReadonlySet<string>, divergence?: LeftOverSnapshot): void {
    const { journal, branch, leftOver } = this.#covered;
    const kept = new Set(leftOver?.kept);
    const left: JournaledItem[] = [];
    for (const [name, item] of this.#items) {
      if (open.has(name)) continue;
      const isOlder = leftOver !== undefined && item.work.branch < branch && !kept.has(name);
      if (isOlder || (divergence !== undefined && item.first > journal.lsn)) {
        this.#items.delete(name);
        left.push(item);
      } else this.#forget(name);
    }
    const snapshot = divergence ?? leftOver;
    if (snapshot !== undefined) this.#leftOver = new LeftOver(snapshot, left);
  }

  /**
   * An item of the present branch, of which the journal holds nothing, claims what is left over of an equal one. Gives
   * the item it was.
   */
  claim(item: WorkItem): JournaledItem | undefined {
    const claimed = this.#leftOver?.claim(item);
    // Read back, its records go by the name of the item.
    if (claimed !== undefined) this.#items.set(item.name, claimed);
    return claimed;
  }

  /** Everything that the journal holds of items that are not applied. */
  get items(): Iterable<JournaledItem> {
    return this.#items.values();
  }

  /** Whether the journal holds anything of an item. */
  knows(item: WorkItem): boolean {
    return this.#items.has(item.name);
  }

  /** Nothing is left that can be claimed. */
  dropLeftOver(): void {
    this.#garbage = this.#garbage.concat(this.#leftOver?.takeGarbage() ?? []);
    this.#leftOver = undefined;
  }

  /**
   * Keys of records that have become garbage since this was asked last: they may go once a checkpoint covers the
   * replayed turns.
   */
  takeGarbage(): readonly Uint8Array[] {
    const garbage = this.#garbage.concat(this.#leftOver?.takeGarbage() ?? []);
    this.#garbage = [];
    return garbage;
  }

  #forget(name: string): void {
    const item = this.#items.get(name);
    if (item === undefined) return;
    this.#items.delete(name);
    for (const key of item.keys) this.#garbage.push(key);
  }
}

const recordsOf = (turns: readonly Turn[]): number =>
  turns.reduce((sum, turn) => sum + (turn.kind === 'records' ? turn.count : 0), 0);

const outcomesOf = (items: Iterable<JournaledItem>): number => {
  let count = 0;
  for (const { calls, done } of items) count += calls.size + (done === undefined ? 0 : 1);
  return count;
};

/** The turns behind the checkpoint; each record must follow the one before it. */
const contiguous = (
  logs: readonly TurnsRecord[],
  covered: JournalState,
): { turns: readonly PackedTurn[]; number: number } => {
  const turns: PackedTurn[] = [];
  let number = covered.turns;
  for (const log of logs) {
    const last = log.first + log.turns.length;
    if (last <= covered.turns) continue;
    if (log.first > number) {
      throw new StreamError(
        'STORE_DAMAGED',
        `the journal lacks turns ${number} to ${log.first - 1}, recorded before turns that it has`,
      );
    }
    for (const turn of log.turns.slice(number - log.first)) turns.push(turn);
    number = last;
  }
  return { turns, number };
};

/**
 * Work that was applied before the branches parted, told by turns that are covered and not pruned yet, and which go
 * last.
 */
const appliedBefore = (logs: readonly TurnsRecord[], { leftOver }: Covered): readonly string[] => {
  if (leftOver === undefined) return [];
  const { left } = leftOver;
  const end = left.at(-1)?.[0] ?? 0;
  const names: string[] = [];
  for (const { first, turns } of logs) {
    for (const [index, packed] of turns.slice(0, Math.max(0, end - first)).entries()) {
      const turn = unpackTurn(packed);
      if (turn.kind === 'work' && !left.some(([from, to]) => first + index >= from && first + index < to))
        names.push(workName(turn.work));
    }
  }
  return names;
};
