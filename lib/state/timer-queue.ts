/**
 * Timers of one domain in the order of time: a heap over the distinct times, and one bucket of keys per time.
 * Registering costs a look-up of the bucket, the heap is touched once per time, and a bucket is sorted once, when its
 * time has come, however many keys it has.
 *
 *  - Times that a start has found in the store become buckets when they come near, or when somebody touches them. Which
 *    timers such a bucket has is read when it is due, or as far as a touched key needs it.
 *  - What anybody sees, `size` and `isReady` included, is the same whether a bucket was read or not.
 */
import type { MapKey } from '../core/key.ts';
import type { Timestamp } from '../core/element.ts';
import { manyKeys } from './key-order.ts';
import type { RestoredPage } from './stored-timers.ts';
import { heapPop, heapPush } from './time-heap.ts';
import { Bucket } from './timer-bucket.ts';
import { pageOf, placeOf, type Page, type StoredChunk } from './timer-rows.ts';
import type { StoredDomain } from './timer-domains.ts';

export interface TimerQueueOptions {
  readonly domain: StoredDomain;
  /** See `BucketOptions`. */
  readonly unique: boolean;
  /** Calls `visit` for each timer of a chunk. */
  read(chunk: StoredChunk, visit: (time: Timestamp, namespace: number, key: MapKey) => void): void;
}

/** A page that a start has found, as far as its times have no buckets. */
interface StoredTimes {
  /** The least of them, or one before it. Changed outside the heap only. */
  time: Timestamp;
  readonly source: RestoredPage;
  /** Undefined while nobody has looked beyond its head. */
  page: Page | undefined;
  /** By place in the page, behind `at`: the time has a bucket, or had one. */
  taken: Set<number> | undefined;
  /** All before this place are taken. */
  at: number;
}

/** Empty buckets in the heap before it is built anew. */
const emptyMax = 1024;

export class TimerQueue {
  readonly #options: TimerQueueOptions;
  /** Those that are not empty. */
  readonly #buckets = new Map<Timestamp, Bucket>();
  #heap: Bucket[] = [];
  readonly #stored: StoredTimes[] = [];
  readonly #storedOf = new Map<number, StoredTimes>();
  #empty = 0;
  #size = 0;

  constructor(options: TimerQueueOptions) {
    this.#options = options;
  }

  get domain(): StoredDomain {
    return this.#options.domain;
  }

  get size(): number {
    return this.#size;
  }

  /** The least time of a timer. */
  get nextTime(): Timestamp | undefined {
    const stored = this.#nextStored();
    for (let head = this.#heap[0]; head !== undefined; head = this.#heap[0]) {
      if (head.size > 0) return stored === undefined || head.time < stored.time ? head.time : stored.time;
      heapPop(this.#heap);
      this.#empty -= 1;
    }
    return stored?.time;
  }

  /** Takes in a page of the store. */
  restore(source: RestoredPage): void {
    const stored: StoredTimes = { time: source.first, source, page: undefined, taken: undefined, at: 0 };
    heapPush(this.#stored, stored);
    this.#storedOf.set(source.page, stored);
    this.#size += source.size;
  }

  /** The bucket of a time; undefined when there is no timer. */
  find(time: Timestamp): Bucket | undefined {
    return this.#buckets.get(time) ?? (this.#storedOf.size === 0 ? undefined : this.#fromStore(time));
  }

  /** The bucket of a time, which may be empty: something is registered then. */
  bucket(time: Timestamp): Bucket {
    return this.find(time) ?? this.#add(new Bucket({ ...this.#options, time }));
  }

  /** Reads what the store has of the keys of one group in a bucket. */
  read(bucket: Bucket, group: number): void {
    for (const chunk of bucket.unread(group)) this.#read(chunk);
  }

  /** So many timers more. */
  grow(by: number): void {
    this.#size += by;
  }

  /** The last timer of a bucket is gone. */
  emptied(bucket: Bucket): void {
    this.#buckets.delete(bucket.time);
    this.#empty += 1;
    if (this.#empty <= emptyMax || this.#empty * 2 <= this.#heap.length) return;
    const heap: Bucket[] = [];
    for (const each of this.#heap) if (each.size > 0) heapPush(heap, each);
    this.#heap = heap;
    this.#empty = 0;
  }

  /** The bucket of the least time at or before `to`, ready to be taken from; undefined when there is none. */
  due(to: Timestamp): Bucket | undefined {
    const bucket = this.#head(to);
    while (bucket?.isSorted === false) this.#prepare(bucket);
    return bucket;
  }

  /** Whether a timer at or before `to` is left. */
  isDue(to: Timestamp): boolean {
    const next = this.nextTime;
    return next !== undefined && next <= to;
  }

  /** Whether the next timer at or before `to` can be taken at once, or there is none. */
  isReady(to: Timestamp): boolean {
    const bucket = this.#head(to);
    return bucket === undefined || bucket.size < manyKeys || bucket.isSorted;
  }

  /** One step towards `isReady`: changes nothing that anybody sees. */
  prepare(to: Timestamp): void {
    const bucket = this.#head(to);
    if (bucket !== undefined) this.#prepare(bucket);
  }

  #prepare(bucket: Bucket): void {
    const chunk = bucket.nextUnread;
    if (chunk === undefined) bucket.sortStep();
    else this.#read(chunk);
  }

  #head(to: Timestamp): Bucket | undefined {
    const next = this.nextTime; // Empty buckets are gone from the heap.
    if (next === undefined || next > to) return undefined;
    const [head] = this.#heap;
    return head?.time === next ? head : this.#fromStore(next);
  }

  #add(bucket: Bucket): Bucket {
    this.#buckets.set(bucket.time, bucket);
    heapPush(this.#heap, bucket);
    return bucket;
  }

  // ---------- the store

  /** What has the least time that the store alone knows. */
  #nextStored(): StoredTimes | undefined {
    for (let head = this.#stored[0]; head !== undefined; head = this.#stored[0]) {
      const { page, taken } = head;
      if (page === undefined) return head;
      while (taken?.delete(head.at) === true) head.at += 1;
      const time = page.times[head.at];
      if (time === head.time) return head;
      heapPop(this.#stored);
      if (time === undefined) this.#storedOf.delete(head.source.page);
      else {
        head.time = time;
        heapPush(this.#stored, head);
      }
    }
    return undefined;
  }

  /** Makes the bucket of a time that the store alone knows. */
  #fromStore(time: Timestamp): Bucket | undefined {
    const stored = this.#storedOf.get(pageOf(time));
    if (stored === undefined) return undefined;
    const page = (stored.page ??= stored.source.open());
    const place = placeOf(page.times, time);
    if (page.times[place] !== time || place < stored.at || stored.taken?.has(place) === true) return undefined;
    if (place === stored.at) stored.at += 1;
    else (stored.taken ??= new Set()).add(place);
    const [size, since] = [page.sizes[place] ?? 0, page.since[place] ?? 0];
    return this.#add(new Bucket({ ...this.#options, time, stored: { size, since, chunks: page.chunks } }));
  }

  #read(chunk: StoredChunk): void {
    chunk.isRead = true;
    let bucket: Bucket | undefined;
    this.#options.read(chunk, (time, namespace, key) => {
      if (bucket?.time !== time) bucket = this.find(time);
      bucket?.read(chunk, namespace, key);
    });
  }
}
