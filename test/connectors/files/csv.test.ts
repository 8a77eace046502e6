/** CSV files: what a row is, where it ends, malformed ones, and positions inside all of it. */
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { z } from 'zod';
import { csv } from '../../../connectors/files/csv.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { readAll, signal, temporaryFiles } from './files-fixture.ts';

const { make } = temporaryFiles();

const content = 'id,text\r\n1,a\r\n\r\n2,"b\r\n""b"", b"\r\n3,\n4,"\n\n"\n5,e';
const rows = [
  { id: '1', text: 'a' },
  { id: '2', text: 'b\r\n"b", b' },
  { id: '3', text: '' },
  { id: '4', text: '\n\n' },
  { id: '5', text: 'e' },
];

for (const batchSize of [1, 2, 256]) {
  for (const { name, run } of sourceSuite(`csv (batches of ${batchSize})`, async () => ({
    source: csv([await make(content), await make('\ufeffid,text\n6,"f"\n')], { batchSize }),
    expected: [...rows, { id: '6', text: 'f' }],
    cleanup: async () => {},
  }))) {
    test(name, run);
  }
}

describe('columns', () => {
  test('names in place of the header, or without one', async () => {
    const columns = ['n', 't'];
    expect((await readAll(csv(await make('id,text\n1,a'), { columns }))).values).toEqual([{ n: '1', t: 'a' }]);
    expect((await readAll(csv(await make('1,a'), { columns, header: false }))).values).toEqual([{ n: '1', t: 'a' }]);
  });

  test('lists of cells without either', async () => {
    expect((await readAll(csv(await make('1,a\n2'), { header: false }))).values).toEqual([['1', 'a'], ['2']]);
  });

  test('another delimiter and another quote, of which the usual ones are text', async () => {
    const path = await make("a→b\n'x→\ny'→\"1,2\"\n");
    expect((await readAll(csv(path, { delimiter: '→', quote: "'" }))).values).toEqual([{ a: 'x→\ny', b: '"1,2"' }]);
  });

  test('types by a schema', async () => {
    const schema = z.object({ id: z.coerce.number().int(), at: z.coerce.date() });
    const source = csv(await make('id,at\n1,1970-01-01\nx,1970-01-01'), { schema, onMalformed: 'side-output' });
    const { values, sides } = await readAll(source);
    expect(values).toEqual([{ id: 1, at: new Date(0) }]);
    expect(sides).toMatchObject([{ line: 3, text: 'x,1970-01-01', error: expect.stringContaining('"id"') }]);
  });

  test('nothing but a header, or nothing', async () => {
    for (const text of ['id,text', 'id,text\n', '']) expect((await readAll(csv(await make(text)))).values).toEqual([]);
  });

  test('a header that is none fails, whatever the policy', async () => {
    const path = await make('id,id\n1,2\n');
    const refused = { code: 'INPUT_MALFORMED', message: expect.stringContaining('"id" twice') as string };
    await expect(readAll(csv(path, { onMalformed: 'skip' }))).rejects.toMatchObject(refused);
  });

  test('a column may have any name', async () => {
    const [value] = (await readAll(csv(await make('__proto__,constructor\n1,2\n')))).values;
    expect(Object.entries(value ?? {})).toEqual([['__proto__', '1'], ['constructor', '2']]);
  });
});

describe('malformed rows', () => {
  const lines = 'id,text\n1,a\n2\n3,b,c\n4,x"y\n5,"a"b\n6,"ok\nok"\n7,"never\n8,closed\n9,d';

  test('fail: the rows before it come first', async () => {
    const path = await make(lines);
    const reader = await csv(path).open(path, undefined, signal);
    expect((await reader.read(signal))?.values).toEqual([{ id: '1', text: 'a' }]);
    const refused = { code: 'INPUT_MALFORMED', message: expect.stringContaining('has 1 cells') as string };
    await expect(reader.read(signal)).rejects.toMatchObject({ ...refused, details: { file: path, line: 3 } });
    await reader.close();
  });

  test('each costs its own line, also one whose quote is never closed', async () => {
    const source = csv(await make(lines), { onMalformed: 'side-output' });
    const { values, sides } = await readAll(source);
    expect(values.map(({ id }) => id)).toEqual(['1', '6', '8', '9']);
    expect(sides).toMatchObject([{ line: 3 }, { line: 4 }, { line: 5 }, { line: 6 }, { line: 9, text: '7,"never' }]);
  });

  test('a quote that is not closed within the bound', async () => {
    const path = await make(`id,text\n1,"${'a\n'.repeat(100)}2,b\n`);
    const source = csv(path, { lineBytesMax: 50, onMalformed: 'skip' });
    expect((await readAll(source)).values).toEqual([{ id: '2', text: 'b' }]);
    expect(source.skipped).toBe(100);
  });
});

test('any cells, written as CSV, come back from any position', async () => {
  const cell = fc.stringMatching(/^["',\r\n aé]{0,6}$/);
  const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(table, fc.nat(3), fc.constantFrom('\n', '\r\n'), async (cells, batch, lineBreak) => {
      const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
      const text = cells.map((row) => row.map(quoted).join(',')).join(lineBreak);
      const source = csv<readonly string[]>(await make(text), { header: false, batchSize: batch + 1 });
      const { values, positions } = await readAll(source);
      expect(values).toEqual(cells);
      for (const [index, position] of positions.entries())
        expect((await readAll(source, position)).values).toEqual(cells.slice(index + 1));
    }),
    { numRuns: 60 },
  );
});

test('options that make no sense are refused', () => {
  expect(() => csv('a', { delimiter: ',,' })).toThrow('delimiter');
  expect(() => csv('a', { quote: ',' })).toThrow('quote');
  expect(() => csv('a', { columns: ['a', 'a'] })).toThrow('columns');
  expect(() => csv('a', { header: 1 as never })).toThrow('header');
});
