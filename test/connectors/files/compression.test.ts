/** Compressed files: the suite of sources, members that follow each other, and files that are damaged or cut. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { csv } from '../../../connectors/files/csv.ts';
import { textLines } from '../../../connectors/files/text-lines.ts';
import { jsonLines } from '../../../connectors/json-lines/json-lines-source.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { readAll, signal, temporaryFiles } from './files-fixture.ts';

const { make } = temporaryFiles();

const zstdSync = (content: string | Uint8Array): Buffer =>
  execFileSync('zstd', ['-q', '-c'], { input: content, maxBuffer: 2 ** 26, stdio: ['pipe', 'pipe', 'ignore'] });
const hasZstd = ((): boolean => {
  try {
    return zstdSync('').length > 0;
  } catch {
    return false;
  }
})();

const kinds = [['.gz', gzipSync], ...(hasZstd ? [['.zst', zstdSync] as const] : [])] as const;
/** Does not compress well, so that the files have many pieces. */
const lines = Array.from({ length: 20_000 }, (_, index) => `${index} ${randomBytes(12).toString('hex')}`);
const content = lines.map((line) => `${line}\n`).join('');

describe.each(kinds)('%s', (ending, compress) => {
  for (const { name, run } of sourceSuite(`text-lines (${ending})`, async () => ({
    source: textLines([await make(compress('a\nb\n\nc'), ending), await make('d', '.txt')], { batchSize: 2 }),
    expected: ['a', 'b', '', 'c', 'd'],
    cleanup: async () => {},
  }))) {
    test(name, run);
  }

  test('of many pieces, from many positions', async () => {
    const source = textLines(await make(compress(content), ending), { batchSize: 1000 });
    const { values, positions } = await readAll(source);
    expect(values).toEqual(lines);
    for (const at of [0, 999, 1000, 2500, 19_999])
      expect((await readAll(source, positions[at])).values).toEqual(lines.slice(at + 1));
  });

  test('members that follow each other are one content', async () => {
    const half = content.length / 2;
    const bytes = Buffer.concat([compress(content.slice(0, half)), compress(''), compress(content.slice(half))]);
    expect((await readAll(textLines(await make(bytes, ending)))).values).toEqual(lines);
  });

  test('CSV and JSON Lines', async () => {
    const path = await make(compress('n,t\n1,"a\nb"\n2,c\n'), ending);
    const { values, positions } = await readAll(csv(path));
    expect(values).toEqual([{ n: '1', t: 'a\nb' }, { n: '2', t: 'c' }]);
    expect((await readAll(csv(path), positions[0])).values).toEqual([{ n: '2', t: 'c' }]);
    expect((await readAll(jsonLines(await make(compress('1\n[2]\n'), ending)))).values).toEqual([1, [2]]);
  });

  test('an empty file has no lines', async () => {
    expect((await readAll(textLines(await make('', ending)))).values).toEqual([]);
    expect((await readAll(textLines(await make(compress(''), ending)))).values).toEqual([]);
  });

  test('cut short: all that is whole before comes first, then an error with a code, at each read', async () => {
    const bytes = compress(content);
    for (const cut of [1, 9, 30_000]) {
      const path = await make(bytes.subarray(0, bytes.length - cut), ending);
      const { values, error } = await readToError(path);
      expect(error).toMatchObject({ code: 'INPUT_DAMAGED', retryable: false, details: { file: path } });
      expect(values).toEqual(lines.slice(0, values.length));
      // A block of zstd, 128 KiB of content, is whole or absent.
      expect(values.length).toBeGreaterThan(cut < 10 ? 15_000 : 10_000);
    }
  });

  test('something else behind it, and something that is not compressed at all', async () => {
    const bytes = Buffer.concat([compress(content), Buffer.from('more and more')]);
    const more = await readToError(await make(bytes, ending));
    expect(more).toMatchObject({ values: { length: lines.length }, error: { code: 'INPUT_DAMAGED' } });
    const none = await readToError(await make('a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n', ending));
    expect(none).toMatchObject({ values: [], error: { code: 'INPUT_DAMAGED' } });
    const plain = textLines(await make('a\nb\n', ending), { compression: 'none' });
    expect((await readAll(plain)).values).toEqual(['a', 'b']);
  });

  test('shorter than a position, or of other content', async () => {
    const source = textLines(await make(compress('a\nb\n'), ending));
    const { positions } = await readAll(source);
    const [split = ''] = await source.splits(signal);
    for (const other of ['a\n', 'a\nc\n', 'x']) {
      await writeFile(split, compress(other));
      await expect(source.open(split, positions[1], signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
    }
  });
});

test('gzip that is damaged gives each line that comes out before the damage', async () => {
  const bytes = gzipSync(content);
  // A checksum that does not match is found when all has come out.
  bytes[bytes.length - 6] = (bytes[bytes.length - 6] ?? 0) ^ 0xff;
  expect(await readToError(await make(bytes, '.gz'))).toMatchObject({
    values: { length: lines.length },
    error: { code: 'INPUT_DAMAGED' },
  });
  // A block of a kind that does not exist, in the middle of a piece, behind a member that is whole.
  const second = gzipSync('z\n');
  second[10] = 0x07;
  const path = await make(Buffer.concat([gzipSync('a\nb\n'), second, Buffer.alloc(3000)]), '.gz');
  expect(await readToError(path)).toMatchObject({ values: ['a', 'b'], error: { code: 'INPUT_DAMAGED' } });
});

test('the way to a position takes the signal', async () => {
  const path = await make(gzipSync('x\n'.repeat(20_000_000), { level: 1 }), '.gz');
  const controller = makeAbort();
  const opening = textLines(path).open(path, { offset: 39_999_998, line: 19_999_999 }, controller.signal);
  setTimeout(() => controller.abort(new Error('enough')), 5);
  await expect(opening).rejects.toThrow(/^enough$/);
});

test('zeros behind gzip are padding', async () => {
  const path = await make(Buffer.concat([gzipSync('a\nb\n'), Buffer.alloc(70_000)]), '.gz');
  expect((await readAll(textLines(path))).values).toEqual(['a', 'b']);
});

test('content that is much longer than its file', async () => {
  const path = await make(gzipSync('x\n'.repeat(500_000)), '.gz');
  expect((await readAll(textLines(path, { batchSize: 10_000 }))).values.length).toBe(500_000);
});

const readToError = async (path: string): Promise<{ readonly values: string[]; readonly error: unknown }> => {
  const reader = await textLines(path, { batchSize: 100 }).open(path, undefined, signal);
  const values: string[] = [];
  try {
    for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
      values.push(...batch.values);
    return { values, error: undefined };
  } catch (error) {
    await expect(reader.read(signal)).rejects.toMatchObject({ code: 'INPUT_DAMAGED' });
    return { values, error };
  } finally {
    await reader.close();
  }
};
