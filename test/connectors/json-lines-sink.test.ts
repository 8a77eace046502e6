/** The exactly-once JSON Lines sink: the suite of sinks, and every state in which a crash or a stranger can leave its files. */
import type { JsonLinesCommittable } from '../../connectors/json-lines-output.ts';
import type { JsonLinesSinkOptions } from '../../connectors/json-lines-sink.ts';
import type { SinkContext, SinkWriter } from '../../lib/core/connector.ts';
import { hash } from 'node:crypto';
import { appendFile, copyFile, link as hardLink, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonLinesSink } from '../../connectors/json-lines-sink.ts';
import { sinkSuite } from '../../lib/core/sink-suite.ts';

const { signal } = new AbortController();
let directory = '';
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'json-lines-sink-'));
});
afterAll(() => rm(directory, { recursive: true }));

const freshPath = async (): Promise<string> => {
  count += 1;
  const own = join(directory, String(count));
  await mkdir(own);
  return join(own, 'out.jsonl');
};

const sinkId = 'job.sink.1';
/** The pending file of an epoch, as this sink names it. */
const pendingOf = (path: string, epoch: number, id = sinkId): string => `${path}.${hash('sha256', id, 'hex').slice(0, 8)}.epoch-${epoch}.pending`;

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
const namesBeside = (path: string): Promise<string[]> => readdir(join(path, '..'));

type Writer = SinkWriter<unknown, JsonLinesCommittable>;

const openSink = (
  path: string,
  context: Partial<SinkContext<JsonLinesCommittable>> = {},
  options?: JsonLinesSinkOptions,
): Promise<Writer> => jsonLinesSink(path, options).open({ sinkId, pending: [], epoch: 1, last: undefined, signal, ...context });

const seal = async (writer: Writer, epoch: number, values: readonly unknown[]): Promise<JsonLinesCommittable> => {
  for (const [index, value] of values.entries()) writer.write(value, 0, index);
  const committable = await writer.seal(epoch);
  if (committable === undefined) throw new Error('nothing was sealed');
  return committable;
};

const values = Array.from({ length: 8 }, (_, n) => ({ n, text: 'ä€😀' }));

for (const { name, run } of sinkSuite('json-lines', async () => {
  const path = await freshPath();
  const visible = async () =>
    (await textOf(path))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as (typeof values)[number]);
  return { sink: jsonLinesSink<(typeof values)[number]>(path), values, visible, cleanup: async () => {} };
})) {
  test(name, run);
}

test('a job leaves the output and nothing beside it', async () => {
  const path = await freshPath();
  const writer = await openSink(path);
  await writer.commit(await seal(writer, 1, [1]), signal);
  writer.write(2, 0, 1);
  await writer.close();
  expect(await namesBeside(path)).toEqual(['out.jsonl']);
  expect(await textOf(path)).toBe('1\n');
  expect(() => writer.write(3, 0, 2)).toThrow(TypeError);
});

test('an output without lines exists and is empty', async () => {
  const path = await freshPath();
  const writer = await openSink(path);
  expect(await writer.seal(1)).toBeUndefined();
  await writer.close();
  expect(await namesBeside(path)).toEqual(['out.jsonl']);
});

test('epochs seal side by side, and commit in the order of the calls', async () => {
  const path = await freshPath();
  const writer = await openSink(path);
  const seals: Promise<JsonLinesCommittable>[] = [];
  for (let epoch = 1; epoch <= 3; epoch += 1) seals.push(seal(writer, epoch, [epoch, 'x'.repeat(400_000)]));
  const committables = await Promise.all(seals);
  await Promise.all(committables.map((committable) => writer.commit(committable, signal)));
  const line = JSON.stringify('x'.repeat(400_000));
  expect(await textOf(path)).toBe([1, 2, 3].map((epoch) => `${epoch}\n${line}\n`).join(''));
  expect(committables.map(({ epoch, offset }) => [epoch, offset])).toEqual([1, 2, 3].map((epoch) => [epoch, (epoch - 1) * 400_005]));
  await writer.close();
});

