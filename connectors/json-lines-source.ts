/**
 * Reads files of JSON Lines: one split per file, one value per line, and positions that are byte offsets, so that a restart goes on at
 * the very line. Malformed lines fail the read, are skipped, or go to a side output. Keeps I10 (a bounded buffer, aborts, close twice).
 */
import type { FileHandle } from 'node:fs/promises';
import type { Source, SourceBatch, SourceReader } from '../lib/core/connector.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import { isUtf8 } from 'node:buffer';
import { isThenable, messageOf, refusedPromise, StreamError } from '../lib/core/errors.ts';
import { callable, integer, knownOptions, oneOf, refusal } from '../lib/core/options.ts';
import { isRefusal, needsToWait } from '../lib/core/own-failure.ts';
import { openRegular } from '../lib/core/regular-file.ts';
import { lastingSystemError, systemError } from '../lib/core/system-error.ts';
import { parseWithIntegers } from './json-integers.ts';
import { syntaxErrorIndex } from './json-syntax.ts';

export interface JsonLinesOptions<T> {
  /**
   * What a line does that is not JSON, not UTF-8, or refused by the schema: reject the read after the lines before it were handed out,
   * be counted and left out, or go to the side output `malformedLines`. @defaultValue 'fail'
   */
  readonly onMalformed?: 'fail' | 'skip' | 'side-output' | undefined;
  /** Called for each skipped line, also again when a restart reads it again. @defaultValue none: they are counted */
  readonly onSkipped?: ((line: MalformedLine) => void) | undefined;
  /** Records per batch, from 1. @defaultValue 256 */
  readonly batchSize?: number | undefined;
  /**
   * Checks and shapes a value, as a zod schema does. What it refuses is a malformed line. A mistake in it is none: a `TypeError` or
   * `ReferenceError` of a transform, a promise, and what a library's schema throws beside its own errors fail the job, whatever
   * `onMalformed` says. @defaultValue none: any JSON is taken
   */
  readonly schema?: { parse(value: unknown): T } | undefined;
  /**
   * What an integer beyond 2^53 becomes, of which a number keeps only the first 16 digits or so: `text` and `bigint` keep them all.
   * @defaultValue 'number', as `JSON.parse` reads it
   */
  readonly bigints?: 'number' | 'text' | 'bigint' | undefined;
}

/** Behind the last consumed line. */
export interface JsonLinesPosition {
  /** In bytes. */
  readonly offset: number;
  /** Lines before the offset, blank and skipped ones included. */
  readonly line: number;
}

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

export interface JsonLinesSource<T> extends Source<T, JsonLinesPosition> {
  /** Lines skipped by all readers since the source was made; a line read again after a restart counts again. */
  readonly skipped: number;
  /** The same, as the engine counts it. */
  readonly dropped: number;
}

/** Bytes asked of the file at once. */
const chunkBytes = 256 * 1024;
/** A line longer than this is taken for a file that has no lines at all. */
const lineBytesMax = 256 * 1024 * 1024;
const newline = 0x0a;
const carriageReturn = 0x0d;

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
export const jsonLines = <T>(path: string | readonly string[], options: JsonLinesOptions<T> = {}): JsonLinesSource<T> => {
  knownOptions('jsonLines', options, { onMalformed: true, onSkipped: true, batchSize: true, schema: true, bigints: true });
  const { onMalformed = 'fail', onSkipped, batchSize = 256, schema, bigints = 'number' } = options;
  oneOf('onMalformed', onMalformed, ['fail', 'skip', 'side-output']);
  oneOf('bigints', bigints, ['number', 'text', 'bigint']);
  integer('batchSize', batchSize, { min: 1 });
  if (onSkipped !== undefined) callable('onSkipped', onSkipped);
  if (schema !== undefined && typeof schema?.parse !== 'function') throw refusal('schema', 'a schema with a `parse` method', schema);
  const paths = typeof path === 'string' ? [path] : [...path];
  const isPath = (each: unknown): boolean => typeof each === 'string' && each !== '' && !each.includes('\0');
  if (paths.length === 0 || !paths.every(isPath) || new Set(paths).size !== paths.length) {
    throw refusal('path', 'one path or more, none of them empty or given twice', path);
  }
  let skipped = 0;
  const skip = (line: MalformedLine): void => {
    skipped += 1;
    onSkipped?.(line);
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
    open: (file, position, signal) => JsonLinesReader.open({ file, onMalformed, skip, batchSize, schema, bigints }, position, signal),
  };
};

interface ReaderOptions<T> {
  readonly file: string;
  readonly onMalformed: 'fail' | 'skip' | 'side-output';
  readonly skip: (line: MalformedLine) => void;
  readonly batchSize: number;
  readonly schema: { parse(value: unknown): T } | undefined;
  readonly bigints: 'number' | 'text' | 'bigint';
}

/** A value, a line that is none, or what went wrong with the schema. */
interface ParsedLine<T> {
  readonly value?: T;
  readonly malformed?: StreamError;
  readonly mistake?: StreamError;
}

