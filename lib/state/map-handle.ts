/**
 * The handle of a map. It keeps one row per key of the map, and in its root row the keys in order of insertion.
 */
import type { Key } from '../core/key.ts';
import type { MapState } from '../core/state-descriptor.ts';
import { forEachEntry } from './held-rows.ts';
import type { RowCodec, RowTable } from './row-table.ts';
import { missing, RowsHandle } from './rows-handle.ts';
import { given } from './state-handle.ts';
import type { StateTable } from './state-table.ts';
import type { MapSub } from './sub-order.ts';

export const mapCodec = (indexed: boolean): RowCodec => ({
  rooted: indexed,
  toStored: (value, sub) => (sub === undefined ? [...(value as Set<MapSub>)] : value), // The root row is the index.
  // As `toStored` gave it.
  fromStored: (value, sub, read) => (sub === undefined ? new Set(value as MapSub[]) : read(value)),
});

export class KeyedMapState<K extends MapSub, V> extends RowsHandle implements MapState<K, V> {
  get(key: K): V | undefined {
    // only `set` and the store put values in
    return given(this.table, this.rows().read(mapSub(key))?.value) as V | undefined;
  }

  /** Undefined is the same as `delete(key)`. */
  set(key: K, value: V): void {
    if (value === undefined) {
      this.delete(key);
      return;
    }
    const rows = this.ownRows();
    const sub = mapSub(key);
    const own = this.own(value, this.table.inPlace ? rows.inMemory(sub) : undefined);
    if (!this.table.rooted) {
      rows.set(sub, own);
      return;
    }
    const index = this.#index(rows) ?? new Set();
    const known = index.has(sub);
    rows.set(sub, own, known);
    if (known) return;
    index.add(sub);
    rows.set(undefined, index, false);
  }

  delete(key: K): void {
    const rows = this.ownRows();
    const sub = mapSub(key);
    if (!this.table.rooted) {
      rows.delete(sub);
      return;
    }
    const index = this.#index(rows);
    if (index === undefined || !index.delete(sub)) return;
    rows.delete(sub, true);
    if (index.size === 0) rows.delete(undefined);
    else rows.set(undefined, index);
  }

  keys(): Iterable<K> {
    this.#needIndex('keys');
    return [...(this.#index(this.rows()) ?? [])] as K[]; // only `set` adds to the index
  }

  entries(): Iterable<[K, V]> {
    this.#needIndex('entries');
    const rows = this.rows();
    return [...(this.#index(rows) ?? [])].map((sub) => {
      const row = rows.read(sub);
      if (row === undefined) throw missing(rows);
      return [sub, given(rows, row.value)] as [K, V]; // as in `keys` and `get`
    });
  }

  isEmpty(): boolean {
    this.#needIndex('isEmpty');
    return this.#index(this.rows()) === undefined;
  }

  range(): Iterable<[K, V]> {
    throw needOrder(this.table);
  }

  forEachEntry(visit: (key: Key, subKey: K, value: () => V) => void): Promise<void> {
    return forEachEntry(this.table, this.owner, visit);
  }

  clear(): void {
    this.#needIndex('clear');
    const rows = this.ownRows();
    const index = this.#index(rows);
    if (index === undefined) return;
    for (const sub of index) rows.delete(sub, true);
    rows.delete(undefined);
  }

  #index(rows: RowTable): Set<MapSub> | undefined {
    return rows.read(undefined)?.value as Set<MapSub> | undefined; // The root row of a map is its index.
  }

  #needIndex(method: string): void {
    if (!this.table.rooted) throw needIndex(this.table, method);
  }
}

export const needIndex = (table: StateTable, method: string): TypeError =>
  new TypeError(
    `Expected a map with an index for \`${method}()\`; state '${table.options.descriptor.name}' is \`{ indexed: false }\``,
  );

export const needOrder = (table: StateTable): TypeError =>
  new TypeError(
    `Expected a map in order for \`range()\`; state '${table.options.descriptor.name}' is not \`{ ordered: true }\``,
  );

/** A map's key as its row is named. -0 is 0. */
export const mapSub = (key: MapSub): MapSub => {
  if (typeof key === 'string') return key;
  if (typeof key !== 'number' || Number.isNaN(key))
    throw new TypeError(`Expected a map's key to be a string or a number, got \`${String(key)}\``);
  return key + 0;
};
