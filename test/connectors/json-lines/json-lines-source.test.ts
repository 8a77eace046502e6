/** The JSON Lines source: the suite of sources, what counts as a line, malformed lines, and files that change. */
import type { MalformedLine } from '../../../connectors/files/malformed.ts';
import type { FilePosition } from '../../../connectors/files/file-position.ts';
import type { JsonLinesOptions } from '../../../connectors/json-lines/json-lines-source.ts';
import type { SourceReader } from '../../../lib/core/connector.ts';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { z } from 'zod';
import { malformedLines } from '../../../connectors/files/malformed.ts';
import { jsonLines } from '../../../connectors/json-lines/json-lines-source.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';

const { signal } = new AbortController();
let directory = '';
let files = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'json-lines-source-'));
});
afterAll(() => rm(directory, { recursive: true }));

const fileOf = async (content: string | Uint8Array): Promise<string> => {
  files += 1;
  const path = join(directory, `${files}.jsonl`);
  await writeFile(path, content);
  return path;
};

interface All<T> {
  readonly values: T[];
  readonly sides: unknown[];
  readonly positions: FilePosition[];
}

const drain = async <T>(
  reader: SourceReader<T, FilePosition>,
  all: All<T> = { values: [], sides: [], positions: [] },
): Promise<All<T>> => {
  for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal)) {
    for (const [index, value] of batch.values.entries()) {
      if (batch.sides?.has(index) === true) {
        expect(batch.sides.get(index)).toBe(malformedLines.id);
        all.sides.push(value);
      } else all.values.push(value);
      all.positions.push(batch.position(index + 1));
    }
  }
  return all;
};

const readAll = async (content: string | Uint8Array, options?: JsonLinesOptions<unknown>): Promise<All<unknown>> => {
  const path = await fileOf(content);
  const reader = await jsonLines<unknown>(path, options).open(path, undefined, signal);
  return drain(reader).finally(() => reader.close());
};

const suites = [
  ['lines', { batchSize: 4 }, Array.from({ length: 10 }, (_, index) => `{"n":${index}}\n`).join('')],
  [
    'no last newline, blanks, CRLF, a mark',
    { batchSize: 3 },
    '\ufeff{"n":0}\r\n\r\n{"n":1}\n\n \n{"n":2}\r\n{"n":3}\n{"n":4}',
  ],
  ['skipping', { batchSize: 2, onMalformed: 'skip' as const }, '{"n":0}\nbad\n{"n":1}\n{"n":\n{"n":2}\n}\n'],
  ['nothing', {}, ''],
] as const;

for (const [name, options, content] of suites) {
  const make = async () => {
    const path = await fileOf(content);
    const count = content.match(/"n":\d/g)?.length ?? 0;
    const expected = Array.from({ length: count }, (_, n) => ({ n }));
    return { source: jsonLines<{ n: number }>(path, options), expected, cleanup: async () => {} };
  };
  for (const { name: title, run } of sourceSuite(`json-lines (${name})`, make)) test(title, run);
}

for (const { name, run } of sourceSuite('json-lines (two files, side output)', async () => {
  const paths = [await fileOf('1\n2\nx\n3'), await fileOf('4\n')];
  const bad = { file: paths[0], line: 3, text: 'x' };
  const error = `malformed line at ${paths[0]}:3:1: Unexpected token 'x', "x" is not valid JSON`;
  return {
    source: jsonLines<unknown>(paths, { onMalformed: 'side-output' }),
    expected: [1, 2, { ...bad, error }, 3, 4],
    cleanup: async () => {},
  };
})) {
  test(name, run);
}

describe('lines', () => {
  test('a position is behind the line and its break, in bytes', async () => {
    const { positions } = await readAll('{"é":1}\r\n\n"€"\n7');
    expect(positions).toMatchObject([
      { offset: 10, line: 1, mark: { start: 0 } },
      { offset: 17, line: 3, mark: { start: 11 } },
      { offset: 18, line: 4, mark: { start: 17 } },
    ]);
  });

  test('lines longer than the read buffer, with characters of several bytes at every chunk end', async () => {
    const long = Array.from({ length: 3 }, (_, index) => `${'x'.repeat(index)}${'ä€😀'.repeat(90_000 + index)}`);
    const { values } = await readAll(long.map((line) => `${JSON.stringify(line)}\n`).join('1\n'));
    expect(values).toEqual([long[0], 1, long[1], 1, long[2]]);
  });

  test('a byte order mark is taken at the start of the file only', async () => {
    await expect(readAll('1\n\ufeff2\n')).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      details: { line: 2, column: 1 },
    });
  });

  test('values of every kind', async () => {
    expect((await readAll('null\n0\nfalse\n""\n[]\n{}\n')).values).toEqual([null, 0, false, '', [], {}]);
  });
});

