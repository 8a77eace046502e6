/**
 * Where the rows of a list or map state hang in memory, by key: in a short chain, because a key mostly has few of them;
 * a longer one gets an index.
 */
import type { MapKey } from '../core/key.ts';
import type { Sub } from './layout.ts';

/** One row in memory. What its fields mean is its table's (`row-table.ts`); a handle reads `value` and nothing else. */
export class Row {
  readonly key: MapKey;
  readonly sub: Sub;
  /** Undefined: the row does not exist any more. */
  value: unknown;
  epoch = 0;
  stored: boolean;
  next: Row | undefined = undefined;

  constructor(key: MapKey, sub: Sub, value: unknown, stored: boolean) {
    this.key = key;
    this.sub = sub;
    this.value = value;
    this.stored = stored;
  }
}

/** Rows of one key in a chain before they get an index. */
const chainMax = 8;

/** All rows in memory of a key that has many. */
class RowIndex {
  readonly rows = new Map<Sub, Row>();
}

export class RowsByKey {
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
