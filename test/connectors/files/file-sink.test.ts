/** Parts: the suite of sinks, when one ends, where it goes, and what a crash leaves behind. */
import type { FileSinkOptions } from '../../../connectors/files/file-sink.ts';
import type { PartsCommittable } from '../../../connectors/files/part-directory.ts';
import type { SinkWriter } from '../../../lib/core/connector.ts';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { StreamExecutionEnvironment } from 'millrace';
import { fileFormat } from '../../../connectors/files/file-format.ts';
import { fileSink } from '../../../connectors/files/file-sink.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';
import { signal, temporaryFiles } from './files-fixture.ts';

const { freshPath } = temporaryFiles();

interface Value {
  readonly n: number;
  readonly to: string;
}

/** Parts that a reader sees, in the order of their names, by their paths below the directory. */
const partsIn = async (directory: string): Promise<Map<string, string>> => {
  const names = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const parts = new Map<string, string>();
  const paths = names.filter((each) => each.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  for (const path of paths.toSorted()) {
    const below = path.slice(directory.length + 1);
    if (!below.startsWith('.')) parts.set(below, await readFile(path, 'utf8'));
  }
  return parts;
};

const linesIn = async (directory: string): Promise<Value[]> => {
  const lines = [...(await partsIn(directory)).values()].join('').split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Value).toSorted((a, b) => a.n - b.n);
};

const valuesTo = (...places: readonly string[]): Value[] => places.map((to, n) => ({ n, to }));

type Options = Partial<FileSinkOptions<Value>>;
const sinkOf = (directory: string, options: Options = {}) =>
  fileSink<Value>({ directory, format: fileFormat.jsonLines, ...options });

const suites: readonly (readonly [string, Options])[] = [
  ['one part an epoch', {}],
  ['a part for each record', { rollAfter: { records: 1 } }],
  ['parts by size, in places', { rollAfter: { bytes: 30 }, partition: ({ to }) => `to=${to}` }],
];

for (const [title, options] of suites) {
  for (const { name, run } of sinkSuite(`file-sink (${title})`, async () => {
    const directory = freshPath();
    const values = valuesTo('a', 'b', 'a', 'c', 'b', 'a', 'a');
    return { sink: sinkOf(directory, options), values, visible: () => linesIn(directory), cleanup: async () => {} };
  })) {
    test(name, run);
  }
}

interface Opening {
  readonly sinkId?: string;
  readonly pending?: readonly PartsCommittable[];
  readonly last?: PartsCommittable | undefined;
  readonly epoch?: number;
}

type Writer = SinkWriter<Value, PartsCommittable>;
const openSink = (directory: string, options: Options = {}, opening: Opening = {}): Promise<Writer> =>
  sinkOf(directory, options).open({ sinkId: 'job.sink', pending: [], last: undefined, epoch: 1, signal, ...opening });

const sealed = async (writer: Writer, epoch: number, values: readonly Value[]): Promise<PartsCommittable> => {
  for (const value of values) writer.write(value, 0, value.n);
  const committable = await writer.seal(epoch);
  if (committable === undefined) throw new Error('nothing was sealed');
  return committable;
};

describe('parts', () => {
  test('end by records, by bytes, by the number of places, and with the epoch', async () => {
    const directory = freshPath();
    const writer = await openSink(directory, { rollAfter: { records: 2 }, partition: ({ to }) => to });
    await writer.commit(await sealed(writer, 1, valuesTo('a', 'a', 'b', 'a', 'x/y')), signal);
    await writer.commit(await sealed(writer, 2, valuesTo('a')), signal);
    await writer.close();
    const parts = await partsIn(directory);
    const shapes = [...parts].map(([path, text]) => [path.replace(/-[0-9a-f]{8}-/, '-'), text.split('\n').length - 1]);
    expect(shapes).toEqual([
      ['a/part-00000001-0000.jsonl', 2],
      ['a/part-00000001-0002.jsonl', 1],
      ['a/part-00000002-0000.jsonl', 1],
      ['b/part-00000001-0001.jsonl', 1],
      ['x/y/part-00000001-0003.jsonl', 1],
    ]);
  });

  test('a hundred places at once', async () => {
    const directory = freshPath();
    const writer = await openSink(directory, { partition: ({ to }) => to });
    const values = valuesTo(...Array.from({ length: 200 }, (_, n) => String(n % 100)));
    await writer.commit(await sealed(writer, 1, values), signal);
    await writer.close();
    expect(await linesIn(directory)).toEqual(values);
  });

  test('each begins with the header of its format', async () => {
    const directory = freshPath();
    const writer = await openSink(directory, {
      format: fileFormat.csv({ columns: ['to', 'n'] }),
      rollAfter: { records: 1 },
    });
    await writer.commit(await sealed(writer, 1, valuesTo('a,b', 'c')), signal);
    await writer.close();
    expect([...(await partsIn(directory)).values()]).toEqual(['to,n\n"a,b",0\n', 'to,n\nc,1\n']);
  });

  test('can be read by others once they are there, and by their owner alone before', async () => {
    const directory = freshPath();
    const writer = await openSink(directory);
    const committable = await sealed(writer, 1, valuesTo('a'));
    const [hidden = ''] = (await readdir(directory)).filter((name) => name.endsWith('.pending'));
    expect(hidden.startsWith('.')).toBe(true);
    expect((await stat(join(directory, hidden))).mode & 0o777).toBe(0o700);
    await writer.commit(committable, signal);
    const [[path = ''] = []] = await partsIn(directory);
    expect((await stat(join(directory, path))).mode & 0o777).toBe(0o666 & ~process.umask());
    await writer.close();
  });
});

