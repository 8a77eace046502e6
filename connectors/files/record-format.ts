/** How the records of a file stand in its bytes: the contract of a format, and what formats of lines share. */
import { isUtf8 } from 'node:buffer';
import type { StreamError } from '../../lib/core/errors.ts';
import { malformedAt, type ParsedRecord } from './malformed.ts';

/** A record as it stands in the file, without the break at its end. */
export interface RawRecord {
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
  /** Those that the text was decoded from. Asked while the records are parsed, and rarely. */
  bytes(): Uint8Array;
}

/** A format whose records end with a line, though not each line ends one. */
export interface LineFormat<T> {
  /** Asked for each file that is opened; loads what reading takes. */
  open(file: string): Promise<LineParser<T>>;
}

export interface LineParser<T> {
  /**
   * Index of the newline behind the record that begins at `start`, or -1 when it is not in the bytes. With `ended` no
   * byte comes any more, and their end ends a whole record too. Up to `searched` there is no newline.
   */
  end(bytes: Buffer, place: { readonly start: number; readonly searched: number; readonly ended: boolean }): number;
  /**
   * Takes the first record of the file, which is no data, and gives what is wrong with it. It is read at each opening.
   */
  readonly header?: ((record: RawRecord) => StreamError | undefined) | undefined;
  /** What these records are, by index, each asked at most once and in order; undefined for one that is none. */
  parse(records: readonly RawRecord[]): (index: number) => ParsedRecord<T> | undefined;
}

const newline = 0x0a;

/** @internal For formats in which each line is a record. */
export const lineEnd: LineParser<unknown>['end'] = (bytes, { start, searched, ended }) => {
  const at = bytes.indexOf(newline, searched);
  return at >= 0 || !ended || start === bytes.length ? at : bytes.length;
};

/** @internal Bytes that are no UTF-8 were decoded as U+FFFD, which may as well stand in the file. */
export const notUtf8 = ({ text, line, bytes }: RawRecord, file: string): StreamError | undefined => {
  const at = text.indexOf('\ufffd');
  if (at < 0 || isUtf8(bytes())) return undefined;
  return malformedAt({ file, line, column: at + 1, reason: 'the line is not valid UTF-8' });
};
