/** How values are written to a file: the formats of the sinks of files. */
import { messageOf, StreamError } from '../../lib/core/errors.ts';
import { refusal } from '../../lib/core/options.ts';
import { plainJson } from '../../lib/core/plain-json.ts';

export interface FileFormat<T> {
  /** Ends the names of files, with its dot. */
  readonly ending: string;
  /** Stands at the start of each file, with its line break. @defaultValue nothing */
  readonly header?: string | undefined;
  /**
   * What a value is written as, with its line break. Throws where it can not be written. `number` is that of the record
   * in its sink.
   */
  readonly encode: (value: T, number: number) => string;
}

export interface CsvFormatOptions {
  /** The columns, by the names that values have for them. Of values that are lists they are the names alone. */
  readonly columns: readonly string[];
  /** Whether the columns stand in the first row of each file. @defaultValue true */
  readonly header?: boolean | undefined;
  /** What stands between cells: one character. @defaultValue ',' */
  readonly delimiter?: string | undefined;
}

const asJsonHint = 'make plain data of it by `map`, or leave it out by `filter`, in front of the sink';

const refused = (number: number, as: string, why: string, cause?: unknown): StreamError =>
  new StreamError('NOT_SERIALISABLE', `record ${number} can not be written as ${as}: ${why}`, {
    cause,
    hint: asJsonHint,
  });

const jsonOf = (value: unknown, number: number): string => {
  if (value === undefined) throw refused(number, 'JSON', 'it is undefined');
  try {
    return plainJson(value);
  } catch (error) {
    throw refused(number, 'JSON', messageOf(error), error);
  }
};

const csv = <T>(options: CsvFormatOptions): FileFormat<T> => {
  const { columns, header = true, delimiter = ',' } = options;
  const areNames = (list: readonly unknown[]): boolean =>
    list.length > 0 && list.every((name) => typeof name === 'string') && new Set(list).size === list.length;
  if (!Array.isArray(columns) || !areNames(columns))
    throw refusal('columns', 'a list of names, none of them twice', columns);
  if (typeof delimiter !== 'string' || !/^[^\r\n"]$/u.test(delimiter))
    throw refusal('delimiter', 'one character that is no quote and ends no line', delimiter);
  const cell = (value: unknown, number: number): string => {
    if (value === undefined || value === null) return '';
    const isText = typeof value === 'string' || typeof value === 'bigint';
    const text = isText ? String(value) : value instanceof Date ? value.toISOString() : jsonOf(value, number);
    return text.includes(delimiter) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const row = (cells: readonly unknown[], number: number): string => {
    const text = cells.map((each) => cell(each, number)).join(delimiter);
    return text === '' ? '""\n' : `${text}\n`; // A blank line is no row.
  };
  return {
    ending: '.csv',
    header: header ? row(columns, 0) : undefined,
    encode(value, number) {
      if (typeof value !== 'object' || value === null) throw refused(number, 'CSV', 'it is no object');
      if (!Array.isArray(value)) return row(columns.map((name) => Reflect.get(value, name)), number);
      if (value.length === columns.length) return row(value, number);
      throw refused(number, 'CSV', `it has ${value.length} cells, where there are ${columns.length} columns`);
    },
  };
};

const jsonLines: FileFormat<unknown> = {
  ending: '.jsonl',
  encode: (value, number) => `${jsonOf(value, number)}\n`,
};

const text: FileFormat<string> = {
  ending: '.txt',
  encode(value, number) {
    if (typeof value !== 'string') throw refused(number, 'a line of text', 'it is no text');
    if (/[\r\n]/.test(value)) throw refused(number, 'a line of text', 'it holds the end of a line');
    return `${value}\n`;
  },
};

/**
 * Formats of the sinks of files: JSON Lines, lines of text, and CSV. Another one is an object of the same shape.
 *
 * @example
 * const { encode } = fileFormat.csv({ columns: ['id', 'text'] });
 * console.log(encode({ id: 1, text: 'a, b' }, 0).trim()); // prints 1,"a, b"
 */
export const fileFormat = { jsonLines, text, csv } as const;