describe('what a crash leaves behind', () => {
  test('is removed where no checkpoint knows it, and that of another job is not touched', async () => {
    const directory = freshPath();
    const other = await openSink(directory, {}, { sinkId: 'other.sink' });
    const theirs = await sealed(other, 1, valuesTo('theirs'));
    await sealed(await openSink(directory), 1, valuesTo('lost'));
    const again = await openSink(directory);
    await again.commit(await sealed(again, 1, valuesTo('mine')), signal);
    await other.commit(theirs, signal);
    expect((await linesIn(directory)).map(({ to }) => to).toSorted()).toEqual(['mine', 'theirs']);
    await again.close();
    await other.close();
  });

  test('a commit that was cut short is finished, also when a reader has taken its parts away', async () => {
    const directory = freshPath();
    const writer = await openSink(directory, { rollAfter: { records: 1 } });
    const committable = await sealed(writer, 1, valuesTo('a', 'b', 'c'));
    await writer.commit({ ...committable, parts: committable.parts.slice(0, 2) }, signal);
    const [[first = ''] = []] = await partsIn(directory);
    await rm(join(directory, first));
    const again = await openSink(directory, {}, { pending: [committable], last: committable, epoch: 2 });
    await again.commit(committable, signal);
    await again.commit(committable, signal);
    expect((await linesIn(directory)).map(({ to }) => to)).toEqual(['b', 'c']);
    await again.close();
  });

  test('gone or changed from outside is an error, and nothing is overwritten', async () => {
    const directory = freshPath();
    const writer = await openSink(directory);
    const committable = await sealed(writer, 1, valuesTo('a'));
    const [hidden = ''] = await readdir(directory);
    const opening = { pending: [committable], last: committable, epoch: 2 };
    const changed = { code: 'OUTPUT_CHANGED', details: { path: directory } };
    await writeFile(join(directory, hidden, '1-0'), '{"n":7}\n');
    await expect(writer.commit(committable, signal)).rejects.toMatchObject(changed);
    await rm(join(directory, hidden), { recursive: true });
    await expect(openSink(directory, {}, opening)).rejects.toMatchObject(changed);
    const next = await openSink(directory, {}, { epoch: 2 });
    const second = await sealed(next, 2, valuesTo('b'));
    const path = join(directory, `${hidden.slice(1, -'.pending'.length)}-00000002-0000.jsonl`);
    await writeFile(path, 'theirs');
    await expect(next.commit(second, signal)).rejects.toMatchObject(changed);
    expect(await readFile(path, 'utf8')).toBe('theirs');
    await next.close();
  });

  test('a directory that was moved is the same one, another one is not', async () => {
    const [before, after] = [freshPath(), freshPath()];
    const writer = await openSink(before);
    const committable = await sealed(writer, 1, valuesTo('a'));
    const opening = { pending: [committable], last: committable, epoch: 2 };
    await expect(openSink(after, {}, opening)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
    await rename(before, after);
    const moved = await openSink(after, {}, opening);
    await moved.commit(committable, signal);
    expect((await linesIn(after)).length).toBe(1);
    await moved.close();
  });
});

test('a directory that is not empty is refused or added to', async () => {
  const directory = freshPath();
  await mkdir(directory);
  await writeFile(join(directory, 'old'), '');
  await expect(openSink(directory)).rejects.toMatchObject({ code: 'OUTPUT_NOT_EMPTY', retryable: false });
  await (await openSink(directory, { onExisting: 'append' })).close();
  const file = join(directory, 'old');
  await expect(openSink(file)).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: false });
});

test('in a job, with another sink of the same directory', async () => {
  const directory = freshPath();
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const values = env.fromCollection(valuesTo('a', 'b', 'c'));
  values.sinkTo(sinkOf(directory));
  values.sinkTo(sinkOf(directory, { prefix: 'copy', onExisting: 'append' }));
  await env.execute('parts');
  expect((await linesIn(directory)).map(({ n }) => n)).toEqual([0, 0, 1, 1, 2, 2]);
});

test('options and places that make no sense', async () => {
  expect(() => sinkOf('')).toThrow('directory');
  expect(() => sinkOf('a', { format: {} as never })).toThrow('format');
  expect(() => sinkOf('a', { rollAfter: { bytes: 0 } })).toThrow('rollAfter.bytes');
  expect(() => sinkOf('a', { rollAfter: { time: '1s' } as object })).toThrow('time');
  expect(() => sinkOf('a', { prefix: '.a' })).toThrow('prefix');
  expect(() => sinkOf('a', { partition: 'a' as never })).toThrow('partition');
  const writer = await openSink(freshPath(), { partition: ({ to }) => to });
  for (const place of ['../a', '/a', 'a//b', 'a/.b', 'a/', 'a\0', 7 as never])
    expect(() => writer.write({ n: 0, to: place }, 0, 0)).toThrow('partition');
  await writer.close();
});