describe('malformed lines', () => {
  test('fail: the good records come first, then the place, again at each read', async () => {
    const path = await fileOf('1\n\n2\n{"a": }\n3\n');
    const reader = await jsonLines(path).open(path, undefined, signal);
    expect((await reader.read(signal))?.values).toEqual([1, 2]);
    const refused = { code: 'INPUT_MALFORMED', retryable: false, details: { file: path, line: 4, column: 7 } };
    await expect(reader.read(signal)).rejects.toMatchObject(refused);
    await expect(reader.read(signal)).rejects.toThrow(`${path}:4:7`);
    await reader.close();
  });

  test.each([
    ['{"a":1,}', 8],
    ['{"a":tru}', 6],
    ['nope', 1],
    ['{"a":1}}', 8],
    ['[1 2]', 4],
    ['{"a"', 5],
    ['[1,', 4],
    ['{"a":1', 7],
  ])('%s: column %i', async (line, column) => {
    await expect(readAll(`${line}\n`)).rejects.toMatchObject({ details: { line: 1, column } });
  });

  test('skip: counted and told', async () => {
    const path = await fileOf('1\nx\n2\n[\n');
    const told: MalformedLine[] = [];
    const source = jsonLines<number>(path, { onMalformed: 'skip', onSkipped: (line) => told.push(line) });
    const reader = await source.open(path, undefined, signal);
    expect((await drain(reader)).values).toEqual([1, 2]);
    await reader.close();
    expect(source.skipped).toBe(2);
    expect(told.map(({ line, text }) => [line, text])).toEqual([
      [2, 'x'],
      [4, '['],
    ]);
  });

  test('bytes that are no UTF-8 are malformed; the replacement character itself is not', async () => {
    expect((await readAll('"\ufffd"\n')).values).toEqual(['\ufffd']);
    const bytes = Buffer.concat([Buffer.from('"ok"\n"'), Buffer.from([0xc3, 0x28]), Buffer.from('"\n3\n')]);
    const { values, sides } = await readAll(bytes, { onMalformed: 'side-output' });
    expect(values).toEqual(['ok', 3]);
    expect(sides).toMatchObject([{ line: 2, error: expect.stringContaining('not valid UTF-8') }]);
  });

  test('a schema shapes values, and what it refuses is malformed', async () => {
    const schema = z.object({ id: z.string(), score: z.coerce.number() });
    const { values, sides } = await readAll('{"id":"a","score":"3","more":1}\n{"id":7,"score":1}\n', {
      schema,
      onMalformed: 'side-output',
    });
    expect(values).toEqual([{ id: 'a', score: 3 }]);
    expect(sides).toMatchObject([{ line: 2, error: expect.stringContaining('"id": Invalid input') }]);
  });
});

