import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CheckpointLink } from '../../../lib/state/checkpoint.ts';
import type { OpenStorage } from '../../../lib/state/store.ts';
import { frameValue, unframeValue } from '../../../lib/core/frame.ts';
import { digestedBatch, readNewestCheckpoint, writeCheckpoint } from '../../../lib/state/checkpoint.ts';
import { LevelStorage } from '../../../lib/state/level-storage.ts';
import {
  errorOf,
  everything,
  filesOf,
  keysOf,
  put,
  temporaryDirectory,
  within as withinStorage,
} from './level-fixture.ts';

let base: string;
let directory: string;

beforeEach(async () => {
  base = await temporaryDirectory();
  directory = join(base, 'job');
});

afterEach(() => rm(base, { recursive: true, force: true }));

const within = <R>(work: (open: OpenStorage) => Promise<R> | R, path = directory): Promise<R> =>
  withinStorage(path, work);

/** Batches of 20 rows and a checkpoint header each. */
const checkpoints = async ({ state }: OpenStorage, count: number): Promise<void> => {
  let previous: CheckpointLink | undefined = await readNewestCheckpoint(state);
  for (let number = 0; number < count; number += 1) {
    const id: number = (previous?.id ?? 0) + 1;
    const batch = digestedBatch(state.batch());
    for (let row = 0; row < 20; row += 1)
      batch.put(Buffer.from(`s${row}`), frameValue({ id, row, text: 'x'.repeat(100) }));
    previous = writeCheckpoint(batch, { id, previous, body: { id }, rowsDigest: batch.rowsDigest });
    await batch.write();
  }
};

describe('damage', () => {
  test('a log cut anywhere is an error; where it is not known what was acknowledged, it gives the newest whole checkpoint with exactly its rows', async () => {
    await within((open) => checkpoints(open, 12));
    const note = join(directory, 'state.acknowledged');
    const noted = await readFile(note);
    const log = (await filesOf(directory, 'state', /\.log$/))[0] ?? '';
    const { size } = await stat(log);
    let newestBefore = 0;
    const seen = new Set<number>();
    for (let cut = 1; cut <= 24; cut += 1) {
      const copy = join(base, `cut${cut}`);
      await cp(directory, copy, { recursive: true });
      await truncate(log.replace(directory, copy), Math.floor((size * cut) / 24));
      if (cut < 24)
        await expect(new LevelStorage(copy).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'were acknowledged'));
      await rm(note.replace(directory, copy)); // As after a loss of power, which may leave it behind the log.
      await within(async ({ state }) => {
        const newest = await readNewestCheckpoint(state);
        const id = newest?.id ?? 0;
        expect(id).toBeGreaterThanOrEqual(newestBefore);
        newestBefore = id;
        seen.add(id);
        for (let row = 0; row < 20; row += 1) {
          const value = state.get(Buffer.from(`s${row}`));
          if (id === 0) expect(value).toBeUndefined();
          else expect(unframeValue(value ?? Buffer.alloc(0), 'row')).toMatchObject({ id, row });
        }
      }, copy);
      await rm(copy, { recursive: true });
    }
    expect(newestBefore).toBe(12);
    expect(seen.size).toBeGreaterThan(8);
    expect(noted).toHaveLength(16);
  });

  test('a byte flipped anywhere in the log is an error, and is never a silent hole', async () => {
    await within((open) => checkpoints(open, 60));
    const log = (await filesOf(directory, 'state', /\.log$/))[0] ?? '';
    const whole = await readFile(log);
    expect(whole.length).toBeGreaterThan(3 * 32_768);
    for (let flip = 0; flip < 24; flip += 1) {
      const copy = join(base, `flip${flip}`);
      await cp(directory, copy, { recursive: true });
      const bytes = Buffer.from(whole);
      const at = Math.floor(((flip + 0.5) * bytes.length) / 24);
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      await writeFile(log.replace(directory, copy), bytes);
      if (flip % 2 === 0) await rm(join(copy, 'state.acknowledged'));
      await expect(new LevelStorage(copy).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'damaged|acknowledged'));
      await rm(copy, { recursive: true });
    }
  });

  test('a byte flipped in a table is an error before anything is read from it', async () => {
    const storage = new LevelStorage(directory, { writeBufferBytes: 65_536 });
    const open = await storage.open();
    for (let number = 0; number < 400; number += 1) {
      const batch = open.state.batch();
      batch.put(Buffer.from(`s${1000 + number}`), frameValue({ number, text: `${Math.sin(number)}`.repeat(20) }));
      await batch.write();
    }
    await open.close();
    await within(() => undefined);
    const table = (await filesOf(directory, 'state', /\.ldb$/))[0] ?? '';
    const whole = await readFile(table);
    for (let flip = 0; flip < 16; flip += 1) {
      const bytes = Buffer.from(whole);
      const at = Math.floor(((flip + 0.5) * bytes.length) / 16);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      await writeFile(table, bytes);
      await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'checksum|no end'));
    }
    await writeFile(table, whole);
    await within(async ({ state }) => {
      for await (const [key, value] of state.entries(everything)) {
        expect(Buffer.from(key).toString()).toBe(
          `s${1000 + (unframeValue(value, 'row') as { number: number }).number}`,
        );
      }
    });
  });

  test('a log that an opening left empty behind a torn one is no damage', async () => {
    await within((open) => checkpoints(open, 3));
    const log = (await filesOf(directory, 'state', /\.log$/))[0] ?? '';
    const whole = await readFile(log);
    await writeFile(log, Buffer.concat([whole, whole.subarray(0, 20)]));
    await writeFile(join(directory, 'state', '000099.log'), '');
    await within(async ({ state }) => expect(await readNewestCheckpoint(state)).toMatchObject({ id: 3 }));
  });
});

