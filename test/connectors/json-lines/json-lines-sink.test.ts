/** The exactly-once JSON Lines sink: the suite of sinks, and every state in which a crash can leave its files. */
import type { FileCommittable } from '../../../connectors/files/line-output.ts';
import { appendFile, copyFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { jsonLinesSink } from '../../../connectors/json-lines/json-lines-sink.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';
import { freshPath, pendingOf, textOf, namesBeside, openSink, seal, signal } from './json-lines-fixture.ts';

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
  const seals: Promise<FileCommittable>[] = [];
  for (let epoch = 1; epoch <= 3; epoch += 1) seals.push(seal(writer, epoch, [epoch, 'x'.repeat(400_000)]));
  const committables = await Promise.all(seals);
  await Promise.all(committables.map((committable) => writer.commit(committable, signal)));
  const line = JSON.stringify('x'.repeat(400_000));
  expect(await textOf(path)).toBe([1, 2, 3].map((epoch) => `${epoch}\n${line}\n`).join(''));
  expect(committables.map(({ epoch, offset }) => [epoch, offset])).toEqual(
    [1, 2, 3].map((epoch) => [epoch, (epoch - 1) * 400_005]),
  );
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

test.each([[undefined], [() => 1], [{ a: Promise.resolve() }], [Symbol('s')]])(
  '%s is not serialisable',
  async (value) => {
    const writer = await openSink(await freshPath());
    expect(() => writer.write(value, 0, 7)).toThrow(
      expect.objectContaining({ code: 'NOT_SERIALISABLE', message: expect.stringContaining('record 7') }),
    );
    await writer.close();
  },
);

test('plain data keeps its meaning, and nothing becomes {}', async () => {
  const path = await freshPath();
  const writer = await openSink(path);
  const data = [
    new Map([['mug', 3]]),
    new Map([[1, 2]]),
    new Set(['a']),
    new Uint8Array([1, 2]),
    { balance: 10n, at: new Date(0) },
    new TypeError('sold out'),
    Number.NaN,
  ];
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
    expect(beside.sort()).toEqual([
      'out.jsonl',
      ...[pendingOf(path, 1), stranger].map((each) => basename(each)).sort(),
    ]);
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
    await expect(openSink(join(directory, name))).rejects.toMatchObject({
      code: 'SINK_FAILED',
      retryable: false,
      hint: expect.any(String),
      cause: { code: systemCode },
    });
    expect((await readdir(directory)).sort()).toEqual(['file', 'loop']);
  });

  test.each(['pipe', 'socket', '/dev/full'])('%s is refused, and nobody waits for its other end', async (kind) => {
    const directory = dirname(await freshPath());
    const path = kind.startsWith('/') ? kind : join(directory, kind);
    if (kind === 'pipe') execFileSync('mkfifo', [path]);
    const server = createServer();
    if (kind === 'socket') await new Promise<void>((resolve) => server.listen(path, resolve));
    await expect(openSink(path)).rejects.toMatchObject({
      code: 'SINK_FAILED',
      retryable: false,
      message: expect.stringContaining('no regular file'),
    });
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
