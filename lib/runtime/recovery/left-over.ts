/**
 * What is left over of the branch that a divergence has left: outcomes that were paid for, by operator and key. An item
 * of the new branch claims the oldest of its key when their content is equal; the first that differs drops the rest of
 * that key at that operator, since what came later saw what that one left behind (I8). Only an item that the old branch
 * had too, with nothing to show for it, differs from none. When the sources have passed what the old branch had read,
 * the rest is dropped.
 */
import { mapKeyOf, type MapKey } from '../../core/key.ts';
import type { LeftOverSnapshot } from '../checkpoint/header.ts';
import type { JournaledItem } from '../journal/work-record.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { Turn } from '../journal/turn.ts';
import { fingerprintOf, type WorkItem } from '../work/work-item.ts';
import type { WorkQueue } from '../work/work.ts';

/**
 * After so many generations of work nothing is taken to follow from the old input any more: a job that is never idle
 * must come to an end too.
 */
const generations = 8;

export class LeftOver {
  readonly snapshot: LeftOverSnapshot;
  readonly #keys = new Map<number, Map<MapKey, JournaledItem[]>>();
  /** How many items of the old branch that have no record go by a fingerprint. */
  readonly #unrecorded = new Map<number, number>();
  #garbage: Uint8Array[] = [];
  #claimed = 0;
  #dropped = 0;
  /**
   * Items that were open when the sources had passed the tail, or when the last of those had ended: what they bring
   * about may still claim.
   */
  #last: Map<WorkItem, WorkQueue> | undefined;
  #generation = 0;

  constructor(snapshot: LeftOverSnapshot, items: readonly JournaledItem[]) {
    this.snapshot = snapshot;
    for (const fingerprint of snapshot.unrecorded)
      this.#unrecorded.set(fingerprint, (this.#unrecorded.get(fingerprint) ?? 0) + 1);
    // The youngest first, so that the oldest is taken from the end.
    for (const item of items.toSorted((a, b) => b.work.number - a.work.number || b.work.branch - a.work.branch)) {
      const keys = this.#keys.get(item.work.operator) ?? new Map<MapKey, JournaledItem[]>();
      this.#keys.set(item.work.operator, keys);
      const mapKey = mapKeyOf(item.facts.key);
      const ofKey = keys.get(mapKey);
      if (ofKey === undefined) keys.set(mapKey, [item]);
      else ofKey.push(item);
    }
  }

  get claimed(): number {
    return this.#claimed;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Takes the oldest of the item's key, if it is equal. */
  claim(item: WorkItem): JournaledItem | undefined {
    const keys = this.#keys.get(item.id.operator);
    if (keys === undefined) return undefined;
    const mapKey = mapKeyOf(item.key);
    const ofKey = keys.get(mapKey);
    const oldest = ofKey?.at(-1);
    if (ofKey === undefined || oldest === undefined) return undefined;
    if (oldest.facts.digest === item.digest()) {
      ofKey.pop();
      this.#claimed += 1;
      return oldest;
    }
    const unrecorded = this.#unrecorded.get(item.fingerprint) ?? 0;
    if (unrecorded > 0) this.#unrecorded.set(item.fingerprint, unrecorded - 1);
    else {
      this.#drop(ofKey);
      keys.delete(mapKey);
    }
    return undefined;
  }

  /** Keys of the records that were dropped since this was asked last. */
  takeGarbage(): readonly Uint8Array[] {
    const garbage = this.#garbage;
    this.#garbage = [];
    return garbage;
  }

  /** Drops the rest when nothing of the old branch can come again: between two turns. True when that is so. */
  expire(sources: readonly SourceHost<unknown>[], queues: readonly WorkQueue[]): boolean {
    if (!this.#hasPassed(sources)) return false;
    for (const [item, queue] of this.#last ?? []) if (queue.find(item.id) !== item) this.#last?.delete(item);
    if ((this.#last?.size ?? 0) === 0 && this.#generation < generations) {
      this.#generation += 1;
      this.#last = new Map(
        queues.flatMap((queue) => [...queue.items()].map((item): [WorkItem, WorkQueue] => [item, queue])),
      );
    }
    if (this.#last !== undefined && this.#last.size > 0) return false;
    for (const keys of this.#keys.values()) for (const ofKey of keys.values()) this.#drop(ofKey);
    this.#keys.clear();
    return true;
  }

  #drop(items: readonly JournaledItem[]): void {
    this.#dropped += items.length;
    for (const { keys } of items) for (const key of keys) this.#garbage.push(key);
  }

  #hasPassed(sources: readonly SourceHost<unknown>[]): boolean {
    return this.snapshot.tail.every(([number, name, records]) => {
      const split = sources.find((source) => source.number === number)?.splits.get(name);
      return split === undefined || split.ended || split.records >= records;
    });
  }
}

/**
 * How far the sources had come at the end of these turns, which were not done again, and at the end of an older tail.
 */
export const tailOf = (
  sources: readonly SourceHost<unknown>[],
  turns: readonly Turn[],
  older: LeftOverSnapshot['tail'] = [],
): LeftOverSnapshot['tail'] => {
  const tail = new Map(older.map((entry) => [`${entry[0]} ${entry[1]}`, entry]));
  const records = new Map<string, [number, string, number]>();
  for (const turn of turns) {
    if (turn.kind !== 'records') continue;
    const { source, split, count } = turn;
    const read =
      records.get(`${source} ${split}`)?.[2] ??
      sources.find(({ number }) => number === source)?.splits.get(split)?.records ??
      0;
    records.set(`${source} ${split}`, [source, split, read + count]);
  }
  for (const [name, entry] of records) if ((tail.get(name)?.[2] ?? 0) < entry[2]) tail.set(name, entry);
  return [...tail.values()];
};

/** Of what these turns have submitted, the fingerprints of what is not among the items that have records. */
export const unrecordedOf = (turns: readonly Turn[], items: Iterable<JournaledItem>): readonly number[] => {
  const recorded = new Map<number, number>();
  for (const { work, facts } of items) {
    const fingerprint = fingerprintOf(work, facts.digest);
    recorded.set(fingerprint, (recorded.get(fingerprint) ?? 0) + 1);
  }
  return turns.flatMap((turn) => {
    const submitted = 'submitted' in turn ? (turn.submitted ?? []) : [];
    return submitted.filter((fingerprint) => {
      const left = recorded.get(fingerprint) ?? 0;
      if (left > 0) recorded.set(fingerprint, left - 1);
      return left === 0;
    });
  });
};
