/**
 * What the journal holds of each item of work, put together from its records: those that changed code has voided are gone, and what a
 * later branch has claimed goes by the name of who claimed it (I8).
 */
import { workName, type WorkId } from '../../core/journal.ts';
import type { CalledRecord, ClaimedRecord, DoneRecord, Lsn, PendingRecord, VoidedRecord, WorkRecord } from '../journal/journal-format.ts';
import type { RecordedItem } from '../work/recorded-calls.ts';

export interface JournaledItem {
  /** The name it goes by. */
  work: WorkId;
  /** Every record of one item carries the same key and digest. */
  readonly facts: WorkRecord;
  readonly calls: Map<number, { pending?: PendingRecord | undefined; called?: CalledRecord | undefined }>;
  done?: DoneRecord | undefined;
  /** The first call that changed code has replaced by another. */
  voided?: number | undefined;
  /** LSN of the oldest record. */
  first: Lsn;
  /** Keys of all records. */
  readonly keys: Uint8Array[];
}

/** Collects records in any order. */
export class JournaledItems {
  readonly #items = new Map<string, JournaledItem>();
  readonly #claimed: ClaimedRecord[] = [];
  readonly #voided: VoidedRecord[] = [];
  /** Old names and new ones of what was claimed. */
  readonly #moved = new Map<string, string>();

  add(record: WorkRecord, key: Uint8Array): void {
    const item = this.#itemOf(record.work, record);
    item.first = Math.min(item.first, record.lsn);
    item.keys.push(key);
    switch (record.kind) {
      case 'done':
        item.done = record;
        return;
      case 'called':
        item.calls.set(record.call, { ...item.calls.get(record.call), called: record });
        return;
      case 'pending':
        item.calls.set(record.call, { ...item.calls.get(record.call), pending: record });
        return;
      case 'claimed':
        this.#claimed.push(record);
        return;
      case 'voided':
        this.#voided.push(record);
        return;
    }
  }

  /** All items by name, when every record was added. */
  byName(): Map<string, JournaledItem> {
    // In the order in which they were claimed: who claimed something may have been left behind and claimed in turn.
    for (const claimed of this.#claimed.sort((a, b) => a.lsn - b.lsn)) this.#move(claimed);
    for (const voided of this.#voided) this.#void(voided);
    return this.#items;
  }

  #itemOf(work: WorkId, facts: WorkRecord): JournaledItem {
    const name = workName(work);
    const known = this.#items.get(name);
    if (known !== undefined) return known;
    const item: JournaledItem = { work, facts, calls: new Map(), first: Number.POSITIVE_INFINITY, keys: [] };
    this.#items.set(name, item);
    return item;
  }

  #void({ work, call, lsn }: VoidedRecord): void {
    let name = workName(work);
    for (let next = this.#moved.get(name); next !== undefined; next = this.#moved.get(name)) name = next;
    const item = this.#items.get(name);
    if (item === undefined) return;
    const { calls } = item;
    item.voided = Math.min(item.voided ?? call, call);
    for (const [number, { pending, called }] of calls) {
      if (number < call) continue;
      const kept = { pending: newer(pending, lsn), called: newer(called, lsn) };
      if (kept.pending === undefined && kept.called === undefined) calls.delete(number);
      else calls.set(number, kept);
    }
  }

  #move(claimed: ClaimedRecord): void {
    const from = workName(claimed.work);
    const item = this.#items.get(from);
    if (item === undefined) return;
    this.#items.delete(from);
    const work = { ...claimed.work, ...claimed.by };
    this.#moved.set(from, workName(work));
    const to = this.#itemOf(work, claimed);
    to.first = Math.min(to.first, claimed.lsn);
    // What it has recorded itself is newer.
    for (const [call, { pending, called }] of item.calls) {
      const own = to.calls.get(call);
      to.calls.set(call, { pending: own?.pending ?? pending, called: own?.called ?? called });
    }
    to.done ??= item.done;
    to.keys.push(...item.keys);
  }
}

export const recordedOf = ({ calls, done, voided, keys }: JournaledItem): RecordedItem => ({ calls, done: done?.outcome, voided, keys });

const newer = <R extends { readonly lsn: Lsn }>(record: R | undefined, lsn: Lsn): R | undefined =>
  record !== undefined && record.lsn > lsn ? record : undefined;
