/** One file has one name, by whatever way it is reached. */
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callbackSink } from '../../../connectors/callback-sink.ts';
import { fileIdentity } from '../../../connectors/files/file-identity.ts';
import { jsonLinesSink } from '../../../connectors/json-lines/json-lines-sink.ts';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'file-identity-'));
  await mkdir(join(directory, 'real'));
  await symlink('real', join(directory, 'linked'));
  await writeFile(join(directory, 'real', 'there'), '');
  await link(join(directory, 'real', 'there'), join(directory, 'hard'));
  await symlink(join('real', 'there'), join(directory, 'soft'));
  await symlink(join('linked', 'absent'), join(directory, 'dangling'));
});
afterAll(() => rm(directory, { recursive: true }));

const same: readonly (readonly [what: string, one: string, other: string])[] = [
  ['a path that goes round', 'real/there', 'real/../linked/./there'],
  ['a directory by a link', 'real/there', 'linked/there'],
  ['a symbolic link', 'real/there', 'soft'],
  ['a hard link', 'real/there', 'hard'],
  ['a file that is not there yet, by a linked directory', 'real/absent', 'linked/absent'],
  ['a link to what is not there yet', 'real/absent', 'dangling'],
];

test.each(same)('%s', (_, one, other) => {
  expect(fileIdentity(join(directory, other))).toBe(fileIdentity(join(directory, one)));
  expect(fileIdentity(relative(process.cwd(), join(directory, one)))).toBe(fileIdentity(join(directory, one)));
});

test('other files are others, also those of one name', () => {
  const names = ['real/there', 'real/absent', 'absent', 'there', 'real/there2', 'nowhere/there', 'nowhere/there2'];
  expect(new Set(names.map((name) => fileIdentity(join(directory, name)))).size).toBe(names.length);
});

test.each(same)('two sinks of a job on one file are refused when it is composed: %s', async (_, one, other) => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const numbers = env.fromCollection([1, 2]);
  numbers.sinkTo(jsonLinesSink(join(directory, one), { onExisting: 'append' }));
  numbers.sinkTo(jsonLinesSink(join(directory, other), { onExisting: 'append' }));
  await expect(env.execute()).rejects.toMatchObject({
    code: 'GRAPH_INVALID',
    message: expect.stringContaining(basename(one)),
  });
});

test('one sink given to two streams is two sinks; sinks without an output of their own may be', async () => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const seen: number[] = [];
  const shared = callbackSink<number>((value) => void seen.push(value));
  for (const value of [1, 2]) env.fromCollection([value]).sinkTo(shared);
  await env.execute();
  expect(seen.sort()).toEqual([1, 2]);
  const file = jsonLinesSink<number>(join(directory, 'shared'));
  for (const value of [1, 2]) env.fromCollection([value]).sinkTo(file);
  await expect(env.execute()).rejects.toMatchObject({ code: 'GRAPH_INVALID' });
});
