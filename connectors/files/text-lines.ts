/** Reads text files: a value for each line. */
import { knownOptions } from '../../lib/core/options.ts';
import { fileOptionNames, fileSource, type FileSource, type FileSourceOptions } from './file-source.ts';
import { lineEnd, notUtf8, type LineFormat } from './record-format.ts';

/**
 * A source of the lines of one or more text files in UTF-8, without their breaks (LF or CRLF) and without a byte order
 * mark; a blank line is an empty text, and a last line needs no newline. The end of a file as found is the end of its
 * split. A line that is no UTF-8 or too long is malformed. Rejects with `INPUT_NOT_FOUND`, `INPUT_MALFORMED`,
 * `INPUT_CHANGED` or `SOURCE_FAILED`.
 *
 * @example
 * import { writeFile } from 'node:fs/promises';
 * await writeFile('poem.txt', 'green\nred\n');
 * console.log(await env.fromSource(textLines('poem.txt')).executeAndCollect()); // prints [ 'green', 'red' ]
 */
export const textLines = (path: string | readonly string[], options: FileSourceOptions = {}): FileSource<string> => {
  knownOptions('textLines', options, fileOptionNames);
  return fileSource({ ...options, user: 'textLines', name: 'text-lines', path, format: textFormat });
};

/** @internal */
export const textFormat: LineFormat<string> = {
  async open(file) {
    return {
      end: lineEnd,
      parse: (records) => (index) => {
        const record = records[index];
        if (record === undefined) return undefined;
        const malformed = notUtf8(record, file);
        return malformed === undefined ? { value: record.text } : { malformed };
      },
    };
  },
};
