/**
 * The handles of keyed state that operators hold: value, list and map. A handle works on the key that is current in its context and
 * throws while there is none (I2). It remembers what it found for the version of the context, so that the second access within a
 * record costs one comparison. A cut, eviction or restore happens between turns only, which always changes that version.
 *
 * A list keeps its last 64 elements or fewer in its root row and the rest in rows of 64, so that a long list is not serialised whole at each
 * checkpoint. A map keeps one row per key of the map, and in its root row the keys in order of insertion.
 */
import type { Key, MapKey } from '../core/key.ts';
import type { KeyContext } from './key-context.ts';
import type { Sub } from './layout.ts';
import type { RowCodec, RowTable } from './row-table.ts';
import type { ListState, MapState, ValueState } from '../core/state-descriptor.ts';
import type { StateTable, ValueTable } from './state-table.ts';
import { StreamError } from '../core/errors.ts';
import { assertStorable, isStorable } from '../core/storable.ts';
import { Cell } from './state-table.ts';
import { keyOfMapKey, parseStateRow, stateRange } from './layout.ts';
import { mapKeyOf } from '../core/key.ts';
import { deepFreeze, ownCopy } from '../core/own-copy.ts';
import { outsideTurn, readOnlyState } from './key-context.ts';

/** What a handle needs of its operator. */
export interface HandleOwner {
  readonly keys: KeyContext;
  /** Whether `forEachKey` is allowed now. */
  readonly openPhase: boolean;
}

// ---------- value

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
    else this.#table.set(this.#cell, ownValue(this.#table, this.#keys, value));
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

// ---------- list and map

abstract class RowsHandle {
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

  protected own<V>(value: V): V {
    return ownValue(this.table, this.owner.keys, value);
  }
}

/** A value that becomes part of a state. */
const ownValue = <V>(table: ValueTable | RowTable, keys: KeyContext, value: V): V => {
  if (!isStorable(value)) assertStorable(value, () => `state '${table.options.descriptor.name}' of key \`${String(keys.key)}\``);
  if (table.freeze) return deepFreeze(value);
  return table.copies ? ownCopy(value) : value;
};

/** A value of a state, as it is handed out. */
const given = (table: ValueTable | RowTable, value: unknown): unknown =>
  typeof value === 'object' && table.copies ? ownCopy(value) : value;

/** Elements of a full row of a list. */
const chunkMax = 64;

/** Full rows are numbered `first` to `next - 1`; the first of them has lost `head` elements. `open` holds what comes behind them. */
interface ListRoot {
  first: number;
  next: number;
  head: number;
  open: unknown[];
}

export const listCodec: RowCodec = {
  rooted: true,
  toStored(value, sub) {
    if (sub !== undefined) return value;
    const { first, next, head, open } = value as ListRoot;
    return [first, next, head, open];
  },
  fromStored(value, sub, read) {
    if (sub !== undefined) return (value as unknown[]).map(read);
    const [first, next, head, open] = value as [number, number, number, unknown[]];
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
      const chunk = this.#chunk(rows, number);
      for (let i = number === root.first ? root.head : 0; i < chunk.length; i += 1) values.push(chunk[i]);
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
    return rows.read(undefined)?.value as ListRoot | undefined;
  }

  #chunk(rows: RowTable, number: number): unknown[] {
    const row = rows.read(number);
    if (row === undefined) throw missing(rows);
    return row.value as unknown[];
  }

  /** Removes the oldest element of the first full row without writing that row again: only the root counts it away. */
  #shiftChunk(rows: RowTable, root: ListRoot): unknown {
    const value = this.#chunk(rows, root.first)[root.head];
    root.head += 1;
    if (root.head === chunkMax) {
      rows.delete(root.first, true);
      root.first += 1;
      root.head = 0;
    }
    return value;
  }
}

type MapSub = string | number;

export const mapCodec = (indexed: boolean): RowCodec => ({
  rooted: indexed,
  toStored: (value, sub) => (sub === undefined ? [...(value as Set<MapSub>)] : value),
  fromStored: (value, sub, read) => (sub === undefined ? new Set(value as MapSub[]) : read(value)),
});

export class KeyedMapState<K extends MapSub, V> extends RowsHandle implements MapState<K, V> {
  get(key: K): V | undefined {
    return given(this.table, this.rows().read(mapSub(key))?.value) as V | undefined; // only `set` and the store put values in
  }

  /** Undefined is the same as `delete(key)`. */
  set(key: K, value: V): void {
    if (value === undefined) {
      this.delete(key);
      return;
    }
    const rows = this.ownRows();
    const sub = mapSub(key);
    const own = this.own(value);
    if (!this.table.rooted) {
      rows.set(sub, own);
      return;
    }
    const index = this.#index(rows) ?? new Set();
    const known = index.has(sub);
    rows.set(sub, own, known);
    if (known) return;
    index.add(sub);
    rows.set(undefined, index, false);
  }

