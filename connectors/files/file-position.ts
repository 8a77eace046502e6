/** Where a reader of a file goes on, and whether the file can still be the one that the place was taken in. */
import { inputChanged, type ByteInput } from './byte-input.ts';
import { hasMark, type LineMark } from './line-mark.ts';

/** Behind the last consumed record of a file. */
export interface FilePosition {
  /** In bytes; of a compressed file, of what comes out of it. */
  readonly offset: number;
  /** Lines before the offset, blank and skipped ones included. */
  readonly line: number;
  /** Of a line that was read, the last one of a whole batch. @defaultValue none: its content is not looked at */
  readonly mark?: LineMark | undefined;
}

const newline = 0x0a;
const carriageReturn = 0x0d;

/** @internal Where to go on. Rejects with `INPUT_CHANGED` when this can't be the file. */
export const startOf = async (
  input: ByteInput,
  file: string,
  position: FilePosition,
  signal: AbortSignal,
): Promise<FilePosition> => {
  const { offset, line, mark } = position;
  const tooShort = (size: number) =>
    inputChanged(file, `has ${size} bytes, fewer than the ${offset} that were read before`);
  if (input.size !== undefined && input.size < offset) throw tooShort(input.size);
  if (mark !== undefined && !(await hasMark(input, mark, offset, signal)))
    throw inputChanged(file, `has another line at byte ${mark.start} than was read there`);
  const around = Buffer.alloc(3);
  const length = await input.read(around, 0, offset - 1, signal);
  // Only of what has no size is it not known by now.
  if (length === 0) throw tooShort(offset - 1);
  if (around[0] === newline || length === 1) return position;
  // The last line had no newline when it was read: it may have got one since, but it must not have got longer.
  const lineBreak = around[1] === newline ? 1 : around[1] === carriageReturn && around[2] === newline ? 2 : 0;
  if (lineBreak > 0) return { ...position, offset: offset + lineBreak, line };
  throw inputChanged(file, `has no line that ends at byte ${offset}, where one was read before`);
};