test('full while more than 8 MB wait for the disk, and not for the checkpoint', async () => {
  const path = await freshPath();
  const writer = await openSink(path);
  const line = 'x'.repeat(1024 * 1024);
  for (let index = 0; index < 9; index += 1) writer.write(line, 0, index);
  expect(writer.full).toBe(true);
  while (writer.full) await new Promise((resolve) => setImmediate(resolve));
  const { bytes } = await seal(writer, 1, []);
  expect(bytes).toBe(9 * (line.length + 3));
  await writer.close();
});

test.each([[undefined], [() => 1], [{ a: Promise.resolve() }], [Symbol('s')]])('%s is not serialisable', async (value) => {
  const writer = await openSink(await freshPath());
  expect(() => writer.write(value, 0, 7)).toThrow(
    expect.objectContaining({ code: 'NOT_SERIALISABLE', message: expect.stringContaining('record 7') }),
  );
  await writer.close();
});

test('plain data keeps its meaning, and nothing becomes {}', async () => {
  const path = await freshPath();
  const writer = await openSink(path);
  const data = [new Map([['mug', 3]]), new Map([[1, 2]]), new Set(['a']), new Uint8Array([1, 2]), { balance: 10n, at: new Date(0) }, new TypeError('sold out'), Number.NaN];
  await writer.commit(await seal(writer, 1, data), signal);
  expect((await textOf(path)).trim().split('\n')).toEqual([
    '{"mug":3}',
    '[[1,2]]',
    '["a"]',
    '"AQI="',
    '{"balance":"10","at":"1970-01-01T00:00:00.000Z"}',
    '{"name":"TypeError","message":"sold out"}',
    '"NaN"',
  ]);
  await writer.close();
});

