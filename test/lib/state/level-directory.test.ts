import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenStorage } from '../../../lib/state/store.ts';
import { LevelStorage } from '../../../lib/state/level-storage.ts';
import { errorOf, filesOf, keysOf, put, temporaryDirectory, within as withinStorage } from './level-fixture.ts';

let base: string;
let directory: string;

beforeEach(async () => {
  base = await temporaryDirectory();
  directory = join(base, 'job');
});

afterEach(() => rm(base, { recursive: true, force: true }));

const within = <R>(work: (open: OpenStorage) => Promise<R> | R, path = directory): Promise<R> =>
  withinStorage(path, work);

describe('opening', () => {
  test('makes the directory with all that leads to it, and a marker', async () => {
    directory = join(base, 'a', 'b', 'c');
    const { jobId } = await within((open) => open);
    const marker = JSON.parse(await readFile(join(directory, 'millrace.json'), 'utf8')) as unknown;
    expect(marker).toEqual({ format: 1, jobId, crc: crc32(`1 ${jobId}`) });
    expect(await readdir(directory)).toEqual([
      'journal',
      'journal.acknowledged',
      'millrace.json',
      'state',
      'state.acknowledged',
    ]);
    expect(await within((open) => open.jobId)).toBe(jobId);
  });

  test('refuses options it does not know, and values out of bounds', () => {
    expect(() => new LevelStorage('')).toThrow('directory');
    expect(() => new LevelStorage('x', { writeBufferSize: 5 } as object)).toThrow('writeBufferSize');
    expect(() => new LevelStorage('x', { cacheBytes: 0.5 })).toThrow('Expected `cacheBytes` to be an integer from 0');
    expect(() => new LevelStorage('x', { writeBufferBytes: 5 })).toThrow(
      'Expected `writeBufferBytes` to be an integer from 65536',
    );
  });

  test('a path that is a file, or lies under one', async () => {
    await writeFile(directory, 'text');
    await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_FAILED', 'is not a directory'));
    await expect(new LevelStorage(join(directory, 'x')).open()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      retryable: false,
    });
    expect(await readFile(directory, 'utf8')).toBe('text');
  });

  test('a path that no file system takes, or that is no directory to enter', async () => {
    expect(() => new LevelStorage('a\0b')).toThrow('directory');
    const long = join(directory, 'n'.repeat(300));
    await expect(new LevelStorage(long).open()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      retryable: false,
      cause: { code: 'ENAMETOOLONG' },
    });
    await within(() => undefined);
    await rm(join(directory, 'millrace.json'));
    await promisify(execFile)('mkfifo', [join(directory, 'millrace.json')]);
    await expect(new LevelStorage(directory).open()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      retryable: false,
      cause: { code: 'ERR_NOT_REGULAR' },
    });
  });

  test('a place where nothing can be written', async () => {
    await expect(new LevelStorage('/proc/millrace/job').open()).rejects.toEqual(
      errorOf('STORE_FAILED', '/proc/millrace/job'),
    );
  });

  test('a directory without one of its parts is refused, with its name', async () => {
    await within((open) => put(open.state, { a: '1' }));
    const harms: [pattern: string, path: string][] = [
      ["'state' is missing", 'state'],
      ["'journal' is missing", 'journal'],
      ['state/CURRENT', 'state/CURRENT'],
      ['journal/CURRENT', 'journal/CURRENT'],
      ["log of 'state'", (await filesOf(directory, 'state', /\.log$/))[0]?.slice(directory.length + 1) ?? ''],
      ["'state'", (await filesOf(directory, 'state', /^MANIFEST/))[0]?.slice(directory.length + 1) ?? ''],
    ];
    for (const [message, path] of harms) {
      await rename(join(directory, path), join(base, 'aside'));
      await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', message, directory));
      await rename(join(base, 'aside'), join(directory, path));
    }
    expect(await within(keysOf)).toEqual(['a']);
  });

  test('a manifest or CURRENT that is damaged', async () => {
    await within((open) => put(open.state, { a: '1' }));
    for (const path of [...(await filesOf(directory, 'state', /^MANIFEST/)), join(directory, 'state', 'CURRENT')]) {
      const whole = await readFile(path);
      for (const damage of [
        whole.subarray(0, 7),
        Buffer.from(whole.map((byte, at) => (at === 5 ? byte ^ 0xff : byte))),
        Buffer.alloc(0),
      ]) {
        await writeFile(path, damage);
        await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'state'));
      }
      await writeFile(path, whole);
    }
    expect(await within(keysOf)).toEqual(['a']);
  });

  test('a marker of a newer format, and one that is damaged', async () => {
    await within(() => undefined);
    const path = join(directory, 'millrace.json');
    await writeFile(path, JSON.stringify({ format: 2, jobId: 'x', crc: crc32('2 x') }));
    await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_FORMAT', 'format 2'));
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"format":"1","jobId":"x"}',
      '{"format":1}',
      '{"format":1,"jobId":""}',
      '{"format":0,"jobId":"x"}',
    ]) {
      await writeFile(path, text);
      await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'millrace\\.json'));
    }
  });

  test('a directory that another process has open', async () => {
    await within(() => undefined);
    const script = `const { ClassicLevel } = require('classic-level'); const db = new ClassicLevel(process.argv[1]);
      db.open().then(() => console.log('open')); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-e', script, join(directory, 'journal')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await expect(new LevelStorage(directory).open()).rejects.toMatchObject({
        code: 'STORE_LOCKED',
        retryable: true,
        details: { directory },
      });
    } finally {
      const left = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await left;
    }
    await within((open) => put(open.state, { a: '1' }));
  });
});

describe('a creation that was interrupted', () => {
  test.each([
    ['before anything', async () => undefined],
    ['after the directory', () => mkdir(directory)],
    ['after an empty database directory', () => mkdir(join(directory, 'state'), { recursive: true })],
    [
      'in the middle of the first database',
      async () => {
        await mkdir(join(directory, 'state'), { recursive: true });
        for (const file of ['LOCK', 'LOG', 'MANIFEST-000001', '000001.dbtmp'])
          await writeFile(join(directory, 'state', file), 'half');
      },
    ],
    [
      'before the second database',
      async () => {
        await within(() => undefined);
        await rm(join(directory, 'millrace.json'));
        await rm(join(directory, 'journal'), { recursive: true });
      },
    ],
    [
      'before the marker',
      async () => {
        await within(() => undefined);
        await rm(join(directory, 'millrace.json'));
      },
    ],
    [
      'in the middle of the marker',
      async () => {
        await within(() => undefined);
        await rename(join(directory, 'millrace.json'), join(directory, 'millrace.json.tmp'));
      },
    ],
  ] as [string, () => Promise<unknown>][])('%s is finished', async (_name, interrupt) => {
    await interrupt();
    await within((open) => put(open.state, { a: '1' }));
    expect(await within(keysOf)).toEqual(['a']);
    expect(await readdir(directory)).toEqual([
      'journal',
      'journal.acknowledged',
      'millrace.json',
      'state',
      'state.acknowledged',
    ]);
  });

  test('is not assumed where there is data', async () => {
    await within((open) => put(open.state, { a: '1' }));
    await rm(join(directory, 'millrace.json'));
    await expect(new LevelStorage(directory).open()).rejects.toEqual(
      errorOf('STORE_DAMAGED', 'millrace\\.json', "'state' holds data"),
    );
    await rm(join(directory, 'state', 'CURRENT'));
    await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'state/CURRENT'));
    expect(existsSync(join(directory, 'millrace.json'))).toBe(false);
    expect(await filesOf(directory, 'state', /\.log$/)).toHaveLength(1);
  });

  test('is not assumed where the journal has entries, nor in a directory of something else', async () => {
    await within((open) => open.journal.append([{ key: Buffer.from('j'), value: Buffer.from('1') }]));
    await rm(join(directory, 'millrace.json'));
    await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', "'journal' holds data"));
    directory = join(base, 'other');
    await mkdir(join(directory, 'state'), { recursive: true });
    await writeFile(join(directory, 'state', 'notes.txt'), 'mine');
    await expect(new LevelStorage(directory).open()).rejects.toEqual(errorOf('STORE_DAMAGED', 'state/notes\\.txt'));
    expect(await readdir(join(directory, 'state'))).toEqual(['notes.txt']);
  });
});
