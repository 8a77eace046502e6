/**
 * The table of a list or map state: many rows per key, one of them the root (a list's head, a map's index). Rows of a key hang in a
 * short chain, because a key mostly has few of them (a window's panes); a longer one gets an index. Keeps what `state-table.ts` keeps.
 */
import type { MapKey } from '../core/key.ts';
import type { Sub } from './layout.ts';
import type { TableOptions } from './state-table.ts';
import { Cell, StateTable } from './state-table.ts';

export class Row extends Cell {
  readonly sub: Sub;
  next: Row | undefined = undefined;

  constructor(key: MapKey, sub: Sub, value: unknown, stored: boolean) {
    super(key, value, stored);
    this.sub = sub;
  }
}

/** Rows of one key in a chain before they get an index. */
const chainMax = 8;

/** The rows of one key that are in memory. In the table's map while there are any. */
export class KeyRows {
  readonly key: MapKey;
  #first: Row | undefined = undefined;
  #index: Map<Sub, Row> | undefined = undefined;
  size = 0;

  constructor(key: MapKey) {
    this.key = key;
  }

  find(sub: Sub): Row | undefined {
    if (this.#index !== undefined) return this.#index.get(sub);
    let row = this.#first;
    while (row !== undefined && row.sub !== sub) row = row.next;
    return row;
  }

  /** Only for a row that is not there. */
  add(row: Row): void {
    this.size += 1;
    if (this.#index !== undefined) {
      this.#index.set(row.sub, row);
    } else {
      row.next = this.#first;
      this.#first = row;
      if (this.size > chainMax) this.#makeIndex();
    }
  }

  remove(row: Row): void {
    this.size -= 1;
    if (this.#index !== undefined) {
      this.#index.delete(row.sub);
      return;
    }
    if (this.#first === row) {
      this.#first = row.next;
      return;
    }
    let before = this.#first;
    while (before !== undefined && before.next !== row) before = before.next;
    if (before !== undefined) before.next = row.next;
  }

  #makeIndex(): void {
    const index = new Map<Sub, Row>();
    for (const row of this.rows()) index.set(row.sub, row);
    for (const row of index.values()) row.next = undefined;
    this.#first = undefined;
    this.#index = index;
  }

  /** A row may be removed while it is visited. */
  *rows(): Generator<Row, void> {
    if (this.#index !== undefined) yield* this.#index.values();
    else for (let row = this.#first; row !== undefined; row = row.next) yield row;
  }
}

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
  readonly #keys = new Map<MapKey, KeyRows>();
  readonly #codec: RowCodec;
  #size = 0;

  constructor(options: TableOptions, codec: RowCodec) {
    super(options);
    this.rooted = codec.rooted;
    this.#codec = codec;
  }

  get size(): number {
    return this.#size;
  }

  /** What is in memory of the key; empty and in no table yet when nothing is. */
  rows(mapKey: MapKey): KeyRows {
    const rows = this.#keys.get(mapKey);
    if (rows !== undefined) return rows;
    this.checkKey(mapKey);
    return new KeyRows(mapKey);
  }

  /** The row, ready to be touched; read from the store when it isn't in memory. Undefined when it does not exist. */
  read(rows: KeyRows, sub: Sub): Row | undefined {
    const row = rows.find(sub);
    if (row !== undefined) {
      if (row.epoch === this.epochs.frozen) this.write(row);
      return row.value === undefined ? undefined : row;
    }
    if (this.complete) return undefined;
    const value = this.load(rows.key, sub);
    return value === undefined ? undefined : this.#add(rows, new Row(rows.key, sub, value, true));
  }

  /** Sets the row's value. `stored` says whether the store may hold the row, when it isn't in memory and the caller knows. */
  set(rows: KeyRows, sub: Sub, value: unknown, stored?: boolean): void {
    const row = this.#touched(rows, sub, stored);
    if (row.epoch !== this.epochs.current) this.mark(row);
    row.value = value;
  }

  /** Removes the row, also one that was never read. */
  delete(rows: KeyRows, sub: Sub, stored?: boolean): void {
    const found = rows.find(sub);
    if (found === undefined && !(stored ?? this.#isStored(rows, sub))) return;
    const row = this.#touched(rows, sub, true);
    // What was never read has no value to lose, so give it one: only then is it forgotten with a tombstone.
    if (found === undefined) row.value = null;
    this.forget(row);
  }

  cellsInMemory(): Row[] {
    const cells: Row[] = [];
    for (const rows of this.#keys.values()) for (const row of rows.rows()) cells.push(row);
    return cells;
  }

  peek(mapKey: MapKey, sub: Sub): Row | undefined {
    return this.#keys.get(mapKey)?.find(sub);
  }

  evict(count: number): number {
    const { durable } = this.epochs;
    let evicted = 0;
    for (const rows of this.#keys.values()) {
      if (evicted >= count) break;
      for (const row of rows.rows()) {
        if (row.epoch > durable) continue;
        this.remove(row);
        evicted += 1;
      }
    }
    if (evicted > 0) this.complete = false;
    return evicted;
  }

  subOf(row: Row): Sub {
    return row.sub;
  }

  protected remove(row: Row): void {
    const rows = this.#keys.get(row.key);
    if (rows === undefined) return;
    rows.remove(row);
    if (rows.size === 0) this.#keys.delete(row.key);
    this.#size -= 1;
    this.epochs.entries -= 1;
  }

  protected toStored(row: Row): unknown {
    return this.#codec.toStored(row.value, row.sub);
  }

  protected fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown {
    return this.#codec.fromStored(value, sub, read);
  }

  #touched(rows: KeyRows, sub: Sub, stored: boolean | undefined): Row {
    const row = rows.find(sub);
    if (row === undefined) return this.#add(rows, new Row(rows.key, sub, undefined, stored ?? this.#isStored(rows, sub)));
    if (row.epoch === this.epochs.frozen) this.write(row);
    return row;
  }

  /** Asks the store, because a row it doesn't hold can vanish later without a write. */
  #isStored(rows: KeyRows, sub: Sub): boolean {
    return !this.complete && this.options.store.get(this.keyOf(rows.key, sub)) !== undefined;
  }

  #add(rows: KeyRows, row: Row): Row {
    if (rows.size === 0) this.#keys.set(rows.key, rows);
    rows.add(row);
    this.#size += 1;
    this.epochs.entries += 1;
    return row;
  }
}
