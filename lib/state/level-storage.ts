/**
 * The storage on disk: two LevelDB databases, `<directory>/state` and `<directory>/journal`, so that a checkpoint never
 * delays the journal. Opens them on a directory that is whole, and makes one where there is none.
 */
import { join, resolve } from 'node:path';
import { integer, knownOptions, refusal } from '../core/options.ts';
import { asDirectoryError, noteOf, openDatabase, type LevelDatabase } from './level-database.ts';
import {
  assertNothingForeign,
  assertWhole,
  damaged,
  databaseNames,
  makeDirectory,
  readMarker,
  writeMarker,
} from './level-directory.ts';
import { LevelActionStateStore, LevelStore } from './level-store.ts';
import { Acknowledged, damageOf } from './level-verify.ts';
import type { OpenStorage, Storage } from './store.ts';

export interface LevelStorageOptions {
  /**
   * Bytes that each database gathers in memory at most before it writes a table. A larger buffer gives fewer stalls.
   * @defaultValue 16 MiB
   */
  readonly writeBufferBytes?: number | undefined;
  /**
   * Bytes of the state database's tables kept in memory, for keys that are beyond `stateCacheMax` or have not been read
   * since a start. Reads take twice as long where it holds no more than a fifth of the state. @defaultValue 64 MiB
   */
  readonly cacheBytes?: number | undefined;
}

/**
 * Keeps state and journal in two LevelDB databases below a directory, which is made when it is not there. `checkpoint:
 * { directory }` makes one with the defaults.
 *
 * @example
 * const storage = new LevelStorage('.millrace/orders', { writeBufferBytes: 4 * 2 ** 20 });
 * const env = StreamExecutionEnvironment.create({ storage });
 * console.log(await env.fromCollection([1, 2]).executeAndCollect()); // prints [ 1, 2 ]
 */
export class LevelStorage implements Storage {
  /** The absolute path of the directory. */
  readonly name: string;
  readonly #writeBufferBytes: number;
  readonly #cacheBytes: number;

  constructor(directory: string, options: LevelStorageOptions = {}) {
    const { writeBufferBytes = 16 * 2 ** 20, cacheBytes = 64 * 2 ** 20 } = options;
    if (typeof directory !== 'string' || directory === '' || directory.includes('\0'))
      throw refusal('directory', 'a path', directory);
    knownOptions('LevelStorage', options, { writeBufferBytes: true, cacheBytes: true });
    this.name = resolve(directory);
    this.#writeBufferBytes = integer('writeBufferBytes', writeBufferBytes, { min: 64 * 2 ** 10, max: 2 ** 30 });
    this.#cacheBytes = integer('cacheBytes', cacheBytes, { min: 0, max: 2 ** 40 });
  }

  /**
   * Whether there is a place for state in the directory; makes nothing.
   *
   * @example
   * console.log(await new LevelStorage('.millrace/never').exists()); // prints false
   */
  async exists(): Promise<boolean> {
    return (await readMarker(this.name)) !== undefined;
  }

  /**
   * Opens both databases, for one process at a time. Throws `STORE_LOCKED` when another one has them open,
   * `STORE_DAMAGED` when they have lost or changed data, `STORE_FORMAT` when a newer version has written them, or
   * `STORE_FAILED`.
   *
   * @example
   * const { jobId, state, close } = await new LevelStorage('.millrace/orders').open();
   * console.log(jobId.length > 0, state.get(new Uint8Array([1]))); // prints true undefined
   * await close();
   */
  async open(): Promise<OpenStorage> {
    await makeDirectory(this.name);
    const marker = await readMarker(this.name);
    return marker === undefined ? this.#create() : this.#resume(marker.jobId);
  }

  async #resume(jobId: string): Promise<OpenStorage> {
    await assertWhole(this.name);
    const counts = [await this.#verified('state'), await this.#verified('journal')] as const;
    return opened(jobId, await this.#databases(false, counts));
  }

  /** The operations that a database has acknowledged, when its files hold them all. */
  async #verified(name: string): Promise<number> {
    const path = join(this.name, name);
    for (let again = false; ; again = true) {
      const { damage, lastSequence } = await asDirectoryError(path, () =>
        damageOf(path, Acknowledged.read(noteOf(path))),
      );
      if (damage === undefined) return lastSequence;
      // Another process that has it open may have changed files meanwhile; then the lock says so.
      if (again) throw damaged(this.name, `the database '${name}': ${damage}`);
    }
  }

  /** Begins, or finishes what an interrupted creation began; the lock is held before it is decided which. */
  async #create(): Promise<OpenStorage> {
    await assertNothingForeign(this.name);
    // LevelDB would leave them open to everybody.
    for (const name of databaseNames) await makeDirectory(join(this.name, name));
    const databases = await this.#databases(true, [0, 0]);
    try {
      const marker = await readMarker(this.name);
      if (marker !== undefined) return opened(marker.jobId, databases);
      for (const [index, database] of databases.entries()) {
        if (await database.hasEntries())
          throw damaged(this.name, `'millrace.json' is missing, but the database '${databaseNames[index]}' holds data`);
      }
      return opened((await writeMarker(this.name)).jobId, databases);
    } catch (error) {
      await Promise.all(databases.map((database) => database.close()));
      throw error;
    }
  }

  async #databases(
    createIfMissing: boolean,
    counts: readonly [state: number, journal: number],
  ): Promise<[state: LevelDatabase, journal: LevelDatabase]> {
    const options = { createIfMissing, writeBufferSize: this.#writeBufferBytes };
    const state = await openDatabase(
      this.name,
      'state',
      { ...options, compression: true, cacheSize: this.#cacheBytes },
      counts[0],
    );
    try {
      return [state, await openDatabase(this.name, 'journal', { ...options, compression: false }, counts[1])];
    } catch (error) {
      await state.close();
      throw error;
    }
  }
}

const opened = (jobId: string, [state, journal]: readonly [LevelDatabase, LevelDatabase]): OpenStorage => ({
  jobId,
  state: new LevelStore(state),
  journal: new LevelActionStateStore(journal),
  close: async () => void (await Promise.all([state.close(), journal.close()])),
});
