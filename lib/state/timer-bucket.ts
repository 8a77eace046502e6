/**
 * All timers of one exact time. They are collected in any order, put in order when their time has come, and then taken
 * out one by one; what is registered or deleted meanwhile finds its place in that order. How many there are is known at
 * any time, also while they are in the store and nobody has read them.
 */
import type { MapKey } from '../core/key.ts';
import type { Timestamp } from '../core/element.ts';
import { compareKeys, manyKeys, sortSteps } from './key-order.ts';
import type { TimeChange, Toggled } from './stored-timers.ts';
import { ListedKeys, UniqueKeys, type TimerKeys } from './timer-keys.ts';
import type { StoredChunk } from './timer-rows.ts';
import type { StoredDomain } from './timer-domains.ts';

export interface BucketOptions {
  readonly domain: StoredDomain;
  readonly time: Timestamp;
  /** A timer that is there is not registered again, and can be deleted. Else each is registered once. */
  readonly unique: boolean;
  /** What the store has of it. @defaultValue nothing */
  readonly stored?: { readonly size: number; readonly since: number; readonly chunks: readonly StoredChunk[] };
}

/** Timers in their order. What has fired of them is in front of `at`. */
interface Batch {
  readonly keys: MapKey[];
  /** Of each, or of all. */
  namespaces: number[] | number;
  at: number;
}

/** Entries of a log beyond which it is written anew, for so many timers that are left. */
const logMax = (size: number): number => 1024 + 2 * size;

export class Bucket {
  readonly domain: StoredDomain;
  readonly time: Timestamp;
  /** How many timers are registered. */
  size: number;
  /** The epoch in which it has changed last. For its owner, and so is the next. */
  epoch = 0;
  /** Changes of that epoch. */
  changes = 0;
  /** What the open cut has of it, when it has changed since. */
  cut: TimeChange | undefined;
  /** Whether a cut has taken anything of it. */
  isStored: boolean;
  readonly #unique: boolean;
  readonly #since: number;
  /** Chunks that hold timers of it. */
  #unread: StoredChunk[];
  #readTo: number;
  #lists: TimerKeys[] = [];
  /** The list that was used last: most registrations in a row are of one window. */
  #last: TimerKeys | undefined;
  #ordering: Iterator<void, Batch> | undefined;
  #batch: Batch | undefined;
  /** Entries in chunks. */
  #logged: number;

  constructor({ domain, time, unique, stored }: BucketOptions) {
    this.domain = domain;
    this.time = time;
    this.size = stored?.size ?? 0;
    this.isStored = stored !== undefined;
    this.#unique = unique;
    this.#unread = stored?.chunks.filter((chunk) => holds(chunk, time, stored.since)) ?? [];
    this.#since = stored?.since ?? 0;
    this.#readTo = this.#unread.reduce((to, { number }) => Math.max(to, number + 1), 0);
    this.#logged = this.size;
  }

  /** Whether its timers can be taken out. */
  get isSorted(): boolean {
    return this.#batch !== undefined;
  }

  // ---------- what is in the store

