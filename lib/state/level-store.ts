/**
 * State and journal on disk, each in a LevelDB database of its own. Keeps I5: every write is one synced batch.
 */
import type { ActionStateStore, JournalEntry, JournalPosition } from '../core/journal.ts';
import type { LevelDatabase } from './level-database.ts';
import type { KeyRange, Store, StoreBatch } from './store.ts';

/** @internal Made by `LevelStorage`. */
export class LevelStore implements Store {
  readonly #database: LevelDatabase;

  constructor(database: LevelDatabase) {
    this.#database = database;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#database.get(key);
  }

  entries(range: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]> {
    return this.#database.entries(range);
  }

  batch(): StoreBatch {
    return this.#database.batch(() => this.#database.writeTable());
  }

  clear(range: KeyRange): Promise<void> {
    return this.#database.clear(range);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

/** Keys deleted by one batch of `pruneState`, so that an append never waits long behind it. */
const pruneMax = 10_000;

/** @internal Made by `LevelStorage`. */
export class LevelActionStateStore implements ActionStateStore {
  readonly #database: LevelDatabase;

  constructor(database: LevelDatabase) {
    this.#database = database;
  }

  async append(entries: readonly JournalEntry[]): Promise<void> {
    const batch = this.#database.batch();
    for (const { key, value } of entries) batch.put(key, value);
    await batch.write();
  }

  async get(key: Uint8Array): Promise<JournalEntry | undefined> {
    const value = this.#database.get(key);
    return value === undefined ? undefined : { key, value };
  }

  /** The operations that are durable. */
  async getRecoveryMarker(): Promise<JournalPosition> {
    this.#database.assertUsable();
    return this.#database.acknowledged;
  }

  async reaches(marker: JournalPosition): Promise<boolean> {
    this.#database.assertUsable();
    return typeof marker !== 'number' || marker <= this.#database.acknowledged;
  }

  async *rebuildState(_marker?: JournalPosition): AsyncIterable<JournalEntry> {
    for await (const [key, value] of this.#database.entries()) yield { key, value };
  }

  async pruneState(keys: readonly Uint8Array[]): Promise<void> {
    for (let start = 0; start < keys.length; start += pruneMax) {
      const batch = this.#database.batch();
      for (const key of keys.slice(start, start + pruneMax)) batch.delete(key);
      await batch.write();
    }
    this.#database.writeTable();
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
