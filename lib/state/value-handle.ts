/**
 * The handle of a value. It works on the key that is current in its context and throws while there is none (I2). It
 * remembers what it found for the version of the context, so that the second access within a record costs one
 * comparison. A cut, eviction or restore happens between turns only, which always changes that version.
 */
import type { Key } from '../core/key.ts';
import type { ValueState } from '../core/state-descriptor.ts';
import { forEachKey } from './held-rows.ts';
import { outsideTurn, readOnlyState, type KeyContext } from './key-context.ts';
import { given, ownValue, type HandleOwner } from './state-handle.ts';
import { Cell, type ValueTable } from './state-table.ts';

export class KeyedValueState<T> implements ValueState<T> {
  readonly #table: ValueTable;
  readonly #keys: KeyContext;
  readonly #owner: HandleOwner;
  #version = -1;
  #cell: Cell;

  constructor(table: ValueTable, owner: HandleOwner) {
    this.#table = table;
    this.#owner = owner;
    this.#keys = owner.keys;
    this.#cell = new Cell('', undefined, false);
  }

  value(): T | undefined {
    if (this.#version !== this.#keys.version) this.#find();
    return given(this.#table, this.#cell.value) as T | undefined; // only `update` and the store put values in
  }

  /** Undefined is the same as `clear()`. Throws `NOT_SERIALISABLE` for what can not be stored. */
  update(value: T): void {
    if (this.#version !== this.#keys.version) this.#find();
    if (this.#keys.readOnly) throw readOnlyState();
    if (value === undefined) this.clear();
    else this.#table.set(this.#cell, ownValue(this.#table, this.#keys, value, this.#cell.value));
  }

  clear(): void {
    if (this.#version !== this.#keys.version) this.#find();
    if (this.#keys.readOnly) throw readOnlyState();
    this.#table.forget(this.#cell);
    // The cell may have left the table, so the next access looks again.
    this.#version = -1;
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return forEachKey(this.#table, this.#owner, visit);
  }

  #find(): void {
    const keys = this.#keys;
    if (!keys.active) throw outsideTurn();
    this.#cell = this.#table.cell(keys.mapKey);
    this.#version = keys.version;
  }
}
