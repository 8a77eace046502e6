/**
 * The lines of one epoch of a file sink before they are committed: a buffer in memory that is written behind into a file of its own
 * beside the output. Keeps I7 (a reader of the output sees nothing of it) and I10 (the buffer's size is known to the sink).
 */
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { crc32 } from 'node:zlib';

/** Text that may wait before a write to the file is started, in UTF-16 units. */
const flushLength = 256 * 1024;
const copyBytes = 1024 * 1024;

export const pendingPath = (output: string, epoch: number): string => `${output}.epoch-${epoch}.pending`;

/** Epochs that have a pending file beside the output. */
export const pendingEpochs = async (output: string): Promise<number[]> => {
  const prefix = `${basename(output)}.epoch-`;
  const names = await readdir(dirname(output));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+\.pending$/.test(name.slice(prefix.length)))
    .map((name) => Number.parseInt(name.slice(prefix.length), 10));
};

export const removePending = (output: string, epoch: number): Promise<void> => rm(pendingPath(output, epoch), { force: true });

/** @internal */
export class PendingFile {
  readonly epoch: number;
  readonly #path: string;
  #text = '';
  /** Bytes of all its lines, and of those not yet in the file. */
  #bytes = 0;
  #waiting = 0;
  #crc = 0;
  #handle: FileHandle | undefined;
  #created = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(output: string, epoch: number) {
    this.epoch = epoch;
    this.#path = pendingPath(output, epoch);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get waitingBytes(): number {
    return this.#waiting;
  }

  /** CRC-32 of what `seal` has made durable. */
  get crc(): number {
    return this.#crc;
  }

  add(line: string): void {
    const bytes = Buffer.byteLength(line);
    this.#text += line;
    this.#bytes += bytes;
    this.#waiting += bytes;
    if (this.#text.length < flushLength) return;
    this.#writeBehind();
    // A failed write is reported by `seal`, which awaits the same promise.
    this.#writing.catch(() => undefined);
  }

  /** Makes all of it durable and closes the file. Rejects with what went wrong in any write before. */
  async seal(): Promise<void> {
    this.#writeBehind();
    await this.#writing;
    await this.#handle?.sync();
    await this.#release();
    await syncDirectory(this.#path);
  }

  /** Waits for started writes, closes and removes the file. */
  async discard(): Promise<void> {
    this.#text = '';
    await this.#writing.catch(() => undefined);
    await this.#release();
    if (this.#created) await rm(this.#path, { force: true });
  }

  #writeBehind(): void {
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    this.#writing = this.#writing.then(() => this.#write(Buffer.from(text)));
  }

  async #write(bytes: Buffer): Promise<void> {
    // `wx`: two jobs that write one output must not share a pending file.
    this.#handle ??= await open(this.#path, 'wx');
    this.#created = true;
    await this.#handle.appendFile(bytes);
    this.#crc = crc32(bytes, this.#crc);
    this.#waiting -= bytes.length;
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

/** @internal Copies the first `bytes` of one file into another at `offset`. */
export const copyRange = async (from: FileHandle, to: FileHandle, { offset, bytes }: FileRange): Promise<void> => {
  const buffer = Buffer.allocUnsafe(Math.min(copyBytes, bytes));
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, bytes - done), done);
    if (bytesRead === 0) throw new Error('the pending file ended early');
    for (let written = 0; written < bytesRead;) {
      const { bytesWritten } = await to.write(buffer, written, bytesRead - written, offset + done + written);
      written += bytesWritten;
    }
    done += bytesRead;
  }
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
