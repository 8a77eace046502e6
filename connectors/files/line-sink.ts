/**
 * Writes values to one file, a line or a row for each, exactly once. The lines of an epoch wait in a pending file
 * beside the output until the checkpoint that sealed them is durable; a commit adds them at their fixed offset, so it
 * can be repeated after any crash. Keeps I7 (visible only by commit, which may be repeated) and I10 (what waits in
 * memory is bounded by `full`).
 */
import { hash } from 'node:crypto';
import { basename, resolve } from 'node:path';
import type { Sink, SinkContext, SinkWriter } from '../../lib/core/connector.ts';
import type { Timestamp } from '../../lib/core/element.ts';
import { invariant } from '../../lib/core/errors.ts';
import { integer, oneOf, refusal } from '../../lib/core/options.ts';
import type { FileFormat } from './file-format.ts';
import { fileIdentity, realPath } from './file-identity.ts';
import {
  checkPlace,
  failed,
  LineOutput,
  offsetOf,
  type FileCommittable,
  type OutputOptions,
} from './line-output.ts';
import { takeOutput } from './output-owner.ts';
import { PendingFile, pendingEpochs, pendingPath, removePending } from './pending-file.ts';

export interface LineSinkOptions {
  /**
   * What a fresh job does with an output that is not empty: refuse, write behind it, or empty it. @defaultValue 'fail'
   */
  readonly onExisting?: 'fail' | 'append' | 'overwrite' | undefined;
  /**
   * Permissions of an output that is made, less what the umask of the process takes away, from 0 to 0o777.
   * @defaultValue 0o666
   */
  readonly mode?: number | undefined;
}

/** Bytes that may wait in memory for the disk before sources stop. */
const waitingBytesMax = 8 * 1024 * 1024;

/** A sink of one file, by its format. */
interface LineSinkParts<T> extends LineSinkOptions {
  /** Of the sink, in front of that of the file. */
  readonly name: string;
  readonly path: string;
  readonly format: FileFormat<T>;
}

/** @internal */
export const lineSink = <T>(parts: LineSinkParts<T>): Sink<T, FileCommittable> => {
  const { name, path, format, onExisting = 'fail', mode = 0o666 } = parts;
  oneOf('onExisting', onExisting, ['fail', 'append', 'overwrite']);
  integer('mode', mode, { max: 0o777 });
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw refusal('path', 'the path of a file', path);
  return {
    // Named by its file, so that it keeps its uid when sinks are added, removed or written in another order.
    name: `${name}-${basename(path).replaceAll(/[^\w.-]/g, '-')}`,
    guarantee: 'exactly-once',
    outputs: () => [fileIdentity(path)],
    async open(context) {
      context.signal.throwIfAborted();
      const owner = hash('sha256', context.sinkId, 'hex').slice(0, 8);
      try {
        // Without links, so that whoever reaches the file by another way finds what stands beside it.
        return await openWriter({ path: realPath(path), owner, onExisting, mode }, format, context);
      } catch (error) {
        throw failed(`output "${path}" can not be opened`, error);
      }
    },
  };
};

const openWriter = async <T>(
  options: OutputOptions,
  format: FileFormat<T>,
  context: SinkContext<FileCommittable>,
): Promise<LineWriter<T>> => {
  const { pending, last, epoch } = context;
  await checkPlace(options);
  const release = await takeOutput(options.path, options.owner);
  try {
    const offset = await offsetOf(options, context);
    const kept = new Set([...pending, ...(last === undefined ? [] : [last])].map((each) => each.epoch));
    for (const each of await pendingEpochs(options)) if (!kept.has(each)) await removePending(options, each);
    return new LineWriter<T>({
      ...options,
      format,
      epoch,
      offset,
      output: new LineOutput(options, pending),
      release,
    });
  } catch (error) {
    await release();
    throw error;
  }
};

interface WriterOptions<T> extends OutputOptions {
  readonly format: FileFormat<T>;
  readonly output: LineOutput;
  readonly epoch: number;
  /** Where the epoch begins in the output. */
  readonly offset: number;
  release(): Promise<void>;
}

class LineWriter<T> implements SinkWriter<T, FileCommittable> {
  readonly #options: WriterOptions<T>;
  #current: PendingFile;
  /** Where the current epoch begins in the output. */
  #offset: number;
  /** Something was written in this life. */
  #begun = false;
  /** Sealed in memory, on the way to the disk. */
  readonly #sealing = new Set<PendingFile>();
  readonly #seals = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(options: WriterOptions<T>) {
    this.#options = options;
    this.#current = new PendingFile(pendingPath(options, options.epoch), options.epoch);
    this.#offset = options.offset;
  }

  get full(): boolean {
    let bytes = this.#current.waitingBytes;
    for (const file of this.#sealing) bytes += file.waitingBytes;
    return bytes > waitingBytesMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    if (this.#closed !== undefined) throw new TypeError('Expected `write` to be called before `close`');
    const { header, encode } = this.#options.format;
    const line = encode(value, number);
    if (this.#offset === 0 && !this.#begun && header !== undefined) this.#current.add(header);
    this.#begun = true;
    this.#current.add(line);
  }

  seal(epoch: number): Promise<FileCommittable | undefined> {
    const file = this.#current;
    invariant(
      epoch === file.epoch,
      `I7: epoch ${file.epoch} of "${this.#options.path}" is open, ${epoch} can not be sealed`,
    );
    this.#current = new PendingFile(pendingPath(this.#options, epoch + 1), epoch + 1);
    const bytes = file.end();
    if (bytes === 0) return Promise.resolve(undefined);
    const committable = { path: resolve(this.#options.path), epoch, offset: this.#offset, bytes, crc: file.crc };
    this.#offset += bytes;
    this.#sealing.add(file);
    const sealed = this.#seal(file, committable).finally(() => {
      this.#sealing.delete(file);
      this.#seals.delete(sealed);
    });
    this.#seals.add(sealed);
    return sealed;
  }

  async #seal(file: PendingFile, committable: FileCommittable): Promise<FileCommittable> {
    try {
      await file.seal();
      return committable;
    } catch (error) {
      throw failed(`epoch ${file.epoch} of "${this.#options.path}" can not be written`, error);
    }
  }

  commit(committable: FileCommittable, signal: AbortSignal): Promise<void> {
    return this.#options.output.commit(committable, signal);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#seals, this.#options.output.idle]);
    await this.#current.discard();
    await this.#options.release();
  }
}
