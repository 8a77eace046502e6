/**
 * The timers of one operator in the store, as the newest cut left them: what a start reads of them, what a chunk holds,
 * and what a cut writes. A cut adds chunks to the pages in which something has changed, writes those pages anew, and
 * removes chunks of which no time is left. Keeps I4: it is changed by cuts only.
 */
import type { Timestamp } from '../core/element.ts';
import { invariant } from '../core/errors.ts';
import { keyFromBytes, keyGroupOf, mapKeyOf, type MapKey } from '../core/key.ts';
import {
  operatorRange,
  parseTimerPageKey,
  timerDomainOf,
  prefixes,
  storedKeyOf,
  timerChunkKey,
  timerPageKey,
  timerPageRange,
  type TimerPageName,
} from './layout.ts';
import type { Store, StoreBatch } from './store.ts';
import {
  chunkMax,
  chunkOf,
  countsFor,
  decodeChunk,
  decodePage,
  decodePageHead,
  emptyPage,
  encodeChunk,
  encodePage,
  isNeeded,
  pageOf,
  type ChunkEntry,
  type Page,
  type PageHead,
  type StoredChunk,
  type Times,
} from './timer-rows.ts';
import { byDomain, storedDomains, type StoredDomain } from './timer-domains.ts';

/** What has changed of one exact time between two cuts. */
export interface TimeChange {
  readonly time: Timestamp;
  /** How many timers it has at the instant. */
  readonly size: number;
  /** What is told is all that it has, so what was written before is void. */
  readonly isAll: boolean;
  /** Timers that were turned on, or off if the same was on. */
  readonly toggled: readonly Toggled[];
}

/** Keys from `from` on, `to` excluded. A key that is there twice is as it was. */
export interface Toggled {
  readonly namespace: number;
  readonly keys: readonly MapKey[];
  readonly from: number;
  readonly to: number;
}

/** A page that a start has found, in the form that it has by then. */
export interface RestoredPage extends PageHead {
  readonly domain: StoredDomain;
  readonly page: number;
  open(): Page;
}

interface KnownPage {
  /** In the form of the store while no cut has changed it. */
  readonly page: Page | Uint8Array;
  /** The first chunk that this life has written: what is in it is in memory. */
  readonly own: number;
}

type ByDomain<T> = Readonly<Record<StoredDomain, T>>;

export interface StoredTimersOptions {
  readonly operator: number;
  readonly maxParallelism: number;
  readonly store: Store;
}

type VisitTimer = (time: Timestamp, namespace: number, key: MapKey) => void;

/** Less than half full chunks of one page before they are put together. */
const smallMax = 32;

export class StoredTimers {
  readonly #options: StoredTimersOptions;
  readonly #pages: ByDomain<Map<number, KnownPage>> = byDomain(() => new Map<number, KnownPage>());

  constructor(options: StoredTimersOptions) {
    this.#options = options;
  }

  /** Reads the heads of the pages of some domains. */
  async restore(isWanted: (domain: StoredDomain) => boolean, found: (page: RestoredPage) => void): Promise<void> {
    const { operator, store } = this.#options;
    for await (const [row, value] of store.entries(timerPageRange(operator))) {
      const { domain, page } = parseTimerPageKey(row);
      if (!isWanted(domain)) continue;
      const bytes = Buffer.from(value);
      this.#pages[domain].set(page, { page: bytes, own: Number.POSITIVE_INFINITY });
      found({ ...decodePageHead(bytes), domain, page, open: () => decodePage(bytes) });
    }
  }

  /** The keys of all rows of some domains. */
  async rows(isWanted: (domain: StoredDomain) => boolean): Promise<readonly Uint8Array[]> {
    const { operator, store } = this.#options;
    const rows: Uint8Array[] = [];
    for (const prefix of [prefixes.timerPage, prefixes.timerChunk])
      for await (const [row] of store.entries(operatorRange(prefix, operator)))
        if (isWanted(timerDomainOf(row))) rows.push(Uint8Array.from(row));
    return rows;
  }