  /** The chunks that were not read and may hold a key of this group. */
  unread(group: number): readonly StoredChunk[] {
    this.#unread = this.#unread.filter(({ isRead }) => isRead !== true);
    return this.#unread.filter(
      ({ first, last, firstGroup, lastGroup }) => first < last || (firstGroup <= group && group <= lastGroup),
    );
  }

  get nextUnread(): StoredChunk | undefined {
    while (this.#unread.at(-1)?.isRead === true) this.#unread.pop();
    return this.#unread.at(-1);
  }

  /** Takes in what a chunk says, unless that is of an older bucket of this time. */
  read(chunk: StoredChunk, namespace: number, key: MapKey): void {
    if (chunk.number < this.#since || chunk.number >= this.#readTo) return;
    this.#list(namespace).toggle(key);
  }

  // ---------- what is registered

  /** Registers a timer; false when it is there. What is in the store of its key was read before. */
  add(key: MapKey, namespace: number): boolean {
    const batch = this.#batch;
    const added = batch === undefined ? this.#list(namespace).add(key) : this.#insert(batch, key, namespace);
    if (!added) return false;
    this.#ordering = undefined;
    this.size += 1;
    return true;
  }

  /** Takes a timer out; false when it is not there. */
  delete(key: MapKey, namespace: number): boolean {
    const batch = this.#batch;
    const deleted = batch === undefined ? this.#list(namespace).delete(key) : this.#remove(batch, key, namespace);
    if (!deleted) return false;
    this.#ordering = undefined;
    this.size -= 1;
    return true;
  }

  /** What has changed since this was asked last. */
  takeChange(): TimeChange {
    const { time, size } = this;
    const { isStored } = this;
    this.isStored = true;
    if (size === 0) return { time, size, isAll: true, toggled: [] };
    if (this.#batch !== undefined) return { time, size, isAll: true, toggled: leftOf(this.#batch) };
    const isLong = this.#unique && this.#logged + this.changes > logMax(size) && this.nextUnread === undefined;
    const toggled = this.#lists.map((list) => list.takeChanges(isLong));
    const logged = toggled.reduce((sum, { from, to }) => sum + to - from, 0);
    this.#logged = isLong ? logged : this.#logged + logged;
    return { time, size, isAll: isLong || !isStored, toggled };
  }

  // ---------- in order

  /** One step towards `isSorted`, once nothing is unread. Changes nothing that anybody sees. */
  sortStep(): void {
    if (this.#batch !== undefined) return;
    this.#ordering ??= orderSteps(this.#lists);
    const step = this.#ordering.next();
    if (step.done !== true) return;
    this.#batch = step.value;
    this.#ordering = undefined;
    this.#lists = [];
    this.#last = undefined;
  }

  /** Takes the next out, and says which it was by `key` and `namespace`. There must be one, and it must be sorted. */
  take(): { readonly key: MapKey; readonly namespace: number } {
    const batch = this.#batch as Batch; // It is sorted.
    const { at } = batch;
    batch.at += 1;
    this.size -= 1;
    return { key: batch.keys[at] as MapKey, namespace: namespaceAt(batch, at) }; // One is left.
  }

  #list(namespace: number): TimerKeys {
    if (this.#last?.namespace === namespace) return this.#last;
    this.#last = this.#lists.find((list) => list.namespace === namespace) ?? this.#newList(namespace);
    return this.#last;
  }

  #newList(namespace: number): TimerKeys {
    const list = this.#unique ? new UniqueKeys(namespace, this.isStored) : new ListedKeys(namespace);
    this.#lists.push(list);
    return list;
  }

  #insert(batch: Batch, key: MapKey, namespace: number): boolean {
    const place = placeIn(batch, key, namespace);
    if (this.#unique && isAt(batch, place, key, namespace)) return false;
    const namespaces = eachNamespace(batch, namespace);
    if (batch.at === 0) {
      batch.keys.splice(place, 0, key);
      namespaces?.splice(place, 0, namespace);
      return true;
    }
    // Mostly it is of the key in hand, so that little lies between it and what has fired.
    batch.at -= 1;
    batch.keys.copyWithin(batch.at, batch.at + 1, place);
    batch.keys[place - 1] = key;
    namespaces?.copyWithin(batch.at, batch.at + 1, place).fill(namespace, place - 1, place);
    return true;
  }

  #remove(batch: Batch, key: MapKey, namespace: number): boolean {
    const place = placeIn(batch, key, namespace);
    if (!this.#unique || !isAt(batch, place, key, namespace)) return false;
    batch.keys.splice(place, 1);
    if (typeof batch.namespaces !== 'number') batch.namespaces.splice(place, 1);
    return true;
  }
}

/** Whether a chunk says something of a time, of which those before `since` are void. */
const holds = ({ number, first, last }: StoredChunk, time: Timestamp, since: number): boolean =>
  number >= since && first <= time && time <= last;

const namespaceAt = ({ namespaces }: Batch, at: number): number =>
  typeof namespaces === 'number' ? namespaces : (namespaces[at] ?? 0);

const compareAt = (batch: Batch, at: number, key: MapKey, namespace: number): number =>
  compareKeys(batch.keys[at] as MapKey, key) || namespaceAt(batch, at) - namespace; // Inside the bounds.

const isAt = (batch: Batch, at: number, key: MapKey, namespace: number): boolean =>
  at < batch.keys.length && compareAt(batch, at, key, namespace) === 0;

/** Where a timer is among those that are left, or belongs. */
const placeIn = (batch: Batch, key: MapKey, namespace: number): number => {
  let low = batch.at;
  let high = batch.keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareAt(batch, middle, key, namespace) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The list of namespaces, once they are not all the same as `namespace`. */
const eachNamespace = (batch: Batch, namespace: number): number[] | undefined => {
  if (batch.namespaces === namespace) return undefined;
  if (typeof batch.namespaces === 'number')
    batch.namespaces = new Array<number>(batch.keys.length).fill(batch.namespaces);
  return batch.namespaces;
};

/** What is left of a batch, by namespace. */
const leftOf = (batch: Batch): Toggled[] => {
  const { keys, namespaces, at } = batch;
  const toggledOf = (namespace: number, left: readonly MapKey[]): Toggled => ({
    namespace,
    keys: left,
    from: 0,
    to: left.length,
  });
  if (typeof namespaces === 'number') return [toggledOf(namespaces, keys.slice(at))];
  const byNamespace = new Map<number, MapKey[]>();
  for (let place = at; place < keys.length; place += 1) {
    const namespace = namespaceAt(batch, place);
    const left = byNamespace.get(namespace);
    const key = keys[place] as MapKey; // Inside the bounds.
    if (left === undefined) byNamespace.set(namespace, [key]);
    else left.push(key);
  }
  return [...byNamespace].map(([namespace, left]) => toggledOf(namespace, left));
};

/** The order of all timers of one time, by key and then by namespace. */
function* orderSteps(lists: readonly TimerKeys[]): Generator<void, Batch> {
  const [only] = lists;
  if (only === undefined) return { keys: [], namespaces: 0, at: 0 };
  if (lists.length === 1) {
    const keys = only.copy();
    yield* sortSteps(keys);
    return { keys, namespaces: only.namespace, at: 0 };
  }
  const namespacesOf = new Map<MapKey, number[]>();
  for (const list of lists.toSorted((a, b) => a.namespace - b.namespace)) {
    for (const [at, key] of list.copy().entries()) {
      const known = namespacesOf.get(key);
      if (known === undefined) namespacesOf.set(key, [list.namespace]);
      else known.push(list.namespace);
      if (at % manyKeys === manyKeys - 1) yield;
    }
  }
  const sorted = [...namespacesOf.keys()];
  yield* sortSteps(sorted);
  const keys: MapKey[] = [];
  const namespaces: number[] = [];
  for (const key of sorted) {
    for (const namespace of namespacesOf.get(key) ?? []) {
      keys.push(key);
      namespaces.push(namespace);
      if (keys.length % manyKeys === 0) yield;
    }
  }
  return { keys, namespaces, at: 0 };
}
