/** Files for tests of the connectors for files, and all that a reader brings. */
import type { Source, SourceReader } from '../../../lib/core/connector.ts';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { makeAbort } from '../../../lib/core/abort.ts';

export const signal: AbortSignal = makeAbort().signal;

/** A directory of its own for a test file; `make` writes a file into it. */
export const temporaryFiles = () => {
  let directory = '';
  let files = 0;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'millrace-files-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const freshPath = (ending = ''): string => {
    files += 1;
    return join(directory, `${files}${ending}`);
  };
  return {
    freshPath,
    async make(content: string | Uint8Array, ending = ''): Promise<string> {
      const path = freshPath(ending);
      await writeFile(path, content);
      return path;
    },
  };
};

export interface All<T, P> {
  readonly values: T[];
  readonly sides: unknown[];
  readonly positions: P[];
}

export const drain = async <T, P>(reader: SourceReader<T, P>): Promise<All<T, P>> => {
  const all: All<T, P> = { values: [], sides: [], positions: [] };
  for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal)) {
    for (const [index, value] of batch.values.entries()) {
      if (batch.sides?.has(index) === true) all.sides.push(value);
      else all.values.push(value);
      all.positions.push(batch.position(index + 1));
    }
  }
  return all;
};

/** All of one split, from a position on. */
export const readAll = async <T, P>(source: Source<T, P>, position?: P): Promise<All<T, P>> => {
  const [split = ''] = await source.splits(signal);
  const reader = await source.open(split, position, signal);
  return drain(reader).finally(() => reader.close());
};
