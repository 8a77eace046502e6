/** The JSON Lines sink when somebody else changes its output, or another job writes to it. */
import type { FileCommittable } from '../../../connectors/files/line-output.ts';
import { appendFile, copyFile, link as hardLink, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { freshPath, openSink, pendingOf, seal, signal, textOf, type Writer } from './json-lines-fixture.ts';

describe('an output that somebody changed', () => {
  const committed = async (): Promise<{ path: string; first: FileCommittable; writer: Writer }> => {
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
    await expect(refused).rejects.toMatchObject({
      ...changed,
      message: expect.stringContaining(`output "${path}", and the sink writes to`),
    });
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
    await expect(seal(writer, 1, ['x'.repeat(300_000)])).rejects.toMatchObject({
      code: 'SINK_FAILED',
      retryable: true,
    });
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
      await expect(openSink(onExisting === 'append' ? link : path, other, { onExisting })).rejects.toMatchObject({
        code: 'OUTPUT_IN_USE',
        retryable: false,
      });
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
    await expect(first.commit(await seal(first, 3, ['four']), signal)).rejects.toMatchObject({
      code: 'OUTPUT_CHANGED',
    });
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
