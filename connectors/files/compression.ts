/** Which files are compressed, and how their content is made: gzip by Node, zstd by a package. */
import type { FileHandle } from 'node:fs/promises';
import { createGunzip, type Gunzip } from 'node:zlib';
import { plainInput, unreadable, type ByteInput } from './byte-input.ts';
import { CompressedInput, type Decoder } from './compressed-input.ts';
import { zstdDecoders } from './zstd-decoder.ts';

/** How a file is compressed; `auto` goes by its name: `.gz` and `.zst`. */
export type Compression = 'auto' | 'none' | 'gzip' | 'zstd';

/** @internal */
export const compressions: readonly Compression[] = ['auto', 'none', 'gzip', 'zstd'];

/** @internal The content of a file that was opened. The handle is the input's own, also when this rejects. */
export const contentOf = async (file: string, handle: FileHandle, compression: Compression): Promise<ByteInput> => {
  try {
    const kind = compression === 'auto' ? kindOf(file) : compression;
    return kind === 'none' ? await plainInput(handle) : new CompressedInput(file, handle, await decoders[kind]());
  } catch (error) {
    await handle.close();
    throw unreadable(file, error);
  }
};

const kindOf = (file: string): Exclude<Compression, 'auto'> =>
  /\.gz$/i.test(file) ? 'gzip' : /\.zst$/i.test(file) ? 'zstd' : 'none';

/** Members that follow each other are one content, zeros behind them are padding. */
class GzipDecoder implements Decoder {
  readonly pieceBytes = 16 * 1024;
  readonly #stream: Gunzip = createGunzip();
  #out: (content: Buffer) => void = () => {};
  #failure: Error | undefined;
  #settle: () => void = () => {};

  constructor() {
    this.#stream.on('data', (content: Buffer) => this.#out(content));
    this.#stream.on('end', () => this.#settle());
    this.#stream.on('error', (error) => {
      this.#failure = error;
      this.#settle();
    });
  }

  async decode(bytes: Buffer | undefined, out: (content: Buffer) => void): Promise<void> {
    this.#out = out;
    // An empty file is no stream of gzip, and has no content.
    if (bytes === undefined && this.#stream.bytesWritten === 0) return;
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
      if (this.#stream.readableEnded || this.#failure !== undefined) resolve();
      else if (bytes === undefined) this.#stream.end();
      else this.#stream.write(bytes, () => resolve());
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    this.#stream.destroy();
  }
}

const decoders = { gzip: async () => () => new GzipDecoder(), zstd: zstdDecoders } as const;
