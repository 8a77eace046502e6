/**
 * Whatever the operating system refuses on the way of a file or of a state directory, a user meets an error with a
 * code, what to do, the cause, and whether waiting helps; never a raw one.
 */
import type { Sink } from '../../lib/core/connector.ts';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { directory } from '../../connectors/files/directory.ts';
import { fileFormat } from '../../connectors/files/file-format.ts';
import { fileSink } from '../../connectors/files/file-sink.ts';
import { tail } from '../../connectors/files/tail.ts';
import { textLines } from '../../connectors/files/text-lines.ts';
import { jsonLinesSink } from '../../connectors/json-lines/json-lines-sink.ts';
import { jsonLines } from '../../connectors/json-lines/json-lines-source.ts';
import { errorTable, StreamError } from '../../lib/core/errors.ts';
import { LevelStorage } from '../../lib/state/level-storage.ts';

/** The next call of this name fails, after so many that do not. */
const fault = vi.hoisted(() => ({ name: '', after: 0, code: '' }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const failing = <F extends (...args: never[]) => unknown>(name: string, fn: F): F =>
    (async (...args: Parameters<F>) => {
      if (fault.name === name && (fault.after -= 1) < 0) {
        fault.name = '';
        throw Object.assign(new Error(`${fault.code}: injected, ${name}`), {
          code: fault.code,
          errno: -1,
          syscall: name,
        });
      }
      return fn(...args);
    }) as unknown as F; // Every one of these functions gives a promise.
  const open = async (...args: Parameters<typeof real.open>): Promise<FileHandle> => {
    const handle = await real.open(...args);
    for (const name of ['read', 'readFile', 'appendFile', 'writeFile', 'sync', 'stat', 'truncate'] as const) {
      Object.defineProperty(handle, name, { value: failing(`handle.${name}`, handle[name].bind(handle)) });
    }
    return handle;
  };
  const wrapped = { open: failing('open', open) } as Record<string, unknown>;
  for (const name of ['stat', 'readdir', 'opendir', 'rm', 'mkdir', 'rename'] as const)
    wrapped[name] = failing(name, real[name]);
  return { ...real, ...wrapped };
});

const lasting = ['EACCES', 'EPERM', 'EROFS', 'EISDIR', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EINVAL', 'EFBIG'] as const;
const passing = ['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'EBUSY'] as const;
const names = [
  'open',
  'stat',
  'readdir',
  'opendir',
  'rm',
  'mkdir',
  'rename',
  'handle.read',
  'handle.readFile',
  'handle.appendFile',
  'handle.writeFile',
  'handle.sync',
  'handle.stat',
];

const { signal } = new AbortController();
let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'system-errors-'));
  await writeFile(join(root, 'in'), '1\n2\n');
  await mkdir(join(root, 'files'));
  await writeFile(join(root, 'files', 'a'), '1\n');
});
afterAll(() => rm(root, { recursive: true }));

const write = async <C>(sink: Sink<number, C>): Promise<void> => {
  const writer = await sink.open({ sinkId: 'a.b.1', pending: [], last: undefined, epoch: 1, signal });
  try {
    writer.write(1, 0, 0);
    const sealed = await writer.seal(1);
    if (sealed !== undefined) await writer.commit(sealed, signal);
  } finally {
    fault.name = ''; // What fails to close is logged by the job.
    await writer.close();
  }
};

const places = {
  source: async () => {
    const path = join(root, 'in');
    const reader = await jsonLines(path).open(path, undefined, signal);
    try {
      while ((await reader.read(signal)) !== undefined);
    } finally {
      await reader.close();
    }
  },
  'directory of files': async () => {
    const source = directory(join(root, 'files'), { format: textLines });
    const reader = await source.open('reader 0', undefined, signal);
    try {
      while ((await reader.read(signal)) !== undefined);
    } finally {
      await reader.close();
    }
  },
  'growing file': async () => {
    const path = join(root, 'in');
    const source = tail(path);
    const reader = await source.open(path, undefined, signal);
    try {
      await reader.read(signal);
    } finally {
      await reader.close();
    }
  },
  sink: async () => write(jsonLinesSink<number>(join(await mkdtemp(join(root, 'sink-')), 'out'))),
  parts: async () => {
    const place = join(await mkdtemp(join(root, 'parts-')), 'out');
    await write(fileSink<number>({ directory: place, format: fileFormat.jsonLines }));
  },
  state: async () => {
    const path = join(await mkdtemp(join(root, 'store-')), 'a');
    for (const _ of ['made', 'opened again']) await (await new LevelStorage(path).open()).close();
  },
} as const;

test.each(Object.entries(places))('%s', async (_, go) => {
  const met = new Set<string>();
  const codes = [...lasting, ...passing];
  let turn = 0;
  for (const name of names) {
    // Each call of that name in turn, until the last one was met; with another error each time.
    for (let after = 0; after < 8; after += 1) {
      const code = codes[(turn += 1) % codes.length] ?? 'EIO';
      Object.assign(fault, { name, after, code });
      const error: unknown = await go().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      fault.name = '';
      if (error === undefined) break;
      met.add(code);
      expect(error).toBeInstanceOf(StreamError);
      const { code: ours, hint, cause, retryable } = error as StreamError;
      expect(Object.keys(errorTable)).toContain(ours);
      expect(hint.length).toBeGreaterThan(5);
      expect([name, (cause as { code?: unknown } | undefined)?.code]).toEqual([name, code]);
      expect([name, code, retryable]).toEqual([name, code, (passing as readonly string[]).includes(code)]);
    }
  }
  expect(met.size).toBeGreaterThan(2);
});
