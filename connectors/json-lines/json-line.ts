/** One line of JSON Lines as a record of a file: blank lines are none, and a line holds one JSON value. */
import type { LineFormat, RawRecord } from '../files/record-format.ts';
import { messageOf } from '../../lib/core/errors.ts';
import { malformedAt, shapedBy, type ParsedRecord, type RecordSchema } from '../files/malformed.ts';
import { lineEnd, notUtf8 } from '../files/record-format.ts';
import { parseWithIntegers } from './json-integers.ts';
import { syntaxErrorIndex } from './json-syntax.ts';

interface JsonLineOptions<T> {
  readonly schema: RecordSchema<T> | undefined;
  readonly bigints: 'number' | 'text' | 'bigint';
}

/** @internal */
export const jsonLineFormat = <T>(options: JsonLineOptions<T>): LineFormat<T> => ({
  async open(file) {
    return {
      end: lineEnd,
      parse: (records) => (index) => {
        const record = records[index];
        return record === undefined || !/\S/.test(record.text) ? undefined : parseLine(record, file, options);
      },
    };
  },
});

const parseLine = <T>(
  record: RawRecord,
  file: string,
  { schema, bigints }: JsonLineOptions<T>,
): ParsedRecord<T> => {
  const { text, line } = record;
  let value: unknown;
  try {
    value = bigints === 'number' ? JSON.parse(text) : parseWithIntegers(text, bigints);
  } catch (error) {
    const column = columnOf(error, text);
    return { malformed: malformedAt({ file, line, column, reason: messageOf(error), cause: error }) };
  }
  // Only inside strings does JSON.parse take what was no UTF-8.
  const malformed = notUtf8(record, file);
  return malformed === undefined ? shapedBy(schema, value, { file, line }) : { malformed };
};

/** From 1. */
const columnOf = (error: unknown, text: string): number => {
  const match = /at position (\d+)/.exec(messageOf(error));
  return 1 + (match === null ? syntaxErrorIndex(text) : Number(match[1]));
};
