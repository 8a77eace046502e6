/**
 * The handle of a list. It keeps its last 64 elements or fewer in its root row and the rest in rows of 64, so that a
 * long list is not serialised whole at each checkpoint.
 */
import type { ListState } from '../core/state-descriptor.ts';
import type { RowCodec, RowTable } from './row-table.ts';
import { missing, RowsHandle } from './rows-handle.ts';
import { given } from './state-handle.ts';

/** Elements of a full row of a list. */
const chunkMax = 64;

/**
 * Full rows are numbered `first` to `next - 1`; the first of them has lost `head` elements. `open` holds what comes
 * behind them.
 */
interface ListRoot {
  first: number;
  next: number;
  head: number;
  open: unknown[];
}

/** A full row as it was found in the store, where it may begin with places of elements that are gone. */
class UnreadChunk {
  readonly #stored: readonly unknown[];
  readonly #read: (old: unknown) => unknown;

  constructor(stored: readonly unknown[], read: (old: unknown) => unknown) {
    this.#stored = stored;
    this.#read = read;
  }

  /** The elements, once it is known how many are gone: `migrate` sees those only that somebody has put in. */
  from(head: number): unknown[] {
    return this.#stored.map((value, at) => (at < head ? null : this.#read(value)));
  }
}

export const listCodec: RowCodec = {
  rooted: true,
  toStored(value, sub) {
    if (sub !== undefined) return value;
    const { first, next, head, open } = value as ListRoot; // The root row of a list holds nothing else.
    return [first, next, head, open];
  },
  fromStored(value, sub, read) {
    if (sub !== undefined) return new UnreadChunk(value as unknown[], read); // Every other row is a chunk.
    const [first, next, head, open] = value as [number, number, number, unknown[]]; // As `toStored` gave it.
    return { first, next, head, open: open.map(read) } satisfies ListRoot;
  },
};

export class KeyedListState<T> extends RowsHandle implements ListState<T> {
  get size(): number {
    const root = this.#root(this.rows());
    return root === undefined ? 0 : (root.next - root.first) * chunkMax - root.head + root.open.length;
  }

  add(value: T): void {
    const rows = this.ownRows();
    const root = this.#root(rows) ?? { first: 0, next: 0, head: 0, open: [] };
    const own = this.own(value);
    if (root.open.length === chunkMax) {
      rows.set(root.next, root.open, false);
      root.next += 1;
      root.open = [];
    }
    root.open.push(own);
    rows.set(undefined, root, false);
  }

  shift(): T | undefined {
    const rows = this.ownRows();
    const root = this.#root(rows);
    if (root === undefined) return undefined;
    const value = root.first < root.next ? this.#shiftChunk(rows, root) : root.open.shift();
    if (root.first === root.next && root.open.length === 0) rows.delete(undefined);
    else rows.set(undefined, root);
    return value as T; // only `add` and the store put elements in
  }

  /** The elements as they are now, the oldest first. */
  values(): Iterable<T> {
    const rows = this.rows();
    const root = this.#root(rows);
    if (root === undefined) return [];
    const values: unknown[] = [];
    for (let number = root.first; number < root.next; number += 1) {
      const chunk = this.#chunk(rows, root, number);
      for (let i = headOf(root, number); i < chunk.length; i += 1) values.push(chunk[i]);
    }
    for (const value of root.open) values.push(value);
    return given(rows, values) as T[]; // as in `shift`
  }

  clear(): void {
    const rows = this.ownRows();
    const root = this.#root(rows);
    if (root === undefined) return;
    for (let number = root.first; number < root.next; number += 1) rows.delete(number, true);
    rows.delete(undefined);
  }

  #root(rows: RowTable): ListRoot | undefined {
    return rows.read(undefined)?.value as ListRoot | undefined; // The root row of a list holds nothing else.
  }

  #chunk(rows: RowTable, root: ListRoot, number: number): unknown[] {
    const row = rows.read(number);
    if (row === undefined) throw missing(rows);
    if (row.value instanceof UnreadChunk) row.value = row.value.from(headOf(root, number));
    return row.value as unknown[]; // A row with a number is a chunk.
  }

  /** Removes the oldest element of the first full row without writing that row again: only the root counts it away. */
  #shiftChunk(rows: RowTable, root: ListRoot): unknown {
    const chunk = this.#chunk(rows, root, root.first);
    const value = chunk[root.head];
    chunk[root.head] = null; // It is given away (I21), and the row may still be stored.
    root.head += 1;
    if (root.head === chunkMax) {
      rows.delete(root.first, true);
      root.first += 1;
      root.head = 0;
    }
    return value;
  }
}

/** How many elements of a full row are gone. */
const headOf = ({ first, head }: ListRoot, number: number): number => (number === first ? head : 0);
