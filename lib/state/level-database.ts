/**
 * One LevelDB database. Keeps I5 (every write is one synced batch) and I15: LevelDB goes on acknowledging writes after
 * one has failed, and loses them all behind the torn tail of its log; so nothing is written after a failure until the
 * database was closed and opened anew.
 */
import { join } from 'node:path';
import type { ClassicLevel } from 'classic-level';
import { messageOf, StreamError } from '../core/errors.ts';
import { loadPackage } from '../core/package-loading.ts';
import { damaged, directoryError } from './level-directory.ts';
import { Acknowledged } from './level-verify.ts';
import type { KeyRange, StoreBatch } from './store.ts';

/** @internal */
type Level = ClassicLevel<Uint8Array, Buffer>;
/** @internal */
type Row = readonly [key: Buffer, value: Buffer];

/** Rows that one step of an iteration reads. */
const readMax = 1000;

/**
 * Bytes that a log may hold before they are written to a table on purpose. LevelDB does so only when its buffer is
 * full, and an opening reads the log again: some 70 ms for each MiB.
 */
const logMax = 2 ** 20;

/** Behind every key, so that a compaction of it moves no table and does nothing but write the buffer. */
const nowhere = { start: Buffer.of(0xff), end: Buffer.of(0xff, 0xff) };

interface DatabaseOptions {
  readonly createIfMissing: boolean;
  readonly writeBufferSize: number;
  readonly compression: boolean;
  /** @defaultValue 8 MiB */
  readonly cacheSize?: number;
}

/** @internal Where it is noted how many operations were acknowledged. */
export const noteOf = (path: string): string => `${path}.acknowledged`;

/** @internal What the system refuses there, as an error with a code. */
export const asDirectoryError = async <R>(path: string, look: () => R | Promise<R>): Promise<R> => {
  try {
    return await look();
  } catch (error) {
    throw error instanceof StreamError ? error : directoryError(path, error);
  }
};

/** @internal Opens a database that has acknowledged so many operations. */
export const openDatabase = async (
  directory: string,
  name: string,
  options: DatabaseOptions,
  operations: number,
): Promise<LevelDatabase> => {
  const path = join(directory, name);
  const { ClassicLevel } = await loadPackage('classic-level', 'state directories', () => import('classic-level'));
  const level: Level = new ClassicLevel(path, { ...options, keyEncoding: 'buffer', valueEncoding: 'buffer' });
  try {
    await level.open();
  } catch (error) {
    throw openError(directory, name, (error as Error).cause ?? error); // LevelDB throws nothing but errors.
  }
  try {
    return new LevelDatabase(level, path, Acknowledged.open(noteOf(path), operations));
  } catch (error) {
    await level.close();
    throw directoryError(noteOf(path), error);
  }
};

/** @internal LevelDB with one write at a time, and none after a failed one. */
export class LevelDatabase {
  readonly #level: Level;
  readonly #path: string;
  readonly #acknowledged: Acknowledged;
  #lastWrite: Promise<void> = Promise.resolve();
  #failure: StreamError | undefined;
  #closed: Promise<void> | undefined;
  /** Bytes written since a table was, as far as this process knows. */
  #logBytes = 0;
  #tableWritten: Promise<void> | undefined;

  constructor(level: Level, path: string, acknowledged: Acknowledged) {
    this.#level = level;
    this.#path = path;
    this.#acknowledged = acknowledged;
  }

  /**
   * Operations that are durable, or fewer: how many a range held that was cleared is not known before the next opening.
   */
  get acknowledged(): number {
    return this.#acknowledged.count;
  }

  get(key: Uint8Array): Buffer | undefined {
    this.assertUsable();
    try {
      return this.#level.getSync(key);
    } catch (cause) {
      throw this.#readError(cause);
    }
  }

  /** All rows, or those of a range, as of the call. */
  entries(range?: KeyRange): AsyncIterable<Row> {
    this.assertUsable();
    const iterator = this.#level.iterator({ ...range, highWaterMarkBytes: 256 * 2 ** 10, fillCache: false });
    return this.#rows(iterator);
  }

  async hasEntries(): Promise<boolean> {
    for await (const row of this.entries()) return row.length > 0;
    return false;
  }

