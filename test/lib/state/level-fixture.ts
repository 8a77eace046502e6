/** LevelDB directories for tests: made fresh, "crashed" by copying them as they are on disk, and removed at the end. */
import type { StorageFixture } from '../../../lib/state/storage-fixture.ts';
import type { KeyRange, OpenStorage, Storage, Store } from '../../../lib/state/store.ts';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { LevelStorage } from '../../../lib/state/level-storage.ts';

export const temporaryDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'millrace-'));

/** What a killed process leaves behind: every byte that was written, and no lock. */
export const crashedCopy = async (directory: string, copy: string): Promise<string> => {
  await cp(directory, copy, { recursive: true });
  return copy;
};

export const makeLevelStorage = async (): Promise<StorageFixture> => {
  const base = await temporaryDirectory();
  let generation = 0;
  let storage: Storage = new LevelStorage(join(base, '0'));
  return {
    get storage() {
      return storage;
    },
    async reopen() {
      generation += 1;
      storage = new LevelStorage(await crashedCopy(storage.name, join(base, `${generation}`)));
    },
    cleanup: () => rm(base, { recursive: true, force: true }),
  };
};

export const everything: KeyRange = { gte: new Uint8Array(0), lt: Uint8Array.of(255, 255) };

export const put = async (state: Store, values: Readonly<Record<string, string>>): Promise<void> => {
  const batch = state.batch();
  for (const [key, value] of Object.entries(values)) batch.put(Buffer.from(key), Buffer.from(value));
  await batch.write();
};

export const keysOf = async (open: OpenStorage): Promise<string[]> => {
  const keys: string[] = [];
  for await (const [key] of open.state.entries(everything)) keys.push(Buffer.from(key).toString());
  return keys;
};

/** Opens, does something, closes. */
export const within = async <R>(directory: string, work: (open: OpenStorage) => Promise<R> | R): Promise<R> => {
  const open = await new LevelStorage(directory).open();
  try {
    return await work(open);
  } finally {
    await open.close();
  }
};

/** An error with this code, whose message has these words in it. */
export const errorOf = (code: string, ...words: string[]): unknown =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(words.map((word) => `(?=[\\s\\S]*${word})`).join('')) as unknown,
  });

/** The files of a database whose name says so. */
export const filesOf = async (directory: string, database: string, pattern: RegExp): Promise<string[]> =>
  (await readdir(join(directory, database)))
    .filter((file) => pattern.test(file))
    .map((file) => join(directory, database, file));
