/** Reads CSV files: a value for each row. Rows are told apart here, cells by the package `csv-parse`. */
import { knownOptions, refusal } from '../../lib/core/options.ts';
import { csvFormat } from './csv-rows.ts';
import {
  checkSchema,
  fileOptionNames,
  fileSource,
  type FileSource,
  type FileSourceOptions,
  type SchemaOptions,
} from './file-source.ts';

export interface CsvOptions<T> extends FileSourceOptions, SchemaOptions<T> {
  /** Whether the first row of each file names the columns. @defaultValue true */
  readonly header?: boolean | undefined;
  /**
   * Names of the columns, in place of those of the header. Without either a value is the list of its cells.
   * @defaultValue those of the header
   */
  readonly columns?: readonly string[] | undefined;
  /** What stands between cells: one character. @defaultValue ',' */
  readonly delimiter?: string | undefined;
  /**
   * What a cell is set in that holds a delimiter, a line end or a quote, which is written twice there.
   * @defaultValue '"'
   */
  readonly quote?: string | undefined;
}

const csvOptionNames = { schema: true, header: true, columns: true, delimiter: true, quote: true } as const;
const csvLineBytesMax = 1024 * 1024;

/**
 * A source of the rows of one or more CSV files in UTF-8, each an object of texts by column, which a schema makes
 * values of other types of (`z.coerce.number()`). Blank lines are passed over; a quoted cell may go over several lines,
 * and a position is behind a whole row. A row is malformed that has another number of cells than there are columns, a
 * quote out of place, no UTF-8, or is refused by the schema; where a quote is never closed, only its first line is. A
 * header that is none is `INPUT_MALFORMED`, whatever `onMalformed` says. Needs the package `csv-parse`. Rejects with
 * `INPUT_NOT_FOUND`, `INPUT_MALFORMED`, `INPUT_CHANGED`, `SOURCE_FAILED` or `PACKAGE_MISSING`.
 *
 * @example
 * import { writeFile } from 'node:fs/promises';
 * import { z } from 'zod';
 * await writeFile('prices.csv', 'item,euros\n"tea, green",3.50\ncake,2\n');
 * const prices = csv('prices.csv', { schema: z.object({ item: z.string(), euros: z.coerce.number() }) });
 * const shown = env.fromSource(prices).map(({ item, euros }) => `${item}: ${euros}`);
 * console.log(await shown.executeAndCollect()); // prints [ 'tea, green: 3.5', 'cake: 2' ]
 */
export const csv = <T = Readonly<Record<string, string>>>(
  path: string | readonly string[],
  options: CsvOptions<T> = {},
): FileSource<T> => {
  knownOptions('csv', options, { ...fileOptionNames, ...csvOptionNames });
  const { schema, header = true, columns, delimiter = ',', quote = '"', ...files } = options;
  if (typeof header !== 'boolean') throw refusal('header', 'true or false', header);
  const areNames = (list: readonly unknown[]): boolean =>
    list.length > 0 && list.every((name) => typeof name === 'string') && new Set(list).size === list.length;
  if (columns !== undefined && !(Array.isArray(columns) && areNames(columns)))
    throw refusal('columns', 'a list of names, none of them twice', columns);
  if (!/^[^\r\n]$/u.test(delimiter)) throw refusal('delimiter', 'one character that ends no line', delimiter);
  if (!/^[\x21-\x7e]$/.test(quote) || quote === delimiter)
    throw refusal('quote', 'one printable character of ASCII that is not the delimiter', quote);
  checkSchema(schema);
  const format = csvFormat({ schema, header, columns, delimiter, quote });
  return fileSource({ lineBytesMax: csvLineBytesMax, ...files, user: 'csv', name: 'csv', path, format });
};
