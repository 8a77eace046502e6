/**
 * The table of states of which a key has many rows: the chunks of a list, the entries of a map, one of them the root (a
 * list's head, a map's index). It works on the rows of the key that was sought last, and remembers the row of it that
 * was found last, so that reading a row and then changing it is one look-up.
 *
 *  - A row knows the epoch of its last change; the even number behind one says "written in that epoch's cut", and 0 is
 *    a row that is as the store has it.
 *  - A row that is dirty in the frozen epoch is serialised once: by the slicer, or before its handle lets anybody touch
 *    it (I4).
 *  - `stored` says that the store may hold the row. One that is cleared leaves a tombstone (value undefined) only then;
 *    else it vanishes. Tombstones stay until the cut that deletes the row is durable, so a miss never resurrects it.
 *
 * Keeps I4, I11 and I12.
 */
import type { MapKey } from '../core/key.ts';
import type { Sub } from './layout.ts';
import { Row, RowsByKey } from './rows.ts';
import { gone, StateTable, stepMax, type RowName, type TableOptions } from './state-table.ts';

/** How a kind of state turns a row's value into plain data and back. */
export interface RowCodec {
  /** Whether a key that holds something has a root row. */
  readonly rooted: boolean;
  toStored(value: unknown, sub: Sub): unknown;
  /** `read` brings a user's value to the current version. */
  fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown;
}

/** Dead rows in the dirty list before it is compacted. */
const deadMax = 1024;

export class RowTable extends StateTable {
  readonly rooted: boolean;
  readonly #rows = new RowsByKey();
  readonly #codec: RowCodec;
  #size = 0;
  /** The key that was sought last. */
  #key: MapKey = '';
  /** What was looked up last of that key: the row, which may be missing. */
  #isFound = false;
  #foundSub: Sub;
  #found: Row | undefined;
  #dirty: Row[] = [];
  #frozen: Row[] = [];
  #tombstones: Row[] = [];
  /** Rows in `#dirty` that vanished. */
  #dead = 0;

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
    this.#isFound = false;
    this.checkKey(mapKey);
  }

  /** The row, ready to be touched; read from the store when it isn't in memory. Undefined when it does not exist. */
  read(sub: Sub): Row | undefined {
    const row = this.#find(sub);
    if (row !== undefined) {
      if (row.epoch === this.epochs.frozen) this.#write(row);
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
    if (row.epoch !== this.epochs.current) this.#mark(row);
    row.value = value;
  }

  /** Removes the row, also one that was never read. */
  delete(sub: Sub, stored?: boolean): void {
    const found = this.#find(sub);
    if (found === undefined && !(stored ?? this.#mayBeStored(sub))) return;
    const row = this.#touched(sub, true);
    // What was never read has no value to lose, so give it one: only then is it forgotten with a tombstone.
    if (found === undefined) row.value = null;
    this.#forget(row);
  }

  // ---------- all keys

  *held(): Generator<RowName, void> {
    for (const { key: mapKey, sub, value } of [...this.#rows.all()]) if (value !== undefined) yield { mapKey, sub };
  }

  peek(mapKey: MapKey, sub: Sub): unknown {
    const row = this.#rows.find(mapKey, sub);
    return row !== undefined && row.value === undefined ? gone : row?.value;
  }

  // ---------- the cut

  protected override swap(): void {
    this.#frozen = this.#dirty;
    this.#dirty = [];
    this.#dead = 0;
  }

  *writeFrozen(): Generator<void, void> {
    const { epochs } = this;
    for (const [at, row] of this.#frozen.entries()) {
      if (row.epoch === epochs.frozen) this.#write(row);
      if (at % stepMax === stepMax - 1) yield;
    }
    this.#frozen = [];
  }

  *bury(): Generator<void, void> {
    const tombstones = this.#tombstones;
    this.#tombstones = [];
    for (const [at, row] of tombstones.entries()) {
      if (row.value === undefined && row.epoch <= this.epochs.durable) this.#remove(row);
      if (at % stepMax === stepMax - 1) yield;
    }
  }

  *evict(count: number): Generator<void, void> {
    let left = count;
    let looked = 0;
    for (const row of this.#rows.all()) {
      if (left <= 0) return;
      // A tombstone says that the store may still hold the row.
      if (row.value !== undefined && row.epoch <= this.epochs.durable) {
        this.complete = false;
        this.#remove(row);
        left -= 1;
      }
      looked += 1;
      if (looked % stepMax === 0) yield;
    }
  }

  // ---------- rows

  /** Puts the row on the dirty list of the current epoch. Only for one that is not on it. */
  #mark(row: Row): void {
    row.epoch = this.epochs.current;
    this.marked();
    this.#dirty.push(row);
  }

  /** Makes a touched row hold nothing. */
  #forget(row: Row): void {
    if (row.value === undefined) return;
    row.value = undefined;
    if (row.stored) {
      if (row.epoch !== this.epochs.current) this.#mark(row);
      return;
    }
    // The store has never seen it, so it was made in this epoch and nobody needs to hear of it.
    row.epoch = 0;
    this.unmarked();
    this.#dead += 1;
    this.#remove(row);
    if (this.#dead > deadMax && this.#dead * 2 > this.#dirty.length) {
      this.#dirty = this.#dirty.filter((dirty) => dirty.epoch !== 0);
      this.#dead = 0;
    }
  }

  /** Serialises a row of the frozen epoch into the open cut. */
  #write(row: Row): void {
    const isGone = row.value === undefined;
    this.writeRow(row.key, row.sub, isGone ? undefined : this.#codec.toStored(row.value, row.sub));
    if (isGone) this.#tombstones.push(row);
    else row.stored = true;
    row.epoch = this.epochs.frozen + 1;
  }

  protected override sample(): unknown {
    const row = this.#dirty.findLast((dirty) => dirty.value !== undefined && dirty.epoch === this.epochs.current);
    return row === undefined ? undefined : this.#codec.toStored(row.value, row.sub);
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
    if (row === undefined) return this.#add(new Row(this.#key, sub, undefined, stored ?? this.#mayBeStored(sub)));
    if (row.epoch === this.epochs.frozen) this.#write(row);
    return row;
  }

  /** Asks the store, because a row it doesn't hold can vanish later without a write. */
  #mayBeStored(sub: Sub): boolean {
    return !this.complete && this.isStored(this.#key, sub);
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

  #remove(row: Row): void {
    this.#rows.remove(row);
    this.#isFound = false;
    this.#size -= 1;
    this.epochs.entries -= 1;
  }
}
