/** The content of zstd, by the package `fzstd`, which is loaded when the first such file is opened. */
import { loadPackage } from '../../lib/core/package-loading.ts';
import type { Decoder } from './compressed-input.ts';

/** @internal Frames that follow each other are one content. A checksum in them is not compared. */
export const zstdDecoders = async (): Promise<() => Decoder> => {
  const { Decompress } = await loadPackage('fzstd', 'zstd files', () => import('fzstd'));
  return () => {
    let out: (content: Buffer) => void = () => {};
    // It may go on writing where what it gives stands.
    const stream = new Decompress((content) => out(Buffer.from(content)));
    return {
      // Four bytes may stand for a block of 128 KiB.
      pieceBytes: 512,
      async decode(bytes, take) {
        out = take;
        if (bytes === undefined) stream.push(new Uint8Array(0), true);
        else stream.push(bytes);
      },
      close() {},
    };
  };
};
