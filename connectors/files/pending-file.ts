/**
 * The lines of one epoch of a file sink before they are committed: a buffer in memory that is written behind into a
 * file of its own beside the output. Keeps I7 (a reader of the output sees nothing of it) and I10 (the buffer's size is
 * known to the sink).
 */
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { StreamError } from '../../lib/core/errors.ts';
import { openRegular } from '../../lib/core/regular-file.ts';
import { systemCodeOf } from '../../lib/core/system-error.ts';
import { privateMode } from './output-owner.ts';

/** Text that is made bytes at once, in UTF-16 units: larger pieces leave the cache before they are copied. */
const pieceLength = 64 * 1024;
/** Bytes that may wait before a write to the file is started. */
const flushBytes = 256 * 1024;
const copyBytes = 1024 * 1024;

/**
 * @internal The output of one sink of one job: two that write beside one output never meet each other's pending files.
 */
export interface OwnedOutput {
  readonly path: string;
  /** Eight hexadecimal digits. */
  readonly owner: string;
}

/** @internal */
export const pendingPath = ({ path, owner }: OwnedOutput, epoch: number): string =>
  `${path}.${owner}.epoch-${epoch}.pending`;

/** @internal An epoch whose name is as long as any gets. */
export const longestEpoch = 9_999_999_999;

/** @internal Epochs that have a pending file of this owner beside the output. */
export const pendingEpochs = async ({ path, owner }: OwnedOutput): Promise<number[]> => {
  const prefix = `${basename(path)}.${owner}.epoch-`;
  const names = await readdir(dirname(path));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+\.pending$/.test(name.slice(prefix.length)))
    .map((name) => Number.parseInt(name.slice(prefix.length), 10));
};

/** @internal */
export const removePending = (output: OwnedOutput, epoch: number): Promise<void> =>
  rm(pendingPath(output, epoch), { force: true });

/** @internal */
export class PendingFile {
  readonly epoch: number;
  readonly #path: string;
  readonly #mode: number;
  /** Lines that are not bytes yet, and bytes that are not in a write yet. */
  #text = '';
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  /** Bytes in a write. */
  #writingBytes = 0;
  /** Bytes of all pieces so far. */
  #bytes = 0;
  #crc = 0;
  #handle: FileHandle | undefined;
  #created = false;
  #writing: Promise<void> = Promise.resolve();

  /** Readable by its owner alone, unless another mode is given: what it holds may never be meant to be seen. */
  constructor(path: string, epoch: number, mode = privateMode) {
    this.#path = path;
    this.epoch = epoch;
    this.#mode = mode;
  }

  /** About as many as wait in memory: text is counted by its length. */
  get waitingBytes(): number {
    return this.#text.length + this.#piecesBytes + this.#writingBytes;
  }

  /** CRC-32 of all lines; whole once `end` was called. */
  get crc(): number {
    return this.#crc;
  }

