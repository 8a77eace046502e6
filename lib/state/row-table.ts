/**
 * The table of a list or map state: many rows per key, one of them the root (a list's head, a map's index). Rows of a key hang in a
 * short chain, because a key mostly has few of them (a window's panes); a longer one gets an index. The table works on the rows of the
 * key that was sought last. Keeps what `state-table.ts` keeps.
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

/** All rows in memory of a key that has many. */
class RowIndex {
  readonly rows = new Map<Sub, Row>();
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
  /** What is in memory of each key: the first of its chain, or its index. */
  readonly #keys = new Map<MapKey, Row | RowIndex>();
  readonly #codec: RowCodec;
  #size = 0;
  /** The key that was sought last, and what `#keys` holds of it. */
  #key: MapKey = '';
  #found: Row | RowIndex | undefined;

  constructor(options: TableOptions, codec: RowCodec) {
    super(options);
    this.rooted = codec.rooted;
    this.#codec = codec;
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
    this.#found = this.#keys.get(mapKey);
    if (this.#found === undefined) this.checkKey(mapKey);
  }

  /** The row, ready to be touched; read from the store when it isn't in memory. Undefined when it does not exist. */
  read(sub: Sub): Row | undefined {
    const row = findIn(this.#found, sub);
    if (row !== undefined) {
      if (row.epoch === this.epochs.frozen) this.write(row);
      return row.value === undefined ? undefined : row;
    }
    if (this.complete) return undefined;
    const value = this.load(this.#key, sub);
    return value === undefined ? undefined : this.#add(new Row(this.#key, sub, value, true));
  }

  /** Sets the row's value. `stored` says whether the store may hold the row, when it isn't in memory and the caller knows. */
  set(sub: Sub, value: unknown, stored?: boolean): void {
    const row = this.#touched(sub, stored);
    if (row.epoch !== this.epochs.current) this.mark(row);
    row.value = value;
  }

  /** Removes the row, also one that was never read. */
  delete(sub: Sub, stored?: boolean): void {
    const found = findIn(this.#found, sub);
    if (found === undefined && !(stored ?? this.#isStored(sub))) return;
    const row = this.#touched(sub, true);
    // What was never read has no value to lose, so give it one: only then is it forgotten with a tombstone.
    if (found === undefined) row.value = null;
    this.forget(row);
  }

  cellsInMemory(): Row[] {
    const cells: Row[] = [];
    for (const found of this.#keys.values()) for (const row of rowsOf(found)) cells.push(row);
    return cells;
  }

  peek(mapKey: MapKey, sub: Sub): Row | undefined {
    return findIn(this.#keys.get(mapKey), sub);
  }

  evict(count: number): number {
    const { durable } = this.epochs;
    let evicted = 0;
    for (const found of this.#keys.values()) {
      if (evicted >= count) break;
      for (const row of rowsOf(found)) {
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
    const found = this.#keys.get(row.key);
    if (found === undefined) return;
    const left = without(found, row);
    if (left === undefined) this.#keys.delete(row.key);
    else if (left !== found) this.#keys.set(row.key, left);
    if (row.key === this.#key) this.#found = left;
    this.#size -= 1;
    this.epochs.entries -= 1;
  }

  protected toStored(row: Row): unknown {
    return this.#codec.toStored(row.value, row.sub);
  }

  protected fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown {
    return this.#codec.fromStored(value, sub, read);
  }

  #touched(sub: Sub, stored: boolean | undefined): Row {
    const row = findIn(this.#found, sub);
    if (row === undefined) return this.#add(new Row(this.#key, sub, undefined, stored ?? this.#isStored(sub)));
    if (row.epoch === this.epochs.frozen) this.write(row);
    return row;
  }

  /** Asks the store, because a row it doesn't hold can vanish later without a write. */
  #isStored(sub: Sub): boolean {
    return !this.complete && this.options.store.get(this.keyOf(this.#key, sub)) !== undefined;
  }

  #add(row: Row): Row {
    const found = joined(this.#found, row);
    if (found !== this.#found) this.#keys.set(row.key, found);
    this.#found = found;
    this.#size += 1;
    this.epochs.entries += 1;
    return row;
  }
}

// ---------- the rows of one key

const findIn = (found: Row | RowIndex | undefined, sub: Sub): Row | undefined => {
  if (found instanceof RowIndex) return found.rows.get(sub);
  let row = found;
  while (row !== undefined && row.sub !== sub) row = row.next;
  return row;
};

/** Adds a row that is not there. */
const joined = (found: Row | RowIndex | undefined, row: Row): Row | RowIndex => {
  if (found instanceof RowIndex) {
    found.rows.set(row.sub, row);
    return found;
  }
  row.next = found;
  let length = 1;
  for (let each = found; each !== undefined; each = each.next) length += 1;
  return length > chainMax ? indexed(row) : row;
};

const indexed = (first: Row): RowIndex => {
  const index = new RowIndex();
  for (const row of rowsOf(first)) index.rows.set(row.sub, row);
  for (const row of index.rows.values()) row.next = undefined;
  return index;
};

/** What is left without a row; undefined when that was the last. */
const without = (found: Row | RowIndex, row: Row): Row | RowIndex | undefined => {
  if (found instanceof RowIndex) {
    found.rows.delete(row.sub);
    return found.rows.size === 0 ? undefined : found;
  }
  if (found === row) return row.next;
  let before: Row | undefined = found;
  while (before !== undefined && before.next !== row) before = before.next;
  if (before !== undefined) before.next = row.next;
  return found;
};

/** A row may be removed while it is visited. */
function* rowsOf(found: Row | RowIndex): Generator<Row, void> {
  if (found instanceof RowIndex) yield* found.rows.values();
  else for (let row: Row | undefined = found; row !== undefined; row = row.next) yield row;
}
