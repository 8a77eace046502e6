/**
 * The rows of one keyed state in memory: a write-back cache over the store with epochs and copy on touch.
 *
 *  - A cell knows the epoch of its last change. Epochs are odd numbers; the even number behind one says "written in
 *    that epoch's cut". 0 is a cell that is as the store has it.
 *  - A cell that is dirty in the frozen epoch is serialised once: by the slicer, or before its handle lets anybody
 *    touch it (I4).
 *  - `stored` says that the store may hold the row. A cell that is cleared leaves a tombstone (value undefined) only
 *    then; else it vanishes. Tombstones stay until the cut that deletes the row is durable, so a miss never resurrects
 *    it.
 *  - A miss asks the store only while the table is not `complete`. Key groups and key bytes are worked out for a miss
 *    and a write only.
 *
 * Keeps I4, I11 and I12.
 */
import type { MapKey } from '../core/key.ts';
import type { StateDescriptor } from '../core/state-descriptor.ts';
import type { Store, StoreBatch } from './store.ts';
import type { Sub } from './layout.ts';
import { StreamError, messageOf } from '../core/errors.ts';
import { keyBytes } from '../core/key.ts';
import { deepFreeze } from '../core/own-copy.ts';
import { keyOfMapKey, stateRowKey, storedKeyOf } from './layout.ts';
import { frameValue, unframeValue } from '../core/frame.ts';

/** One row in memory. The fields belong to the table; a handle reads `value` and nothing else. */
export class Cell {
  readonly key: MapKey;
  /** Undefined: the row does not exist (a tombstone, or a cell that is in no table yet). */
  value: unknown;
  epoch: number;
  stored: boolean;

  constructor(key: MapKey, value: unknown, stored: boolean) {
    this.key = key;
    this.value = value;
    this.epoch = 0;
    this.stored = stored;
  }
}

/** Takes the rows of a cut. Until the batch is there it keeps what copy on touch writes. */
export class CutSink {
  #batch: StoreBatch | undefined;
  #early: (readonly [key: Uint8Array, value: Uint8Array | undefined])[] = [];

