/**
 * The handle of a map without an index, whose keys are shared by many keys of the stream: one column for each of them.
 */
import type { Key } from '../core/key.ts';
import type { MapState } from '../core/state-descriptor.ts';
import type { ColumnTable } from './column-table.ts';
import { forEachEntry, forEachKey } from './held-rows.ts';
import { outsideTurn, readOnlyState, type KeyContext } from './key-context.ts';
import { mapSub, needIndex, type MapSub } from './map-handle.ts';
import { given, ownValue, type HandleOwner } from './state-handle.ts';

export class ColumnMapState<K extends MapSub, V> implements MapState<K, V> {
  readonly #table: ColumnTable;
  readonly #keys: KeyContext;
  readonly #owner: HandleOwner;

  constructor(table: ColumnTable, owner: HandleOwner) {
    this.#table = table;
    this.#owner = owner;
    this.#keys = owner.keys;
  }

  get(key: K): V | undefined {
    if (!this.#keys.active) throw outsideTurn();
    return given(this.#table, this.#table.read(mapSub(key))) as V | undefined; // only `set` and the store put values in
  }

  /** Undefined is the same as `delete(key)`. */
  set(key: K, value: V): void {
    const keys = this.#keys;
    if (!keys.active) throw outsideTurn();
    if (keys.readOnly) throw readOnlyState();
    const table = this.#table;
    const sub = mapSub(key);
    if (value === undefined) table.delete(sub);
    else table.set(sub, ownValue(table, keys, value, table.inPlace ? table.inMemory(sub) : undefined));
  }

  delete(key: K): void {
    if (!this.#keys.active) throw outsideTurn();
    if (this.#keys.readOnly) throw readOnlyState();
    this.#table.delete(mapSub(key));
  }

  keys(): Iterable<K> {
    throw needIndex(this.#table, 'keys');
  }

  entries(): Iterable<[K, V]> {
    throw needIndex(this.#table, 'entries');
  }

  clear(): void {
    throw needIndex(this.#table, 'clear');
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return forEachKey(this.#table, this.#owner, visit);
  }

  forEachEntry(visit: (key: Key, subKey: K, value: () => V) => void): Promise<void> {
    return forEachEntry(this.#table, this.#owner, visit);
  }
}
