/** The handle of a value. It works on the key that is current in its context and throws while there is none (I2). */
import type { Key } from '../core/key.ts';
import type { ValueState } from '../core/state-descriptor.ts';
import type { ColumnTable } from './column-table.ts';
import { forEachKey } from './held-rows.ts';
import { outsideTurn, readOnlyState, type KeyContext } from './key-context.ts';
import { given, ownValue, type HandleOwner } from './state-handle.ts';

export class KeyedValueState<T> implements ValueState<T> {
  readonly #table: ColumnTable;
  readonly #keys: KeyContext;
  readonly #owner: HandleOwner;

  constructor(table: ColumnTable, owner: HandleOwner) {
    this.#table = table;
    this.#owner = owner;
    this.#keys = owner.keys;
  }

  value(): T | undefined {
    if (!this.#keys.active) throw outsideTurn();
    // Only `update` and the store put values in.
    return given(this.#table, this.#table.read(undefined)) as T | undefined;
  }

  /** Undefined is the same as `clear()`. Throws `NOT_SERIALISABLE` for what can not be stored. */
  update(value: T): void {
    const keys = this.#keys;
    if (!keys.active) throw outsideTurn();
    if (keys.readOnly) throw readOnlyState();
    const table = this.#table;
    if (value === undefined) table.delete(undefined);
    else table.set(undefined, ownValue(table, keys, value, table.inPlace ? table.inMemory(undefined) : undefined));
  }

  clear(): void {
    if (!this.#keys.active) throw outsideTurn();
    if (this.#keys.readOnly) throw readOnlyState();
    this.#table.delete(undefined);
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return forEachKey(this.#table, this.#owner, visit);
  }
}
