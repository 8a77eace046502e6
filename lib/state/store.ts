/**
 * The contract with the state database: an ordered map of bytes with one writer. LevelDB keeps it on disk, memory for
 * tests; both pass `stateStoreSuite` of `millrace/testing`. Keeps I5 (a batch is whole or absent) and I15 (a failed
 * write closes the store).
 */
import type { ActionStateStore } from '../core/journal.ts';

/** Keys from `gte` (included) to `lt` (excluded), compared byte by byte. */
export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
}

export interface Store {
  /** Reads now, without waiting. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** In the order of the keys. Sees the store as of the call. */
  entries(range: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;
  /** Begins a batch of writes. */
  batch(): StoreBatch;
  /** Deletes a range; not atomic with anything. */
  clear(range: KeyRange): Promise<void>;
  /** May be called twice. */
  close(): Promise<void>;
}

/**
 * After a write failed every further operation rejects with `STORE_FAILED` until the store is closed and opened anew
 * (I15).
 */
export interface StoreBatch {
  /** Operations so far. */
  readonly length: number;
  /** Bytes of keys and values so far. */
  readonly bytes: number;
  /** Adds a write. */
  put(key: Uint8Array, value: Uint8Array): void;
  /** Adds a deletion; a key that is not there is no error. */
  delete(key: Uint8Array): void;
  /** All of it or nothing; durable on disk when it resolves. */
  write(): Promise<void>;
  /** Drops the batch. May be called after `write` and twice. */
  close(): Promise<void>;
}

/** What a job keeps: two databases that need no common transaction. */
export interface Storage {
  /** For messages: the directory, or `memory`. */
  readonly name: string;
  /**
   * Whether they were ever made; makes nothing. So a savepoint that can not be used leaves no empty place behind. A
   * storage that leaves nothing behind anyway needs none: it is opened, and then looked into.
   */
  exists?(): Promise<boolean>;
  /** Opens both. Creates them only when they never existed; refuses a directory that has lost its data. */
  open(): Promise<OpenStorage>;
}

export interface OpenStorage {
  /** Unique name of what is stored, made when it was created. */
  readonly jobId: string;
  readonly state: Store;
  readonly journal: ActionStateStore;
  /** Closes both. May be called twice. */
  close(): Promise<void>;
}

/** Stands where nothing is stored: it holds nothing and drops what is written. */
export const emptyStore: Store = {
  get: () => undefined,
  entries: async function* () {},
  batch: () => ({ length: 0, bytes: 0, put: () => {}, delete: () => {}, write: async () => {}, close: async () => {} }),
  clear: async () => {},
  close: async () => {},
};