test('an object that contains itself is not serialisable, and the epoch goes on without it', async () => {
  const writer = await openSink(await freshPath());
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  expect(() => writer.write(loop, 0, 0)).toThrow(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
  expect(await seal(writer, 1, [1])).toMatchObject({ bytes: 2 });
  await writer.close();
});

describe('a fresh job and an output that exists', () => {
  const existing = async (text: string): Promise<string> => {
    const path = await freshPath();
    await writeFile(path, text);
    return path;
  };

  test('fail: refused and untouched, but an empty one is taken', async () => {
    const path = await existing('old\n');
    await expect(openSink(path)).rejects.toMatchObject({ code: 'OUTPUT_NOT_EMPTY' });
    expect(await textOf(path)).toBe('old\n');
    await (await openSink(await existing(''))).close();
  });

  test.each([
    ['old\n', 'old\n1\n2\n'],
    ['old', 'old\n1\n2\n'],
    ['', '1\n2\n'],
  ])('append behind %j, also through a crash before the first commit', async (old, expected) => {
    const path = await existing(old);
    await seal(await openSink(path, {}, { onExisting: 'append' }), 1, ['lost']);
    const writer = await openSink(path, {}, { onExisting: 'append' });
    const first = await seal(writer, 1, [1]);
    await writer.commit(first, signal);
    const again = await openSink(path, { epoch: 2, last: first }, { onExisting: 'append' });
    await again.commit(await seal(again, 2, [2]), signal);
    expect(await textOf(path)).toBe(expected);
  });

  test('overwrite: emptied at the start, and not again by a restart', async () => {
    const path = await existing('old\n'.repeat(100));
    const writer = await openSink(path, {}, { onExisting: 'overwrite' });
    expect(await textOf(path)).toBe('');
    const first = await seal(writer, 1, [1]);
    await writer.commit(first, signal);
    await (await openSink(path, { epoch: 2, last: first }, { onExisting: 'overwrite' })).close();
    expect(await textOf(path)).toBe('1\n');
  });

  test('a directory that is missing, and an output that is a directory', async () => {
    const path = await freshPath();
    await expect(openSink(join(path, 'out.jsonl'))).rejects.toMatchObject({
      code: 'SINK_FAILED',
      retryable: false,
      hint: expect.stringContaining('create'),
    });
    await expect(openSink(join(path, '..'))).rejects.toThrow('no regular file');
  });
});

describe('files after a crash', () => {
  test('pending files that no checkpoint knows go, those of other outputs stay', async () => {
    const path = await freshPath();
    const stranger = pendingOf(path, 1, 'job.other.2');
    await writeFile(stranger, 'x');
    await writeFile(pendingOf(path, 7), 'x');
    const crashed = await openSink(path);
    const sealed = await seal(crashed, 1, [1]);
    await seal(crashed, 2, [2]);
    const writer = await openSink(path, { pending: [sealed], last: sealed, epoch: 2 });
    const beside = (await namesBeside(path)).filter((name) => !name.endsWith('.writing'));
    expect(beside.sort()).toEqual(['out.jsonl', ...[pendingOf(path, 1), stranger].map((each) => basename(each)).sort()]);
    await writer.commit(sealed, signal);
    await writer.commit(await seal(writer, 2, [3]), signal);
    expect(await textOf(path)).toBe('1\n3\n');
  });

  test('a commit that was cut in the middle of the copy is made whole', async () => {
    const path = await freshPath();
    const crashed = await openSink(path);
    const first = await seal(crashed, 1, [1]);
    await crashed.commit(first, signal);
    const second = await seal(crashed, 2, [{ long: 'line' }]);
    await appendFile(path, '{"long":');
    const writer = await openSink(path, { pending: [second], last: second, epoch: 3 });
    await writer.commit(second, signal);
    expect(await textOf(path)).toBe('1\n{"long":"line"}\n');
  });

  test('a pending file that is back from the dead is committed again, to the same effect', async () => {
    const path = await freshPath();
    const crashed = await openSink(path);
    const first = await seal(crashed, 1, [1]);
    await copyFile(pendingOf(path, 1), `${path}.copy`);
    await crashed.commit(first, signal);
    await copyFile(`${path}.copy`, pendingOf(path, 1));
    const writer = await openSink(path, { pending: [first], last: first, epoch: 2 });
    await writer.commit(first, signal);
    await writer.close();
    expect(await textOf(path)).toBe('1\n');
    expect(await namesBeside(path)).toEqual(['out.jsonl', 'out.jsonl.copy']);
  });

  test('an older epoch committed again behind a newer one cuts nothing', async () => {
    const path = await freshPath();
    const writer = await openSink(path);
    const first = await seal(writer, 1, [1]);
    const second = await seal(writer, 2, [2]);
    await writer.commit(first, signal);
    await writer.commit(second, signal);
    await writer.commit(first, signal);
    expect(await textOf(path)).toBe('1\n2\n');
  });
});

describe('an output that somebody changed', () => {
  const committed = async (): Promise<{ path: string; first: JsonLinesCommittable; writer: Writer }> => {
    const path = await freshPath();
    const writer = await openSink(path);
    const first = await seal(writer, 1, [{ n: 1 }]);
    await writer.commit(first, signal);
    return { path, first, writer };
  };
  const changed = { code: 'OUTPUT_CHANGED', retryable: false };

  test('other bytes, with the pending file gone', async () => {
    const { path, first, writer } = await committed();
    await writeFile(path, '{"n":2}\n');
    await expect(writer.commit(first, signal)).rejects.toMatchObject(changed);
  });

  test('other bytes of the same length, seen at the next start also when nothing pends', async () => {
    const { path, first } = await committed();
    await writeFile(path, '{"n":2}\n');
    await expect(openSink(path, { last: first, epoch: 2 })).rejects.toMatchObject(changed);
    expect(await textOf(path)).toBe('{"n":2}\n');
  });

  test('another path is refused while the output stands where it was, unless it leads to the same file', async () => {
    const { path, first } = await committed();
    const other = await freshPath();
    await copyFile(path, other);
    const refused = openSink(other, { last: first, epoch: 2 });
    await expect(refused).rejects.toMatchObject({ ...changed, message: expect.stringContaining(`output "${path}", and the sink writes to`) });
    await rm(other);
    await symlink(path, other);
    await (await openSink(other, { last: first, epoch: 2 })).close();
    await rm(other);
    await rename(path, other);
    await (await openSink(other, { last: first, epoch: 2 })).close();
  });

  test('cut or removed, seen at the next start and at the next commit', async () => {
    const { path, first, writer } = await committed();
    const second = await seal(writer, 2, [2]);
    await truncate(path, 3);
    await expect(openSink(path, { last: first, epoch: 2 })).rejects.toMatchObject(changed);
    await expect(writer.commit(second, signal)).rejects.toMatchObject(changed);
    await rm(path);
    await expect(openSink(path, { last: first, epoch: 2 })).rejects.toMatchObject(changed);
    await expect(writer.commit(second, signal)).rejects.toMatchObject(changed);
    await writeFile(path, '{"n":1}\n');
    await writer.commit(second, signal);
    expect(await textOf(path)).toBe('{"n":1}\n2\n');
  });

  test('a pending file with other bytes is not published', async () => {
    const { path, writer } = await committed();
    const second = await seal(writer, 2, [2]);
    await writeFile(pendingOf(path, 2), '3\n');
    await expect(writer.commit(second, signal)).rejects.toMatchObject(changed);
    expect(await textOf(path)).toBe('{"n":1}\n');
  });

  test('a write that failed surfaces at the seal', async () => {
    const path = await freshPath();
    const writer = await openSink(path);
    await writeFile(pendingOf(path, 1), 'of another job');
    await expect(seal(writer, 1, ['x'.repeat(300_000)])).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true });
    await writer.close();
    expect(await textOf(pendingOf(path, 1))).toBe('of another job');
  });
});

