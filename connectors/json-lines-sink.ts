/**
 * Writes values to a file of JSON Lines, exactly once. The lines of an epoch wait in a pending file beside the output until the
 * checkpoint that sealed them is durable; a commit copies them to their fixed offset, so it can be repeated after any crash.
 * Keeps I7 (visible only by commit, which may be repeated) and I10 (what waits in memory is bounded by `full`).
 */
import type { FileHandle } from 'node:fs/promises';
import type { Sink, SinkWriter } from '../lib/core/connector.ts';
import type { FileRange } from './pending-file.ts';
import type { Timestamp } from '../lib/core/element.ts';
import { open, rm, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { invariant, messageOf, StreamError } from '../lib/core/errors.ts';
import { knownOptions, oneOf, refusal } from '../lib/core/options.ts';
import { copyRange, crcOfRange, PendingFile, pendingEpochs, pendingPath, removePending, syncDirectory } from './pending-file.ts';

export interface JsonLinesSinkOptions {
  /** What a fresh job does with an output that is not empty: refuse, write behind it, or empty it. @defaultValue 'fail' */
  readonly onExisting?: 'fail' | 'append' | 'overwrite' | undefined;
}

/** Where the lines of one epoch stand in the output. */
export interface JsonLinesCommittable extends FileRange {
  /** The output, absolute. */
  readonly path: string;
  readonly epoch: number;
  /** CRC-32 of the bytes. */
  readonly crc: number;
}

/** Bytes that may wait in memory for the disk before sources stop. */
const waitingBytesMax = 8 * 1024 * 1024;

/**
 * A sink that writes each value as a line of JSON. The directory must exist. One job writes a file at a time; what another program
 * writes into it is cut or reported as `OUTPUT_CHANGED`. Reading it at any moment gives whole epochs, or the beginning of one that is
 * being committed.
 *
 * @example
 * stream.sinkTo(jsonLinesSink('suggestions.jsonl'));
 */
export const jsonLinesSink = <T>(path: string, options: JsonLinesSinkOptions = {}): Sink<T, JsonLinesCommittable> => {
  knownOptions('jsonLinesSink', options, ['onExisting']);
  const { onExisting = 'fail' } = options;
  oneOf('onExisting', onExisting, ['fail', 'append', 'overwrite']);
  if (typeof path !== 'string' || path === '') throw refusal('path', 'the path of a file', path);
  return {
    // Named by its file, so that it keeps its uid when sinks are added, removed or written in another order.
    name: `json-lines-${basename(path).replaceAll(/[^\w.-]/g, '-')}`,
    guarantee: 'exactly-once',
    async open(context) {
      context.signal.throwIfAborted();
      await checkPlace(path);
      const { pending, last } = context;
      const known = [...pending, ...(last === undefined ? [] : [last])];
      for (const { path: before } of known) await checkSameOutput(path, before);
      // What pends is looked at by its commit. Without it the output must end as it was left: its bytes, not its length alone, say that it is the one.
      if (last !== undefined && pending.length === 0) await checkCommitted(path, last);
      const offset = known.length === 0 ? await firstOffset(path, onExisting) : await nextOffset(path, known);
      const kept = new Set(known.map(({ epoch }) => epoch));
      for (const epoch of await pendingEpochs(path)) if (!kept.has(epoch)) await removePending(path, epoch);
      return new JsonLinesWriter<T>(path, { epoch: context.epoch, offset });
    },
  };
};

class JsonLinesWriter<T> implements SinkWriter<T, JsonLinesCommittable> {
  readonly #path: string;
  #current: PendingFile;
  /** Where the current epoch begins in the output. */
  #offset: number;
  /** Sealed in memory, on the way to the disk. */
  readonly #sealing = new Set<PendingFile>();
  readonly #seals = new Set<Promise<unknown>>();
  #committing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(path: string, begin: { readonly epoch: number; readonly offset: number }) {
    this.#path = path;
    this.#current = new PendingFile(path, begin.epoch);
    this.#offset = begin.offset;
  }

  get full(): boolean {
    let bytes = this.#current.waitingBytes;
    for (const file of this.#sealing) bytes += file.waitingBytes;
    return bytes > waitingBytesMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    if (this.#closed) throw new TypeError('Expected `write` to be called before `close`');
    this.#current.add(lineOf(value, number));
  }

  seal(epoch: number): Promise<JsonLinesCommittable | undefined> {
    const file = this.#current;
    invariant(epoch === file.epoch, `I7: epoch ${file.epoch} of "${this.#path}" is open, ${epoch} can not be sealed`);
    this.#current = new PendingFile(this.#path, epoch + 1);
    if (file.bytes === 0) return Promise.resolve(undefined);
    const offset = this.#offset;
    this.#offset += file.bytes;
    this.#sealing.add(file);
    const sealed = this.#seal(file, offset).finally(() => {
      this.#sealing.delete(file);
      this.#seals.delete(sealed);
    });
    this.#seals.add(sealed);
    return sealed;
  }

  async #seal(file: PendingFile, offset: number): Promise<JsonLinesCommittable> {
    try {
      await file.seal();
    } catch (error) {
      throw failed(`epoch ${file.epoch} of "${this.#path}" can not be written`, error);
    }
    return { path: resolve(this.#path), epoch: file.epoch, offset, bytes: file.bytes, crc: file.crc };
  }

  /** One at a time and in the order of the calls, whatever became of the one before. */
  commit(committable: JsonLinesCommittable, signal: AbortSignal): Promise<void> {
    const commit = this.#committing.then(() => commitEpoch(this.#path, committable, signal));
    this.#committing = commit.catch(() => undefined);
    return commit;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled([...this.#seals, this.#committing]);
    await this.#current.discard();
  }
}

const lineOf = (value: unknown, number: number): string => {
  let text: string | undefined;
  let cause: unknown;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return `${text}\n`;
  const reason = cause === undefined ? `a value of type ${typeof value} has no JSON` : messageOf(cause);
  throw new StreamError('NOT_SERIALISABLE', `record ${number} can not be written as JSON: ${reason}`, { cause });
};

/** Errors at the start that a user can understand, instead of ENOENT at the first checkpoint. */
const checkPlace = async (path: string): Promise<void> => {
  const directory = await stat(dirname(path)).catch(() => undefined);
  if (directory?.isDirectory() !== true) {
    throw misplaced(`the directory "${dirname(path)}" of output "${path}" does not exist`, 'create the directory, or correct the path');
  }
  const info = await stat(path).catch(() => undefined);
  if (info !== undefined && !info.isFile()) throw misplaced(`output "${path}" is no regular file`, 'give the path of a file');
};

/**
 * Refuses to go on in another output than before: what a sink that was given the state of another one writes there would cut what stands
 * there. An output that was moved, or that is reached by another way, is the same one; its bytes are compared all the same.
 */
const checkSameOutput = async (path: string, before: string): Promise<void> => {
  if (resolve(path) === before) return;
  const [here, there] = await Promise.all([path, before].map((each) => stat(each).catch(() => undefined)));
  if (there === undefined || (here?.ino === there.ino && here.dev === there.dev)) return;
  throw new StreamError('OUTPUT_CHANGED', `the checkpoint holds the place in output "${before}", and the sink writes to "${path}"`, {
    hint: 'give the sink the path it had; two sinks that have changed places need uids of their own: `sinkTo(sink).uid(...)`',
    details: { path, before },
  });
};

const misplaced = (message: string, hint: string): StreamError => new StreamError('SINK_FAILED', message, { hint, retryable: false });

const failed = (message: string, cause: unknown): StreamError =>
  cause instanceof StreamError ? cause : new StreamError('SINK_FAILED', `${message}: ${messageOf(cause)}`, { cause });

const changed = (path: string, message: string): StreamError =>
  new StreamError('OUTPUT_CHANGED', `output "${path}" ${message}`, { details: { path } });

/** Where a job goes on, after checking that what it has committed can still be there. */
const nextOffset = async (path: string, known: readonly JsonLinesCommittable[]): Promise<number> => {
  const waiting = new Set(await pendingEpochs(path));
  // An epoch without a pending file was committed; of one that has it, only the place where it begins must be there.
  const least = Math.min(...known.map(({ epoch, offset, bytes }) => (waiting.has(epoch) ? offset : offset + bytes)));
  const size = await sizeOf(path);
  if (size < least) throw changed(path, `has ${size} bytes, fewer than the ${least} that were committed`);
  return Math.max(...known.map(({ offset, bytes }) => offset + bytes));
};

/** Where a job that has committed nothing begins. */
const firstOffset = async (path: string, onExisting: 'fail' | 'append' | 'overwrite'): Promise<number> => {
  const size = await sizeOf(path);
  if (size > 0 && onExisting === 'fail') {
    throw new StreamError('OUTPUT_NOT_EMPTY', `output "${path}" has ${size} bytes already`, { details: { path } });
  }
  // Also a job without results leaves an output, and an output that can't be written is noticed now.
  const handle = await openOutput(path, onExisting === 'overwrite' ? 'w' : 'a');
  try {
    return onExisting === 'append' ? await endOfLine(path, handle, size) : 0;
  } finally {
    await handle.close();
  }
};

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;

const openOutput = (path: string, flags: string): Promise<FileHandle> =>
  open(path, flags).catch((error: unknown) => {
    throw failed(`output "${path}" can not be opened`, error);
  });

/** Ends a last line without newline, so that the first appended value does not become part of it. */
const endOfLine = async (path: string, handle: FileHandle, size: number): Promise<number> => {
  if (size === 0) return 0;
  const reader = await openOutput(path, 'r');
  const last = Buffer.alloc(1);
  await reader.read(last, 0, 1, size - 1).finally(() => reader.close());
  if (last[0] === 0x0a) return size;
  await handle.appendFile('\n');
  return size + 1;
};

const commitEpoch = async (path: string, committable: JsonLinesCommittable, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted();
  const waiting = await open(pendingPath(path, committable.epoch), 'r').catch(absent);
  try {
    if (waiting === undefined) await checkCommitted(path, committable);
    else await publish(path, waiting, committable);
  } catch (error) {
    throw failed(`epoch ${committable.epoch} of "${path}" can not be committed`, error);
  } finally {
    await waiting?.close();
  }
};

const publish = async (path: string, waiting: FileHandle, { epoch, offset, bytes, crc }: JsonLinesCommittable): Promise<void> => {
  if ((await crcOfRange(waiting, { offset: 0, bytes })) !== crc)
    throw changed(path, `has lost lines: "${pendingPath(path, epoch)}" is not as it was sealed`);
  const output = await open(path, 'r+').catch(absent);
  if (output === undefined && offset > 0) throw changed(path, `is gone, where ${offset} bytes were committed`);
  const handle = output ?? (await open(path, 'w+'));
  try {
    const { size } = await handle.stat();
    if (size < offset) throw changed(path, `has ${size} bytes, fewer than the ${offset} that were committed`);
    await copyRange(waiting, handle, { offset, bytes });
    await handle.truncate(offset + bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  // The removals of earlier epochs become durable here too, so none of their pending files can come back behind this one.
  await syncDirectory(path);
  await rm(pendingPath(path, epoch), { force: true });
};

/** With the pending file gone the epoch was committed, unless somebody else removed the file. */
const checkCommitted = async (path: string, committable: JsonLinesCommittable): Promise<void> => {
  const output = await open(path, 'r').catch(absent);
  try {
    const crc = output === undefined ? undefined : await crcOfRange(output, committable);
    if (crc !== committable.crc)
      throw changed(path, `does not hold the ${committable.bytes} bytes of epoch ${committable.epoch} at ${committable.offset}`);
  } finally {
    await output?.close();
  }
};

const absent = (error: unknown): undefined => {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
};