class JsonLinesReader<T> implements SourceReader<T, JsonLinesPosition> {
  readonly #options: ReaderOptions<T>;
  readonly #handle: FileHandle;
  /** Size of the file when it was opened; an end before it means that the file was cut meanwhile. */
  readonly #size: number;
  #buffer = Buffer.allocUnsafe(chunkBytes);
  /** What is read and not consumed: from `#start` to `#end` in the buffer; `#searched` is free of newlines up to there. */
  #start = 0;
  #end = 0;
  #searched = 0;
  /** File offset of `#start`, and the lines before it. */
  #offset: number;
  #line: number;
  #ended = false;
  #closed = false;
  #failure: StreamError | undefined;

  private constructor(options: ReaderOptions<T>, handle: FileHandle, start: JsonLinesPosition & { readonly size: number }) {
    this.#options = options;
    this.#handle = handle;
    this.#size = start.size;
    this.#offset = start.offset;
    this.#line = start.line;
  }

  static async open<T>(
    options: ReaderOptions<T>,
    position: JsonLinesPosition | undefined,
    signal: AbortSignal,
  ): Promise<JsonLinesReader<T>> {
    signal.throwIfAborted();
    const { file } = options;
    const handle = await openRegular(file, 'read').catch((error: unknown) => {
      const code = lastingSystemError(error) ? 'INPUT_NOT_FOUND' : 'SOURCE_FAILED';
      throw systemError(code, `input "${file}" can not be opened`, error, { details: { file } });
    });
    try {
      const { size } = await handle.stat();
      const start = await startOf(handle, file, { position, size });
      return new JsonLinesReader(options, handle, { ...start, size });
    } catch (error) {
      await handle.close();
      throw unreadable(file, error);
    }
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, JsonLinesPosition> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw new TypeError('Expected `read` to be called before `close`');
      if (this.#failure !== undefined) throw this.#failure;
      const batch = this.#take();
      if (batch !== undefined) return batch;
      if (this.#failure !== undefined) continue;
      if (this.#ended) return undefined;
      await this.#fill();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  /** The records that are in the buffer, up to the batch size; undefined when there is none. */
  #take(): SourceBatch<T, JsonLinesPosition> | undefined {
    const { batchSize } = this.#options;
    const before: JsonLinesPosition = { offset: this.#offset, line: this.#line };
    const values: T[] = [];
    const offsets: number[] = [];
    const lines: number[] = [];
    const sides = new Map<number, string>();
    while (values.length < batchSize) {
      const end = this.#lineEnd();
      if (end === undefined) break;
      const text = this.#textTo(end);
      const line = this.#line + 1;
      const parsed = text === '' ? undefined : this.#parse(text, { line, end });
      const failure = parsed?.mistake ?? (this.#options.onMalformed === 'fail' ? parsed?.malformed : undefined);
      if (failure !== undefined) {
        this.#failure = failure;
        break;
      }
      this.#consume(end);
      if (parsed === undefined) continue;
      const { malformed } = parsed;
      if (malformed !== undefined) {
        const item: MalformedLine = { file: this.#options.file, line, text, error: malformed.message };
        if (this.#options.onMalformed === 'skip') {
          this.#options.skip(item);
          continue;
        }
        sides.set(values.length, malformedLines.id);
        values.push(item as T); // not a T, which `sides` says of this index
      } else values.push(parsed.value as T); // neither malformed nor a mistake
      offsets.push(this.#offset);
      lines.push(this.#line);
    }
    if (values.length === 0) return undefined;
    return { values, ...(sides.size > 0 ? { sides } : {}), position: (count) => positionAt(count, { before, offsets, lines }) };
  }

  /** Index behind the next whole line's text (its newline, or the end of the file); undefined when more has to be read first. */
  #lineEnd(): number | undefined {
    const at = this.#buffer.subarray(0, this.#end).indexOf(newline, this.#searched);
    if (at >= 0) return at;
    this.#searched = this.#end;
    return this.#ended && this.#start < this.#end ? this.#end : undefined;
  }

  /** The text up to `end` without the line break; empty for a blank line. */
  #textTo(end: number): string {
    let to = end;
    if (to > this.#start && this.#buffer[to - 1] === carriageReturn) to -= 1;
    const from = this.#offset === 0 && hasByteOrderMark(this.#buffer.subarray(this.#start, to)) ? this.#start + 3 : this.#start;
    const text = this.#buffer.toString('utf8', from, to);
    return /\S/.test(text) ? text : '';
  }

  #consume(end: number): void {
    const next = Math.min(end + 1, this.#end);
    this.#offset += next - this.#start;
    this.#line += 1;
    this.#start = next;
    this.#searched = next;
  }

  #parse(
    text: string,
    { line, end }: { readonly line: number; readonly end: number },
  ): ParsedLine<T> {
    let value: unknown;
    const { schema, bigints } = this.#options;
    try {
      value = bigints === 'number' ? JSON.parse(text) : parseWithIntegers(text, bigints);
    } catch (error) {
      return { malformed: this.#malformed(messageOf(error), { line, column: columnOf(error, text), cause: error }) };
    }
    // Bytes that are no UTF-8 were decoded as U+FFFD, inside strings, where JSON.parse takes it.
    if (text.includes('\ufffd') && !isUtf8(this.#buffer.subarray(this.#start, end))) {
      return { malformed: this.#malformed('the line is not valid UTF-8', { line, column: text.indexOf('\ufffd') + 1 }) };
    }
    if (schema === undefined) return { value: value as T }; // the user says what the file holds
    let shaped: T;
    try {
      shaped = schema.parse(value);
    } catch (error) {
      if (!isRefusal(error, schema)) return { mistake: this.#mistake(error, line) };
      return { malformed: this.#malformed(schemaMessage(error), { line, cause: error }) };
    }
    if (isThenable(shaped)) return { mistake: this.#promise(shaped, line) };
    return { value: shaped };
  }

  /** The schema itself failed: the line may be as good as any. */
  #mistake(error: unknown, line: number): StreamError {
    const { file } = this.#options;
    if (error instanceof StreamError) return error;
    if (needsToWait(error)) return this.#promise(error, line);
    return new StreamError('SOURCE_FAILED', `the schema of input "${file}" failed at line ${line}: ${messageOf(error)}`, {
      cause: error,
      retryable: false,
      hint: 'mend the schema (see `cause`) and start the job again; it goes on from its last checkpoint',
      details: { file, line },
    });
  }

  /** `from` is the promise, or what the schema threw because of one. */
  #promise(from: unknown, line: number): StreamError {
    const { file } = this.#options;
    return refusedPromise(`the schema of input "${file}"`, from, {
      cause: from instanceof Error ? from : undefined,
      hint: 'check what has to wait behind the source, in `asyncMap`',
      details: { file, line },
    });
  }

  #malformed(reason: string, at: { readonly line: number; readonly column?: number; readonly cause?: unknown }): StreamError {
    const { file } = this.#options;
    const { line, column, cause } = at;
    const place = column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
    return new StreamError('INPUT_MALFORMED', `malformed line at ${place}: ${reason}`, { cause, details: { file, line, column } });
  }

  /** Reads the next chunk behind what is there, growing the buffer for a line that is longer than it. */
  async #fill(): Promise<void> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#searched -= this.#start;
      this.#start = 0;
    }
    if (this.#end === this.#buffer.length) this.#grow();
    const { file } = this.#options;
    const at = this.#offset + this.#end;
    const { bytesRead } = await this.#handle.read(this.#buffer, this.#end, this.#buffer.length - this.#end, at).catch((error: unknown) => {
      throw unreadable(file, error);
    });
    this.#end += bytesRead;
    if (bytesRead > 0) return;
    const size = this.#offset + this.#end;
    if (size < this.#size) {
      this.#failure = new StreamError('INPUT_CHANGED', `input "${file}" was cut from ${this.#size} to ${size} bytes while it was read`, {
        details: { file },
      });
    }
    this.#ended = true;
  }

  #grow(): void {
    if (this.#buffer.length >= lineBytesMax) {
      throw this.#malformed(`the line is longer than ${lineBytesMax} bytes`, { line: this.#line + 1 });
    }
    const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}

const unreadable = (file: string, error: unknown): StreamError =>
  systemError('SOURCE_FAILED', `input "${file}" can not be read`, error, { details: { file } });

interface PositionTable {
  readonly before: JsonLinesPosition;
  readonly offsets: readonly number[];
  readonly lines: readonly number[];
}

const positionAt = (count: number, { before, offsets, lines }: PositionTable): JsonLinesPosition => {
  if (count === 0) return before;
  const offset = offsets[count - 1];
  const line = lines[count - 1];
  if (offset === undefined || line === undefined) throw refusal('count', `an integer from 0 to ${offsets.length}`, count);
  return { offset, line };
};

interface Reopening {
  readonly position: JsonLinesPosition | undefined;
  readonly size: number;
}

/** Where to go on, after checking that the file can be the one that the position was taken in. */
const startOf = async (handle: FileHandle, file: string, { position, size }: Reopening): Promise<JsonLinesPosition> => {
  if (position === undefined || position.offset === 0) return { offset: 0, line: 0 };
  const { offset, line } = position;
  if (size < offset) {
    throw new StreamError('INPUT_CHANGED', `input "${file}" has ${size} bytes, fewer than the ${offset} that were read before`, {
      details: { file },
    });
  }
  const around = Buffer.alloc(3);
  const { bytesRead } = await handle.read(around, 0, 3, offset - 1);
  if (around[0] === newline || bytesRead === 1) return position;
  // The last line had no newline when it was read: it may have got one since, but it must not have got longer.
  const lineBreak = around[1] === newline ? 1 : around[1] === carriageReturn && around[2] === newline ? 2 : 0;
  if (lineBreak > 0) return { offset: offset + lineBreak, line };
  throw new StreamError('INPUT_CHANGED', `input "${file}" has no line that ends at byte ${offset}, where one was read before`, {
    details: { file },
  });
};

const hasByteOrderMark = (bytes: Buffer): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

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