  /** `behind` runs when the batch is on disk. */
  batch(behind: () => void = () => {}): LevelBatch {
    this.assertUsable();
    return new LevelBatch(this, this.#level.batch(), behind);
  }

  clear({ gte, lt }: KeyRange): Promise<void> {
    // How many it removes is not known.
    return this.perform(() => this.#level.clear({ gte, lt }), { operations: 0, bytes: 0 });
  }

  /**
   * Writes what the log holds to a table, if that is much, beside further writes. What fails of it LevelDB reports at
   * the next write (I15), and until then the log is there.
   */
  writeTable(): void {
    if (this.#logBytes < logMax || this.#tableWritten !== undefined || this.#closed !== undefined) return;
    this.#logBytes = 0;
    this.#tableWritten = this.#level
      .compactRange(nowhere.start, nowhere.end)
      .catch(() => {}) // As above.
      .then(() => (this.#tableWritten = undefined));
  }

  /** Runs a write after those before it. A failure is final until the database is opened anew (I15). */
  async perform(
    write: () => Promise<void>,
    { operations, bytes }: { readonly operations: number; readonly bytes: number },
  ): Promise<void> {
    this.assertUsable();
    const result = this.#lastWrite.then(async () => {
      if (this.#failure !== undefined) throw this.#failedBefore(this.#failure);
      try {
        await write();
        this.#acknowledged.add(operations);
        this.#logBytes += bytes;
      } catch (cause) {
        this.#failure = new StreamError('STORE_FAILED', `a write to '${this.#path}' failed: ${messageOf(cause)}`, {
          cause,
        });
        throw this.#failure;
      }
    });
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }

  /** Waits for the writes under way. */
  close(): Promise<void> {
    this.#closed ??= this.#lastWrite.then(async () => {
      this.#acknowledged.close();
      await this.#tableWritten;
      await this.#level.close();
    });
    return this.#closed;
  }

  assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failedBefore(this.#failure);
    if (this.#closed !== undefined) throw new StreamError('STORE_FAILED', `'${this.#path}' is closed`);
  }

  async *#rows(iterator: ReturnType<Level['iterator']>): AsyncGenerator<Row> {
    try {
      for (;;) {
        this.assertUsable();
        const rows = await iterator.nextv(readMax);
        if (rows.length === 0) return;
        yield* rows as Row[]; // both encodings are 'buffer'
      }
    } catch (cause) {
      throw cause instanceof StreamError ? cause : this.#readError(cause);
    } finally {
      await iterator.close();
    }
  }

  #failedBefore(cause: StreamError): StreamError {
    return new StreamError('STORE_FAILED', `'${this.#path}' failed before and was not reopened`, { cause });
  }

  #readError(cause: unknown): StreamError {
    // LevelDB reports a table that is gone or shorter than it was as an error of input and output.
    const lost =
      codeOf(cause) === 'LEVEL_CORRUPTION' || /No such file|Invalid argument|truncated/.test(messageOf(cause));
    const code = lost ? 'STORE_DAMAGED' : 'STORE_FAILED';
    return new StreamError(code, `'${this.#path}' can not be read: ${messageOf(cause)}`, { cause });
  }
}

/** @internal */
class LevelBatch implements StoreBatch {
  readonly #database: LevelDatabase;
  readonly #batch: ReturnType<Level['batch']>;
  readonly #behind: () => void;
  #bytes = 0;
  #open = true;
  #written: Promise<void> | undefined;

  constructor(database: LevelDatabase, batch: ReturnType<Level['batch']>, behind: () => void) {
    this.#database = database;
    this.#batch = batch;
    this.#behind = behind;
  }

  get length(): number {
    return this.#batch.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#assertOpen();
    this.#batch.put(key, value as Buffer); // the encoding takes any Uint8Array
    this.#bytes += key.length + value.length;
  }

  delete(key: Uint8Array): void {
    this.#assertOpen();
    this.#batch.del(key);
    this.#bytes += key.length;
  }

  async write(): Promise<void> {
    this.#assertOpen();
    this.#open = false;
    const { length } = this.#batch;
    this.#written = this.#database.perform(() => this.#batch.write({ sync: true }), {
      operations: length,
      bytes: this.#bytes,
    });
    await this.#written;
    this.#behind();
  }

  /** Leaves a write under way alone: it may still wait for its turn. */
  async close(): Promise<void> {
    this.#open = false;
    await (this.#written === undefined ? this.#batch.close() : this.#written.catch(() => undefined));
  }

  #assertOpen(): void {
    if (!this.#open) throw new TypeError('Expected a batch that was not written or closed');
    this.#database.assertUsable();
  }
}

/** Tells a database that is in use or damaged from a disk that refuses to be read or written. */
const openError = (directory: string, name: string, cause: unknown): StreamError => {
  const code = codeOf(cause);
  const message = messageOf(cause);
  if (code === 'LEVEL_LOCKED') {
    return new StreamError('STORE_LOCKED', `'${directory}' is open already, here or in another process`, {
      cause,
      details: { directory },
    });
  }
  // LevelDB says 'does not exist' without CURRENT, and 'No such file' when CURRENT or its manifest names a file that is
  // gone.
  if (code === 'LEVEL_CORRUPTION' || /No such file|does not exist/.test(message))
    return damaged(directory, `the database '${name}': ${message}`, cause);
  const retryable = !/Permission denied|Read-only|Not a directory/.test(message);
  return new StreamError('STORE_FAILED', `'${directory}' can not be opened: ${message}`, {
    cause,
    retryable,
    details: { directory },
  });
};

/** The code that LevelDB gives an error. */
const codeOf = (cause: unknown): unknown =>
  typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
