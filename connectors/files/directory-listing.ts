/** The files below a directory that a pattern means. */
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { unreadable } from './byte-input.ts';
import { noneIfAbsent, systemCodeOf, systemError } from '../../lib/core/system-error.ts';

export interface FoundFile {
  /** Path below the directory, with `/`. */
  readonly name: string;
  readonly size: number;
  /** Of its last change, in milliseconds since 1970. */
  readonly timeMs: number;
}

/** @internal Rejects with `INPUT_NOT_FOUND` when there is no such directory. */
export const listFiles = async (
  path: string,
  matches: (name: string) => boolean,
  signal: AbortSignal,
): Promise<readonly FoundFile[]> => {
  const found: FoundFile[] = [];
  const walk = async (below: string): Promise<void> => {
    for await (const entry of await opendir(join(path, below))) {
      signal.throwIfAborted();
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) await walk(name).catch(noneIfAbsent);
      else if (matches(name)) found.push(...[await fileAt(path, name)].filter((file) => file !== undefined));
    }
  };
  try {
    await walk('');
  } catch (error) {
    if (signal.aborted) throw error;
    const code = systemCodeOf(error) === 'ENOENT' ? 'INPUT_NOT_FOUND' : 'SOURCE_FAILED';
    throw systemError(code, `directory "${path}" can not be read`, error, { details: { file: path } });
  }
  return found;
};

/** @internal Undefined for what is gone, or is no regular file. A link counts as what it leads to. */
export const fileAt = async (path: string, name: string): Promise<FoundFile | undefined> => {
  // What goes away while it is looked at was not there.
  const info = await stat(join(path, name))
    .catch(noneIfAbsent)
    .catch((error: unknown) => {
      throw unreadable(join(path, name), error);
    });
  return info?.isFile() === true ? { name, size: info.size, timeMs: info.mtimeMs } : undefined;
};
