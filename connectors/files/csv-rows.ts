/**
 * Rows of CSV as records of a file. Where a row ends is found in the bytes, so that a position is exact; its cells are
 * those of `csv-parse`, which is given many rows at once, and one at a time where it refuses one of them.
 */
import { messageOf, type StreamError } from '../../lib/core/errors.ts';
import { loadPackage } from '../../lib/core/package-loading.ts';
import { malformedAt, shapedBy, type ParsedRecord, type RecordSchema } from './malformed.ts';
import { notUtf8, type LineFormat, type LineParser, type RawRecord } from './record-format.ts';

export interface CsvFormat<T> {
  readonly schema: RecordSchema<T> | undefined;
  readonly header: boolean;
  readonly columns: readonly string[] | undefined;
  readonly delimiter: string;
  readonly quote: string;
}

/** The cells of a row, or why it is none. */
type Cells =
  | { readonly cells: readonly string[]; readonly malformed?: undefined }
  | { readonly malformed: StreamError; readonly cells?: undefined };
type ParseRows = (text: string) => readonly (readonly string[])[];

const newline = 0x0a;

/** @internal */
export const csvFormat = <T>(format: CsvFormat<T>): LineFormat<T> => ({
  async open(file) {
    const { parse } = await loadPackage('csv-parse', 'CSV files', () => import('csv-parse/sync'));
    const { delimiter, quote } = format;
    const options = { delimiter, quote, escape: quote, record_delimiter: '\n', relax_column_count: true };
    return new CsvParser(file, format, (text) => parse(text, options));
  },
});

class CsvParser<T> implements LineParser<T> {
  readonly #file: string;
  readonly #format: CsvFormat<T>;
  readonly #rows: ParseRows;
  readonly #quote: number;
  readonly #delimiter: Buffer;
  #columns: readonly string[] | undefined;
  readonly header: ((record: RawRecord) => StreamError | undefined) | undefined;

  constructor(file: string, format: CsvFormat<T>, rows: ParseRows) {
    this.#file = file;
    this.#format = format;
    this.#rows = rows;
    this.#quote = format.quote.charCodeAt(0);
    this.#delimiter = Buffer.from(format.delimiter);
    this.#columns = format.columns;
    if (format.header) this.header = (record) => this.#takeHeader(record);
  }

  end(bytes: Buffer, { start, ended }: Readonly<{ start: number; ended: boolean }>): number {
    const line = bytes.indexOf(newline, start);
    const end = line < 0 ? bytes.length : line;
    if (bytes.subarray(start, end).indexOf(this.#quote) >= 0) return this.#endOfQuoted(bytes, start, ended);
    return line < 0 && !ended ? -1 : end;
  }

  /** A quote opens a cell only where the cell begins. */
  #endOfQuoted(bytes: Buffer, start: number, ended: boolean): number {
    for (let at = start; ; at += this.#delimiter.length) {
      if (bytes[at] === this.#quote) {
        at = this.#behindQuoted(bytes, at);
        if (at < 0) return -1;
      }
      while (at < bytes.length && bytes[at] !== newline && !this.#isDelimiter(bytes, at)) at += 1;
      if (at >= bytes.length) return ended ? bytes.length : -1;
      if (bytes[at] === newline) return at;
    }
  }

  /** Index behind the quote that closes the cell; -1 when there is none. */
  #behindQuoted(bytes: Buffer, start: number): number {
    for (let at = bytes.indexOf(this.#quote, start + 1); at >= 0; at = bytes.indexOf(this.#quote, at + 2)) {
      if (bytes[at + 1] !== this.#quote) return at + 1;
    }
    return -1;
  }

  #isDelimiter(bytes: Buffer, at: number): boolean {
    return this.#delimiter.every((byte, index) => bytes[at + index] === byte);
  }

  #takeHeader(record: RawRecord): StreamError | undefined {
    const { line } = record;
    const refused = (reason: string): StreamError => malformedAt({ file: this.#file, line, reason });
    const { cells, malformed } = this.#cellsOf(record);
    if (malformed !== undefined) return malformed;
    if (this.#format.columns !== undefined) return undefined;
    const twice = cells.find((name, index) => cells.indexOf(name) !== index);
    if (twice !== undefined) return refused(`the header names column "${twice}" twice`);
    this.#columns = cells;
    return undefined;
  }

  parse(records: readonly RawRecord[]): (index: number) => ParsedRecord<T> | undefined {
    const rows = this.#allRows(records);
    return (index) => {
      const record = records[index];
      if (record === undefined || record.text === '') return undefined;
      const row = rows?.[index];
      const { cells, malformed } = row === undefined ? this.#cellsOf(record) : { cells: row };
      return malformed === undefined ? this.#valueOf(cells, record) : { malformed };
    };
  }

  /** The rows of all records, when none of them is refused or split by the package. */
  #allRows(records: readonly RawRecord[]): ReturnType<ParseRows> | undefined {
    try {
      const rows = this.#rows(records.map(({ text }) => `${text}\n`).join(''));
      return rows.length === records.length ? rows : undefined;
    } catch {
      return undefined; // Which one it was is found out one by one.
    }
  }

  #cellsOf(record: RawRecord): Cells {
    const { text, line } = record;
    try {
      const [row = [''], ...more] = this.#rows(text);
      if (more.length === 0) return { cells: row };
    } catch (cause) {
      // What the package counts are rows and lines of what it was given.
      const reason = messageOf(cause).replace(/ (?:at|on) line \d+.*$/, '');
      return { malformed: malformedAt({ file: this.#file, line, reason, cause }) };
    }
    return { malformed: malformedAt({ file: this.#file, line, reason: 'a quote stands out of place' }) };
  }

  #valueOf(cells: readonly string[], record: RawRecord): ParsedRecord<T> {
    const columns = this.#columns;
    const place = { file: this.#file, line: record.line };
    const malformed = notUtf8(record, this.#file);
    if (malformed !== undefined) return { malformed };
    if (columns === undefined) return shapedBy(this.#format.schema, cells, place);
    if (cells.length !== columns.length) {
      const reason = `the row has ${cells.length} cells, where there are ${columns.length} columns`;
      return { malformed: malformedAt({ ...place, reason }) };
    }
    // By entries, so that a column may have any name.
    const value = Object.fromEntries(columns.map((name, index) => [name, cells[index]]));
    return shapedBy(this.#format.schema, value, place);
  }
}
