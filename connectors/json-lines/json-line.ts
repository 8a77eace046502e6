/**
 * One line of JSON Lines: a value, a line that is none (no JSON, no UTF-8, refused by the schema), or a mistake of the
 * schema itself, which says nothing about the line.
 */
import { isUtf8 } from 'node:buffer';
import { isThenable, messageOf, refusedPromise, StreamError } from '../../lib/core/errors.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { isRefusal, needsToWait } from '../../lib/core/own-failure.ts';
import { parseWithIntegers } from './json-integers.ts';
import { syntaxErrorIndex } from './json-syntax.ts';

export interface MalformedLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly text: string;
  readonly error: string;
}

/**
 * Names the side output of `jsonLines` to which malformed lines go with `onMalformed: 'side-output'`.
 *
 * @example
 * import { writeFile } from 'node:fs/promises';
 * await writeFile('mixed.jsonl', '{"page":"home"}\nhome\n');
 * const visits = env.fromSource(jsonLines<{ page: string }>('mixed.jsonl', { onMalformed: 'side-output' }));
 * visits.sinkTo(callbackSink(({ page }) => console.log(page))); // prints home
 * visits.sideOutput(malformedLines).sinkTo(callbackSink(({ line, text }) => console.log(line, text))); // prints 2 home
 */
export const malformedLines: OutputTag<MalformedLine> = { id: 'malformed-lines' };

export interface LineOptions<T> {
  readonly file: string;
  readonly schema: { parse(value: unknown): T } | undefined;
  readonly bigints: 'number' | 'text' | 'bigint';
}

/** A value, a line that is none, or what went wrong with the schema. */
export interface ParsedLine<T> {
  readonly value?: T;
  readonly malformed?: StreamError;
  readonly mistake?: StreamError;
}

/** @internal What a line's text is. `bytes` gives those that the text was decoded from, and is rarely asked. */
export const parseLine = <T>(
  text: string,
  options: LineOptions<T>,
  { line, bytes }: { readonly line: number; readonly bytes: () => Uint8Array },
): ParsedLine<T> => {
  const { file, schema, bigints } = options;
  let value: unknown;
  try {
    value = bigints === 'number' ? JSON.parse(text) : parseWithIntegers(text, bigints);
  } catch (error) {
    return {
      malformed: malformedAt(file, { line, column: columnOf(error, text), reason: messageOf(error), cause: error }),
    };
  }
  // Bytes that are no UTF-8 were decoded as U+FFFD, inside strings, where JSON.parse takes it.
  if (text.includes('\ufffd') && !isUtf8(bytes())) {
    const reason = 'the line is not valid UTF-8';
    return { malformed: malformedAt(file, { line, column: text.indexOf('\ufffd') + 1, reason }) };
  }
  if (schema === undefined) return { value: value as T }; // the user says what the file holds
  let shaped: T;
  try {
    shaped = schema.parse(value);
  } catch (error) {
    if (!isRefusal(error, schema)) return { mistake: mistakeAt(file, line, error) };
    return { malformed: malformedAt(file, { line, reason: schemaMessage(error), cause: error }) };
  }
  if (isThenable(shaped)) return { mistake: promiseAt(file, line, shaped) };
  return { value: shaped };
};

interface Malformation {
  readonly line: number;
  readonly column?: number;
  readonly reason: string;
  readonly cause?: unknown;
}

export const malformedAt = (file: string, { line, column, reason, cause }: Malformation): StreamError => {
  const place = column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
  return new StreamError('INPUT_MALFORMED', `malformed line at ${place}: ${reason}`, {
    cause,
    details: { file, line, column },
  });
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

/** From 1. */
const columnOf = (error: unknown, text: string): number => {
  const match = /at position (\d+)/.exec(messageOf(error));
  return 1 + (match === null ? syntaxErrorIndex(text) : Number(match[1]));
};

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
