/**
 * Opens files without being held up: opening a named pipe waits for whoever is at its other end, and some devices wait
 * too (I10). So everything is opened without waiting, and given back only when it is a regular file.
 */
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { notRegular } from './system-error.ts';

/** Windows has no such flag, and no named pipes among its files. */
const atOnce = (constants as Partial<typeof constants>).O_NONBLOCK ?? 0;

const { O_RDONLY, O_RDWR, O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_TRUNC } = constants;

const flagsOf = {
  /** To read what exists. */
  read: O_RDONLY,
  /** To change what exists. */
  change: O_RDWR,
  /** To read, and to add at the end; made when it is not there. */
  append: O_RDWR | O_APPEND | O_CREAT,
  /** As new; emptied when it is there. */
  empty: O_WRONLY | O_CREAT | O_TRUNC,
  /** To write what must not exist before. */
  make: O_WRONLY | O_CREAT | O_EXCL,
} as const;

/** @internal Opens a regular file. Rejects as `open` does, and with the code `notRegular` when it is anything else. */
export const openRegular = async (path: string, how: keyof typeof flagsOf, mode = 0o666): Promise<FileHandle> => {
  const handle = await open(path, flagsOf[how] | atOnce, mode);
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw Object.assign(new Error(`'${path}' is ${kindOf(info)}`), { code: notRegular });
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
};

/** @internal The content of a regular file. */
export const readRegular = async (path: string): Promise<Buffer> => {
  const handle = await openRegular(path, 'read');
  try {
    return await handle.readFile();
  } finally {
    await handle.close();
  }
};

/** @internal What something is that is no regular file, in words. */
export const kindOf = (info: Stats): string => {
  if (info.isDirectory()) return 'a directory';
  if (info.isFIFO()) return 'a named pipe';
  if (info.isSocket()) return 'a socket';
  return info.isCharacterDevice() || info.isBlockDevice() ? 'a device' : 'no regular file';
};
