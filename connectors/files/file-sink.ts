/**
 * Writes values to parts: files of a directory that are whole from the moment they have their name. The parts of an
 * epoch are written aside until the checkpoint that sealed them is durable. Keeps I7 (a commit gives them their names
 * and may be repeated) and I10 (what waits in memory is bounded by `full`, open parts by their number).
 */
import { hash } from 'node:crypto';
import { basename } from 'node:path';
import type { Sink, SinkContext, SinkWriter } from '../../lib/core/connector.ts';
import type { Timestamp } from '../../lib/core/element.ts';
import { invariant } from '../../lib/core/errors.ts';
import {
  callable,
  integer,
  knownOptions,
  oneOf,
  refusal,
  refusedResult,
  withMethods,
} from '../../lib/core/options.ts';
import type { FileFormat } from './file-format.ts';
import { failed } from './line-output.ts';
import { PartDirectory, type PartsCommittable } from './part-directory.ts';
import { PartFile } from './part-file.ts';

export interface FileSinkOptions<T> {
  /** Where the parts go. It is made when it is not there. */
  readonly directory: string;
  /** How values are written: `fileFormat.jsonLines`, `.text`, `.csv({ columns })`, or one of your own. */
  readonly format: FileFormat<NoInfer<T>>;
  /**
   * A part ends when it has so many bytes or records, from 1. Each checkpoint ends all parts, since what it holds is
   * to be seen: its interval is the longest time that a part takes.
   * @defaultValue 128 MiB
   */
  readonly rollAfter?: { readonly bytes?: number | undefined; readonly records?: number | undefined } | undefined;
  /**
   * The directory below that a value goes to, such as `dt=2026-11-30`; with `/` for several levels. Must give the same
   * for the same value. @defaultValue none: all go to the directory itself
   */
  readonly partition?: ((value: T) => string) | undefined;
  /** Begins the names of parts. @defaultValue 'part' */
  readonly prefix?: string | undefined;
  /**
   * What a fresh job does with a directory in which there is something: refuse, or add to it. Nothing is ever removed.
   * @defaultValue 'fail'
   */
  readonly onExisting?: 'fail' | 'append' | undefined;
}

const defaultBytes = 128 * 1024 * 1024;
/** Bytes that may wait in memory for the disk before sources stop. */
const waitingBytesMax = 8 * 1024 * 1024;
/** Parts that are written at once; one more ends the one that was begun first. */
const openPartsMax = 64;

/**
 * A sink that writes values to parts of a directory, exactly once. A part appears whole, by its last name, with the
 * checkpoint that holds it; what is not committed stands in a hidden directory that only its owner can read. What a
 * crash has left there is committed or removed at the next start, and nothing of another job is touched: names hold
 * which sink of which job has written a part. A reader may take parts away.
 *
 * @example
 * orders.sinkTo(fileSink({
 *   directory: 'orders',
 *   format: fileFormat.csv({ columns: ['id', 'euros'] }),
 *   partition: ({ customer }) => `customer=${customer}`,
 *   rollAfter: { records: 100_000 },
 *   onExisting: 'append',
 * }));
 */
export const fileSink = <T>(options: FileSinkOptions<T>): Sink<T, PartsCommittable> => {
  knownOptions('fileSink', options, {
    directory: true,
    format: true,
    rollAfter: true,
    partition: true,
    prefix: true,
    onExisting: true,
  });
  const { directory, format, rollAfter = {}, partition, prefix = 'part', onExisting = 'fail' } = options;
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0'))
    throw refusal('directory', 'the path of a directory', directory);
  withMethods('format', format, 'a format such as `fileFormat.jsonLines`', ['encode']);
  knownOptions('rollAfter', rollAfter, { bytes: true, records: true });
  const { bytes = defaultBytes, records = Number.MAX_SAFE_INTEGER } = rollAfter;
  integer('rollAfter.bytes', bytes, { min: 1 });
  integer('rollAfter.records', records, { min: 1 });
  if (partition !== undefined) callable('partition', partition);
  if (typeof prefix !== 'string' || !/^[\w-][\w.-]{0,63}$/.test(prefix))
    throw refusal('prefix', 'a name of 64 letters, digits, `.`, `-` and `_` at most, no dot first', prefix);
  oneOf('onExisting', onExisting, ['fail', 'append']);
  return {
    name: `files-${basename(directory).replaceAll(/[^\w.-]/g, '-')}`,
    guarantee: 'exactly-once',
    async open(context) {
      context.signal.throwIfAborted();
      const owner = hash('sha256', context.sinkId, 'hex').slice(0, 8);
      const parts = new PartDirectory({ directory, name: `${prefix}-${owner}`, ending: format.ending });
      try {
        await parts.open(context, onExisting);
      } catch (error) {
        throw failed(`directory "${directory}" can not be written to`, error);
      }
      return new FileSinkWriter<T>(parts, { format, partition, bytes, records }, context);
    },
  };
};

