/**
 * Writes values to a file of JSON Lines, exactly once. The lines of an epoch wait in a pending file beside the output
 * until the checkpoint that sealed them is durable; a commit adds them at their fixed offset, so it can be repeated
 * after any crash. Keeps I7 (visible only by commit, which may be repeated) and I10 (what waits in memory is bounded by
 * `full`).
 */
import { hash } from 'node:crypto';
import { basename, resolve } from 'node:path';
import type { Sink, SinkContext, SinkWriter } from '../../lib/core/connector.ts';
import type { Timestamp } from '../../lib/core/element.ts';
import { invariant, messageOf, StreamError } from '../../lib/core/errors.ts';
import { integer, knownOptions, oneOf, refusal } from '../../lib/core/options.ts';
import { plainJson } from '../../lib/core/plain-json.ts';
import { fileIdentity, realPath } from './file-identity.ts';
import {
  checkPlace,
  failed,
  JsonLinesOutput,
  offsetOf,
  type JsonLinesCommittable,
  type OutputOptions,
} from './json-lines-output.ts';
import { takeOutput } from './output-owner.ts';
import { PendingFile, pendingEpochs, removePending } from './pending-file.ts';

export interface JsonLinesSinkOptions {
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

/**
 * A sink that writes each value as a line of JSON: bigints as text, `Map` as an object or a list of pairs, `Set` as a
 * list, bytes as base64, errors with name and message; what has no JSON form is refused with `NOT_SERIALISABLE`,
 * nothing becomes `{}`. The directory must exist. An output has one owner: two sinks of a job on one file are refused
 * with `GRAPH_INVALID`, by whatever path they name it, and a second job with `OUTPUT_IN_USE`, or where it can't be
 * seen, at its next commit with `OUTPUT_CHANGED`. What somebody else writes into it is never cut. Reading it at any
 * moment gives whole epochs, or the beginning of one that is being committed. Files beside it (`NAME.*.pending`,
 * `NAME.*.writing`) can be read by their owner alone.
 *
 * @example
 * orders.sinkTo(jsonLinesSink('orders.jsonl', { onExisting: 'overwrite' }));
 */
export const jsonLinesSink = <T>(path: string, options: JsonLinesSinkOptions = {}): Sink<T, JsonLinesCommittable> => {
  knownOptions('jsonLinesSink', options, { onExisting: true, mode: true });
  const { onExisting = 'fail', mode = 0o666 } = options;
  oneOf('onExisting', onExisting, ['fail', 'append', 'overwrite']);
  integer('mode', mode, { max: 0o777 });
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw refusal('path', 'the path of a file', path);
  return {
    // Named by its file, so that it keeps its uid when sinks are added, removed or written in another order.
    name: `json-lines-${basename(path).replaceAll(/[^\w.-]/g, '-')}`,
    guarantee: 'exactly-once',
    outputs: () => [fileIdentity(path)],
    async open(context) {
      context.signal.throwIfAborted();
      const owner = hash('sha256', context.sinkId, 'hex').slice(0, 8);
      try {
        // Without links, so that whoever reaches the file by another way finds what stands beside it.
        return await openWriter<T>({ path: realPath(path), owner, onExisting, mode }, context);
      } catch (error) {
        throw failed(`output "${path}" can not be opened`, error);
      }
    },
  };
};

const openWriter = async <T>(
  options: OutputOptions,
  context: SinkContext<JsonLinesCommittable>,
): Promise<JsonLinesWriter<T>> => {
  const { pending, last, epoch } = context;
  await checkPlace(options);
  const release = await takeOutput(options.path, options.owner);
  try {
    const offset = await offsetOf(options, context);
    const kept = new Set([...pending, ...(last === undefined ? [] : [last])].map((each) => each.epoch));
    for (const each of await pendingEpochs(options)) if (!kept.has(each)) await removePending(options, each);
    return new JsonLinesWriter<T>({
      ...options,
      epoch,
      offset,
      output: new JsonLinesOutput(options, pending),
      release,
    });
  } catch (error) {
    await release();
    throw error;
  }
};

interface WriterOptions extends OutputOptions {
  readonly output: JsonLinesOutput;
  readonly epoch: number;
  /** Where the epoch begins in the output. */
  readonly offset: number;
  release(): Promise<void>;
}

class JsonLinesWriter<T> implements SinkWriter<T, JsonLinesCommittable> {
  readonly #options: WriterOptions;
  #current: PendingFile;
  /** Where the current epoch begins in the output. */
  #offset: number;
  /** Sealed in memory, on the way to the disk. */
  readonly #sealing = new Set<PendingFile>();
  readonly #seals = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#current = new PendingFile(options, options.epoch);
    this.#offset = options.offset;
  }

  get full(): boolean {
    let bytes = this.#current.waitingBytes;
    for (const file of this.#sealing) bytes += file.waitingBytes;
    return bytes > waitingBytesMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    if (this.#closed !== undefined) throw new TypeError('Expected `write` to be called before `close`');
    this.#current.add(lineOf(value, number));
  }

  seal(epoch: number): Promise<JsonLinesCommittable | undefined> {
    const file = this.#current;
    invariant(
      epoch === file.epoch,
      `I7: epoch ${file.epoch} of "${this.#options.path}" is open, ${epoch} can not be sealed`,
    );
    this.#current = new PendingFile(this.#options, epoch + 1);
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

  async #seal(file: PendingFile, committable: JsonLinesCommittable): Promise<JsonLinesCommittable> {
    try {
      await file.seal();
      return committable;
    } catch (error) {
      throw failed(`epoch ${file.epoch} of "${this.#options.path}" can not be written`, error);
    }
  }

  commit(committable: JsonLinesCommittable, signal: AbortSignal): Promise<void> {
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

const asJsonHint = 'make plain data of it by `map`, or leave it out by `filter`, in front of the sink';

const lineOf = (value: unknown, number: number): string => {
  try {
    if (value !== undefined) return `${plainJson(value)}\n`;
  } catch (error) {
    throw new StreamError('NOT_SERIALISABLE', `record ${number} can not be written as JSON: ${messageOf(error)}`, {
      cause: error,
      hint: asJsonHint,
    });
  }
  throw new StreamError('NOT_SERIALISABLE', `record ${number} can not be written as JSON: it is undefined`, {
    hint: asJsonHint,
  });
};
