/**
 * The rows of one keyed state in memory: a write-back cache over the store with epochs and copy on touch. What is
 * common to its two forms stands here: how a row is read and written, and what is dirty.
 *
 *  - A miss asks the store only while the table is not `complete`. Key groups and key bytes are worked out for a miss
 *    and a write only.
 *
 * Keeps I11 and I12.
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

/** What all tables of one working set share. Epochs are odd numbers. */
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

/** Cells that are handled between two yields of what is done in slices. */
export const stepMax = 64;

/** What stands in memory for a row that does not exist any more, while the store may still hold it. */
export const gone = Symbol('gone');

/** The value of a cell as who reads it sees it: undefined where there is none. */
export const existing = (value: unknown): unknown => (value === gone ? undefined : value);

/** A row that is in memory and exists. */
export interface RowName {
  readonly mapKey: MapKey;
  readonly sub: Sub;
}

/** A row in the store: the version of the state that wrote it stands before the value. */
type StoredValue = readonly [version: number, value: unknown];

export abstract class StateTable {
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
  /** Cells that changed in the current epoch. */
  #dirty = 0;
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

  /** Cells in memory. */
  abstract readonly size: number;
  /** Whether a key that holds something has a root row. */
  abstract readonly rooted: boolean;
  /** The rows that are in memory and exist, as they are now. Nothing is touched. */
  abstract held(): Iterable<RowName>;
  /** A row's value as it is in memory, untouched: undefined when it isn't there, `gone` when it does not exist. */
  abstract peek(mapKey: MapKey, sub: Sub): unknown;
  /** Writes what is dirty in the frozen epoch; yields every few cells. */
  abstract writeFrozen(): Iterable<void>;
  /** The cut is on disk: its tombstones have done their work. Yields every few cells; turns may run in between. */
  abstract bury(): Iterable<void>;
  /** Forgets clean cells, the oldest first, at most `count`. Yields every few cells; turns may run in between. */
  abstract evict(count: number): Iterable<void>;
  /** At the instant of a cut: what is dirty now is what is frozen, whatever its length. */
  protected abstract swap(): void;
  /** What some dirty cell would be stored as; undefined when there is none. */
  protected abstract sample(): unknown;
  /** Turns what was framed into what a cell holds. `read` brings a user's value to the current version. */
  protected abstract fromStored(value: unknown, sub: Sub, read: (old: unknown) => unknown): unknown;

  /** An estimate, from the sizes of cells that were serialised. */
  get dirtyBytes(): number {
    if (this.#dirty >= this.#nextSample) this.#sample();
    return Math.round(this.#dirty * this.#meanBytes);
  }

  /** The instant. */
  cut(): void {
    this.swap();
    this.#dirty = 0;
    this.#nextSample = 1;
  }

  /** One cell more is dirty. */
  protected marked(): void {
    this.epochs.dirtyEntries += 1;
    this.#dirty += 1;
  }

  /** A dirty cell has vanished. */
  protected unmarked(): void {
    this.epochs.dirtyEntries -= 1;
    this.#dirty -= 1;
  }

  // ---------- rows

  /** Puts a row into the open cut; `value` undefined deletes it. */
  protected writeRow(mapKey: MapKey, sub: Sub, value: unknown): void {
    const key = this.#keyOf(mapKey, sub);
    const bytes = value === undefined ? undefined : this.#frame(mapKey, value);
    this.epochs.sink.write(key, bytes);
    if (bytes !== undefined) this.#observe(key.length + bytes.length);
  }

  protected isStored(mapKey: MapKey, sub: Sub): boolean {
    return this.options.store.get(this.#keyOf(mapKey, sub)) !== undefined;
  }

  protected load(mapKey: MapKey, sub: Sub): unknown {
    const bytes = this.options.store.get(this.#keyOf(mapKey, sub));
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

  /** Refuses what can't be a key when its first cell is made, and not when the cell is written. */
  protected checkKey(mapKey: MapKey): void {
    if (typeof mapKey !== 'string' && !Number.isFinite(mapKey)) keyBytes(keyOfMapKey(mapKey));
  }

  #keyOf(mapKey: MapKey, sub: Sub): Uint8Array {
    const { operator, state, maxParallelism } = this.options;
    return stateRowKey(operator, state, storedKeyOf(mapKey, maxParallelism), sub);
  }

  #frame(mapKey: MapKey, value: unknown): Uint8Array {
    const { descriptor } = this.options;
    try {
      return frameValue([descriptor.version, value] satisfies StoredValue);
    } catch (error) {
      const key = String(keyOfMapKey(mapKey));
      const what = `state '${descriptor.name}' of key \`${key}\`: ${messageOf(error)}`;
      throw new StreamError('NOT_SERIALISABLE', what, { cause: error });
    }
  }

  /**
   * Serialises one dirty cell only to learn its size, each time their number has doubled, so that the first epoch has
   * an estimate too.
   */
  #sample(): void {
    this.#nextSample = this.#dirty * 2;
    try {
      const value = this.sample();
      if (value !== undefined) this.#observe(frameValue(value).length + 40);
    } catch {
      // The cut reports a value that can't be serialised, with its key.
    }
  }

  #observe(bytes: number): void {
    this.#meanBytes = this.#meanBytes === 0 ? bytes : this.#meanBytes + (bytes - this.#meanBytes) / 16;
  }
}