describe('files that are not there, or not the same', () => {
  test.each([
    ['missing', () => join(directory, 'missing.jsonl'), 'ENOENT'],
    ['a directory', () => directory, 'ERR_NOT_REGULAR'],
    ['a device that never ends', () => '/dev/zero', 'ERR_NOT_REGULAR'],
    ['a name that is too long', () => join(directory, 'n'.repeat(300)), 'ENAMETOOLONG'],
    ['below a file', () => `${process.execPath}/in`, 'ENOTDIR'],
  ])('%s', async (_name, pathOf, systemCode) => {
    const path = pathOf();
    const refused = {
      code: 'INPUT_NOT_FOUND',
      retryable: false,
      hint: expect.any(String),
      cause: { code: systemCode },
      details: { file: path, systemCode },
    };
    await expect(jsonLines(path).open(path, undefined, signal)).rejects.toMatchObject(refused);
  });

  test('a named pipe and a socket are refused at once, though nobody is at the other end', async () => {
    const [pipe, socket] = [join(directory, 'pipe'), join(directory, 'socket')];
    execFileSync('mkfifo', [pipe]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    for (const path of [pipe, socket]) {
      const refused = { code: 'INPUT_NOT_FOUND', retryable: false, hint: 'give the path of a regular file' };
      await expect(jsonLines(path).open(path, undefined, signal)).rejects.toMatchObject(refused);
    }
    server.close();
  });

  test('shorter than the position, or without a line that ends there', async () => {
    const path = await fileOf('123\n456\n');
    const source = jsonLines(path);
    await expect(source.open(path, { offset: 9, line: 2 }, signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
    await (await source.open(path, { offset: 3, line: 1 }, signal)).close();
    await expect(source.open(path, { offset: 2, line: 1 }, signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
  });

  test('of the same length and of other content', async () => {
    const path = await fileOf('\ufeff111\n222\n333\n');
    const source = jsonLines<number>(path);
    const reader = await source.open(path, undefined, signal);
    const batch = await reader.read(signal);
    await reader.close();
    for (const count of [1, 2, 3]) await (await source.open(path, batch?.position(count), signal)).close();
    await writeFile(path, '\ufeff111\n222\n999\n444\n');
    await expect(source.open(path, batch?.position(3), signal)).rejects.toMatchObject({
      code: 'INPUT_CHANGED',
      message: expect.stringContaining('another line at byte 11') as string,
    });
    await (await source.open(path, batch?.position(2), signal)).close();
    await writeFile(path, '\ufeff999\n222\n333\n444\n');
    await expect(source.open(path, batch?.position(2), signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
    // That of a version which kept no mark.
    await (await source.open(path, { offset: 11, line: 2 }, signal)).close();
  });

  test('a last line without newline may get one and more lines, but not get longer', async () => {
    const path = await fileOf('1\n2');
    const source = jsonLines<number>(path);
    const end = { offset: 3, line: 2 };
    await appendFile(path, '\r\n3\n');
    const reader = await source.open(path, end, signal);
    expect(await drain(reader)).toMatchObject({ values: [3], positions: [{ offset: 7, line: 3 }] });
    await reader.close();
    await writeFile(path, '1\n23\n');
    await expect(source.open(path, end, signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
  });

  test('cut while it is read', async () => {
    const path = await fileOf(`${JSON.stringify('x'.repeat(1000))}\n`.repeat(1000));
    const reader = await jsonLines(path, { batchSize: 10 }).open(path, undefined, signal);
    await reader.read(signal);
    await truncate(path, 10);
    await expect(drain(reader)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
    await reader.close();
  });

  test('a read behind the close is refused', async () => {
    const path = await fileOf('1\n');
    const reader = await jsonLines(path).open(path, undefined, signal);
    await reader.close();
    await expect(reader.read(signal)).rejects.toThrow(TypeError);
  });
});

describe('integers beyond 2^53', () => {
  const content =
    '{"id":738529527931269425,"s":"\\"738529527931269425","f":0.7385295279312694251,"e":1e25,"n":-9007199254740993}\n[9007199254740991]\n';
  const kept = (id: unknown, n: unknown) => [
    { id, s: '"738529527931269425', f: 0.738529527931269425, e: 1e25, n },
    [9007199254740991],
  ];

  test.each([
    ['text', '738529527931269425', '-9007199254740993'],
    ['bigint', 738529527931269425n, -9007199254740993n],
    ['number', 738529527931269400, -9007199254740992],
  ] as const)('%s', async (bigints, id, n) => {
    expect((await readAll(content, { bigints })).values).toEqual(kept(id, n));
  });

  test('nothing else of a value changes, whatever it holds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.json(), { minLength: 1, maxLength: 5 }), fc.bigInt(), async (texts, big) => {
        const unsafe = big > 2n ** 53n || big < -(2n ** 53n) ? big : big + 2n ** 60n;
        const lines = texts.map((text, index) => `{"v":${text},"big":[${unsafe}],"mark":"\\u0001${index}${unsafe}"}\n`);
        const { values } = await readAll(lines.join(''), { bigints: 'bigint' });
        const expected = texts.map((text, index) => ({
          v: JSON.parse(text) as unknown,
          big: [unsafe],
          mark: `\u0001${index}${unsafe}`,
        }));
        expect(values).toEqual(expected.map(({ v, ...rest }) => ({ v: widened(v), ...rest })));
      }),
      { numRuns: 100 },
    );
  });

  /**
   * JSON of fast-check holds numbers that were made from doubles: what is no safe integer there is written with an
   * exponent or is one of these.
   */
  const widened = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(widened);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, widened(each)]));
    return typeof value === 'number' &&
      Number.isInteger(value) &&
      !Number.isSafeInteger(value) &&
      Math.abs(value) < 1e21
      ? BigInt(String(value))
      : value;
  };

  test('a line that is malformed is malformed', async () => {
    await expect(readAll('{"id":738529527931269425,}\n', { bigints: 'text' })).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      details: { column: 26 },
    });
  });
});

test('options that make no sense are refused', () => {
  expect(() => jsonLines('a', { bigints: 'string' as 'text' })).toThrow('bigints');
  expect(() => jsonLines('a', { schema: { check: () => true } as never })).toThrow('schema');
  expect(() => jsonLines(['a', 'b\0'])).toThrow('path');
  expect(() => jsonLines('a', { batchSize: 0 })).toThrow(
    'Expected `batchSize` to be an integer from 1 up, got `0` (number)',
  );
  expect(() => jsonLines('a', { onMalformed: 'ignore' as 'skip' })).toThrow('onMalformed');
  expect(() => jsonLines('a', { onMalformd: 'skip' } as object)).toThrow('onMalformd');
  expect(() => jsonLines([])).toThrow('path');
  expect(() => jsonLines(['a', 'a'])).toThrow('path');
});
