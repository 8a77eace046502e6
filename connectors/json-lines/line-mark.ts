/**
 * A mark of a line that was read: a file that has other content there is another file, be it as long or longer. It is
 * made of two lines of a batch, so it costs next to nothing while a file is read, and one small read when it is opened
 * again. What is appended changes no mark.
 */
import { crc32 } from 'node:zlib';

export interface LineMark {
  /** Where the line starts, in bytes. */
  readonly start: number;
  /** CRC-32 of the line's first characters, without its break. */
  readonly crc: number;
}

/** What is read of an open file; the types of Node are not among those that users need. */
interface ReadableFile {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/** Characters of a line that are looked at. */
const charactersMax = 1024;
/** They take three bytes each at most, also those that stand for bytes which are no UTF-8. */
const bytesMax = 4 * charactersMax;

export const markOf = (start: number, line: string): LineMark => ({ start, crc: crc32(line.slice(0, charactersMax)) });

/** Whether the file still has the line there. `end` is behind it. */
export const hasMark = async (file: ReadableFile, { start, crc }: LineMark, end: number): Promise<boolean> => {
  const bytes = Buffer.alloc(Math.min(bytesMax, end - start));
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
  const [whole = ''] = bytes.toString('utf8', 0, bytesRead).split('\n', 1);
  const line = start === 0 ? whole.replace(/^\ufeff/, '') : whole; // A byte order mark is no part of it.
  // The break may have come since.
  return crc32(line.slice(0, charactersMax)) === crc || crc32(line.replace(/\r$/, '').slice(0, charactersMax)) === crc;
};
