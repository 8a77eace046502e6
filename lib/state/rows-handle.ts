/**
 * What the handles of lists and maps share: a state of several rows per key. A handle remembers that its table stands
 * at the current key for the version of the context, so that the second access within a record costs one comparison.
 */
import { StreamError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import { forEachKey } from './held-rows.ts';
import { outsideTurn, readOnlyState } from './key-context.ts';
import { keyOfMapKey } from './layout.ts';
import type { RowTable } from './row-table.ts';
import { ownValue, type HandleOwner } from './state-handle.ts';

export abstract class RowsHandle {
  protected readonly table: RowTable;
  protected readonly owner: HandleOwner;
  #version = -1;

  constructor(table: RowTable, owner: HandleOwner) {
    this.table = table;
    this.owner = owner;
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return forEachKey(this.table, this.owner, visit);
  }

  /** The table, at the rows of the current key. */
  protected rows(): RowTable {
    const { keys } = this.owner;
    if (this.#version !== keys.version) {
      if (!keys.active) throw outsideTurn();
      this.table.seek(keys.mapKey);
      this.#version = keys.version;
    }
    return this.table;
  }

  /** The same, to change them. */
  protected ownRows(): RowTable {
    if (this.owner.keys.readOnly) throw readOnlyState();
    return this.rows();
  }

  /** `kept`: what stands where the value goes. */
  protected own<V>(value: V, kept?: unknown): V {
    return ownValue(this.table, this.owner.keys, value, kept);
  }
}

export const missing = (rows: RowTable): StreamError =>
  new StreamError(
    'STORE_DAMAGED',
    `a row of key \`${String(keyOfMapKey(rows.key))}\` is missing in the state database`,
  );
