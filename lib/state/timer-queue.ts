/**
 * Timers of one domain in the order of time: a heap over the distinct times, and one bucket of keys per time.
 * Registering costs a look-up in the bucket, the heap is touched once per time, and a bucket is sorted once, when its
 * time has come, however many keys it has.
 */
import type { MapKey } from '../core/key.ts';
import type { TimeDomain } from '../core/timer.ts';
import type { Timestamp } from '../core/element.ts';
import { compareKeys, manyKeys, sortSteps } from './key-order.ts';
import { heapPop, heapPush } from './time-heap.ts';

export interface TimerEntry {
  readonly key: MapKey;
  readonly namespace: number;
  readonly bucket: Bucket;
  /** For the owner's bookkeeping. */
  epoch: number;
  /**
   * False once it has fired or was deleted. One that fired stays in its bucket, which goes as a whole, so that firing
   * looks nothing up.
   */
  live: boolean;
}

/** All timers of one time. */
interface Bucket {
  readonly domain: TimeDomain;
  readonly time: Timestamp;
  /** A key mostly has one namespace at one time; only a second one makes a map. */
  readonly keys: Map<MapKey, TimerEntry | Map<number, TimerEntry>>;
  size: number;
  /** While the bucket fires: what is left of it, the last to fire first. May hold entries that were deleted since. */
  batch: TimerEntry[] | undefined;
  /** Works that out before the bucket fires; gone when a timer is added. */
  ordering: { readonly steps: Iterator<void, TimerEntry[]>; batch: TimerEntry[] | undefined } | undefined;
}

/** Empty buckets in the heap before it is built anew. */
const emptyMax = 1024;

export class TimerQueue {
  readonly #domain: TimeDomain;
  /** The buckets of the heap and of `#firing`. */
  readonly #buckets = new Map<Timestamp, Bucket>();
  #heap: Bucket[] = [];
  /** Buckets that fire, the earliest last: a timer of the past that is registered meanwhile goes before them. */
  readonly #firing: Bucket[] = [];
  #empty = 0;
  #size = 0;

  constructor(domain: TimeDomain) {
    this.#domain = domain;
  }

  get size(): number {
    return this.#size;
  }

  /** The least time of a timer, outside an advance. */
  get nextTime(): Timestamp | undefined {
    for (let head = this.#heap[0]; head !== undefined; head = this.#heap[0]) {
      if (head.size > 0) return head.time;
      this.#dropHead();
    }
    return undefined;
  }

