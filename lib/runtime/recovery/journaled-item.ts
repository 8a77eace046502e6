/**
 * What the journal holds of each item of work, put together from its records: those that changed code has voided are
 * gone, and what a later branch has claimed goes by the name of who claimed it (I8). How a record joins is in the table
 * of their kinds.
 */
import { workName, type WorkId } from '../../core/journal.ts';
import { kindOf, type JoiningItems, type JournaledItem, type WorkRecord } from '../journal/work-record.ts';
import type { RecordedItem } from '../work/recorded-calls.ts';

/** Collects records in any order. */
export class JournaledItems implements JoiningItems {
  readonly #items = new Map<string, JournaledItem>();
  /** What joins when all items are there, and then when all names are known. */
  readonly #late: WorkRecord[] = [];
  readonly #last: WorkRecord[] = [];
  /** Old names and new ones of what was claimed. */
  readonly #renamed = new Map<string, string>();

  add(record: WorkRecord, key: Uint8Array): void {
    const item = this.of(record.work, record);
    item.first = Math.min(item.first, record.lsn);
    item.keys.push(key);
    const kind = kindOf(record.kind);
    if (kind.joins === 'at once') kind.join(record, this);
    else (kind.joins === 'when items are there' ? this.#late : this.#last).push(record);
  }

  /** All items by name, when every record was added. */
  byName(): Map<string, JournaledItem> {
    for (const records of [this.#late, this.#last]) {
      for (const record of records.sort((a, b) => a.lsn - b.lsn)) kindOf(record.kind).join(record, this);
    }
    return this.#items;
  }

  of(work: WorkId, facts: WorkRecord): JournaledItem {
    const name = workName(work);
    const known = this.#items.get(name);
    if (known !== undefined) return known;
    const item: JournaledItem = { work, facts, calls: new Map(), first: Number.POSITIVE_INFINITY, keys: [] };
    this.#items.set(name, item);
    return item;
  }

  find(work: WorkId): JournaledItem | undefined {
    let name = workName(work);
    for (let next = this.#renamed.get(name); next !== undefined; next = this.#renamed.get(name)) name = next;
    return this.#items.get(name);
  }

  rename(from: WorkId, to: WorkId): JournaledItem | undefined {
    const name = workName(from);
    const item = this.#items.get(name);
    if (item === undefined) return undefined;
    this.#items.delete(name);
    this.#renamed.set(name, workName(to));
    return item;
  }
}

export const recordedOf = ({ calls, done, voided, keys }: JournaledItem): RecordedItem => ({
  calls,
  done: done?.outcome,
  voided,
  keys,
});
