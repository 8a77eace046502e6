/**
 * State and journal as they are seen through one opening of the disk in memory. Keeps I5 (a batch is whole or absent).
 */
import type { ActionStateStore, JournalEntry, JournalPosition } from '../core/journal.ts';
import { textOf, type Change, type DiskHandle } from './memory-disk.ts';
import type { KeyRange, Store, StoreBatch } from './store.ts';

/** @internal Made by `MemoryStorage`. */
export class MemoryStore implements Store {
  readonly #handle: DiskHandle;

  constructor(handle: DiskHandle) {
    this.#handle = handle;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#handle.assertUsable();
    const value = this.#handle.rows.get(textOf(key));
    return value === undefined ? undefined : Buffer.from(value);
  }

  entries(range: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]> {
    this.#handle.assertUsable();
    return later(this.#handle, this.#handle.rows.range(range));
  }

  batch(): StoreBatch {
    this.#handle.assertUsable();
    return new MemoryBatch(this.#handle);
  }

  clear(range: KeyRange): Promise<void> {
    const [gte, lt] = [textOf(range.gte), textOf(range.lt)];
    return this.#handle.perform('clear', (rows) => rows.clear(gte, lt));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** @internal Made by `MemoryStorage`. */
export class MemoryActionStateStore implements ActionStateStore {
  readonly #handle: DiskHandle;

  constructor(handle: DiskHandle) {
    this.#handle = handle;
  }

  append(entries: readonly JournalEntry[]): Promise<void> {
    const changes = entries.map(({ key, value }): Change => [textOf(key), Buffer.from(value)]);
    return this.#handle.perform('append', (rows) => rows.apply(changes));
  }

  async get(key: Uint8Array): Promise<JournalEntry | undefined> {
    await this.#handle.usable();
    const value = this.#handle.rows.get(textOf(key));
    return value === undefined ? undefined : { key: Buffer.from(key), value: Buffer.from(value) };
  }

  /** Always the beginning: memory gives everything anyway. */
  async getRecoveryMarker(): Promise<JournalPosition> {
    await this.#handle.usable();
    return 0;
  }

  async *rebuildState(_marker?: JournalPosition): AsyncIterable<JournalEntry> {
    await this.#handle.usable();
    for await (const [key, value] of later(this.#handle, this.#handle.rows.range())) yield { key, value };
  }

  pruneState(keys: readonly Uint8Array[]): Promise<void> {
    const changes = keys.map((key): Change => [textOf(key), undefined]);
    return this.#handle.perform('prune', (rows) => rows.apply(changes));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

class MemoryBatch implements StoreBatch {
  readonly #handle: DiskHandle;
  readonly #changes: Change[] = [];
  #bytes = 0;
  #open = true;

  constructor(handle: DiskHandle) {
    this.#handle = handle;
  }

  get length(): number {
    return this.#changes.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#add(textOf(key), Buffer.from(value));
  }

  delete(key: Uint8Array): void {
    this.#add(textOf(key), undefined);
  }

  async write(): Promise<void> {
    if (!this.#open) throw new TypeError('Expected a batch that was not written or closed');
    this.#open = false;
    await this.#handle.perform('write', (rows) => rows.apply(this.#changes));
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  #add(key: string, value: Buffer | undefined): void {
    if (!this.#open) throw new TypeError('Expected a batch that was not written or closed');
    this.#changes.push([key, value]);
    this.#bytes += key.length + (value?.length ?? 0);
  }
}

const later = async function* <T>(handle: DiskHandle, rows: readonly T[]): AsyncGenerator<T> {
  for (const row of rows) {
    await handle.usable();
    yield row;
  }
};
