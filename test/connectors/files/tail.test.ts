/** A file that grows: its lines as they come, rotations of both kinds, and restarts in the middle of them. */
import type { SourceReader } from '../../../lib/core/connector.ts';
import type { TailOptions, TailPosition } from '../../../connectors/files/tail.ts';
import { appendFile, copyFile, mkdir, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { tail } from '../../../connectors/files/tail.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { signal, temporaryFiles } from './files-fixture.ts';

const { freshPath } = temporaryFiles();

const freshLog = async (content?: string): Promise<string> => {
  const directory = freshPath();
  await mkdir(directory);
  const path = join(directory, 'app.log');
  if (content !== undefined) await writeFile(path, content);
  return path;
};

type Reader = SourceReader<string, TailPosition>;
const open: Reader[] = [];
afterEach(async () => {
  for (const reader of open.splice(0)) await reader.close();
});

const follow = async (path: string, position?: TailPosition, options: TailOptions<string> = {}): Promise<Reader> => {
  const source = tail(path, { poll: '2ms', ...options });
  const reader = await source.open(path, structuredClone(position), signal);
  open.push(reader);
  return reader;
};

/** As many lines as that, and the position behind them. */
const take = async (
  reader: Reader,
  count: number,
): Promise<{ lines: string[]; position: TailPosition | undefined }> => {
  const lines: string[] = [];
  let position: TailPosition | undefined;
  while (lines.length < count) {
    const batch = await reader.read(signal);
    if (batch === undefined) throw new Error('a tail does not end');
    lines.push(...batch.values);
    position = batch.position(batch.values.length);
  }
  return { lines, position };
};

/** Nothing comes for a while. */
const expectQuiet = async (reader: Reader): Promise<void> => {
  const controller = makeAbort();
  const reading = reader.read(controller.signal);
  setTimeout(() => controller.abort(new Error('quiet')), 30);
  await expect(reading).rejects.toThrow('quiet');
};

for (const { name, run } of sourceSuite('tail', async () => {
  const path = await freshLog('a\nb\r\n\nc\nd');
  const source = tail(path, { poll: 1, batchSize: 2 });
  return { source, expected: ['a', 'b', '', 'c'], endless: true, cleanup: async () => {} };
})) {
  test(name, run);
}

describe('a file that grows', () => {
  test('is missing at first, and its last line waits for its newline', async () => {
    const path = await freshLog();
    const reader = await follow(path);
    await expectQuiet(reader);
    await writeFile(path, 'a\nb');
    expect((await take(reader, 1)).lines).toEqual(['a']);
    await expectQuiet(reader);
    expect(reader.waiting).toBe(false);
    await appendFile(path, '€\nc');
    const { lines, position } = await take(reader, 1);
    expect(lines).toEqual(['b€']);
    await appendFile(path, '\n');
    expect((await take(await follow(path, position), 1)).lines).toEqual(['c']);
  });

  test('values of JSON', async () => {
    const path = await freshLog('{"n":1}\nbad\n2\n');
    const source = tail<unknown>(path, { format: 'json', onMalformed: 'skip', poll: 1 });
    const reader = await source.open(path, undefined, signal);
    expect((await reader.read(signal))?.values).toEqual([{ n: 1 }, 2]);
    expect(source.dropped).toBe(1);
    await reader.close();
  });
});

describe('rotated by being renamed', () => {
  test('is read to its end, also what is written to it late and a last line without newline', async () => {
    const path = await freshLog('a\n');
    const reader = await follow(path, undefined, { poll: '40ms' });
    await take(reader, 1);
    await appendFile(path, 'b\n');
    await rename(path, `${path}.1`);
    const late = take(reader, 3);
    await appendFile(`${path}.1`, 'c');
    await writeFile(path, 'd\n');
    expect((await late).lines).toEqual(['b', 'c', 'd']);
  });

  test('more than once between two looks', async () => {
    const path = await freshLog('a\n');
    const reader = await follow(path);
    await take(reader, 1);
    await rotate(path, ['b\n', 'c\n', 'd\n']);
    expect((await take(reader, 3)).lines).toEqual(['b', 'c', 'd']);
  });

  test('a restart finds its generation by another name, and those behind it', async () => {
    const path = await freshLog('a\nb\nc\n');
    const reader = await follow(path, undefined, { batchSize: 1 });
    const { position } = await take(reader, 1);
    await rotate(path, ['d\n', 'e\n']);
    expect((await take(await follow(path, position), 4)).lines).toEqual(['b', 'c', 'd', 'e']);
  });

  test('a generation that was compressed since is found by its content, and none is read twice', async () => {
    const path = await freshLog('a\nb\nc\n');
    const reader = await follow(path, undefined, { batchSize: 1 });
    const { position } = await take(reader, 1);
    await take(reader, 2);
    await rename(path, `${path}.1`);
    await writeFile(`${path}.1.gz`, gzipSync('a\nb\nc\n'));
    await rm(`${path}.1`);
    await writeFile(path, 'd\n');
    expect((await take(reader, 1)).lines).toEqual(['d']);
    expect((await take(await follow(path, position), 3)).lines).toEqual(['b', 'c', 'd']);
  });

  /** The file becomes older and older generations, the later contents younger ones. */
  const rotate = async (path: string, contents: readonly string[]): Promise<void> => {
    const names = [...contents.map((_, index) => `${path}.${contents.length - index}`), path];
    await rename(path, names[0] ?? '');
    for (const [index, content] of contents.entries()) await writeFile(names[index + 1] ?? '', content);
    const now = Date.now() / 1000 - 100;
    for (const [index, name] of names.entries()) await utimes(name, now + index, now + index);
  };
});

describe('rotated by being copied and emptied', () => {
  test('what was not read is found in the copy, live and by a restart', async () => {
    const path = await freshLog('a\n');
    const reader = await follow(path, undefined, { poll: '40ms' });
    const { position } = await take(reader, 1);
    await appendFile(path, 'b\nc\n');
    await copyFile(path, `${path}.1`);
    await truncate(path);
    await appendFile(path, 'd\n');
    expect((await take(reader, 3)).lines).toEqual(['b', 'c', 'd']);
    expect((await take(await follow(path, position), 3)).lines).toEqual(['b', 'c', 'd']);
  });

  test('emptied and longer again by the next look', async () => {
    const path = await freshLog('a\n');
    const reader = await follow(path, undefined, { poll: '40ms' });
    await take(reader, 1);
    await copyFile(path, `${path}.1`);
    await writeFile(path, 'other\nlines\n');
    expect((await take(reader, 2)).lines).toEqual(['other', 'lines']);
  });
});

describe('lines that may be lost', () => {
  test('fail, with a code and what has happened', async () => {
    const path = await freshLog('a\nb\n');
    const reader = await follow(path);
    const { position } = await take(reader, 2);
    await truncate(path);
    const emptied = { code: 'INPUT_CHANGED', message: expect.stringContaining('was emptied') as string };
    await expect(reader.read(signal)).rejects.toMatchObject({ ...emptied, details: { file: path } });
    await rm(path);
    await writeFile(path, 'c\n');
    await expect((await follow(path, position)).read(signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
  });

  test('are counted and said, and it goes on', async () => {
    const path = await freshLog('a\nb\n');
    const source = tail(path, { poll: 1, onLost: 'warn' });
    const reader = await source.open(path, undefined, signal);
    await take(reader, 2);
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    await writeFile(path, 'c\n');
    expect((await take(reader, 1)).lines).toEqual(['c']);
    expect((await warned).message).toContain('lines may be lost');
    expect(source.dropped).toBe(1);
    await reader.close();
  });
});

test('whatever is appended and rotated, with restarts at any line, comes once and in order', async () => {
  const step = fc.constantFrom('append', 'append', 'rotate', 'read', 'restart');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), fc.constantFrom('rename', 'copy'), async (steps, kind) => {
      const path = await freshLog('');
      let [written, read, generation] = [0, 0, 0];
      let position: TailPosition | undefined;
      let reader = await follow(path, undefined, { batchSize: 2, poll: 1 });
      const readOne = async (): Promise<void> => {
        const batch = await reader.read(signal);
        for (const line of batch?.values ?? []) expect(line).toBe(`line ${read++}`);
        position = batch?.position(batch.values.length);
      };
      const append = () => appendFile(path, `line ${written++}\n`);
      await append();
      await readOne(); // Before it, a file that is gone would not be missed.
      for (const each of steps) {
        generation += 1;
        const older = `${path}.${String(100 - generation)}`;
        if (each === 'append') await append();
        else if (each === 'rotate') {
          if (kind === 'rename') await rename(path, older);
          else {
            await copyFile(path, older);
            await truncate(path);
          }
          // Faster than the clock of the file system tells generations apart.
          await utimes(older, 1000 + generation, 1000 + generation);
          await append();
        } else if (each === 'read' && read < written) await readOne();
        else if (each === 'restart') {
          await reader.close();
          reader = await follow(path, position, { batchSize: 2, poll: 1 });
        }
      }
      while (read < written) await readOne();
      await reader.close();
    }),
    { numRuns: 40 },
  );
});

test('options that make no sense', () => {
  expect(() => tail('')).toThrow('path');
  expect(() => tail('a', { poll: 0 })).toThrow('poll');
  expect(() => tail('a', { onLost: 'go' as 'warn' })).toThrow('onLost');
  expect(() => tail('a', { schema: { parse: String } })).toThrow('schema');
  expect(() => tail('a', { compression: 'gzip' } as object)).toThrow('compression');
});
