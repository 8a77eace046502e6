/**
 * The handle of a map whose keys are in order. Entries stand in chunks of 64 or fewer, each a row, and the root row
 * says where each chunk begins: what a change costs grows with the logarithm of the entries, a checkpoint writes the
 * chunks that were touched, and the root only when chunks have come or gone.
 */
import type { Key } from '../core/key.ts';
import type { MapState } from '../core/state-descriptor.ts';
import { mapSub } from './map-handle.ts';
import type { RowCodec, RowTable } from './row-table.ts';
import { missing, RowsHandle } from './rows-handle.ts';
import { given } from './state-handle.ts';
import { lowerBound, type MapSub } from './sub-order.ts';

/** Entries of a full chunk. */
const chunkMax = 64;
/** A chunk of fewer is joined with a neighbour when both together are no more than `joinedMax`. */
const chunkMin = 16;
const joinedMax = 48;

/** No key of a map stands in front of it. */
const least: MapSub = Number.NEGATIVE_INFINITY;

/** Chunk `i` has the row `rows[i]` and holds the keys from `fences[i]` on, the first one from the least. */
interface OrderedRoot {
  readonly fences: MapSub[];
  readonly rows: number[];
  /** The next free number of a row. */
  next: number;
}

/** Keys in order, and the value of each. */
interface Chunk {
  readonly keys: MapSub[];
  readonly values: unknown[];
}

export const orderedMapCodec: RowCodec = {
  rooted: true,
  toStored(value, sub) {
    if (sub === undefined) {
      const { fences, rows, next } = value as OrderedRoot; // The root row holds nothing else.
      return [fences, rows, next];
    }
    const { keys, values } = value as Chunk; // Every other row is a chunk.
    return [keys, values];
  },
  fromStored(value, sub, read) {
    if (sub === undefined) {
      const [fences, rows, next] = value as [MapSub[], number[], number]; // As `toStored` gave it.
      return { fences, rows, next } satisfies OrderedRoot;
    }
    const [keys, values] = value as [MapSub[], unknown[]]; // As above.
    return { keys, values: values.map(read) } satisfies Chunk;
  },
};

export class KeyedOrderedMapState<K extends MapSub, V> extends RowsHandle implements MapState<K, V> {
  get(key: K): V | undefined {
    const sub = mapSub(key);
    const rows = this.rows();
    const root = this.#root(rows);
    if (root === undefined) return undefined;
    const { keys, values } = this.#chunk(rows, root, chunkOf(root, sub));
    const at = lowerBound(keys, sub);
    return keys[at] === sub ? (given(rows, values[at]) as V) : undefined; // Only `set` and the store put values in.
  }

  /** Undefined is the same as `delete(key)`. */
  set(key: K, value: V): void {
    if (value === undefined) {
      this.delete(key);
      return;
    }
    const rows = this.ownRows();
    const sub = mapSub(key);
    const root = this.#root(rows);
    if (root === undefined) {
      rows.set(0, { keys: [sub], values: [this.own(value)] } satisfies Chunk, false);
      rows.set(undefined, { fences: [least], rows: [0], next: 1 } satisfies OrderedRoot, false);
      return;
    }
    const at = chunkOf(root, sub);
    const chunk = this.#chunk(rows, root, at);
    const place = lowerBound(chunk.keys, sub);
    if (chunk.keys[place] === sub) chunk.values[place] = this.own(value, chunk.values[place]);
    else {
      const own = this.own(value);
      if (chunk.keys.length === chunkMax) {
        this.#split(rows, root, at, place, sub, own);
        return;
      }
      chunk.keys.splice(place, 0, sub);
      chunk.values.splice(place, 0, own);
    }
    rows.set(rowOf(root, at), chunk, true);
  }

  delete(key: K): void {
    const rows = this.ownRows();
    const sub = mapSub(key);
    const root = this.#root(rows);
    if (root === undefined) return;
    const at = chunkOf(root, sub);
    const chunk = this.#chunk(rows, root, at);
    const place = lowerBound(chunk.keys, sub);
    if (chunk.keys[place] !== sub) return;
    chunk.keys.splice(place, 1);
    chunk.values.splice(place, 1);
    if (chunk.keys.length === 0) this.#drop(rows, root, at);
    else {
      rows.set(rowOf(root, at), chunk, true);
      if (chunk.keys.length < chunkMin) this.#join(rows, root, at, chunk);
    }
  }

  isEmpty(): boolean {
    return this.#root(this.rows()) === undefined;
  }

  keys(): Iterable<K> {
    return this.#found(undefined, undefined, (key) => key as K); // Only `set` puts keys in.
  }

  entries(): Iterable<[K, V]> {
    return this.range(undefined, undefined);
  }

