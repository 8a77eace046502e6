/**
 * The output file of a sink of one file: where a job begins in it, and the commits that add sealed epochs at its end.
 * It is only ever added to; bytes that this sink has not written are never overwritten or cut, but reported as
 * `OUTPUT_CHANGED`. Keeps I7 (a commit may be repeated).
 */
import type { FileHandle } from 'node:fs/promises';
import { rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { StreamError } from '../../lib/core/errors.ts';
import { kindOf, openRegular } from '../../lib/core/regular-file.ts';
import { noneIfAbsent, notRegular, systemError } from '../../lib/core/system-error.ts';
import type { FileRange, OwnedOutput } from './pending-file.ts';
import {
  appendRange,
  commonBytes,
  crcOfRange,
  isUnwritten,
  longestEpoch,
  pendingEpochs,
  pendingPath,
  syncDirectory,
} from './pending-file.ts';

/** Where the lines of one epoch stand in the output. */
export interface FileCommittable extends FileRange {
  /** The output, absolute. */
  readonly path: string;
  readonly epoch: number;
  /** CRC-32 of the bytes. */
  readonly crc: number;
}

/** @internal */
export interface OutputOptions extends OwnedOutput {
  readonly onExisting: 'fail' | 'append' | 'overwrite';
  /** Of a file that is made. */
  readonly mode: number;
}

/** The file as the last commit left it. */
interface Seam {
  readonly committed: FileCommittable;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

/** @internal */
export class LineOutput {
  readonly #options: OutputOptions;
  /** Epochs whose commit may have begun: what stands of them in the output is theirs. */
  readonly #begun: Set<number>;
  #seam: Seam | undefined;
  #committing: Promise<void> = Promise.resolve();

  constructor(options: OutputOptions, pending: readonly FileCommittable[]) {
    this.#options = options;
    this.#begun = new Set(pending.map(({ epoch }) => epoch));
  }

  get path(): string {
    return this.#options.path;
  }

  /** Resolves when the commits so far are done, whatever became of them. */
  get idle(): Promise<void> {
    return this.#committing;
  }

  /** One at a time and in the order of the calls, whatever became of the one before. */
  commit(committable: FileCommittable, signal: AbortSignal): Promise<void> {
    const commit = this.#committing.then(() => this.#commit(committable, signal));
    this.#committing = commit.catch(() => undefined);
    return commit;
  }

  async #commit(committable: FileCommittable, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { path } = this.#options;
    const { epoch } = committable;
    let waiting: FileHandle | undefined;
    try {
      waiting = await openRegular(pendingPath(this.#options, epoch), 'read').catch(noneIfAbsent);
      if (waiting === undefined) await checkCommitted(path, committable);
      else await this.#publish(waiting, committable);
    } catch (error) {
      throw failed(`epoch ${epoch} of "${path}" can not be committed`, error);
    } finally {
      await waiting?.close();
    }
  }

  async #publish(waiting: FileHandle, committable: FileCommittable): Promise<void> {
    const { path, mode } = this.#options;
    const { epoch, offset, bytes, crc } = committable;
    const pending = pendingPath(this.#options, epoch);
    if ((await crcOfRange(waiting, { offset: 0, bytes })) !== crc)
      throw changed(path, `has lost lines: "${pending}" is not as it was sealed`);
    if (offset > 0 && (await sizeOf(path)) === undefined)
      throw changed(path, `is gone, where ${offset} bytes were committed`);
    const output = await openRegular(path, 'append', mode);
    try {
      const there = await this.#thereAlready(waiting, output, committable);
      if (there < bytes) {
        await appendRange(waiting, output, { offset: there, bytes: bytes - there });
        const { size } = await output.stat();
        if (size !== offset + bytes) throw changed(path, 'was written by another job at the same time');
      }
      await output.sync();
      const { dev, ino, mtimeNs } = await output.stat({ bigint: true });
      this.#seam = { committed: committable, dev, ino, mtimeNs };
    } finally {
      await output.close();
    }
    // The removals of earlier epochs become durable here too, so none of their pending files can come back behind this
    // one.
    await syncDirectory(path);
    await rm(pending, { force: true });
    this.#begun.delete(epoch);
  }

  /** How many bytes of an epoch stand in the output: of a commit that was cut short, or is repeated. */
  async #thereAlready(
    waiting: FileHandle,
    output: FileHandle,
    { epoch, offset, bytes }: FileCommittable,
  ): Promise<number> {
    const { path } = this.#options;
    const { size } = await output.stat();
    if (size < offset) throw changed(path, `has ${size} bytes, fewer than the ${offset} that were committed`);
    await this.#checkSeam(output);
    const begun = this.#begun.has(epoch);
    this.#begun.add(epoch);
    if (size === offset) return 0;
    if (!begun) throw changed(path, `holds ${size - offset} bytes that this job has not written`);
    const most = Math.min(size - offset, bytes);
    const same = await commonBytes(waiting, output, { offset, bytes: most });
    if (same === most) return same;
    if (!(await isUnwritten(output, { offset: offset + same, bytes: size - offset - same })))
      throw changed(path, `holds bytes behind ${offset + same} that this job has not written`);
    await output.truncate(offset + same);
    return same;
  }

  /**
   * What the commit before has written must be there still; its bytes are read again only where something has touched
   * the file.
   */
  async #checkSeam(output: FileHandle): Promise<void> {
    if (this.#seam === undefined) return;
    const { committed, dev, ino, mtimeNs } = this.#seam;
    const info = await output.stat({ bigint: true });
    if (info.dev === dev && info.ino === ino && info.mtimeNs === mtimeNs) return;
    if ((await crcOfRange(output, committed)) !== committed.crc) throw lost(this.path, committed);
  }
}

/** @internal Checks the place and what was committed before. Gives where the job goes on. */
export const offsetOf = async (
  options: OutputOptions,
  {
    pending,
    last,
  }: { readonly pending: readonly FileCommittable[]; readonly last: FileCommittable | undefined },
): Promise<number> => {
  const { path } = options;
  const known = [...pending, ...(last === undefined ? [] : [last])];
  for (const { path: before } of known) await checkSameOutput(path, before);
  // What pends is looked at by its commit. Without it the output must end as it was left: its bytes, not its length
  // alone, say that it is the one.
  if (last !== undefined && pending.length === 0) await checkCommitted(path, last);
  return known.length === 0 ? firstOffset(options) : nextOffset(options, known);
};

/** @internal Errors at the start that a user can understand, instead of ENOENT at the first checkpoint. */
export const checkPlace = async (output: OwnedOutput): Promise<void> => {
  const { path } = output;
  const directory = await infoOf(dirname(path));
  if (directory?.isDirectory() !== true) {
    const message = `the directory "${dirname(path)}" of output "${path}" does not exist`;
    throw new StreamError('SINK_FAILED', message, {
      hint: 'create the directory, or correct the path',
      retryable: false,
    });
  }
  const info = await infoOf(path);
  if (info !== undefined && !info.isFile()) {
    const cause = Object.assign(new Error(`it is ${kindOf(info)}`), { code: notRegular });
    throw failed(`output "${path}" is no regular file`, cause);
  }
  await infoOf(pendingPath(output, longestEpoch)).catch((cause: unknown) => {
    const message = `the name of output "${path}" leaves no room for that of its pending files`;
    throw failed(message, cause, 'give the output a name that is some 40 bytes shorter than the longest');
  });
};

/** Undefined when there is nothing. */
const infoOf = (path: string) => stat(path).catch(noneIfAbsent);

/**
 * Refuses to go on in another output than before: what a sink that was given the state of another one writes there
 * would stand behind what is there. An output that was moved, or that is reached by another way, is the same one; its
 * bytes are compared all the same.
 */
const checkSameOutput = async (path: string, before: string): Promise<void> => {
  if (resolve(path) === before) return;
  const [here, there] = await Promise.all([path, before].map((each) => stat(each).catch(() => undefined)));
  if (there === undefined || (here?.ino === there.ino && here.dev === there.dev)) return;
  throw new StreamError(
    'OUTPUT_CHANGED',
    `the checkpoint holds the place in output "${before}", and the sink writes to "${path}"`,
    {
      hint: 'give the sink the path it had; two sinks that have changed places need uids of their own: `sinkTo(sink).uid(...)`',
      details: { path, before },
    },
  );
};

/** Where a job goes on, after checking that what it has committed can still be there. */
const nextOffset = async (options: OutputOptions, known: readonly FileCommittable[]): Promise<number> => {
  const { path } = options;
  const waiting = new Set(await pendingEpochs(options));
  // An epoch without a pending file was committed; of one that has it, only the place where it begins must be there.
  const least = Math.min(...known.map(({ epoch, offset, bytes }) => (waiting.has(epoch) ? offset : offset + bytes)));
  const size = (await sizeOf(path)) ?? 0;
  if (size < least) throw changed(path, `has ${size} bytes, fewer than the ${least} that were committed`);
  return Math.max(...known.map(({ offset, bytes }) => offset + bytes));
};

/** Where a job that has committed nothing begins. */
const firstOffset = async ({ path, onExisting, mode }: OutputOptions): Promise<number> => {
  const size = (await sizeOf(path)) ?? 0;
  if (size > 0 && onExisting === 'fail') {
    throw new StreamError('OUTPUT_NOT_EMPTY', `output "${path}" has ${size} bytes already`, { details: { path } });
  }
  // Also a job without results leaves an output, and an output that can't be written is noticed now.
  const handle = await openRegular(path, onExisting === 'overwrite' ? 'empty' : 'append', mode);
  try {
    return onExisting === 'append' ? await endOfLine(handle, size) : 0;
  } finally {
    await handle.close();
  }
};

/** Undefined when there is none. */
const sizeOf = async (path: string): Promise<number | undefined> => (await stat(path).catch(noneIfAbsent))?.size;

/** Ends a last line without newline, so that the first appended value does not become part of it. */
const endOfLine = async (handle: FileHandle, size: number): Promise<number> => {
  if (size === 0) return 0;
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  if (last[0] === 0x0a) return size;
  await handle.appendFile('\n');
  return size + 1;
};

/** With the pending file gone the epoch was committed, unless somebody else removed the file. */
const checkCommitted = async (path: string, committable: FileCommittable): Promise<void> => {
  const output = await openRegular(path, 'read').catch(noneIfAbsent);
  try {
    const crc = output === undefined ? undefined : await crcOfRange(output, committable);
    if (crc !== committable.crc) throw lost(path, committable);
  } finally {
    await output?.close();
  }
};

/** @internal What went wrong with an output, as an error with a code. */
export const failed = (message: string, cause: unknown, hint?: string): StreamError =>
  systemError('SINK_FAILED', message, cause, { hint });

const changed = (path: string, message: string): StreamError =>
  new StreamError('OUTPUT_CHANGED', `output "${path}" ${message}`, { details: { path } });

const lost = (path: string, { bytes, epoch, offset }: FileCommittable): StreamError =>
  changed(path, `does not hold the ${bytes} bytes of epoch ${epoch} at ${offset}`);