  delete(key: K): void {
    const rows = this.ownRows();
    const sub = mapSub(key);
    if (!this.table.rooted) {
      rows.delete(sub);
      return;
    }
    const index = this.#index(rows);
    if (index === undefined || !index.delete(sub)) return;
    rows.delete(sub, true);
    if (index.size === 0) rows.delete(undefined);
    else rows.set(undefined, index);
  }

  keys(): Iterable<K> {
    this.#needIndex('keys');
    return [...(this.#index(this.rows()) ?? [])] as K[]; // only `set` adds to the index
  }

  entries(): Iterable<[K, V]> {
    this.#needIndex('entries');
    const rows = this.rows();
    return [...(this.#index(rows) ?? [])].map((sub) => {
      const row = rows.read(sub);
      if (row === undefined) throw missing(rows);
      return [sub, given(rows, row.value)] as [K, V]; // as in `keys` and `get`
    });
  }

  async forEachEntry(visit: (key: Key, subKey: K, value: () => V) => void): Promise<void> {
    assertOpenPhase(this.owner, 'forEachEntry');
    for await (const { mapKey, sub, value } of heldRows(this.table)) {
      if (sub === undefined) continue;
      const key = keyOfMapKey(mapKey);
      visitRow(this.owner, key, () => visit(key, sub as K, () => given(this.table, value()) as V)); // as in `get`
    }
  }

  clear(): void {
    this.#needIndex('clear');
    const rows = this.ownRows();
    const index = this.#index(rows);
    if (index === undefined) return;
    for (const sub of index) rows.delete(sub, true);
    rows.delete(undefined);
  }

  #index(rows: RowTable): Set<MapSub> | undefined {
    return rows.read(undefined)?.value as Set<MapSub> | undefined;
  }

  #needIndex(method: string): void {
    if (this.table.rooted) return;
    throw new TypeError(
      `Expected a map with an index for \`${method}()\`; state '${this.table.options.descriptor.name}' is \`{ indexed: false }\``,
    );
  }
}

/** A map's key as its row is named. -0 is 0. */
const mapSub = (key: MapSub): MapSub => {
  if (typeof key === 'string') return key;
  if (typeof key !== 'number' || Number.isNaN(key))
    throw new TypeError(`Expected a map's key to be a string or a number, got \`${String(key)}\``);
  return key + 0;
};

const missing = (rows: RowTable): StreamError =>
  new StreamError('STORE_DAMAGED', `a row of key \`${String(keyOfMapKey(rows.key))}\` is missing in the state database`);

// ---------- all keys

interface HeldRow {
  readonly mapKey: MapKey;
  readonly sub: Sub;
  readonly inMemory: boolean;
  readonly value: () => unknown;
}

/** Every row that exists: those in memory, then those that only the store knows, in the order of the store. Each once. */
const heldRows = async function* <C extends Cell>(table: StateTable<C>): AsyncGenerator<HeldRow, void> {
  const { store, operator, state } = table.options;
  const storedToo = !table.complete;
  const cells = new Set(table.cellsInMemory());
  for (const cell of cells) {
    if (cell.value !== undefined) yield { mapKey: cell.key, sub: table.subOf(cell), inMemory: true, value: () => cell.value };
  }
  if (!storedToo) return;
  for await (const [rowKey, bytes] of store.entries(stateRange(operator, state))) {
    const { key, sub } = parseStateRow(rowKey);
    const mapKey = mapKeyOf(key);
    // A visitor may have read or removed the row since.
    const cell = table.peek(mapKey, sub);
    if (cell === undefined) yield { mapKey, sub, inMemory: false, value: () => table.decode(bytes, sub) };
    else if (!cells.has(cell) && cell.value !== undefined) yield { mapKey, sub, inMemory: false, value: () => cell.value };
  }
};

const visitRow = (owner: HandleOwner, key: Key, visit: () => void): void => {
  owner.keys.enter(key);
  try {
    visit();
  } finally {
    owner.keys.leave();
  }
};

const assertOpenPhase = (owner: HandleOwner, method: string): void => {
  if (!owner.openPhase) throw new TypeError(`Expected \`${method}\` to be called in \`open\`, before the first turn`);
};

const forEachKey = async <C extends Cell>(table: StateTable<C>, owner: HandleOwner, visit: (key: Key) => void): Promise<void> => {
  assertOpenPhase(owner, 'forEachKey');
  const visited = new Set<MapKey>();
  let last: MapKey | undefined;
  for await (const { mapKey, sub, inMemory } of heldRows(table)) {
    // The rows of one key are neighbours in the store, so the last key is enough to visit each once.
    if ((table.rooted && sub !== undefined) || mapKey === last || visited.has(mapKey)) continue;
    if (inMemory) visited.add(mapKey);
    else last = mapKey;
    const key = keyOfMapKey(mapKey);
    visitRow(owner, key, () => visit(key));
  }
};
