/**
 * What handles of a state in columns share: they work on the key that is current in its context, and throw while there
 * is none (I2).
 */
import type { Key } from '../core/key.ts';
import type { ColumnTable } from './column-table.ts';
import { forEachKey } from './held-rows.ts';
import { outsideTurn, readOnlyState, type KeyContext } from './key-context.ts';
import type { Sub } from './layout.ts';
import { given, ownValue, type HandleOwner } from './state-handle.ts';

export abstract class ColumnHandle {
  protected readonly table: ColumnTable;
  protected readonly owner: HandleOwner;
  readonly #keys: KeyContext;

  constructor(table: ColumnTable, owner: HandleOwner) {
    this.table = table;
    this.owner = owner;
    this.#keys = owner.keys;
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return forEachKey(this.table, this.owner, visit);
  }

  protected read(sub: Sub): unknown {
    if (!this.#keys.active) throw outsideTurn();
    return given(this.table, this.table.read(sub));
  }

  /** Undefined is the same as `remove`. Throws `NOT_SERIALISABLE` for what can not be stored. */
  protected put(sub: Sub, value: unknown): void {
    const keys = this.#keys;
    if (!keys.active) throw outsideTurn();
    if (keys.readOnly) throw readOnlyState();
    const { table } = this;
    if (value === undefined) table.delete(sub);
    else table.set(sub, ownValue(table, keys, value, table.inPlace ? table.inMemory(sub) : undefined));
  }

  protected remove(sub: Sub): void {
    if (!this.#keys.active) throw outsideTurn();
    if (this.#keys.readOnly) throw readOnlyState();
    this.table.delete(sub);
  }
}
