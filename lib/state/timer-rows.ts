/**
 * How timers stand in the store: in pages by time, each with chunks of timers. Where the rows are is in `layout.ts`;
 * this is what they hold, and each is framed.
 *
 *  - The page says of each exact time how many timers it has, and of each chunk which times are in it. So a start reads
 *    the pages and no chunk, and nobody reads a page further than to its head before its time is near.
 *  - A chunk is a piece of a log: each of its entries turns a timer on, or off when it is on. So what is deleted needs
 *    no chunk to be written anew, and in which order chunks are read makes no difference.
 *  - `since` of a time is the first chunk that counts for it: when all of a time have fired, or the rest is written
 *    anew, what older chunks say of it is void.
 */
import type { Timestamp } from '../core/element.ts';
import type { StoredKey } from './layout.ts';
import { StreamError } from '../core/errors.ts';
import { frame, unframe } from '../core/frame.ts';
import { PackedReader, PackedWriter } from './packed-bytes.ts';

/** Of the form of pages and chunks. */
const version = 1;

/** Timers of one chunk at most. */
export const chunkMax = 256;

/** Milliseconds of a page, 4.4 minutes: a power of two, so that the first time of a page is exact. */
const pageMs = 2 ** 18;

/** The page of a time. */
export const pageOf = (time: Timestamp): number => Math.floor(time / pageMs);

export interface StoredChunk {
  readonly number: number;
  /** The least and the greatest time in it. */
  readonly first: Timestamp;
  readonly last: Timestamp;
  /** The key groups in it. */
  readonly firstGroup: number;
  readonly lastGroup: number;
  readonly count: number;
  /** Its timers are in memory. Written by who reads it. */
  isRead?: boolean;
}

/** Exact times in their order. The lists run in step, and are never changed. */
export interface Times {
  readonly times: readonly Timestamp[];
  readonly sizes: readonly number[];
  readonly since: readonly number[];
}

export interface Page extends Times {
  /** The number of the next chunk. */
  readonly next: number;
  readonly chunks: readonly StoredChunk[];
}

export const emptyPage: Page = { next: 0, times: [], sizes: [], since: [], chunks: [] };

/** What a start needs to know of a page. */
export interface PageHead {
  readonly first: Timestamp;
  readonly size: number;
}

/** Something about one timer, in a chunk. */
export interface ChunkEntry {
  readonly time: Timestamp;
  readonly namespace: number;
  readonly key: StoredKey;
}

/** The place of a time among others in their order, or of the first behind it. */
export const placeOf = (times: readonly Timestamp[], time: Timestamp): number => {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] as number) < time) low = middle + 1; // Inside the bounds.
    else high = middle;
  }
  return low;
};

/** Whether what a chunk says of a time counts. */
export const countsFor = ({ number }: StoredChunk, time: Timestamp, { times, since }: Times): boolean => {
  const at = placeOf(times, time);
  return times[at] === time && (since[at] ?? 0) <= number;
};

/** Whether a chunk says something that counts. */
export const isNeeded = ({ number, first, last }: StoredChunk, { times, since }: Times): boolean => {
  for (let at = placeOf(times, first); at < times.length && (times[at] ?? 0) <= last; at += 1)
    if ((since[at] ?? 0) <= number) return true;
  return false;
};

// ---------- pages

export const encodePage = ({ next, times, sizes, since, chunks }: Page): Uint8Array => {
  const packed = new PackedWriter(64 + times.length * 8 + chunks.length * 32);
  packed.whole(version);
  packed.double(times[0] ?? 0);
  packed.whole(sizes.reduce((sum, size) => sum + size, 0));
  packed.whole(next);
  packed.doubles(times);
  for (const size of sizes) packed.whole(size);
  for (const number of since) packed.whole(number);
  packed.whole(chunks.length);
  for (const { number, first, last, firstGroup, lastGroup, count } of chunks) {
    for (const time of [first, last]) packed.double(time);
    for (const whole of [number, firstGroup, lastGroup, count]) packed.whole(whole);
  }
  return frame(packed.done());
};

export const decodePageHead = (value: Uint8Array): PageHead => {
  const packed = readerOf(value, 'a page of timers');
  return { first: packed.double(), size: packed.whole() };
};

export const decodePage = (value: Uint8Array): Page => {
  const packed = readerOf(value, 'a page of timers');
  packed.double();
  packed.whole();
  const next = packed.whole();
  const times = packed.doubles();
  const sizes = times.map(() => packed.whole());
  const since = times.map(() => packed.whole());
  const chunks = Array.from({ length: packed.whole() }, (): StoredChunk => {
    const [first, last] = [packed.double(), packed.double()];
    const [number, firstGroup, lastGroup, count] = [packed.whole(), packed.whole(), packed.whole(), packed.whole()];
    return { number, first, last, firstGroup, lastGroup, count };
  });
  return { next, times, sizes, since, chunks };
};

// ---------- chunks

export const encodeChunk = (entries: readonly ChunkEntry[]): Uint8Array => {
  const packed = new PackedWriter(64 + entries.length * 32);
  packed.whole(version);
  packed.whole(entries.length);
  let before: ChunkEntry | undefined;
  for (const entry of entries) {
    const { time, namespace, key } = entry;
    // Most are like the one before.
    const same = (before?.time === time ? 1 : 0) + (before?.namespace === namespace ? 2 : 0);
    packed.whole(same);
    if (same % 2 === 0) packed.double(time);
    if (same < 2) packed.double(namespace);
    packed.bytes(key.bytes);
    before = entry;
  }
  return frame(packed.done());
};

/** Calls `visit` for each entry, in the order in which they were written. */
export const decodeChunk = (
  value: Uint8Array,
  visit: (time: Timestamp, namespace: number, key: Uint8Array) => void,
): void => {
  const packed = readerOf(value, 'a chunk of timers');
  let [time, namespace] = [0, 0];
  for (let left = packed.whole(); left > 0; left -= 1) {
    const same = packed.whole();
    if (same % 2 === 0) time = packed.double();
    if (same < 2) namespace = packed.double();
    visit(time, namespace, packed.bytes());
  }
};

/** How a chunk of these is told of in its page. */
export const chunkOf = (number: number, entries: readonly ChunkEntry[]): StoredChunk => {
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let [firstGroup, lastGroup] = [Number.POSITIVE_INFINITY, 0];
  for (const { time, key } of entries) {
    const { group } = key;
    first = Math.min(first, time);
    last = Math.max(last, time);
    firstGroup = Math.min(firstGroup, group);
    lastGroup = Math.max(lastGroup, group);
  }
  return { number, first, last, firstGroup, lastGroup, count: entries.length };
};

const readerOf = (value: Uint8Array, what: string): PackedReader => {
  const packed = new PackedReader(unframe(value, what));
  const found = packed.whole();
  if (found > version)
    throw new StreamError('STORE_FORMAT', `${what} has format ${found}, this version reads up to ${version}`);
  return packed;
};
