/**
 * What a reader of files makes of one record: a value, a record that is none (refused by its format or by the schema),
 * or a mistake of the schema itself, which says nothing about the record.
 */
import { isThenable, messageOf, refusedPromise, StreamError } from '../../lib/core/errors.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { isRefusal, needsToWait } from '../../lib/core/own-failure.ts';

export interface MalformedLine {
  readonly file: string;
  /** From 1. Of a record that goes over several lines, the first. */
  readonly line: number;
  /** Of a line that is longer than any may be, its beginning. */
  readonly text: string;
  readonly error: string;
}

/**
 * Names the side output to which malformed lines go with `onMalformed: 'side-output'`: those of `jsonLines`,
 * `textLines` and `csv`.
 *
 * @example
 * import { writeFile } from 'node:fs/promises';
 * await writeFile('mixed.jsonl', '{"page":"home"}\nhome\n');
 * const visits = env.fromSource(jsonLines<{ page: string }>('mixed.jsonl', { onMalformed: 'side-output' }));
 * visits.sinkTo(callbackSink(({ page }) => console.log(page))); // prints home
 * visits.sideOutput(malformedLines).sinkTo(callbackSink(({ line, text }) => console.log(line, text))); // prints 2 home
 */
export const malformedLines: OutputTag<MalformedLine> = { id: 'malformed-lines' };

/** A schema as zod makes them. */
export interface RecordSchema<T> {
  /** Gives the value as it is to be, or throws its own error where it is none. */
  parse(value: unknown): T;
}

/** A value, a record that is none, or what went wrong with the schema. */
export interface ParsedRecord<T> {
  readonly value?: T;
  readonly malformed?: StreamError;
  readonly mistake?: StreamError;
}

/** Where a record stands. */
export interface RecordPlace {
  readonly file: string;
  readonly line: number;
}

interface Malformation extends RecordPlace {
  readonly column?: number | undefined;
  readonly reason: string;
  readonly cause?: unknown;
}

/** @internal */
export const malformedAt = ({ file, line, column, reason, cause }: Malformation): StreamError => {
  const place = column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
  return new StreamError('INPUT_MALFORMED', `malformed line at ${place}: ${reason}`, {
    cause,
    details: { file, line, column },
  });
};

/** @internal The value as the schema shapes it. */
export const shapedBy = <T>(
  schema: RecordSchema<T> | undefined,
  value: unknown,
  { file, line }: RecordPlace,
): ParsedRecord<T> => {
  if (schema === undefined) return { value: value as T }; // the user says what the file holds
  let shaped: T;
  try {
    shaped = schema.parse(value);
  } catch (error) {
    if (!isRefusal(error, schema)) return { mistake: mistakeAt(file, line, error) };
    return { malformed: malformedAt({ file, line, reason: schemaMessage(error), cause: error }) };
  }
  if (isThenable(shaped)) return { mistake: promiseAt(file, line, shaped) };
  return { value: shaped };
};

/** The schema itself failed: the line may be as good as any. */
const mistakeAt = (file: string, line: number, error: unknown): StreamError => {
  if (error instanceof StreamError) return error;
  if (needsToWait(error)) return promiseAt(file, line, error);
  return new StreamError('SOURCE_FAILED', `the schema of input "${file}" failed at line ${line}: ${messageOf(error)}`, {
    cause: error,
    retryable: false,
    hint: 'mend the schema (see `cause`) and start the job again; it goes on from its last checkpoint',
    details: { file, line },
  });
};

/** `from` is the promise, or what the schema threw because of one. */
const promiseAt = (file: string, line: number, from: unknown): StreamError =>
  refusedPromise(`the schema of input "${file}"`, from, {
    cause: from instanceof Error ? from : undefined,
    hint: 'check what has to wait behind the source, in `asyncMap`',
    details: { file, line },
  });

/** One line for a schema's refusal: zod's own message is a page of JSON. */
const schemaMessage = (error: unknown): string => {
  const issues: unknown = typeof error === 'object' && error !== null && 'issues' in error ? error.issues : undefined;
  if (!Array.isArray(issues) || issues.length === 0) return messageOf(error);
  return issues
    .map(({ path, message }: { path?: unknown; message?: unknown }) => {
      const place = Array.isArray(path) && path.length > 0 ? `"${path.map(String).join('.')}": ` : '';
      return `${place}${String(message)}`;
    })
    .join('; ');
};
