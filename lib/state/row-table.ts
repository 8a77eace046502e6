/**
 * The table of a list or map state: many rows per key, one of them the root (a list's head, a map's index). The table
 * works on the rows of the key that was sought last, and remembers the row of it that was found last, so that reading a
 * row and then changing it is one look-up. Keeps what `state-table.ts` keeps.
 */
import type { MapKey } from '../core/key.ts';
import type { Sub } from './layout.ts';
import type { TableOptions } from './state-table.ts';
import { Row, RowsByKey, RowsBySub, type Rows } from './rows.ts';
import { StateTable } from './state-table.ts';

/** How a kind of state turns a cell's value into plain data and back. */
export interface RowCodec {
  /** Whether a key that holds something has a root row. */
  readonly rooted: boolean;
  toStored(value: unknown, sub: Sub): unknown;
  /** `read` brings a user's value to the current version. */
  fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown;
}

export class RowTable extends StateTable<Row> {
  readonly rooted: boolean;
  readonly #rows: Rows;
  readonly #codec: RowCodec;
  #size = 0;
  /** The key that was sought last. */
  #key: MapKey = '';
  /** What was looked up last of that key: the row, which may be missing. */
  #isFound = false;
  #foundSub: Sub;
  #found: Row | undefined;

  constructor(options: TableOptions, codec: RowCodec) {
    super(options);
    this.rooted = codec.rooted;
    this.#codec = codec;
    this.#rows = codec.rooted ? new RowsByKey() : new RowsBySub();
  }

  get size(): number {
    return this.#size;
  }

  /** The key that was sought last. */
  get key(): MapKey {
    return this.#key;
  }

  /** Makes `mapKey` the key whose rows are read and changed. */
  seek(mapKey: MapKey): void {
    this.#key = mapKey;
    this.#isFound = false;
    this.checkKey(mapKey);
  }

  /** The row, ready to be touched; read from the store when it isn't in memory. Undefined when it does not exist. */
  read(sub: Sub): Row | undefined {
    const row = this.#find(sub);
    if (row !== undefined) {
      if (row.epoch === this.epochs.frozen) this.write(row);
      return row.value === undefined ? undefined : row;
    }
    if (this.complete) return undefined;
    const value = this.load(this.#key, sub);
    return value === undefined ? undefined : this.#add(new Row(this.#key, sub, value, true));
  }

  /** The row's value as far as it is in memory. */
  inMemory(sub: Sub): unknown {
    return this.#find(sub)?.value;
  }

  /**
   * Sets the row's value. `stored` says whether the store may hold the row, when it isn't in memory and the caller
   * knows.
   */
  set(sub: Sub, value: unknown, stored?: boolean): void {
    const row = this.#touched(sub, stored);
    if (row.epoch !== this.epochs.current) this.mark(row);
    row.value = value;
  }

  /** Removes the row, also one that was never read. */
  delete(sub: Sub, stored?: boolean): void {
    const found = this.#find(sub);
    if (found === undefined && !(stored ?? this.#isStored(sub))) return;
    const row = this.#touched(sub, true);
    // What was never read has no value to lose, so give it one: only then is it forgotten with a tombstone.
    if (found === undefined) row.value = null;
    this.forget(row);
  }

  *cellsInMemory(): Generator<Row, void> {
    yield* this.#rows.all();
  }

  peek(mapKey: MapKey, sub: Sub): Row | undefined {
    return this.#rows.find(mapKey, sub);
  }

  subOf(row: Row): Sub {
    return row.sub;
  }

  protected remove(row: Row): void {
    this.#rows.remove(row);
    this.#isFound = false;
    this.#size -= 1;
    this.epochs.entries -= 1;
  }

  protected toStored(row: Row): unknown {
    return this.#codec.toStored(row.value, row.sub);
  }

  protected fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown {
    return this.#codec.fromStored(value, sub, read);
  }

  #find(sub: Sub): Row | undefined {
    if (this.#isFound && this.#foundSub === sub) return this.#found;
    const row = this.#rows.find(this.#key, sub);
    this.#isFound = true;
    this.#foundSub = sub;
    this.#found = row;
    return row;
  }

  #touched(sub: Sub, stored: boolean | undefined): Row {
    const row = this.#find(sub);
    if (row === undefined) return this.#add(new Row(this.#key, sub, undefined, stored ?? this.#isStored(sub)));
    if (row.epoch === this.epochs.frozen) this.write(row);
    return row;
  }

  /** Asks the store, because a row it doesn't hold can vanish later without a write. */
  #isStored(sub: Sub): boolean {
    return !this.complete && this.options.store.get(this.keyOf(this.#key, sub)) !== undefined;
  }

  #add(row: Row): Row {
    this.#rows.add(row);
    this.#isFound = true;
    this.#foundSub = row.sub;
    this.#found = row;
    this.#size += 1;
    this.epochs.entries += 1;
    return row;
  }
}