describe('two jobs on one file', () => {
  const other = { sinkId: 'other.sink.1' };

  test('the second is refused while the first runs, whatever it would do with what exists, and taken when that has ended', async () => {
    const path = await freshPath();
    const writer = await openSink(path);
    const link = `${path}.link`;
    await symlink(path, link);
    for (const onExisting of ['fail', 'append', 'overwrite'] as const)
      await expect(openSink(onExisting === 'append' ? link : path, other, { onExisting })).rejects.toMatchObject({ code: 'OUTPUT_IN_USE', retryable: false });
    await writer.commit(await seal(writer, 1, [1]), signal);
    await writer.close();
    await writer.close();
    const second = await openSink(path, other, { onExisting: 'append' });
    await second.commit(await seal(second, 1, [2]), signal);
    await second.close();
    expect(await textOf(path)).toBe('1\n2\n');
  });

  test('what a process that is gone, or another machine, has left holds nobody back', async () => {
    const path = await freshPath();
    const note = (id: string, content: object | string): Promise<void> =>
      writeFile(`${path}.${id}.writing`, typeof content === 'string' ? content : JSON.stringify(content));
    await note('00000001', { pid: 2 ** 22 + 1, host: hostname() });
    await note('00000002', { pid: process.pid, host: hostname() });
    await note('00000003', { pid: 1, host: 'elsewhere' });
    await note('00000004', 'torn');
    await (await openSink(path)).close();
    await note('00000005', { pid: process.ppid, host: hostname() });
    await expect(openSink(path)).rejects.toMatchObject({ code: 'OUTPUT_IN_USE' });
  });

  test('one that is not seen is noticed by the next commit, and nothing of it is cut', async () => {
    const path = await freshPath();
    const first = await openSink(path);
    await first.commit(await seal(first, 1, ['one']), signal);
    const unseen = join(dirname(await freshPath()), 'elsewhere');
    await hardLink(path, unseen); // The notes of each stand beside its own name.
    const second = await openSink(unseen, other, { onExisting: 'append' });
    const late = await seal(second, 1, ['two']);
    await first.commit(await seal(first, 2, ['three']), signal);
    await expect(second.commit(late, signal)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED', retryable: false });
    expect(await textOf(path)).toBe('"one"\n"three"\n');
    await (await openSink(unseen, { ...other, epoch: 2 }, { onExisting: 'append' })).close();
    await appendFile(path, 'of a third\n');
    await expect(first.commit(await seal(first, 3, ['four']), signal)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
    expect(await textOf(path)).toBe('"one"\n"three"\nof a third\n');
  });

  test('the same bytes from somebody else are somebody else', async () => {
    const path = await freshPath();
    const writer = await openSink(path);
    const sealed = await seal(writer, 1, [1]);
    await appendFile(path, '1\n');
    await expect(writer.commit(sealed, signal)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
    expect(await textOf(path)).toBe('1\n');
  });

  test('committed lines that were replaced in place are noticed by the next commit', async () => {
    const path = await freshPath();
    const writer = await openSink(path);
    await writer.commit(await seal(writer, 1, [1]), signal);
    await writeFile(path, '2\n');
    await expect(writer.commit(await seal(writer, 2, [3]), signal)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
    expect(await textOf(path)).toBe('2\n');
  });

  test('room that a loss of power left unwritten is filled by the commit that made it', async () => {
    const path = await freshPath();
    const crashed = await openSink(path);
    const sealed = await seal(crashed, 1, ['abc']);
    await writeFile(path, '"a\0\0\0\0');
    const writer = await openSink(path, { pending: [sealed], last: sealed, epoch: 2 });
    await writer.commit(sealed, signal);
    expect(await textOf(path)).toBe('"abc"\n');
  });
});

describe('places that can not be', () => {
  test.each([
    ['a name without room for the pending file', 'n'.repeat(230), 'ENAMETOOLONG'],
    ['a name that no file can have', 'n'.repeat(300), 'ENAMETOOLONG'],
    ['a directory below a file', 'file/out/out', 'ENOTDIR'],
    ['a link that leads to itself', 'loop', 'ELOOP'],
  ])('%s is refused at the start, and never retried', async (_, name, systemCode) => {
    const directory = dirname(await freshPath());
    await writeFile(join(directory, 'file'), '');
    await symlink('loop', join(directory, 'loop'));
    await expect(openSink(join(directory, name))).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: false, hint: expect.any(String), cause: { code: systemCode } });
    expect((await readdir(directory)).sort()).toEqual(['file', 'loop']);
  });

  test.each(['pipe', 'socket', '/dev/full'])('%s is refused, and nobody waits for its other end', async (kind) => {
    const directory = dirname(await freshPath());
    const path = kind.startsWith('/') ? kind : join(directory, kind);
    if (kind === 'pipe') execFileSync('mkfifo', [path]);
    const server = createServer();
    if (kind === 'socket') await new Promise<void>((resolve) => server.listen(path, resolve));
    await expect(openSink(path)).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: false, message: expect.stringContaining('no regular file') });
    server.close();
  });
});

test('what stands beside an output can be read by its owner alone; the output follows the umask, or `mode`', async () => {
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
  const path = await freshPath();
  const umask = process.umask();
  const writer = await openSink(path);
  await seal(writer, 1, [1]);
  const beside = (await namesBeside(path)).filter((name) => name !== 'out.jsonl');
  expect(beside.length).toBe(2);
  for (const name of beside) expect(await modeOf(join(path, '..', name))).toBe(0o600);
  expect(await modeOf(path)).toBe(0o666 & ~umask);
  await writer.close();
  const secret = await freshPath();
  await (await openSink(secret, {}, { mode: 0o600 })).close();
  expect(await modeOf(secret)).toBe(0o600);
});

test('misuse: epochs out of order, wrong options', async () => {
  const writer = await openSink(await freshPath());
  expect(() => writer.seal(2)).toThrow('I7');
  await writer.close();
  for (const path of ['', 'a\0b', 7 as never]) expect(() => jsonLinesSink(path)).toThrow('path');
  for (const mode of [-1, 0o1000, 1.5]) expect(() => jsonLinesSink('x', { mode })).toThrow('mode');
  expect(() => jsonLinesSink('x', { onExisting: 'replace' as 'append' })).toThrow('onExisting');
});
