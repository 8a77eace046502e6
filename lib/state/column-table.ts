/**
 * The table of states that hold one value of a key, or one for each sub-key that many keys share (the panes of
 * windows): a column for each sub-key, all of them by the numbers of the operator's keys. It works on the key that is
 * current in its context.
 *
 *  - A column knows the epoch that its changes belong to. At a cut nothing is touched; whoever looks at a column first
 *    after it turns what had changed by then into what is frozen.
 *  - A cell of the frozen epoch is serialised once: by the slicer, or before its handle lets anybody touch it (I4).
 *  - A cell that is cleared stays as `gone` while the store may hold its row; else it vanishes. It goes when the cut
 *    that deletes the row is durable, so a miss never resurrects it.
 *
 * Keeps I4, I11 and I12.
 */
import { invariant } from '../core/errors.ts';
import type { MapKey } from '../core/key.ts';
import { Column, flag } from './column.ts';
import type { KeyContext } from './key-context.ts';
import type { Sub } from './layout.ts';
import { existing, gone, StateTable, stepMax, type RowName, type TableOptions } from './state-table.ts';

/** Slots that are looked through in one step, if nothing is to be done. */
const scanMax = 4096;
const dirty = flag.changed | flag.frozen;

/** In the place of a column that isn't there. */
const nowhere = new Column(undefined);

export class ColumnTable extends StateTable {
  readonly rooted: boolean;
  readonly #keys: KeyContext;
  readonly #columns = new Map<Sub, Column>();
  /** What was sought last: the version of the key context, and the sub-key. */
  #soughtIn = -1;
  #sub: Sub;
  /** Its column, the slot in it, -1 when nothing is in memory, and the value there. */
  #column = nowhere;
  #slot = -1;
  #value: unknown;
  /** Its cell is one of those that have changed in the current epoch. */
  #isChanged = false;
  /** The store was asked for it and does not hold it. */
  #isMissing = false;
  /** Columns with cells that have changed in the current epoch: of what came and went in it none. */
  #noted = new Set<Column>();
  /** Those of the open cut, or of the last one until it is buried. */
  #frozen: ReadonlySet<Column> = new Set();
  #size = 0;

  /** `rooted`: there is one value for each key, under no sub-key. */
  constructor(options: TableOptions, keys: KeyContext, rooted: boolean) {
    super(options);
    this.#keys = keys;
    this.rooted = rooted;
  }

  get size(): number {
    return this.#size;
  }

  // ---------- the current key

