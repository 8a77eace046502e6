/**
 * The handle of a map without an index, whose keys are shared by many keys of the stream: one column for each of them.
 */
import type { Key } from '../core/key.ts';
import type { MapState } from '../core/state-descriptor.ts';
import { ColumnHandle } from './column-handle.ts';
import { forEachEntry } from './held-rows.ts';
import { mapSub, needIndex, needOrder } from './map-handle.ts';
import type { MapSub } from './sub-order.ts';

export class ColumnMapState<K extends MapSub, V> extends ColumnHandle implements MapState<K, V> {
  get(key: K): V | undefined {
    return this.read(mapSub(key)) as V | undefined; // Only `set` and the store put values in.
  }

  set(key: K, value: V): void {
    this.put(mapSub(key), value);
  }

  delete(key: K): void {
    this.remove(mapSub(key));
  }

  keys(): Iterable<K> {
    throw needIndex(this.table, 'keys');
  }

  entries(): Iterable<[K, V]> {
    throw needIndex(this.table, 'entries');
  }

  isEmpty(): boolean {
    throw needIndex(this.table, 'isEmpty');
  }

  range(): Iterable<[K, V]> {
    throw needOrder(this.table);
  }

  clear(): void {
    throw needIndex(this.table, 'clear');
  }

  forEachEntry(visit: (key: Key, subKey: K, value: () => V) => void): Promise<void> {
    return forEachEntry(this.table, this.owner, visit);
  }
}
