/**
 * Reads files of JSON Lines: one split per file, one value per line, and positions that are byte offsets, so that a
 * restart goes on at the very line. Malformed lines fail the read, are skipped, or go to a side output.
 */
import type { Source } from '../../lib/core/connector.ts';
import { harmless } from '../../lib/core/listener.ts';
import { callable, integer, knownOptions, oneOf, refusal } from '../../lib/core/options.ts';
import type { MalformedLine } from './json-line.ts';
import { JsonLinesReader, type JsonLinesPosition } from './json-lines-reader.ts';

export interface JsonLinesOptions<T> {
  /**
   * What a line does that is not JSON, not UTF-8, or refused by the schema: reject the read after the lines before it
   * were handed out, be counted and left out, or go to the side output `malformedLines`. @defaultValue 'fail'
   */
  readonly onMalformed?: 'fail' | 'skip' | 'side-output' | undefined;
  /**
   * Called for each skipped line, also again when a restart reads it again. Nobody waits for it; that it throws is
   * told once, as a warning of the process. @defaultValue none: they are counted
   */
  readonly onSkipped?: ((line: MalformedLine) => unknown) | undefined;
  /** Records per batch, from 1. @defaultValue 256 */
  readonly batchSize?: number | undefined;
  /**
   * Checks and shapes a value, as a zod schema does. What it refuses is a malformed line. A mistake in it is none: a
   * `TypeError` or `ReferenceError` of a transform, a promise, and what a library's schema throws beside its own errors
   * fail the job, whatever `onMalformed` says. @defaultValue none: any JSON is taken
   */
  readonly schema?: { parse(value: unknown): T } | undefined;
  /**
   * What an integer beyond 2^53 becomes, of which a number keeps only the first 16 digits or so: `text` and `bigint`
   * keep them all.
   * @defaultValue 'number', as `JSON.parse` reads it
   */
  readonly bigints?: 'number' | 'text' | 'bigint' | undefined;
}

export interface JsonLinesSource<T> extends Source<T, JsonLinesPosition> {
  /** Lines skipped by all readers since the source was made; a line read again after a restart counts again. */
  readonly skipped: number;
  /** The same, as the engine counts it. */
  readonly dropped: number;
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
export const jsonLines = <T>(
  path: string | readonly string[],
  options: JsonLinesOptions<T> = {},
): JsonLinesSource<T> => {
  knownOptions('jsonLines', options, {
    onMalformed: true,
    onSkipped: true,
    batchSize: true,
    schema: true,
    bigints: true,
  });
  const { onMalformed = 'fail', onSkipped, batchSize = 256, schema, bigints = 'number' } = options;
  oneOf('onMalformed', onMalformed, ['fail', 'skip', 'side-output']);
  oneOf('bigints', bigints, ['number', 'text', 'bigint']);
  integer('batchSize', batchSize, { min: 1 });
  if (schema !== undefined && typeof schema?.parse !== 'function')
    throw refusal('schema', 'an object with `parse`, such as a zod schema', schema);
  const paths = typeof path === 'string' ? [path] : Array.isArray(path) ? [...path] : [];
  const isPath = (each: unknown): boolean => typeof each === 'string' && each !== '' && !each.includes('\0');
  if (paths.length === 0 || !paths.every(isPath) || new Set(paths).size !== paths.length) {
    throw refusal('path', 'one path or more, none of them empty or given twice', path);
  }
  const tell = onSkipped && harmless('`onSkipped` of `jsonLines`', callable('onSkipped', onSkipped));
  let skipped = 0;
  const skip = (line: MalformedLine): void => {
    skipped += 1;
    tell?.(line);
  };
  return {
    name: 'json-lines',
    replayable: true,
    get skipped() {
      return skipped;
    },
    get dropped() {
      return skipped;
    },
    splits: async () => paths,
    open: (file, position, signal) =>
      JsonLinesReader.open({ file, onMalformed, skip, batchSize, schema, bigints }, position, signal),
  };
};
