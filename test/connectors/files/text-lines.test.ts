/** Text files, and what all formats of lines have in common: breaks, marks, lines that are too long. */
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { textLines } from '../../../connectors/files/text-lines.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { readAll, signal, temporaryFiles } from './files-fixture.ts';

const { make } = temporaryFiles();

for (const { name, run } of sourceSuite('text-lines', async () => ({
  source: textLines([await make('a\n\nb\r\n c \nd'), await make('')], { batchSize: 2 }),
  expected: ['a', '', 'b', ' c ', 'd'],
  cleanup: async () => {},
}))) {
  test(name, run);
}

test('a byte order mark is no part of the first line, a blank last line is none', async () => {
  expect((await readAll(textLines(await make('\ufeffa\n\n')))).values).toEqual(['a', '']);
  expect((await readAll(textLines(await make('\ufeff')))).values).toEqual([]);
});

test('bytes that are no UTF-8 are malformed', async () => {
  const path = await make(Buffer.from([0x61, 0x0a, 0xff, 0x0a, 0x62]));
  const { values, sides } = await readAll(textLines(path, { onMalformed: 'side-output' }));
  expect(values).toEqual(['a', 'b']);
  expect(sides).toMatchObject([{ file: path, line: 2, error: expect.stringContaining('not valid UTF-8') }]);
});

describe('lines that are longer than any may be', () => {
  const long = 'x'.repeat(600_000);

  test('fail: the lines before it come first', async () => {
    const path = await make(`a\n${long}\nb\n`);
    const reader = await textLines(path, { lineBytesMax: 1000 }).open(path, undefined, signal);
    expect((await reader.read(signal))?.values).toEqual(['a']);
    const refused = { code: 'INPUT_MALFORMED', details: { file: path, line: 2 } };
    await expect(reader.read(signal)).rejects.toMatchObject(refused);
    await expect(reader.read(signal)).rejects.toMatchObject(refused);
    await reader.close();
  });

  test('skip: what stands behind it is read, also from each position', async () => {
    for (const content of [`a\n${long}\nb\n${long}`, `${long}\na\n${long}\nb`]) {
      const source = textLines(await make(content), { lineBytesMax: 1000, onMalformed: 'skip', batchSize: 1 });
      const { values, positions } = await readAll(source);
      expect(values).toEqual(['a', 'b']);
      expect(source.skipped).toBe(2);
      expect((await readAll(source, positions[0])).values).toEqual(['b']);
    }
  });

  test('side output: its beginning, and a position behind it', async () => {
    const source = textLines(await make(`${long}\nb`), { lineBytesMax: 1000, onMalformed: 'side-output' });
    const { sides, values, positions } = await readAll(source);
    expect(sides).toMatchObject([{ line: 1, text: 'x'.repeat(1024) }]);
    expect(values).toEqual(['b']);
    expect(positions).toMatchObject([{ offset: 600_001, line: 1 }, { offset: 600_002, line: 2 }]);
  });

  test('a line of just as many bytes is taken, with its break', async () => {
    const path = await make(`${'x'.repeat(999)}\n${'y'.repeat(1000)}`);
    const { values } = await readAll(textLines(path, { lineBytesMax: 1000 }));
    expect(values.map(({ length }) => length)).toEqual([999, 1000]);
  });
});

test('the lines of any text, with any bound and batch, from any position', async () => {
  const line = fc.oneof(fc.stringMatching(/^[abé€]{0,12}$/), fc.constantFrom('z'.repeat(50)));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 12 }), fc.nat(3), fc.boolean(), async (lines, batch, ended) => {
      const path = await make(lines.join('\n') + (ended ? '\n' : ''));
      const source = textLines(path, { batchSize: batch + 1, lineBytesMax: 40, onMalformed: 'skip' });
      const { values, positions } = await readAll(source);
      const present = !ended && lines.at(-1) === '' ? lines.slice(0, -1) : lines;
      const expected = (ended && lines.length === 0 ? [''] : present).filter((each) => Buffer.byteLength(each) <= 40);
      expect(values).toEqual(expected);
      for (const [index, position] of positions.entries())
        expect((await readAll(source, position)).values).toEqual(expected.slice(index + 1));
    }),
    { numRuns: 60 },
  );
});

test('options that make no sense are refused', () => {
  expect(() => textLines('')).toThrow('path');
  expect(() => textLines('a', { lineBytesMax: 0 })).toThrow('lineBytesMax');
  expect(() => textLines('a', { schema: 1 } as object)).toThrow('schema');
});