  range(from: K | undefined, to: K | undefined): Iterable<[K, V]> {
    const { table } = this;
    // Only `set` and the store put entries in.
    return this.#found(from, to, (key, value) => [key, given(table, value)] as [K, V]);
  }

  clear(): void {
    const rows = this.ownRows();
    const root = this.#root(rows);
    if (root === undefined) return;
    for (const row of root.rows) rows.delete(row, true);
    rows.delete(undefined);
  }

  async forEachEntry(visit: (key: Key, subKey: K, value: () => V) => void): Promise<void> {
    // Key by key, since who visits an entry may change the map, and chunks move then.
    await this.forEachKey((key) => {
      for (const [sub, value] of this.entries()) visit(key, sub, () => value);
    });
  }

  /** What there is of the entries from one key on and in front of another, as they are now. */
  #found<T>(from: K | undefined, to: K | undefined, take: (key: MapSub, value: unknown) => T): T[] {
    const rows = this.rows();
    const [first, end] = [from, to].map((key) => (key === undefined ? undefined : mapSub(key)));
    const found: T[] = [];
    const root = this.#root(rows);
    if (root === undefined) return found;
    for (let at = first === undefined ? 0 : chunkOf(root, first); at < root.rows.length; at += 1) {
      const { keys, values } = this.#chunk(rows, root, at);
      const last = end === undefined ? keys.length : lowerBound(keys, end);
      for (let place = first === undefined ? 0 : lowerBound(keys, first); place < last; place += 1)
        found.push(take(keys[place] as MapSub, values[place])); // Inside the bounds.
      if (last < keys.length) break;
    }
    return found;
  }

  #root(rows: RowTable): OrderedRoot | undefined {
    return rows.read(undefined)?.value as OrderedRoot | undefined; // The root row holds nothing else.
  }

  #chunk(rows: RowTable, root: OrderedRoot, at: number): Chunk {
    const row = rows.read(rowOf(root, at));
    if (row === undefined) throw missing(rows);
    return row.value as Chunk; // Every other row is a chunk.
  }

  /**
   * Puts an entry into a full chunk, which becomes two. One at the end of the last begins the next, so that a map that
   * grows at its end has full chunks.
   */
  #split(rows: RowTable, root: OrderedRoot, at: number, place: number, sub: MapSub, value: unknown): void {
    const chunk = this.#chunk(rows, root, at);
    const isEnd = place === chunkMax && at === root.rows.length - 1;
    const half = isEnd ? chunkMax : chunkMax / 2;
    const behind: Chunk = { keys: chunk.keys.splice(half), values: chunk.values.splice(half) };
    const into = place > half || isEnd ? behind : chunk;
    into.keys.splice(into === behind ? place - half : place, 0, sub);
    into.values.splice(into === behind ? place - half : place, 0, value);
    if (!isEnd) rows.set(rowOf(root, at), chunk, true);
    root.fences.splice(at + 1, 0, behind.keys[0] as MapSub); // It holds half of them, or the new one.
    root.rows.splice(at + 1, 0, root.next);
    rows.set(root.next, behind, false);
    root.next += 1;
    rows.set(undefined, root, true);
  }

  /** Takes the entries of a small chunk into a neighbour that has room for them. */
  #join(rows: RowTable, root: OrderedRoot, at: number, chunk: Chunk): void {
    for (const other of [at - 1, at + 1]) {
      if (other < 0 || other >= root.rows.length) continue;
      const neighbour = this.#chunk(rows, root, other);
      if (neighbour.keys.length + chunk.keys.length > joinedMax) continue;
      const place = other < at ? neighbour.keys.length : 0;
      neighbour.keys.splice(place, 0, ...chunk.keys);
      neighbour.values.splice(place, 0, ...chunk.values);
      rows.set(rowOf(root, other), neighbour, true);
      if (other > at) root.fences[other] = root.fences[at] as MapSub; // Inside the bounds.
      this.#drop(rows, root, at);
      return;
    }
  }

  #drop(rows: RowTable, root: OrderedRoot, at: number): void {
    rows.delete(rowOf(root, at), true);
    root.fences.splice(at, 1);
    root.rows.splice(at, 1);
    if (root.rows.length === 0) {
      rows.delete(undefined);
      return;
    }
    root.fences[0] = least;
    rows.set(undefined, root, true);
  }
}

const rowOf = (root: OrderedRoot, at: number): number => root.rows[at] as number; // Inside the bounds.

/** The chunk that would hold a key. */
const chunkOf = ({ fences }: OrderedRoot, sub: MapSub): number => {
  const at = lowerBound(fences, sub);
  return fences[at] === sub ? at : at - 1;
};
