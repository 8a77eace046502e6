/**
 * The content of a compressed file, by its place in what comes out of it. It is read forward; a place that was passed
 * by is reached again from the start of the file. What is damaged or cut short is `INPUT_DAMAGED`, behind everything
 * that comes out before it. Keeps I10 (what is held of the content is a few pieces) and I20 (pieces are small).
 */
import type { FileHandle } from 'node:fs/promises';
import { messageOf, StreamError } from '../../lib/core/errors.ts';
import type { ByteInput } from './byte-input.ts';

/** What makes content of compressed bytes, once from their start to their end. */
export interface Decoder {
  /**
   * Gives what comes out of the next bytes, which it may keep; undefined says that none come any more. Rejects where
   * they are damaged or end too early, after `out` was given what came out before.
   */
  decode(bytes: Buffer | undefined, out: (content: Buffer) => void): Promise<void>;
  close(): void;
  /** Compressed bytes that it is given at once, so many that what comes out of them is a few MiB at most. */
  readonly pieceBytes: number;
}

/** Compressed bytes that are asked of the file at once. */
const chunkBytes = 64 * 1024;

/** A piece of the content, and where it starts. */
interface Piece {
  readonly at: number;
  readonly content: Buffer;
}

/** @internal The handle is the input's own from now on. */
export class CompressedInput implements ByteInput {
  readonly size = undefined;
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #makeDecoder: () => Decoder;
  #decoder: Decoder;
  /** What came out and may still be asked for: what was read last, and all behind it. */
  #pieces: Piece[] = [];
  /** Bytes of content that came out, and of the file that were given to the decoder. */
  #content = 0;
  #compressed = 0;
  /** What was read of the file last, and where it stands. */
  #chunk = Buffer.alloc(0);
  #chunkAt = 0;
  /** From here on the decoder is given single bytes: it keeps to itself what comes out of a piece in which it fails. */
  #singleFrom = Number.POSITIVE_INFINITY;
  #ended = false;
  #failure: StreamError | undefined;
  #closed = false;

  constructor(file: string, handle: FileHandle, makeDecoder: () => Decoder) {
    this.#file = file;
    this.#handle = handle;
    this.#makeDecoder = makeDecoder;
    this.#decoder = makeDecoder();
  }

  async read(target: Uint8Array, from: number, position: number, signal: AbortSignal): Promise<number> {
    if (position < (this.#pieces[0]?.at ?? this.#content)) this.#rewind();
    const end = position + target.length - from;
    while (this.#content < end && !this.#ended && this.#failure === undefined) {
      signal.throwIfAborted();
      await this.#decodeNext();
      this.#letGo(position);
    }
    let done = 0;
    for (const { at, content } of this.#pieces) {
      const part = content.subarray(Math.max(0, position - at), Math.max(0, end - at));
      target.set(part, from + done);
      done += part.length;
    }
    if (done === 0 && this.#failure !== undefined) throw this.#failure;
    return done;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#decoder.close();
    await this.#handle.close();
  }

  #rewind(): void {
    this.#decoder.close();
    this.#decoder = this.#makeDecoder();
    this.#pieces = [];
    this.#content = this.#compressed = 0;
    this.#ended = false;
    this.#failure = undefined;
  }

  /** All but the last piece that ends before a place, which may be looked at again. */
  #letGo(position: number): void {
    const passed = this.#pieces.filter(({ at, content }) => at + content.length <= position).length;
    if (passed > 1) this.#pieces.splice(0, passed - 1);
  }

  async #decodeNext(): Promise<void> {
    const at = this.#compressed;
    const { pieceBytes } = this.#decoder;
    const most = at < this.#singleFrom ? Math.min(pieceBytes, this.#singleFrom - at) : 1;
    const bytes = await this.#bytesAt(at, most);
    this.#compressed += bytes.length;
    try {
      await this.#decoder.decode(bytes.length === 0 ? undefined : bytes, this.#take);
      this.#ended = bytes.length === 0;
    } catch (cause) {
      if (bytes.length <= 1) {
        this.#failure = this.#damaged(cause);
        return;
      }
      this.#singleFrom = at;
      this.#rewind();
    }
  }

  /** Bytes of the file, none at its end. */
  async #bytesAt(at: number, most: number): Promise<Buffer> {
    let from = at - this.#chunkAt;
    if (from < 0 || from >= this.#chunk.length) {
      // A new one: a decoder may keep what it was given of the one before.
      const chunk = Buffer.allocUnsafe(chunkBytes);
      const { bytesRead } = await this.#handle.read(chunk, 0, chunkBytes, at);
      this.#chunk = chunk.subarray(0, bytesRead);
      this.#chunkAt = at;
      from = 0;
    }
    return this.#chunk.subarray(from, from + most);
  }

  readonly #take = (content: Buffer): void => {
    if (content.length === 0) return;
    this.#pieces.push({ at: this.#content, content });
    this.#content += content.length;
  };

  #damaged(cause: unknown): StreamError {
    const message = `input "${this.#file}" is damaged or cut short behind byte ${this.#content} of its content`;
    return new StreamError('INPUT_DAMAGED', `${message}: ${messageOf(cause)}`, {
      cause,
      details: { file: this.#file, offset: this.#content },
    });
  }
}