  /** Adds a timer and returns its entry; undefined when it is there already. */
  add(key: MapKey, at: Timestamp, namespace: number): TimerEntry | undefined {
    // One zero and not two: the store can't tell -0 from 0.
    const time = at + 0;
    let bucket = this.#buckets.get(time);
    if (bucket === undefined) {
      bucket = { domain: this.#domain, time, keys: new Map(), size: 0, batch: undefined, ordering: undefined };
      this.#buckets.set(time, bucket);
      heapPush(this.#heap, bucket);
    } else if (bucket.size === 0 && bucket.batch === undefined) {
      this.#empty -= 1;
    }
    return this.#addTo(bucket, key, namespace + 0);
  }

  /** Takes a timer out and returns its entry; undefined when there is none. */
  delete(key: MapKey, time: Timestamp, namespace: number): TimerEntry | undefined {
    const bucket = this.#buckets.get(time);
    const found = bucket?.keys.get(key);
    if (bucket === undefined || found === undefined) return undefined;
    const entry = found instanceof Map ? found.get(namespace) : found;
    if (entry === undefined || !entry.live || entry.namespace !== namespace) return undefined;
    forget(bucket, entry);
    this.#end(entry);
    if (bucket.size === 0 && bucket.batch === undefined) {
      this.#empty += 1;
      if (this.#empty > emptyMax && this.#empty * 2 > this.#heap.length) this.#compact();
    }
    return entry;
  }

  /** Takes the next timer at or before `to`; undefined when none is left. Call `endAdvance` behind the last. */
  takeDue(to: Timestamp): TimerEntry | undefined {
    for (;;) {
      const head = this.#heap[0];
      let firing = this.#firing.at(-1);
      if (head !== undefined && head.time <= to && (firing === undefined || head.time < firing.time)) {
        heapPop(this.#heap);
        if (head.size === 0) this.#empty -= 1;
        while (head.batch === undefined) head.batch = order(head);
        head.ordering = undefined;
        this.#firing.push(head);
        firing = head;
      }
      if (firing?.batch === undefined) return undefined;
      for (let entry = firing.batch.pop(); entry !== undefined; entry = firing.batch.pop()) {
        if (!entry.live) continue;
        this.#end(entry);
        return entry;
      }
      this.#firing.pop();
      this.#buckets.delete(firing.time);
    }
  }

  /** Whether a timer at or before `to` is left. */
  isDue(to: Timestamp): boolean {
    const next = this.nextTime;
    return this.#firing.some(({ size }) => size > 0) || (next !== undefined && next <= to);
  }

  /** Whether the next timer at or before `to` can be taken at once, or there is none. */
  isReady(to: Timestamp): boolean {
    return this.#unready(to) === undefined;
  }

  /** One step towards `isReady`: changes nothing that anybody sees. */
  prepare(to: Timestamp): void {
    const bucket = this.#unready(to);
    if (bucket !== undefined) order(bucket);
  }

  #unready(to: Timestamp): Bucket | undefined {
    const next = this.nextTime; // Drops empty buckets.
    const head = this.#heap[0];
    if (next === undefined || head === undefined || next > to) return undefined;
    const firing = this.#firing.at(-1);
    if (firing !== undefined && firing.size > 0 && firing.time <= next) return undefined;
    return head.size < manyKeys || head.ordering?.batch !== undefined ? undefined : head;
  }

  /** Puts back what an advance left behind because a callback threw. */
  endAdvance(): void {
    for (let bucket = this.#firing.pop(); bucket !== undefined; bucket = this.#firing.pop()) {
      bucket.batch = undefined;
      if (bucket.size === 0) this.#buckets.delete(bucket.time);
      else {
        for (const entry of entriesOf(bucket)) if (!entry.live) forget(bucket, entry);
        heapPush(this.#heap, bucket);
      }
    }
  }

  #addTo(bucket: Bucket, key: MapKey, namespace: number): TimerEntry | undefined {
    const found = bucket.keys.get(key);
    const same = found instanceof Map ? found.get(namespace) : found;
    if (same?.live === true && same.namespace === namespace) return undefined;
    const entry: TimerEntry = { key, namespace, bucket, epoch: 0, live: true };
    if (found instanceof Map) found.set(namespace, entry);
    else if (found?.live !== true) bucket.keys.set(key, entry);
    else
      bucket.keys.set(
        key,
        new Map([
          [found.namespace, found],
          [namespace, entry],
        ]),
      );
    bucket.size += 1;
    bucket.ordering = undefined;
    this.#size += 1;
    if (bucket.batch !== undefined) insertSorted(bucket.batch, entry);
    return entry;
  }

  #end(entry: TimerEntry): void {
    entry.live = false;
    entry.bucket.size -= 1;
    this.#size -= 1;
  }

  #dropHead(): void {
    const head = heapPop(this.#heap);
    if (head === undefined) return;
    this.#buckets.delete(head.time);
    this.#empty -= 1;
  }

  #compact(): void {
    const heap: Bucket[] = [];
    for (const bucket of this.#heap) {
      if (bucket.size === 0) this.#buckets.delete(bucket.time);
      else heapPush(heap, bucket);
    }
    this.#heap = heap;
    this.#empty = 0;
  }
}

/** Takes an entry out of its bucket. */
const forget = (bucket: Bucket, entry: TimerEntry): void => {
  const found = bucket.keys.get(entry.key);
  if (found instanceof Map && found.size > 1) found.delete(entry.namespace);
  else bucket.keys.delete(entry.key);
};

const entriesOf = (bucket: Bucket): TimerEntry[] => {
  const entries: TimerEntry[] = [];
  for (const found of bucket.keys.values()) {
    if (found instanceof Map) for (const entry of found.values()) entries.push(entry);
    else entries.push(found);
  }
  return entries;
};

// ---------- order of keys

/** The last to fire comes first. */
const compare = (a: TimerEntry, b: TimerEntry): number => compareKeys(b.key, a.key) || b.namespace - a.namespace;

/** One step of ordering a bucket; gives its batch behind the last. */
const order = (bucket: Bucket): TimerEntry[] | undefined => {
  bucket.ordering ??= { steps: orderSteps(bucket), batch: undefined };
  const { ordering } = bucket;
  if (ordering.batch !== undefined) return ordering.batch;
  const step = ordering.steps.next();
  if (step.done === true) ordering.batch = step.value;
  return ordering.batch;
};

/** All entries of the bucket, the last to fire first. Entries may be deleted meanwhile. */
function* orderSteps(bucket: Bucket): Generator<void, TimerEntry[]> {
  const keys: MapKey[] = [];
  for (const key of bucket.keys.keys()) {
    keys.push(key);
    if (keys.length % manyKeys === 0) yield;
  }
  yield* sortSteps(keys);
  const entries: TimerEntry[] = [];
  for (let at = keys.length - 1; at >= 0; at -= 1) {
    const found = bucket.keys.get(keys[at] as MapKey); // Inside the bounds.
    if (found instanceof Map) for (const entry of [...found.values()].sort(compare)) entries.push(entry);
    else if (found !== undefined) entries.push(found);
    if (at % manyKeys === 0) yield;
  }
  return entries;
}

/**
 * Keeps the order of a batch that has begun to fire. What is registered meanwhile is mostly of the key in hand, so it
 * belongs near the end.
 */
const insertSorted = (batch: TimerEntry[], entry: TimerEntry): void => {
  let low = 0;
  let high = batch.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = batch[middle];
    if (other !== undefined && compare(other, entry) <= 0) low = middle + 1;
    else high = middle;
  }
  batch.splice(low, 0, entry);
};