describe('a write that fails', () => {
  test('makes the store useless until it is opened anew (I15)', async () => {
    const open = await new LevelStorage(directory).open();
    await put(open.state, { a: '1' });
    // LevelDB can't make its next log or table in a directory that is gone.
    await rename(join(directory, 'state'), join(directory, 'moved'));
    const fill = async (): Promise<void> => {
      for (let number = 0; number < 40; number += 1) await put(open.state, { [`b${number}`]: 'x'.repeat(1_000_000) });
    };
    await expect(fill()).rejects.toEqual(errorOf('STORE_FAILED', 'state'));
    await rename(join(directory, 'moved'), join(directory, 'state'));
    expect(() => open.state.batch()).toThrow('failed before');
    expect(() => open.state.get(Buffer.from('a'))).toThrow('failed before');
    await expect(open.state.clear(everything)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      cause: { code: 'STORE_FAILED' },
    });
    await open.journal.append([{ key: Buffer.from('j'), value: Buffer.from('1') }]);
    await open.close();
    await within(async (again) => {
      expect(await keysOf(again)).toContain('a');
      await put(again.state, { c: '3' });
    });
    expect(await within(keysOf)).toContain('c');
  });
});

const run = promisify(execFile);

/** Whether this process may mount a small file system in memory. */
const mountable = await (async (): Promise<boolean> => {
  const point = await temporaryDirectory();
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', point]);
    await run('umount', [point]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(point, { recursive: true, force: true });
  }
})();

describe('a disk that is full', () => {
  test.skipIf(!mountable)('fails the write; after close and open nothing acknowledged is lost', async () => {
    const point = join(base, 'disk');
    await mkdir(point);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', point]);
    try {
      directory = join(point, 'job');
      await writeFile(join(point, 'ballast'), Buffer.alloc(4 * 2 ** 20));
      const acknowledged = { state: [] as string[], journal: [] as string[] };
      let open = await new LevelStorage(directory).open();
      const write = async (number: number): Promise<void> => {
        const key = String(number).padStart(8, '0');
        await open.journal.append([{ key: Buffer.from(key), value: frameValue('y'.repeat(900 + (number % 300))) }]);
        acknowledged.journal.push(key);
        await put(open.state, { [key]: 'x'.repeat(900 + (number % 300)) });
        acknowledged.state.push(key);
      };
      let number = 0;
      const fill = async (): Promise<void> => {
        for (; number < 10_000; number += 1) await write(number);
      };
      await expect(fill()).rejects.toMatchObject({ code: 'STORE_FAILED' });
      expect(number).toBeGreaterThan(100);
      await rm(join(point, 'ballast'));
      await open.close();
      open = await new LevelStorage(directory).open();
      for (let more = 0; more < 300; more += 1) await write(20_000 + more);
      await open.close();
      await within(async (again) => {
        const keys = new Set(await keysOf(again));
        expect(acknowledged.state.filter((key) => !keys.has(key))).toEqual([]);
        const entries = new Set<string>();
        for await (const { key } of again.journal.rebuildState()) entries.add(Buffer.from(key).toString());
        expect(acknowledged.journal.filter((key) => !entries.has(key))).toEqual([]);
      });
    } finally {
      await run('umount', ['-l', point]);
    }
  });
});

describe('the log that the next opening reads again', () => {
  /** Bytes of the logs on disk, once tables that are being written are whole. */
  const logBytes = async (database: string): Promise<number> => {
    const sizes = (await filesOf(directory, database, /log$/)).map(
      async (file) => (await stat(file).catch(() => ({ size: 0 }))).size,
    );
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  };
  const rowBytes = 1000;
  const fill = async (store: OpenStorage['state'], from: number, count: number): Promise<void> => {
    const batch = store.batch();
    for (let row = from; row < from + count; row += 1)
      batch.put(Buffer.from(`s${row}`), Buffer.alloc(rowBytes, `${row}`));
    await batch.write();
  };

  test('is short behind a large batch, behind many small ones, and behind what was pruned of the journal', async () => {
    const open = await new LevelStorage(directory).open();
    await fill(open.state, 0, 3000);
    await expect.poll(() => logBytes('state')).toBeLessThan(2 ** 20);
    for (let from = 3000; from < 5000; from += 50) await fill(open.state, from, 50);
    await expect.poll(() => logBytes('state')).toBeLessThan(2 ** 20);
    const entries = Array.from({ length: 3000 }, (_, i) => ({
      key: Buffer.from(`j${i}`),
      value: Buffer.alloc(rowBytes, `${i}`),
    }));
    await open.journal.append(entries);
    expect(await logBytes('journal')).toBeGreaterThan(2 ** 20);
    await open.journal.pruneState(entries.slice(1).map(({ key }) => key));
    await expect.poll(() => logBytes('journal')).toBeLessThan(2 ** 20);
    const copy = join(base, 'killed');
    await cp(directory, copy, { recursive: true });
    await open.close();
    for (const path of [copy, directory]) {
      await within(async ({ state, journal }) => {
        for (const row of [0, 2999, 4999]) expect(state.get(Buffer.from(`s${row}`))?.length).toBe(rowBytes);
        const left = [];
        for await (const { key } of journal.rebuildState()) left.push(Buffer.from(key).toString());
        expect(left).toEqual(['j0']);
      }, path);
    }
  });

  test('a table that is being written keeps neither writes nor a close from ending', async () => {
    const open = await new LevelStorage(directory).open();
    await fill(open.state, 0, 3000);
    await fill(open.state, 3000, 3000);
    await open.close();
    await within(({ state }) => {
      for (const row of [0, 5999]) expect(state.get(Buffer.from(`s${row}`))?.length).toBe(rowBytes);
    });
  });
});
