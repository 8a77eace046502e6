/** Reads files of JSON Lines: one value per line. */
import { knownOptions, oneOf } from '../../lib/core/options.ts';
import {
  checkSchema,
  fileOptionNames,
  fileSource,
  type FileSource,
  type FileSourceOptions,
  type SchemaOptions,
} from '../files/file-source.ts';
import { jsonLineFormat } from './json-line.ts';

export interface JsonLinesOptions<T> extends FileSourceOptions, SchemaOptions<T> {
  /**
   * What an integer beyond 2^53 becomes, of which a number keeps only the first 16 digits or so: `text` and `bigint`
   * keep them all.
   * @defaultValue 'number', as `JSON.parse` reads it
   */
  readonly bigints?: 'number' | 'text' | 'bigint' | undefined;
}

/**
 * A source of the values in one or more JSON Lines files. Blank lines, CRLF, a byte order mark and a last line without
 * newline are taken. The end of a file as found is the end of its split. What is no regular file (a named pipe, a
 * device, a directory) is refused. Rejects with `INPUT_NOT_FOUND`, `INPUT_MALFORMED`, `INPUT_CHANGED` or
 * `SOURCE_FAILED`.
 *
 * @example
 * import { writeFile } from 'node:fs/promises';
 * await writeFile('visits.jsonl', '{"page":"home"}\n{"page":"help"}\n');
 * const visits = env.fromSource(jsonLines<{ page: string }>('visits.jsonl'));
 * console.log(await visits.map(({ page }) => page).executeAndCollect()); // prints [ 'home', 'help' ]
 */
export const jsonLines = <T>(path: string | readonly string[], options: JsonLinesOptions<T> = {}): FileSource<T> => {
  knownOptions('jsonLines', options, { ...fileOptionNames, schema: true, bigints: true });
  const { schema, bigints = 'number', ...files } = options;
  oneOf('bigints', bigints, ['number', 'text', 'bigint']);
  checkSchema(schema);
  const format = jsonLineFormat({ schema, bigints });
  return fileSource({ ...files, user: 'jsonLines', name: 'json-lines', path, format });
};
