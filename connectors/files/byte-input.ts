/**
 * The bytes of a file as a reader of records asks for them: by their place in the content, which of a compressed file
 * is what comes out of it. Whoever reads forward only reads each byte once.
 */
import type { FileHandle } from 'node:fs/promises';
import { StreamError } from '../../lib/core/errors.ts';
import { openRegular } from '../../lib/core/regular-file.ts';
import { lastingSystemError, systemError } from '../../lib/core/system-error.ts';

/** What a range of bytes is read from. */
export interface ByteInput {
  /** Bytes of the content when it was opened; undefined when only reading it says so. */
  readonly size: number | undefined;
  /**
   * Fills `target` from index `from` on with what stands at `position` of the content, and gives how many bytes came:
   * 0 at the end. A file gives what it has at once; fewer than asked say nothing. Rejects with the signal's reason when
   * it is aborted on a long way there.
   */
  read(target: Uint8Array, from: number, position: number, signal: AbortSignal): Promise<number>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** @internal A regular file to read. Rejects with `INPUT_NOT_FOUND`, or `SOURCE_FAILED` where waiting may help. */
export const openInput = (file: string): Promise<FileHandle> =>
  openRegular(file, 'read').catch((error: unknown) => {
    const code = lastingSystemError(error) ? 'INPUT_NOT_FOUND' : 'SOURCE_FAILED';
    throw systemError(code, `input "${file}" can not be opened`, error, { details: { file } });
  });

/** @internal The bytes of a file as they are. The handle is its own from now on. */
export const plainInput = async (handle: FileHandle): Promise<ByteInput> => {
  const { size } = await handle.stat();
  let closed = false;
  return {
    size,
    read: async (target, from, position) =>
      (await handle.read(target, from, target.length - from, position)).bytesRead,
    async close() {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
};

/** @internal An error on the way of an input, as one with a code; what an abort has thrown stays what it is. */
export const unreadableUnless = (signal: AbortSignal, file: string, error: unknown): unknown =>
  signal.aborted && error === signal.reason ? error : unreadable(file, error);

/** @internal */
export const unreadable = (file: string, error: unknown): StreamError =>
  systemError('SOURCE_FAILED', `input "${file}" can not be read`, error, { details: { file } });

/** @internal */
export const inputChanged = (file: string, what: string): StreamError =>
  new StreamError('INPUT_CHANGED', `input "${file}" ${what}`, { details: { file } });