interface WriterOptions<T> {
  readonly format: FileFormat<T>;
  readonly partition: ((value: T) => string) | undefined;
  readonly bytes: number;
  readonly records: number;
}

class FileSinkWriter<T> implements SinkWriter<T, PartsCommittable> {
  readonly #parts: PartDirectory;
  readonly #options: WriterOptions<T>;
  #epoch: number;
  /** Of the current epoch: parts so far, and those that are written, by partition in the order they were begun. */
  #ofEpoch: PartFile[] = [];
  readonly #open = new Map<string, PartFile>();
  /** Ended, on the way to the disk. */
  readonly #sealing = new Set<PartFile>();
  readonly #seals = new Set<Promise<unknown>>();
  #committing: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(parts: PartDirectory, options: WriterOptions<T>, { epoch }: SinkContext<PartsCommittable>) {
    this.#parts = parts;
    this.#options = options;
    this.#epoch = epoch;
  }

  get full(): boolean {
    let bytes = 0;
    for (const part of this.#open.values()) bytes += part.waitingBytes;
    for (const part of this.#sealing) bytes += part.waitingBytes;
    return bytes > waitingBytesMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    if (this.#closed !== undefined) throw new TypeError('Expected `write` to be called before `close`');
    const { format, partition, bytes, records } = this.#options;
    const text = format.encode(value, number);
    const place = partition === undefined ? '' : checkedPlace(partition(value));
    const part = this.#open.get(place) ?? this.#begin(place);
    part.add(text);
    if (part.bytes >= bytes || part.records >= records) this.#end(part);
  }

  #begin(place: string): PartFile {
    const [first] = this.#open.values();
    if (first !== undefined && this.#open.size >= openPartsMax) this.#end(first);
    const part = this.#parts.begin({ epoch: this.#epoch, index: this.#ofEpoch.length, place });
    const { header } = this.#options.format;
    if (header !== undefined) part.begin(header);
    this.#ofEpoch.push(part);
    this.#open.set(place, part);
    return part;
  }

  #end(part: PartFile): void {
    this.#open.delete(part.place);
    this.#sealing.add(part);
    const sealed = part.seal().finally(() => {
      this.#sealing.delete(part);
      this.#seals.delete(sealed);
    });
    this.#seals.add(sealed);
    // Awaited by the seal of its epoch, which reports it.
    sealed.catch(() => undefined);
  }

  seal(epoch: number): Promise<PartsCommittable | undefined> {
    invariant(epoch === this.#epoch, `I7: epoch ${this.#epoch} of the parts is open, ${epoch} can not be sealed`);
    for (const part of [...this.#open.values()]) this.#end(part);
    const parts = this.#ofEpoch;
    this.#ofEpoch = [];
    this.#epoch = epoch + 1;
    return parts.length === 0 ? Promise.resolve(undefined) : this.#seal(epoch, parts);
  }

  async #seal(epoch: number, parts: readonly PartFile[]): Promise<PartsCommittable> {
    try {
      // One by one, so that the first failure is told and no promise is left alone.
      const sealed = [];
      for (const part of parts) sealed.push(await part.seal());
      return { directory: this.#parts.path, epoch, parts: sealed };
    } catch (error) {
      throw failed(`epoch ${epoch} of directory "${this.#parts.path}" can not be written`, error);
    }
  }

  commit(committable: PartsCommittable, signal: AbortSignal): Promise<void> {
    const commit = this.#committing.then(() => this.#parts.commit(committable, signal));
    this.#committing = commit.catch(() => undefined);
    return commit;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#seals, this.#committing]);
    // What was ended and not sealed goes the way of what is open.
    for (const part of this.#ofEpoch) await part.discard();
  }
}

const checkedPlace = (place: string): string => {
  const isName = (name: string): boolean => name !== '' && !name.startsWith('.') && !/[\\\0]/.test(name);
  if (typeof place === 'string' && (place === '' || place.split('/').every(isName))) return place;
  throw refusedResult('partition', 'a path below the directory, without hidden names', place);
};