  /** The value, ready to be touched; read from the store when it isn't in memory. */
  read(sub: Sub): unknown {
    if (this.#soughtIn !== this.#keys.version || this.#sub !== sub) this.#seek(sub);
    return this.#slot < 0 && !this.complete ? this.#miss(sub) : this.#value;
  }

  /** The value as far as it is in memory. */
  inMemory(sub: Sub): unknown {
    if (this.#soughtIn !== this.#keys.version || this.#sub !== sub) this.#seek(sub);
    return this.#value;
  }

  set(sub: Sub, value: unknown): void {
    if (this.#soughtIn !== this.#keys.version || this.#sub !== sub) this.#seek(sub);
    if (!this.#isChanged) {
      if (this.#slot < 0) this.#addCell(value, this.#mayBeStored(sub));
      this.#change();
    }
    this.#value = value;
    this.#column.values[this.#slot] = value;
  }

  /** Removes the value, also one that was never read. */
  delete(sub: Sub): void {
    if (this.#soughtIn !== this.#keys.version || this.#sub !== sub) this.#seek(sub);
    if (this.#slot < 0) {
      if (!this.#mayBeStored(sub)) return;
      this.#addCell(gone, true);
      this.#change();
      return;
    }
    const column = this.#column;
    const slot = this.#slot;
    if (column.values[slot] === gone) return;
    if (((column.flags[slot] ?? 0) & flag.stored) !== 0) {
      if (!this.#isChanged) this.#change();
      this.#value = undefined;
      column.values[slot] = gone;
      return;
    }
    // The store has never seen it, so it was made in this epoch and nobody needs to hear of it.
    column.changed -= 1;
    if (column.changed === 0) this.#noted.delete(column);
    this.unmarked();
    this.#remove(column, slot);
  }

  // ---------- all keys

  /** Those that exist when it begins: a visitor may change the table, and a number be another key's behind that. */
  *held(): Generator<RowName, void> {
    const { numbers } = this.#keys;
    const rows = [...this.#columns.values()].map((column) => {
      const slots = [...column.values.keys()].filter((slot) => existing(column.values[slot]) !== undefined);
      return { sub: column.sub, mapKeys: slots.map((slot) => numbers.keyOf(column.numberOf(slot))) };
    });
    for (const { sub, mapKeys } of rows) for (const mapKey of mapKeys) yield { mapKey, sub };
  }

  peek(mapKey: MapKey, sub: Sub): unknown {
    const column = this.#columns.get(sub);
    const slot = column?.slotOf(this.#keys.numbers.find(mapKey)) ?? -1;
    return slot < 0 ? undefined : column?.values[slot];
  }

  // ---------- the cut

  protected override swap(): void {
    this.#frozen = this.#noted;
    this.#noted = new Set();
  }

  writeFrozen(): Iterable<void> {
    return this.#eachFrozen(flag.frozen, (column, slot) => this.#write(column, slot));
  }

  *bury(): Generator<void, void> {
    yield* this.#eachFrozen(flag.written, (column, slot) => {
      const flags = (column.flags[slot] ?? 0) & ~flag.written;
      column.flags[slot] = flags;
      if (column.values[slot] === gone && (flags & dirty) === 0) this.#remove(column, slot);
    });
    this.#frozen = new Set();
  }

  *evict(count: number): Generator<void, void> {
    let left = count;
    let looked = 0;
    for (const column of this.#columns.values()) {
      // Numbers are given anew, so where it stopped stand the oldest.
      for (let at = 0; at < column.values.length && left > 0; at += 1) {
        const slot = column.hand < column.values.length ? column.hand : 0;
        column.hand = slot + 1;
        // One that is gone says that the store may still hold the row.
        if (existing(column.values[slot]) !== undefined && ((column.flags[slot] ?? 0) & dirty) === 0) {
          this.complete = false;
          this.#remove(column, slot);
          left -= 1;
        }
        looked += 1;
        if (looked % stepMax === 0) yield;
      }
      if (left <= 0) return;
    }
  }

  /**
   * Does something to each cell of the cut that has a flag; turns may run in between, and slots may move. A step counts
   * over columns, of which there may be as many as cells.
   */
  *#eachFrozen(bit: number, visit: (column: Column, slot: number) => void): Generator<void, void> {
    let looked = 0;
    let visited = 0;
    for (const column of this.#frozen) {
      this.#turnOver(column);
      let { layout } = column;
      for (let slot = 0; slot < column.values.length; slot += 1) {
        if (((column.flags[slot] ?? 0) & bit) !== 0) {
          visit(column, slot);
          visited += 1;
        }
        looked += 1;
        if (visited < stepMax && looked < scanMax) continue;
        [looked, visited] = [0, 0];
        yield;
        if (layout !== column.layout) {
          layout = column.layout;
          slot = -1; // What was visited has lost its flag.
        }
      }
    }
  }

  /** What had changed when the cut was taken is frozen. */
  #turnOver(column: Column): void {
    const { epochs } = this;
    if (column.epoch === epochs.current) return;
    if (column.changed > 0) {
      invariant(column.epoch === epochs.frozen, 'I4: a change is written by the next cut');
      const { flags } = column;
      for (let slot = 0; slot < flags.length; slot += 1) {
        const flagsNow = flags[slot] ?? 0;
        if ((flagsNow & flag.changed) !== 0) flags[slot] = (flagsNow & ~flag.changed) | flag.frozen;
      }
      column.changed = 0;
    }
    column.epoch = epochs.current;
  }

  /** Serialises a cell of the frozen epoch before it is touched. */
  #thaw(column: Column, slot: number): void {
    if (column.epoch !== this.epochs.current) this.#turnOver(column);
    if (((column.flags[slot] ?? 0) & flag.frozen) !== 0) this.#write(column, slot);
  }

  #write(column: Column, slot: number): void {
    this.writeRow(this.#keys.numbers.keyOf(column.numberOf(slot)), column.sub, existing(column.values[slot]));
    column.flags[slot] = ((column.flags[slot] ?? 0) & ~flag.frozen) | flag.written | flag.stored;
  }

  // ---------- cells

  /** Finds what there is in memory of the current key, ready to be touched. */
  #seek(sub: Sub): void {
    const keys = this.#keys;
    if (this.#column === nowhere || this.#sub !== sub) this.#column = this.#columns.get(sub) ?? nowhere;
    this.#sub = sub;
    this.#soughtIn = keys.version;
    this.#isMissing = false;
    const column = this.#column;
    const slot = column.slotOf(keys.number);
    const value = slot < 0 ? undefined : column.values[slot];
    if (value === undefined) {
      this.#slot = -1;
      this.#value = undefined;
      this.#isChanged = false;
      return;
    }
    if (this.epochs.frozen !== -1) this.#thaw(column, slot);
    this.#slot = slot;
    this.#value = existing(value);
    this.#isChanged = ((column.flags[slot] ?? 0) & flag.changed) !== 0;
  }

  /** Notes that the cell which was sought is changed. */
  #change(): void {
    const column = this.#column;
    if (column.epoch !== this.epochs.current) this.#turnOver(column);
    column.flags[this.#slot] = (column.flags[this.#slot] ?? 0) | flag.changed;
    column.changed += 1;
    if (column.changed === 1) this.#noted.add(column);
    this.marked();
    this.#isChanged = true;
  }

  /** Adds a cell for what was sought. */
  #addCell(value: unknown, stored: boolean): void {
    const keys = this.#keys;
    this.checkKey(keys.mapKey);
    if (this.#column === nowhere) {
      this.#column = new Column(this.#sub);
      this.#columns.set(this.#sub, this.#column);
    }
    this.#slot = this.#column.add(keys.hold(), value, keys.numbers.end);
    if (stored) this.#column.flags[this.#slot] = flag.stored;
    this.#value = existing(value);
    this.#isChanged = false;
    this.#size += 1;
    this.epochs.entries += 1;
  }

  #remove(column: Column, slot: number): void {
    const number = column.numberOf(slot);
    column.remove(slot);
    this.#keys.release(number);
    this.#size -= 1;
    this.epochs.entries -= 1;
    this.#soughtIn = -1;
    if (column.size > 0) return;
    this.#columns.delete(column.sub);
    if (this.#column === column) this.#column = nowhere;
  }

  /** Reads a row that is not in memory. */
  #miss(sub: Sub): unknown {
    if (this.#isMissing) return undefined;
    const value = this.load(this.#keys.mapKey, sub);
    // What `migrate` makes nothing of is there all the same.
    if (value === undefined) this.#isMissing = this.options.descriptor.migrate === undefined;
    else this.#addCell(value, true);
    return value;
  }

  /** Asks the store, because a row it doesn't hold can vanish later without a write. */
  #mayBeStored(sub: Sub): boolean {
    return !this.complete && !this.#isMissing && this.isStored(this.#keys.mapKey, sub);
  }

  protected override sample(): unknown {
    const [column] = this.#noted;
    if (column === undefined) return undefined;
    const slot = column.flags.findLastIndex((flags) => (flags & flag.changed) !== 0);
    return existing(column.values[slot]);
  }

  protected fromStored(value: unknown, _sub: Sub, read: (old: unknown) => unknown): unknown {
    return read(value);
  }
}
