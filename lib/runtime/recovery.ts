/**
 * What the journal holds behind a checkpoint: the turns after it, and the records of work that is open or will be submitted again.
 * Everything else in the journal is garbage by rule. Keeps I8.
 */
import { StreamError } from '../core/errors.ts';
import type { ActionStateStore } from '../core/journal.ts';
import { workName } from '../core/journal.ts';
import { mapKeyOf, type MapKey } from '../core/key.ts';
import type { Outcome } from '../core/operator.ts';
import type { JournalState } from './journal.ts';
import { decodeJournalEntry, workKey, type CalledRecord, type DoneRecord, type PendingRecord, type TurnsRecord, type WorkRecord } from './journal-format.ts';
import { unpackTurn, type Turn } from './turn.ts';
import type { WorkItem } from './work.ts';
import type { RecordedItem } from './recorded-calls.ts';

interface JournaledItem {
  readonly calls: Map<number, { pending?: PendingRecord; called?: CalledRecord }>;
  done?: DoneRecord;
  /** A turn that was replayed has applied its end. */
  applied?: boolean;
  /** Every record of one item carries the same facts. */
  facts: WorkRecord;
}

/** The journal's tail, as it was found at a restart. */
export class Recovery {
  /** The turns after the checkpoint, in order. */
  readonly turns: readonly Turn[];
  /** Where the journal goes on. */
  readonly state: JournalState;
  /** Turns records that stay until a checkpoint covers them: LSN and number of their last turn. */
  readonly kept: readonly { readonly lsn: number; readonly last: number }[];
  /** Counts what a start that gets nowhere does not record: by it progress is told. */
  readonly progress: number;
  readonly #items: Map<string, JournaledItem>;
  /** After a divergence: items of the old branch by operator and key, oldest first. */
  #leftOver: Map<number, Map<MapKey, JournaledItem[]>> | undefined;

  private constructor(turns: readonly Turn[], state: JournalState, kept: Recovery['kept'], items: Map<string, JournaledItem>) {
    this.turns = turns;
    this.state = state;
    this.kept = kept;
    this.#items = items;
    const moves = turns.filter(({ kind }) => kind !== 'start' && kind !== 'tick').length;
    this.progress = [...items.values()].reduce((sum, item) => sum + keysOf(item).length, moves);
  }

  static empty(state: JournalState): Recovery {
    return new Recovery([], state, [], new Map());
  }

  /** Reads what the journal holds behind `covered`. Throws `STORE_DAMAGED` when a turns record is missing. */
  static async load(store: ActionStateStore, covered: JournalState): Promise<Recovery> {
    const items = new Map<string, JournaledItem>();
    const logs: TurnsRecord[] = [];
    let lsn = covered.lsn;
    for await (const entry of store.rebuildState()) {
      const record = decodeJournalEntry(entry);
      lsn = Math.max(lsn, record.lsn);
      if (record.kind === 'turns') logs.push(record);
      else collect(items, record);
    }
    logs.sort((a, b) => a.lsn - b.lsn);
    const { turns, number } = contiguous(logs, covered);
    const kept = logs.map((log) => ({ lsn: log.lsn, last: log.first + log.turns.length }));
    const turnsLsn = logs.at(-1)?.lsn ?? covered.turnsLsn;
    return new Recovery(turns.map(unpackTurn), { lsn, turnsLsn, turns: number }, kept, items);
  }

  /** Whether the journal holds records of another item under this one's name. */
  contradicts(item: WorkItem): boolean {
    const digest = this.#items.size === 0 ? undefined : this.#items.get(item.name)?.facts.digest;
    return digest !== undefined && digest !== item.digest();
  }

  /** The recorded end of an item, for replay. */
  doneOf(item: WorkItem): DoneRecord | undefined {
    return this.#items.get(item.name)?.done;
  }

  /** A recorded turn has applied the end of this item. */
  applied(item: WorkItem): void {
    const found = this.#items.get(item.name);
    if (found !== undefined) found.applied = true;
  }

  /** The recorded ends that no turn has applied yet, in the order of the log. */
  ends(items: Iterable<WorkItem>): readonly { readonly item: WorkItem; readonly outcome: Outcome<unknown> }[] {
    const found: { item: WorkItem; outcome: Outcome<unknown>; lsn: number }[] = [];
    for (const item of items) {
      const done = this.doneOf(item);
      if (done !== undefined && done.digest === item.digest()) found.push({ item, outcome: done.outcome, lsn: done.lsn });
    }
    return found.sort((a, b) => a.lsn - b.lsn);
  }

