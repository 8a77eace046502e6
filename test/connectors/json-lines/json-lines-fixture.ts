/** Outputs of JSON Lines in a directory of their own, and writers to them. */
import type { FileCommittable } from '../../../connectors/files/line-output.ts';
import type { LineSinkOptions } from '../../../connectors/files/line-sink.ts';
import type { SinkContext, SinkWriter } from '../../../lib/core/connector.ts';
import { hash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { jsonLinesSink } from '../../../connectors/json-lines/json-lines-sink.ts';

export const signal: AbortSignal = new AbortController().signal;
let directory = '';
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'json-lines-sink-'));
});
afterAll(() => rm(directory, { recursive: true }));

export const freshPath = async (): Promise<string> => {
  count += 1;
  const own = join(directory, String(count));
  await mkdir(own);
  return join(own, 'out.jsonl');
};

export const sinkId = 'job.sink.1';
/** The pending file of an epoch, as this sink names it. */
export const pendingOf = (path: string, epoch: number, id = sinkId): string =>
  `${path}.${hash('sha256', id, 'hex').slice(0, 8)}.epoch-${epoch}.pending`;

export const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
export const namesBeside = (path: string): Promise<string[]> => readdir(join(path, '..'));

export type Writer = SinkWriter<unknown, FileCommittable>;

export const openSink = (
  path: string,
  context: Partial<SinkContext<FileCommittable>> = {},
  options?: LineSinkOptions,
): Promise<Writer> =>
  jsonLinesSink(path, options).open({ sinkId, pending: [], epoch: 1, last: undefined, signal, ...context });

export const seal = async (
  writer: Writer,
  epoch: number,
  values: readonly unknown[],
): Promise<FileCommittable> => {
  for (const [index, value] of values.entries()) writer.write(value, 0, index);
  const committable = await writer.seal(epoch);
  if (committable === undefined) throw new Error('nothing was sealed');
  return committable;
};