  add(line: string): void {
    this.#text += line;
    if (this.#text.length < pieceLength) return;
    this.#cutPiece();
    if (this.#piecesBytes < flushBytes) return;
    this.#writeBehind();
    // A failed write is reported by `seal`, which awaits the same promise.
    this.#writing.catch(() => undefined);
  }

  /** No line comes any more. Gives the bytes of all of them. */
  end(): number {
    this.#cutPiece();
    return this.#bytes;
  }

  /** Makes all of it durable and closes the file. Rejects with what went wrong in any write before. */
  async seal(): Promise<void> {
    this.#cutPiece();
    this.#writeBehind();
    try {
      await this.#writing;
      await this.#handle?.sync();
    } finally {
      await this.#release();
    }
    await syncDirectory(this.#path);
  }

  /** Waits for started writes, closes and removes the file. */
  async discard(): Promise<void> {
    this.#text = '';
    this.#pieces = [];
    await this.#writing.catch(() => undefined);
    await this.#release();
    if (this.#created) await rm(this.#path, { force: true });
  }

  #cutPiece(): void {
    if (this.#text === '') return;
    const piece = Buffer.from(this.#text);
    this.#text = '';
    this.#crc = crc32(piece, this.#crc);
    this.#bytes += piece.length;
    this.#piecesBytes += piece.length;
    this.#pieces.push(piece);
  }

  #writeBehind(): void {
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** Writes all that waits by now. */
  async #write(): Promise<void> {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    this.#writingBytes = this.#piecesBytes;
    this.#piecesBytes = 0;
    this.#handle ??= await this.#make();
    for (const piece of pieces) await this.#handle.appendFile(piece);
    this.#writingBytes = 0;
  }

  async #make(): Promise<FileHandle> {
    try {
      const handle = await openRegular(this.#path, 'make', this.#mode);
      this.#created = true;
      return handle;
    } catch (cause) {
      if (systemCodeOf(cause) !== 'EEXIST') throw cause;
      // A life of the job that was given up has made it on its way out. The next start removes it.
      throw new StreamError('SINK_FAILED', `"${this.#path}" is there already`, { cause });
    }
  }

  async #release(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

export interface FileRange {
  readonly offset: number;
  readonly bytes: number;
}

/** @internal CRC-32 of a range of a file; undefined when the file ends before the range does. */
export const crcOfRange = async (handle: FileHandle, { offset, bytes }: FileRange): Promise<number | undefined> => {
  const buffer = Buffer.allocUnsafe(Math.min(copyBytes, bytes));
  let crc = 0;
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - done), offset + done);
    if (bytesRead === 0) return undefined;
    crc = crc32(buffer.subarray(0, bytesRead), crc);
    done += bytesRead;
  }
  return crc;
};

/** @internal Adds a range of one file to the end of another that was opened to append. */
export const appendRange = async (from: FileHandle, to: FileHandle, { offset, bytes }: FileRange): Promise<void> => {
  const buffer = Buffer.allocUnsafe(Math.min(copyBytes, bytes));
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, bytes - done), offset + done);
    if (bytesRead === 0) throw new Error('the pending file ended early');
    await to.appendFile(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
};

/** @internal How many bytes of one file, from its beginning, are those of another from `offset` on; at most `bytes`. */
export const commonBytes = async (of: FileHandle, other: FileHandle, { offset, bytes }: FileRange): Promise<number> => {
  const [mine, theirs] = [
    Buffer.allocUnsafe(Math.min(copyBytes, bytes)),
    Buffer.allocUnsafe(Math.min(copyBytes, bytes)),
  ];
  for (let done = 0; done < bytes;) {
    const most = Math.min(mine.length, bytes - done);
    const [{ bytesRead }, there] = await Promise.all([
      of.read(mine, 0, most, done),
      other.read(theirs, 0, most, offset + done),
    ]);
    const length = Math.min(bytesRead, there.bytesRead);
    for (let at = 0; at < length; at += 1) if (mine[at] !== theirs[at]) return done + at;
    if (length === 0) return done;
    done += length;
  }
  return bytes;
};

/**
 * @internal Whether a range of a file holds nothing but zeros: room that was made for bytes which a loss of power has
 * kept from the disk.
 */
export const isUnwritten = async (handle: FileHandle, { offset, bytes }: FileRange): Promise<boolean> => {
  const buffer = Buffer.allocUnsafe(Math.min(copyBytes, bytes));
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - done), offset + done);
    if (bytesRead === 0) return true;
    for (let at = 0; at < bytesRead; at += 1) if (buffer[at] !== 0) return false;
    done += bytesRead;
  }
  return true;
};

/** Makes the names in the directory of this path durable. */
export const syncDirectory = async (path: string): Promise<void> => {
  // Windows has no handle on a directory that could be synced; its file systems journal names.
  if (process.platform === 'win32') return;
  const handle = await open(dirname(path), 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
