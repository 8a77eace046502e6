/** Directories: the suite of sources, files that come, go and change, and restarts that read each file once. */
import type { Source, SourceReader } from '../../../lib/core/connector.ts';
import type { DirectoryPosition } from '../../../connectors/files/directory.ts';
import type { FilePosition } from '../../../connectors/files/file-position.ts';
import { appendFile, mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { StreamExecutionEnvironment } from 'millrace';
import { collection } from '../../../connectors/collection.ts';
import { directory, type DirectoryOptions } from '../../../connectors/files/directory.ts';
import { globTest } from '../../../connectors/files/glob.ts';
import { textLines } from '../../../connectors/files/text-lines.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { StepClock } from '../manual-clock.ts';
import { readAll, signal, temporaryFiles } from './files-fixture.ts';

const { freshPath } = temporaryFiles();

const format = (path: string) => textLines(path, { batchSize: 2 });
type Options = Partial<DirectoryOptions<string, FilePosition>>;
type Position = DirectoryPosition<FilePosition>;

/** A directory with files, the later ones younger. */
const makeDirectory = async (files: Readonly<Record<string, string | Uint8Array>>): Promise<string> => {
  const path = freshPath();
  await mkdir(path);
  for (const [index, [name, content]] of Object.entries(files).entries()) await put(path, name, content, 1000 + index);
  return path;
};

/** Whole, as who renames it there. */
const put = async (path: string, name: string, content: string | Uint8Array, seconds: number): Promise<void> => {
  const file = join(path, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${path}.aside`, content);
  await utimes(`${path}.aside`, seconds, seconds);
  await rename(`${path}.aside`, file);
};

const sourceOf = (path: string, options: Options = {}): Source<string, Position> =>
  directory(path, { format, ...options });

for (const readers of [1, 3]) {
  for (const { name, run } of sourceSuite(`directory (${readers} readers)`, async () => {
    const path = await makeDirectory({ c: '1\n2\n3\n', b: '', a: '4', '.hidden': '5', 'd/e': '6' });
    const source = sourceOf(path, { readers });
    const expected: string[] = [];
    for (const split of await source.splits(signal)) expected.push(...(await takeAll(source, split)));
    if (readers === 1) expect(expected).toEqual(['1', '2', '3', '4']);
    expect(expected.toSorted()).toEqual(['1', '2', '3', '4']);
    return { source, expected, cleanup: async () => {} };
  })) {
    test(name, run);
  }
}

const takeAll = async (source: Source<string, Position>, split: string): Promise<string[]> => {
  const reader = await source.open(split, undefined, signal);
  const values: string[] = [];
  for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
    values.push(...batch.values);
  await reader.close();
  return values;
};

test('by name or by time, compressed or not, in directories below', async () => {
  const path = await makeDirectory({ 'x/b.txt': 'b\n', 'a.txt.gz': gzipSync('a\n'), 'c.log': 'c\n' });
  const all = async (options: Options) => (await readAll(sourceOf(path, options))).values;
  expect(await all({ match: '**' })).toEqual(['b', 'a', 'c']);
  expect(await all({ match: '**', order: 'name' })).toEqual(['a', 'c', 'b']);
  expect(await all({ match: '**/*.{txt,txt.gz}' })).toEqual(['b', 'a']);
  expect(await all({ match: 'none' })).toEqual([]);
});

test('patterns', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['*', ['a', 'a.b'], ['a/b', '.a']],
    ['**/*.csv', ['a.csv', 'x/y/a.csv'], ['a.csv.gz', 'x/.y/a.csv']],
    ['a?[0-9].{gz,z[st]t}', ['ab1.gz', 'a.9.zst'], ['a1.gz', 'ab1.zat']],
    ['[!a]b(1)+$.txt', ['cb(1)+$.txt'], ['ab(1)+$.txt', 'cb1.txt']],
    ['.x/*', ['.x/a', '.x/.b'], ['x/a']],
  ];
  for (const [pattern, yes, no] of cases) {
    expect(
      yes.filter((path) => !globTest(pattern)(path)),
      pattern,
    ).toEqual([]);
    expect(
      no.filter((path) => globTest(pattern)(path)),
      pattern,
    ).toEqual([]);
  }
});

describe('watched', () => {
  const next = async (reader: SourceReader<string, Position>) => (await reader.read(signal)) ?? fail();
  const fail = (): never => {
    throw new Error('the source has ended');
  };

  test('files that come are read when those before are; the wait goes by the clock and takes the signal', async () => {
    const path = await makeDirectory({ a: '1\n' });
    const clock = new StepClock();
    const source = sourceOf(path, { watch: '5s' });
    const reader = await source.open('reader 0', undefined, signal, clock);
    expect((await next(reader)).values).toEqual(['1']);
    const waiting = reader.read(signal);
    await expect.poll(() => reader.waiting).toBe(true);
    await put(path, 'b', '2\n', 900);
    clock.advance(5000);
    expect((await waiting)?.values).toEqual(['2']);
    const controller = makeAbort();
    const cut = reader.read(controller.signal);
    await expect.poll(() => reader.waiting).toBe(true);
    controller.abort(new Error('enough'));
    await expect(cut).rejects.toThrow('enough');
    await reader.close();
  });

  test('a file that settles is read when it has', async () => {
    const path = await makeDirectory({ a: '1\n' });
    const clock = new StepClock();
    await utimes(join(path, 'a'), clock.now() / 1000, clock.now() / 1000);
    const reader = await sourceOf(path, { settle: '2s' }).open('reader 0', undefined, signal, clock);
    const reading = reader.read(signal);
    await expect.poll(() => reader.waiting).toBe(true);
    clock.advance(2000);
    expect((await reading)?.values).toEqual(['1']);
    expect(await reader.read(signal)).toBeUndefined();
    await reader.close();
  });
});

test('files that grow, with a line that waits for its newline, and restarts at any record', async () => {
  const step = fc.constantFrom('a', 'b', 'half', 'restart', 'read');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const path = await makeDirectory({});
      const growing = directory(path, {
        format: (file) => textLines(file, { batchSize: 2, lastLine: 'wait' }),
        onChanged: 'resume',
      });
      const counts = { a: 0, b: 0 };
      const seen: string[] = [];
      let position: Position | undefined;
      let reader = await growing.open('reader 0', undefined, signal);
      const readOn = async (): Promise<void> => {
        const batch = await reader.read(signal);
        const count = Math.min(1, batch?.values.length ?? 0);
        seen.push(...(batch?.values.slice(0, count) ?? []));
        if (batch !== undefined) position = structuredClone(batch.position(count));
        await restart(); // Each read is one of a new life, so what it looks for is there.
      };
      const restart = async (): Promise<void> => {
        await reader.close();
        reader = await growing.open('reader 0', position, signal);
      };
      for (const each of steps) {
        if (each === 'a' || each === 'b') await appendFile(join(path, each), `${each}${counts[each]++}\n`);
        else if (each === 'half') {
          await appendFile(join(path, 'a'), `a${counts.a++}`);
          await readOn();
          await appendFile(join(path, 'a'), '\n');
        } else if (each === 'restart') await restart();
        else await readOn();
      }
      for (let rest = counts.a + counts.b - seen.length; rest > 0; rest -= 1) await readOn();
      await reader.close();
      const expected = [...Array(counts.a).keys()].map((n) => `a${n}`);
      expect(seen.filter((line) => line.startsWith('a'))).toEqual(expected);
      expect(seen.length).toBe(counts.a + counts.b);
      expect(new Set(seen).size).toBe(seen.length);
    }),
    { numRuns: 40 },
  );
});

describe('what was read', () => {
  test('is not read again, is forgotten when it is gone, and may be gone behind its last record', async () => {
    const path = await makeDirectory({ a: '1\n2\n3\n', b: '4\n' });
    const source = sourceOf(path);
    const { values, positions } = await readAll(source);
    expect(values).toEqual(['1', '2', '3', '4']);
    expect(positions[1]).toMatchObject({ file: 'a', finished: '' });
    expect(positions[2]).toEqual({ finished: expect.stringContaining('a\0') });
    await rm(join(path, 'a'));
    expect((await readAll(source, positions[2])).values).toEqual(['4']);
    await put(path, 'c', '5\n', 2000);
    const more = await readAll(source, positions[3]);
    expect(more.values).toEqual(['5']);
    expect(more.positions[0]?.finished.split('\0').filter((_, index) => index % 3 === 0)).toEqual(['b', 'c', '']);
    await put(path, 'a', '6\n', 2001);
    expect((await readAll(source, more.positions[0])).values).toEqual(['6']);
  });

  test('gone in the middle of it is an error', async () => {
    const path = await makeDirectory({ a: '1\n2\n3\n' });
    const { positions } = await readAll(sourceOf(path));
    await rm(join(path, 'a'));
    await expect(readAll(sourceOf(path), positions[0])).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND' });
  });

  test('and has changed since: an error, a new file, or nothing', async () => {
    const path = await makeDirectory({ a: '1\n' });
    const [position] = (await readAll(sourceOf(path))).positions;
    await put(path, 'a', '1\n2\n', 1500);
    await expect(readAll(sourceOf(path), position)).rejects.toMatchObject({
      code: 'INPUT_CHANGED',
      details: { file: join(path, 'a') },
    });
    expect((await readAll(sourceOf(path, { onChanged: 'read' }), position)).values).toEqual(['1', '2']);
    expect((await readAll(sourceOf(path, { onChanged: 'ignore' }), position)).values).toEqual([]);
  });
});

test('a malformed line comes behind what stands before it, and skipped ones of all files are counted', async () => {
  const path = await makeDirectory({ a: '1\nlong\n', b: 'long\n2\n' });
  const bounded = (onMalformed: 'fail' | 'skip') =>
    directory(path, { format: (file) => textLines(file, { lineBytesMax: 1, onMalformed }) });
  const reader = await bounded('fail').open('reader 0', undefined, signal);
  expect((await reader.read(signal))?.values).toEqual(['1']);
  await expect(reader.read(signal)).rejects.toMatchObject({ code: 'INPUT_MALFORMED' });
  await reader.close();
  const skipping = bounded('skip');
  expect((await readAll(skipping)).values).toEqual(['1', '2']);
  expect(skipping.dropped).toBe(2);
});

test('what is skipped side by side is counted once', async () => {
  const content = 'long\n1\nlong\n2\n';
  const path = await makeDirectory({ a: content, b: content, c: content, d: content });
  const options = { lineBytesMax: 1, onMalformed: 'skip', batchSize: 1 } as const;
  const source = directory(path, { readers: 4, format: (file) => textLines(file, options) });
  const readers = [];
  for (const split of await source.splits(signal)) readers.push(await source.open(split, undefined, signal));
  let open = readers.length;
  while (open > 0) {
    open = 0;
    for (const reader of readers) if ((await reader.read(signal)) !== undefined) open += 1;
  }
  for (const reader of readers) await reader.close();
  expect(source.dropped).toBe(8);
});

test('any files that come at any time, with restarts at any record, are read once each', async () => {
  const file = fc.record({ lines: fc.nat(4), arrives: fc.nat(6) });
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 6 }), fc.array(fc.nat(5), { maxLength: 8 }), async (files, cuts) => {
      const path = await makeDirectory({});
      const arrive = async (now: number): Promise<void> => {
        for (const [index, { lines, arrives }] of files.entries()) {
          const content = Array.from({ length: lines }, (_, line) => `${index}.${line}\n`).join('');
          if (arrives === now) await put(path, `f${index}`, content, 1000 + ((index * 7) % 5));
        }
      };
      let position: Position | undefined;
      const seen: string[] = [];
      for (let now = 0; now <= 7; now += 1) {
        await arrive(now);
        const reader = await sourceOf(path).open('reader 0', position, signal);
        const batch = await reader.read(signal);
        const count = Math.min(cuts[now] ?? 9, batch?.values.length ?? 0);
        seen.push(...(batch?.values.slice(0, count) ?? []));
        if (batch !== undefined) position = structuredClone(batch.position(count));
        await reader.close();
      }
      seen.push(...(await readAll(sourceOf(path), position)).values);
      const expected = files.flatMap(({ lines }, index) =>
        Array.from({ length: lines }, (_, line) => `${index}.${line}`),
      );
      expect(seen.toSorted()).toEqual(expected.toSorted());
    }),
    { numRuns: 60 },
  );
});

test('a source of a file is asked for its positions, told of commits, and closed with its reader', async () => {
  const path = await makeDirectory({ a: '', b: '' });
  const told: string[] = [];
  const lists = { values: [0] };
  const reused = (file: string): Source<number, number> => ({
    ...collection([0]),
    close: async () => void told.push(`${file} closed`),
    async open(_split, position = 0) {
      let next = position;
      return {
        // One list for all batches, as a source may have it.
        async read() {
          if (next === 2) return undefined;
          lists.values[0] = next;
          const at = (next += 1);
          return { values: lists.values, position: (count) => at - 1 + count };
        },
        committed: async (place) => void told.push(`${file} ${place}`),
        close: async () => {},
      };
    },
  });
  const files = directory(path, { format: (file) => reused(basename(file)) });
  const reader = await files.open('reader 0', undefined, signal);
  const first = await reader.read(signal);
  expect(first?.values).toEqual([0]);
  if (first !== undefined) await reader.committed?.(first.position(1));
  expect((await reader.read(signal))?.values).toEqual([1]);
  expect((await reader.read(signal))?.values).toEqual([0]);
  await reader.close();
  expect(told).toEqual(['a 1', 'a closed', 'b closed']);
});

test('a format that gives no source of one file is refused', async () => {
  const path = await makeDirectory({ a: '' });
  const several = directory(path, { format: (file) => textLines([file, `${file}.b`]) });
  await expect(readAll(several)).rejects.toThrow('one split');
  await expect(readAll(directory(path, { format: () => 1 as never }))).rejects.toThrow('format');
});

test('in a job', async () => {
  const path = await makeDirectory({ a: '1\n2\n', b: '3\n' });
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  expect(await env.fromSource(sourceOf(path)).executeAndCollect()).toEqual(['1', '2', '3']);
});

test('what is no directory, and options that make no sense', async () => {
  const missing = sourceOf(freshPath());
  await expect(readAll(missing)).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND', retryable: false });
  expect(() => directory('', { format })).toThrow('path');
  expect(() => directory('a', { format: 1 as never })).toThrow('format');
  expect(() => directory('a', { format, watch: 0 })).toThrow('watch');
  expect(() => directory('a', { format, readers: 0 })).toThrow('readers');
  expect(() => directory('a', { format, order: 'size' as 'name' })).toThrow('order');
});
