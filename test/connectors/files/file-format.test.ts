/** Formats of the sinks of files, and the sink of one CSV file: what is written, and that it is read back. */
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { csv } from '../../../connectors/files/csv.ts';
import { csvSink } from '../../../connectors/files/csv-sink.ts';
import { fileFormat } from '../../../connectors/files/file-format.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';
import { readAll, temporaryFiles } from './files-fixture.ts';

const { freshPath, make } = temporaryFiles();

const rows = ['a', 'b,"c"', 'd\ne', '', ' f', 'g'].map((text, id) => ({ id: String(id), text }));
for (const { name, run } of sinkSuite('csv-sink', async () => {
  const path = freshPath('.csv');
  const visible = async () => {
    const content = await readFile(path, 'utf8').catch(() => '');
    return content === '' ? [] : (await readAll(csv<(typeof rows)[number]>(path))).values;
  };
  return { sink: csvSink(path, { columns: ['id', 'text'] }), values: rows, visible, cleanup: async () => {} };
})) {
  test(name, run);
}

describe('CSV', () => {
  const { encode, header } = fileFormat.csv({ columns: ['a', 'b'] });

  test('cells of every kind', () => {
    expect(header).toBe('a,b\n');
    expect(encode({ a: 1.5, b: true, c: 'left out' }, 0)).toBe('1.5,true\n');
    expect(encode({ a: null, b: 10n ** 20n }, 0)).toBe(`,${10n ** 20n}\n`);
    expect(encode({ a: new Date(0), b: { c: ['"'] } }, 0)).toBe('1970-01-01T00:00:00.000Z,"{""c"":[""\\""""]}"\n');
    expect(encode([1, 'x\ry'], 0)).toBe('1,"x\ry"\n');
    expect(fileFormat.csv({ columns: ['a'] }).encode({}, 0)).toBe('""\n');
    expect(fileFormat.csv({ columns: ['a', 'b'], delimiter: ';', header: false })).toMatchObject({ header: undefined });
  });

  test('what is no row', () => {
    const refused = expect.objectContaining({ code: 'NOT_SERIALISABLE', hint: expect.any(String) as string }) as Error;
    for (const value of [1, null, 'a', [1], [1, 2, 3], { a: () => 1, b: 2 }])
      expect(() => encode(value, 3)).toThrow(refused);
    expect(() => fileFormat.csv({ columns: [] })).toThrow('columns');
    expect(() => fileFormat.csv({ columns: ['a'], delimiter: '"' })).toThrow('delimiter');
  });

  test('any texts come back', async () => {
    const cell = fc.stringMatching(/^["',;\r\n aé]{0,6}$/);
    const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(table, fc.constantFrom(',', ';'), async (cells, delimiter) => {
        const format = fileFormat.csv({ columns: ['a', 'b'], delimiter });
        const path = await make(`${format.header}${cells.map((row) => format.encode(row, 0)).join('')}`);
        const { values } = await readAll(csv(path, { delimiter }));
        expect(values).toEqual(cells.map(([a, b]) => ({ a, b })));
      }),
      { numRuns: 50 },
    );
  });
});

test('text', () => {
  expect(fileFormat.text.encode('a', 0)).toBe('a\n');
  expect(() => fileFormat.text.encode('a\nb', 0)).toThrow('the end of a line');
  expect(() => fileFormat.text.encode(1 as never, 4)).toThrow('record 4');
});

test('the header of a file stands at its start alone, and in none that is added to', async () => {
  const path = freshPath('.csv');
  await writeFile(path, 'id\n0\n');
  const sink = csvSink<{ id: number }>(path, { columns: ['id'], onExisting: 'append' });
  const { signal } = new AbortController();
  const writer = await sink.open({ sinkId: 'a', pending: [], last: undefined, epoch: 1, signal });
  writer.write({ id: 1 }, 0, 0);
  const committable = await writer.seal(1);
  if (committable !== undefined) await writer.commit(committable, signal);
  await writer.close();
  expect(await readFile(path, 'utf8')).toBe('id\n0\n1\n');
});
