/**
 * The directory around the two databases: its marker file, and what tells a directory that is new from one that has
 * lost its data. LevelDB started on a directory without `CURRENT` deletes the tables it finds and begins from nothing,
 * so it is asked to create databases only where none can have been: the marker is written last when a directory is
 * made, and from then on nothing is created. Who may not read the state may not read its files: directories that are
 * made here are open to their owner alone.
 */
import type { FileHandle } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { StreamError } from '../core/errors.ts';
import { openRegular, readRegular } from '../core/regular-file.ts';
import { systemCodeOf, systemError } from '../core/system-error.ts';

export const databaseNames = ['state', 'journal'] as const;

/** What `millrace.json` holds. */
export interface Marker {
  readonly format: number;
  readonly jobId: string;
}

const markerName = 'millrace.json';
const markerFormat = 1;
/** Permissions of what only its owner may enter, or read and write. */
const privateDirectory = 0o700;
const privateFile = 0o600;

/** The whole file, so that no changed byte passes. Later formats may add fields and keep this rule of the checksum. */
const markerText = ({ format, jobId }: Marker): string =>
  `${JSON.stringify({ format, jobId, crc: markerCrc({ format, jobId }) })}\n`;

const markerCrc = ({ format, jobId }: Marker): number => crc32(`${format} ${jobId}`);

/** Undefined when there is none. Throws `STORE_DAMAGED` and `STORE_FORMAT`. */
export const readMarker = async (directory: string): Promise<Marker | undefined> => {
  const path = join(directory, markerName);
  let text: string;
  try {
    text = (await readRegular(path)).toString('utf8');
  } catch (cause) {
    if (systemCodeOf(cause) === 'ENOENT') return undefined;
    throw directoryError(path, cause);
  }
  let marker: (Partial<Marker> & { readonly crc?: unknown }) | null;
  try {
    marker = JSON.parse(text) as typeof marker; // Any of it may be missing; each part is checked below.
  } catch (cause) {
    throw damaged(directory, `'${markerName}' is not JSON`, cause);
  }
  const { format, jobId, crc } = marker ?? {};
  if (typeof format !== 'number' || !Number.isInteger(format) || format < 1)
    throw damaged(directory, `'${markerName}' has no format number`);
  if (typeof jobId !== 'string' || jobId === '') throw damaged(directory, `'${markerName}' has no job id`);
  if (crc !== markerCrc({ format, jobId })) throw damaged(directory, `'${markerName}' does not match its checksum`);
  if (format > markerFormat) {
    const message = `'${directory}' has format ${format}, this version reads up to ${markerFormat}`;
    throw new StreamError('STORE_FORMAT', message, { details: { directory, format } });
  }
  if (text !== markerText({ format, jobId })) throw damaged(directory, `'${markerName}' is not as it was written`);
  return { format, jobId };
};

/** Says that the databases beside it exist. Durable, with their directory entries, when it resolves. */
export const writeMarker = async (directory: string): Promise<Marker> => {
  const marker: Marker = { format: markerFormat, jobId: randomUUID() };
  const path = join(directory, markerName);
  try {
    // LevelDB renames `CURRENT` without syncing its directory.
    for (const name of databaseNames) await syncDirectory(join(directory, name));
    const file = await openRegular(`${path}.tmp`, 'empty', privateFile);
    await synced(file, () => file.writeFile(markerText(marker)));
    await rename(`${path}.tmp`, path);
    await syncDirectory(directory);
  } catch (cause) {
    throw directoryError(path, cause);
  }
  return marker;
};

/**
 * Makes a directory and what leads to it, durably. Node's own recursive `mkdir` never returns where the system refuses
 * with `ENOENT`.
 */
export const makeDirectory = async (directory: string): Promise<void> => {
  try {
    await makePath(directory);
  } catch (cause) {
    throw directoryError(directory, cause);
  }
};

const makePath = async (path: string): Promise<void> => {
  if (await isDirectory(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makePath(parent);
  try {
    await mkdir(path, privateDirectory);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (systemCodeOf(error) !== 'EEXIST' || !(await isDirectory(path))) throw error;
  }
  await syncDirectory(parent);
};

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
};

/** With a marker: both databases must be there, with the files that an opened database never lacks. */
export const assertWhole = async (directory: string): Promise<void> => {
  for (const name of databaseNames) {
    const files = await filesOf(join(directory, name));
    if (files === undefined) throw damaged(directory, `the database '${name}' is missing`);
    if (!files.includes('CURRENT')) throw damaged(directory, `the file '${name}/CURRENT' is missing`);
    if (!files.some((file) => file.endsWith('.log'))) throw damaged(directory, `the log of '${name}' is missing`);
  }
};

/** Without a marker: a database without `CURRENT` may hold only what its interrupted creation leaves. */
export const assertNothingForeign = async (directory: string): Promise<void> => {
  for (const name of databaseNames) {
    const files = (await filesOf(join(directory, name))) ?? [];
    if (files.includes('CURRENT')) continue;
    const foreign = files.find((file) => !/^(LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.dbtmp)$/.test(file));
    if (foreign !== undefined)
      throw damaged(directory, `'${markerName}' and '${name}/CURRENT' are missing, but '${name}/${foreign}' is there`);
  }
};

export const damaged = (directory: string, what: string, cause?: unknown): StreamError =>
  new StreamError('STORE_DAMAGED', `'${directory}' can not be used: ${what}`, { cause, details: { directory } });

/** @internal A path that can't be made, read or written. */
export const directoryError = (path: string, cause: unknown): StreamError => {
  const code = systemCodeOf(cause);
  const notDirectory = code === 'EEXIST' || code === 'ENOTDIR';
  const message = notDirectory ? `'${path}' is not a directory` : `'${path}' can not be used`;
  const hint = notDirectory ? 'give a directory, or a path where one can be made' : undefined;
  return systemError('STORE_FAILED', message, cause, { hint, details: { path } });
};

const filesOf = async (path: string): Promise<readonly string[] | undefined> => {
  try {
    return await readdir(path);
  } catch (cause) {
    if (systemCodeOf(cause) === 'ENOENT') return undefined;
    throw directoryError(path, cause);
  }
};

const syncDirectory = async (path: string): Promise<void> => synced(await open(path, 'r'), async () => undefined);

const synced = async (file: FileHandle, write: () => Promise<void>): Promise<void> => {
  try {
    await write();
    await file.sync();
  } finally {
    await file.close();
  }
};
