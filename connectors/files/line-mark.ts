/**
 * A mark of a line that was read: a file that has other content there is another file, be it as long or longer. It is
 * made of two lines of a batch, so it costs next to nothing while a file is read, and one small read when it is opened
 * again. What is appended changes no mark. Of a record that goes over several lines it marks the first.
 */
import { crc32 } from 'node:zlib';
import type { ByteInput } from './byte-input.ts';

export interface LineMark {
  /** Where the line starts, in bytes. */
  readonly start: number;
  /** CRC-32 of the line's first characters, without its break. */
  readonly crc: number;
}

/** Characters of a line that are looked at. */
const charactersMax = 1024;
/** They take three bytes each at most, also those that stand for bytes which are no UTF-8. */
const bytesMax = 4 * charactersMax;

export const markOf = (start: number, text: string): LineMark => ({ start, crc: crcOf(firstLine(text)) });

/** Whether the input still has the line there. `end` is behind it. */
export const hasMark = async (
  input: ByteInput,
  { start, crc }: LineMark,
  end: number,
  signal: AbortSignal,
): Promise<boolean> => {
  const bytes = Buffer.alloc(Math.min(bytesMax, end - start));
  const length = await input.read(bytes, 0, start, signal);
  const whole = firstLine(bytes.toString('utf8', 0, length));
  const line = start === 0 ? whole.replace(/^\ufeff/, '') : whole; // A byte order mark is no part of it.
  // The break may have come since.
  return crcOf(line) === crc || crcOf(withoutBreak(line)) === crc;
};

const firstLine = (text: string): string => {
  const at = text.indexOf('\n');
  return at < 0 ? text : text.slice(0, at);
};

const withoutBreak = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line);

const crcOf = (line: string): number => crc32(line.slice(0, charactersMax));