  /** What the journal holds of an item that is about to run; handed out once. */
  take(item: WorkItem): RecordedItem | undefined {
    if (this.#items.size === 0 && this.#leftOver === undefined) return undefined;
    const { name } = item;
    const found = this.#items.get(name);
    if (found !== undefined) {
      this.#items.delete(name);
      return found.facts.digest === item.digest() ? recordedOf(found, false) : undefined;
    }
    return this.#claim(item);
  }

  /** The recorded turns came to a divergence: a new branch begins. */
  leaveBehind(): void {
    this.#leftOver = new Map();
  }

  /**
   * After a divergence nothing new has a name of the old branch any more. What is neither applied nor open may be claimed by content: the
   * same operator and key with the same input digest, oldest first. The first mismatch drops the rest of that key at that operator.
   */
  offer(open: Iterable<WorkItem>): void {
    const leftOver = this.#leftOver;
    if (leftOver === undefined) return;
    const left = new Map(this.#items);
    for (const item of open) left.delete(item.name);
    for (const item of [...left.values()].sort((a, b) => a.facts.work.number - b.facts.work.number)) {
      if (item.applied === true) continue;
      const { work, key } = item.facts;
      const keys = leftOver.get(work.operator) ?? new Map<MapKey, JournaledItem[]>();
      leftOver.set(work.operator, keys);
      keys.set(mapKeyOf(key), [...(keys.get(mapKeyOf(key)) ?? []), item]);
    }
  }

  /** Keys of the records of items that are not open: garbage once a checkpoint covers the replayed turns. */
  garbage(open: ReadonlySet<string>): readonly Uint8Array[] {
    if (this.#leftOver !== undefined) return [];
    return [...this.#items].filter(([name]) => !open.has(name)).flatMap(([, item]) => keysOf(item));
  }

  #claim(item: WorkItem): RecordedItem | undefined {
    const keys = this.#leftOver?.get(item.id.operator);
    const mapKey = mapKeyOf(item.key);
    const [oldest, ...rest] = keys?.get(mapKey) ?? [];
    if (keys === undefined || oldest === undefined) return undefined;
    if (oldest.facts.digest !== item.digest()) {
      keys.delete(mapKey);
      return undefined;
    }
    keys.set(mapKey, rest);
    return recordedOf(oldest, true);
  }
}

const collect = (items: Map<string, JournaledItem>, record: WorkRecord): void => {
  const name = workName(record.work);
  const item: JournaledItem = items.get(name) ?? { calls: new Map(), facts: record };
  items.set(name, item);
  if (record.kind === 'done') item.done = record;
  else {
    const call = item.calls.get(record.call) ?? {};
    item.calls.set(record.call, record.kind === 'called' ? { ...call, called: record } : { ...call, pending: record });
  }
};

/** The turns behind the checkpoint; each record must follow the one before it. */
const contiguous = (logs: readonly TurnsRecord[], covered: JournalState): { turns: readonly (readonly unknown[])[]; number: number } => {
  const turns: (readonly unknown[])[] = [];
  let number = covered.turns;
  for (const log of logs) {
    const last = log.first + log.turns.length;
    if (last <= covered.turns) continue;
    if (log.first > number) {
      throw new StreamError('STORE_DAMAGED', `the journal lacks turns ${number} to ${log.first - 1}, recorded before turns that it has`);
    }
    turns.push(...log.turns.slice(number - log.first));
    number = last;
  }
  return { turns, number };
};

const recordedOf = (item: JournaledItem, claimed: boolean): RecordedItem => ({
  calls: item.calls,
  done: item.done?.outcome,
  keys: keysOf(item),
  claimed,
});

const keysOf = ({ calls, done, facts }: JournaledItem): readonly Uint8Array[] => {
  const keys: Uint8Array[] = [];
  for (const [call, { pending, called }] of calls) {
    if (pending !== undefined) keys.push(workKey(facts.work, call, 'pending'));
    if (called !== undefined) keys.push(workKey(facts.work, call, 'called'));
  }
  if (done !== undefined) keys.push(workKey(facts.work, 0, 'done'));
  return keys;
};
