/**
 * Where the rows of a list or map state hang in memory, in two forms. By key first, for states whose rows of one key
 * belong together: a short chain, because a key mostly has few of them; a longer one gets an index. By sub-key first,
 * for maps whose sub-keys are shared by many keys and never listed (a window's panes): a record then costs one look-up
 * in the rows of its window, and a window goes as a whole.
 */
import type { MapKey } from '../core/key.ts';
import type { Sub } from './layout.ts';
import { Cell } from './state-table.ts';

export class Row extends Cell {
  readonly sub: Sub;
  next: Row | undefined = undefined;

  constructor(key: MapKey, sub: Sub, value: unknown, stored: boolean) {
    super(key, value, stored);
    this.sub = sub;
  }
}

export interface Rows {
  find(key: MapKey, sub: Sub): Row | undefined;
  /** Adds a row that is not there. */
  add(row: Row): void;
  /** Takes out a row that is there. */
  remove(row: Row): void;
  /** All rows; the one that was given last may be removed. */
  all(): Iterable<Row>;
}

// ---------- by key first

/** Rows of one key in a chain before they get an index. */
const chainMax = 8;

/** All rows in memory of a key that has many. */
class RowIndex {
  readonly rows = new Map<Sub, Row>();
}

export class RowsByKey implements Rows {
  /** What is in memory of each key: the first of its chain, or its index. */
  readonly #keys = new Map<MapKey, Row | RowIndex>();
  /** The key that was sought last, and what `#keys` holds of it. */
  #key: MapKey = '';
  #found: Row | RowIndex | undefined;

  find(key: MapKey, sub: Sub): Row | undefined {
    const found = this.#seek(key);
    if (found instanceof RowIndex) return found.rows.get(sub);
    let row = found;
    while (row !== undefined && row.sub !== sub) row = row.next;
    return row;
  }

  add(row: Row): void {
    const before = this.#seek(row.key);
    const found = joined(before, row);
    if (found !== before) this.#keys.set(row.key, found);
    this.#found = found;
  }

  remove(row: Row): void {
    const found = this.#seek(row.key);
    if (found === undefined) return;
    const left = without(found, row);
    if (left === undefined) this.#keys.delete(row.key);
    else if (left !== found) this.#keys.set(row.key, left);
    this.#found = left;
  }

  *all(): Generator<Row, void> {
    for (const found of this.#keys.values()) yield* rowsOf(found);
  }

  #seek(key: MapKey): Row | RowIndex | undefined {
    if (key !== this.#key || this.#found === undefined) {
      this.#key = key;
      this.#found = this.#keys.get(key);
    }
    return this.#found;
  }
}

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

// ---------- by sub-key first

export class RowsBySub implements Rows {
  /** What is in memory of each sub-key: the row of its only key, or those of its keys. */
  readonly #subs = new Map<Sub, Row | Map<MapKey, Row>>();
  /** The sub-key that was sought last, and what `#subs` holds of it. */
  #sub: Sub;
  #found: Row | Map<MapKey, Row> | undefined;

  find(key: MapKey, sub: Sub): Row | undefined {
    const found = this.#seek(sub);
    if (found instanceof Row) return found.key === key ? found : undefined;
    return found?.get(key);
  }

  add(row: Row): void {
    const found = this.#seek(row.sub);
    if (found === undefined) this.#put(row.sub, row);
    else if (found instanceof Row)
      this.#put(
        row.sub,
        new Map([
          [found.key, found],
          [row.key, row],
        ]),
      );
    else found.set(row.key, row);
  }

  remove(row: Row): void {
    const found = this.#seek(row.sub);
    if (found instanceof Map) {
      found.delete(row.key);
      if (found.size > 0) return;
    } else if (found !== row) return;
    this.#subs.delete(row.sub);
    this.#found = undefined;
  }

  *all(): Generator<Row, void> {
    for (const found of this.#subs.values()) {
      if (found instanceof Row) yield found;
      else yield* found.values();
    }
  }

  #seek(sub: Sub): Row | Map<MapKey, Row> | undefined {
    if (sub !== this.#sub || this.#found === undefined) {
      this.#sub = sub;
      this.#found = this.#subs.get(sub);
    }
    return this.#found;
  }

  #put(sub: Sub, found: Row | Map<MapKey, Row>): void {
    this.#subs.set(sub, found);
    this.#found = found;
  }
}