  /** Calls `visit` for each timer of a chunk. */
  read(domain: StoredDomain, chunk: StoredChunk, visit: VisitTimer): void {
    this.#readChunk({ domain, page: pageOf(chunk.first) }, chunk, (time, namespace, bytes) =>
      visit(time, namespace, mapKeyOf(keyFromBytes(bytes))),
    );
  }

  /** Puts what has changed into the batch of a cut, in slices. */
  *write(batch: StoreBatch, changes: ByDomain<readonly TimeChange[]>): Generator<void, void> {
    for (const domain of storedDomains) {
      const byPage = new Map<number, TimeChange[]>();
      for (const [at, change] of changes[domain].entries()) {
        const page = pageOf(change.time);
        const known = byPage.get(page);
        if (known === undefined) byPage.set(page, [change]);
        else known.push(change);
        if (at % chunkMax === chunkMax - 1) yield;
      }
      for (const [page, ofPage] of byPage) {
        yield* this.#writePage(batch, { domain, page }, ofPage);
        yield;
      }
    }
  }

  *#writePage(batch: StoreBatch, name: TimerPageName, changes: readonly TimeChange[]): Generator<void, void> {
    const { operator } = this.#options;
    const pages = this.#pages[name.domain];
    const known = pages.get(name.page);
    const before = known === undefined ? emptyPage : opened(known.page);
    const own = Math.min(known?.own ?? 0, before.next);
    yield;
    const changed = inOrder(changes);
    const times = timesAfter(before, changed);
    yield;
    const small = before.chunks.filter(({ number, count }) => number >= own && count < chunkMax / 2);
    const merged = small.length < smallMax ? [] : small;
    const kept = new Set(before.chunks.filter((chunk) => !merged.includes(chunk) && isNeeded(chunk, times)));
    const chunks = [...kept];
    let { next } = before;
    const put = (entries: readonly ChunkEntry[]): void => {
      chunks.push(chunkOf(next, entries));
      batch.put(timerChunkKey(operator, name, next), encodeChunk(entries));
      next += 1;
    };
    let entries: ChunkEntry[] = [];
    for (const entry of this.#entries(name, merged, { changed, times })) {
      if (entry === undefined) yield;
      else if (entries.push(entry) === chunkMax) {
        put(entries);
        entries = [];
      }
    }
    if (entries.length > 0) put(entries);
    yield;
    for (const chunk of before.chunks) if (!kept.has(chunk)) batch.delete(timerChunkKey(operator, name, chunk.number));
    yield;
    if (times.times.length === 0) {
      pages.delete(name.page);
      batch.delete(timerPageKey(operator, name));
      return;
    }
    const page: Page = { ...times, next, chunks };
    pages.set(name.page, { page, own });
    batch.put(timerPageKey(operator, name), encodePage(page));
  }

  /** What new chunks hold: what is left of old ones, then what has changed. Undefined now and then, to yield. */
  *#entries(
    name: TimerPageName,
    merged: readonly StoredChunk[],
    { changed, times }: { readonly changed: readonly TimeChange[]; readonly times: Times },
  ): Generator<ChunkEntry | undefined, void> {
    const { maxParallelism } = this.#options;
    for (const chunk of merged) {
      const left: ChunkEntry[] = [];
      this.#readChunk(name, chunk, (time, namespace, bytes) => {
        if (countsFor(chunk, time, times))
          left.push({ time, namespace, key: { bytes, group: keyGroupOf(keyFromBytes(bytes), maxParallelism, bytes) } });
      });
      yield* left;
      yield;
    }
    for (const { time, toggled } of changed) {
      const byGroup: ChunkEntry[][] = [];
      let count = 0;
      for (const { namespace, keys, from, to } of toggled) {
        for (let at = from; at < to; at += 1) {
          const key = storedKeyOf(keys[at] as MapKey, maxParallelism); // Inside the bounds.
          (byGroup[key.group] ??= []).push({ time, namespace, key });
          count += 1;
          if (count % chunkMax === 0) yield;
        }
      }
      for (const group of byGroup) if (group !== undefined) yield* group;
    }
  }

  #readChunk(
    name: TimerPageName,
    { number }: StoredChunk,
    visit: (time: Timestamp, namespace: number, key: Uint8Array) => void,
  ): void {
    const { operator, store } = this.#options;
    const row = store.get(timerChunkKey(operator, name, number));
    invariant(row !== undefined, 'I5: a page of timers tells of a chunk that is not stored');
    decodeChunk(row, visit);
  }
}

const opened = (page: Page | Uint8Array): Page => (page instanceof Uint8Array ? decodePage(page) : page);

/** In the order of time, one for each: a time whose timers are all gone may have new ones. */
const inOrder = (changes: readonly TimeChange[]): TimeChange[] => {
  const ordered: TimeChange[] = [];
  for (const change of changes.toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))) {
    if (ordered.at(-1)?.time === change.time) ordered[ordered.length - 1] = { ...change, isAll: true };
    else ordered.push(change);
  }
  return ordered;
};

/** The times of a page once these changes are written. */
const timesAfter = (page: Page, changed: readonly TimeChange[]): Times => {
  const times: Timestamp[] = [];
  const sizes: number[] = [];
  const since: number[] = [];
  let at = 0;
  const keepUntil = (time: Timestamp | undefined): void => {
    for (; at < page.times.length; at += 1) {
      const known = page.times[at] as number; // Inside the bounds.
      if (time !== undefined && known >= time) return;
      times.push(known);
      sizes.push(page.sizes[at] ?? 0);
      since.push(page.since[at] ?? 0);
    }
  };
  for (const { time, size, isAll } of changed) {
    keepUntil(time);
    const before = page.times[at] === time ? page.since[at] : undefined;
    if (before !== undefined) at += 1;
    if (size === 0) continue;
    times.push(time);
    sizes.push(size);
    since.push(isAll ? page.next : (before ?? page.next));
  }
  keepUntil(undefined);
  return { times, sizes, since };
};