  open(batch: StoreBatch): void {
    this.#batch = batch;
    for (const [key, value] of this.#early) this.write(key, value);
    this.#early = [];
  }

  /** `value` undefined deletes the row. */
  write(key: Uint8Array, value: Uint8Array | undefined): void {
    if (this.#batch === undefined) this.#early.push([key, value]);
    else if (value === undefined) this.#batch.delete(key);
    else this.#batch.put(key, value);
  }
}

/** What all tables of one working set share. */
export class Epochs {
  /** The epoch that changes belong to now. */
  current = 1;
  /** The epoch of the open cut; -1 while none is open. */
  frozen = -1;
  /** Cells up to this epoch are as the store has them. */
  durable = 0;
  sink = new CutSink();
  /** Cells that changed in the current epoch. */
  dirtyEntries = 0;
  /** Cells in memory. */
  entries = 0;
}

export interface TableOptions {
  readonly operator: number;
  readonly state: number;
  readonly descriptor: StateDescriptor<unknown>;
  readonly epochs: Epochs;
  readonly store: Store;
  readonly maxParallelism: number;
  /** Whether the store may hold rows of this state. */
  readonly restored: boolean;
  /** Test mode: values are frozen when they come in and when they are loaded. */
  readonly freeze: boolean;
}

/** A row in the store: the version of the state that wrote it stands before the value. */
type StoredValue = readonly [version: number, value: unknown];

/** Dead cells in the dirty list before it is compacted. */
const deadMax = 1024;

export abstract class StateTable<C extends Cell> {
  readonly options: TableOptions;
  /** True while every row of this state is in memory. */
  complete: boolean;
  readonly epochs: Epochs;
  readonly freeze: boolean;
  /** Values are changed where they are kept. */
  readonly inPlace: boolean;
  /**
   * What comes in: `copies` of values that others hold; `strangers`, which nobody else holds and whose parts nobody has
   * looked at; or `own` ones, made to be stored.
   */
  readonly takes: 'copies' | 'strangers' | 'own';
  /** What is handed out stays here too, so a copy goes out. What is frozen need not be copied. */
  readonly givesCopies: boolean;
  #dirty: C[] = [];
  #frozen: C[] = [];
  #tombstones: C[] = [];
  /** Cells in `#dirty` that vanished. */
  #dead = 0;
  #meanBytes = 0;
  #nextSample = 1;

  constructor(options: TableOptions) {
    this.options = options;
    this.complete = !options.restored;
    this.epochs = options.epochs;
    const { inPlace = false, copies } = options.descriptor;
    this.inPlace = inPlace;
    // Whoever is given a value for good may change it.
    this.freeze = options.freeze && !inPlace && copies !== 'in';
    const stays = !inPlace && copies === undefined;
    if (inPlace || (stays && this.freeze)) this.takes = 'strangers';
    else this.takes = copies === 'none' ? 'own' : 'copies';
    this.givesCopies = stays && !this.freeze;
  }

  /** Takes the cell out of the table's map. */
  protected abstract remove(cell: C): void;
  /** What is framed for this cell; a plain value. */
  protected abstract toStored(cell: C): unknown;
  /** Cells in memory. */
  abstract readonly size: number;
  /** Whether a key that holds something has a root row. */
  abstract readonly rooted: boolean;
  /** The oldest first. The cell that was given last may be removed. */
  abstract cellsInMemory(): Iterable<C>;
  /** The cell as it is in memory, neither touched nor loaded. */
  abstract peek(mapKey: MapKey, sub: Sub): C | undefined;
  abstract subOf(cell: C): Sub;

  /** An estimate, from the sizes of cells that were serialised. */
  get dirtyBytes(): number {
    const count = this.#dirty.length - this.#dead;
    if (count >= this.#nextSample) this.#sample(count);
    return Math.round(count * this.#meanBytes);
  }

  // ---------- changes

  /** Puts the cell on the dirty list of the current epoch. Only for a cell that is not on it. */
  protected mark(cell: C): void {
    cell.epoch = this.epochs.current;
    this.epochs.dirtyEntries += 1;
    this.#dirty.push(cell);
  }

  /** Makes a touched cell of this table hold nothing. */
  forget(cell: C): void {
    if (cell.value === undefined) return;
    cell.value = undefined;
    if (cell.stored) {
      if (cell.epoch !== this.epochs.current) this.mark(cell);
      return;
    }
    // The store has never seen it, so it was made in this epoch and nobody needs to hear of it.
    cell.epoch = 0;
    this.epochs.dirtyEntries -= 1;
    this.#dead += 1;
    this.remove(cell);
    if (this.#dead > deadMax && this.#dead * 2 > this.#dirty.length) {
      this.#dirty = this.#dirty.filter((dirty) => dirty.epoch !== 0);
      this.#dead = 0;
    }
  }

  // ---------- the cut

  /** The instant: swaps the dirty list, whatever its length. */
  cut(): void {
    this.#frozen = this.#dirty;
    this.#dirty = [];
    this.#dead = 0;
    this.#nextSample = 1;
  }

  /** Writes what is dirty in the frozen epoch; yields after each cell. */
  *writeFrozen(): Generator<void, void> {
    const { epochs } = this;
    for (const cell of this.#frozen) {
      if (cell.epoch !== epochs.frozen) continue;
      this.write(cell);
      yield;
    }
    this.#frozen = [];
  }

  /** Serialises a cell of the frozen epoch into the open cut. */
  write(cell: C): void {
    const { epochs } = this;
    const key = this.keyOf(cell.key, this.subOf(cell));
    if (cell.value === undefined) {
      epochs.sink.write(key, undefined);
      this.#tombstones.push(cell);
    } else {
      const bytes = this.#frame(cell);
      epochs.sink.write(key, bytes);
      cell.stored = true;
      this.#observe(key.length + bytes.length);
    }
    cell.epoch = epochs.frozen + 1;
  }

  /** The cut is on disk: its tombstones have done their work. Yields after each; turns may run in between. */
  *bury(): Generator<void, void> {
    const tombstones = this.#tombstones;
    this.#tombstones = [];
    for (const cell of tombstones) {
      if (cell.value === undefined && cell.epoch <= this.epochs.durable) this.remove(cell);
      yield;
    }
  }

  /**
   * Forgets clean cells, the oldest first, at most `count`. Yields after each that it looks at; turns may run in
   * between.
   */
  *evict(count: number): Generator<void, void> {
    let left = count;
    for (const cell of this.cellsInMemory()) {
      if (left <= 0) return;
      // A tombstone says that the store may still hold the row.
      if (cell.value !== undefined && cell.epoch <= this.epochs.durable) {
        this.complete = false;
        this.remove(cell);
        left -= 1;
      }
      yield;
    }
  }

  // ---------- rows

  protected keyOf(mapKey: MapKey, sub: Sub): Uint8Array {
    const { operator, state, maxParallelism } = this.options;
    return stateRowKey(operator, state, storedKeyOf(mapKey, maxParallelism), sub);
  }

  protected load(mapKey: MapKey, sub: Sub): unknown {
    const bytes = this.options.store.get(this.keyOf(mapKey, sub));
    return bytes === undefined ? undefined : this.decode(bytes, sub);
  }

  /** The value of a row of the store, as the current version of the state has it. */
  decode(bytes: Uint8Array, sub: Sub): unknown {
    const { descriptor } = this.options;
    const [version, value] = unframeValue(bytes, `state '${descriptor.name}'`) as StoredValue; // Framed by `#frame`.
    if (version > descriptor.version) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `state '${descriptor.name}' was written by version ${version}, this program knows version ${descriptor.version}`,
      );
    }
    return this.fromStored(value, sub, (old) => {
      const read =
        descriptor.migrate === undefined || version === descriptor.version ? old : descriptor.migrate(old, version);
      return this.freeze ? deepFreeze(read) : read;
    });
  }

  /** Turns what was framed into what a cell holds. `read` brings a user's value to the current version. */
  protected abstract fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown;

  /** Refuses what can't be a key when its first cell is made, and not when the cell is written. */
  protected checkKey(mapKey: MapKey): void {
    if (typeof mapKey !== 'string' && !Number.isFinite(mapKey)) keyBytes(keyOfMapKey(mapKey));
  }

  #frame(cell: C): Uint8Array {
    const { descriptor } = this.options;
    try {
      return frameValue([descriptor.version, this.toStored(cell)] satisfies StoredValue);
    } catch (error) {
      const key = keyOfMapKey(cell.key);
      throw new StreamError(
        'NOT_SERIALISABLE',
        `state '${descriptor.name}' of key \`${String(key)}\`: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    }
  }

  /**
   * Serialises one dirty cell only to learn its size, each time the list has doubled, so that the first epoch has an
   * estimate too.
   */
  #sample(count: number): void {
    this.#nextSample = count * 2;
    const cell = this.#dirty.findLast((dirty) => dirty.value !== undefined && dirty.epoch === this.epochs.current);
    if (cell === undefined) return;
    try {
      this.#observe(frameValue(this.toStored(cell)).length + 40);
    } catch {
      // The cut reports a value that can't be serialised, with its key.
    }
  }

  #observe(bytes: number): void {
    this.#meanBytes = this.#meanBytes === 0 ? bytes : this.#meanBytes + (bytes - this.#meanBytes) / 16;
  }
}

/** The table of a value state: one row per key. */
export class ValueTable extends StateTable<Cell> {
  readonly rooted = true;
  readonly #cells = new Map<MapKey, Cell>();

  get size(): number {
    return this.#cells.size;
  }

  /** The key's cell, ready to be touched; one that is in no table yet when the key holds nothing. */
  cell(mapKey: MapKey): Cell {
    const cell = this.#cells.get(mapKey);
    if (cell === undefined) return this.#miss(mapKey);
    if (cell.epoch === this.epochs.frozen) this.write(cell);
    return cell;
  }

  set(cell: Cell, value: unknown): void {
    if (cell.epoch !== this.epochs.current) {
      // A cell that neither changed nor was stored is one that `cell` made and nobody has used so far.
      if (cell.epoch === 0 && !cell.stored) this.#add(cell);
      this.mark(cell);
    }
    cell.value = value;
  }

  cellsInMemory(): Iterable<Cell> {
    return this.#cells.values();
  }

  peek(mapKey: MapKey): Cell | undefined {
    return this.#cells.get(mapKey);
  }

  subOf(): Sub {
    return undefined;
  }

  protected remove(cell: Cell): void {
    this.#cells.delete(cell.key);
    this.epochs.entries -= 1;
  }

  protected toStored(cell: Cell): unknown {
    return cell.value;
  }

  protected fromStored(value: unknown, _sub: Sub, read: (old: unknown) => unknown): unknown {
    return read(value);
  }

  #add(cell: Cell): void {
    this.#cells.set(cell.key, cell);
    this.epochs.entries += 1;
  }

  #miss(mapKey: MapKey): Cell {
    this.checkKey(mapKey);
    const value = this.complete ? undefined : this.load(mapKey, undefined);
    const cell = new Cell(mapKey, value, value !== undefined);
    if (value !== undefined) this.#add(cell);
    return cell;
  }
}
