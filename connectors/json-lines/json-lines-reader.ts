/**
 * Reads one file of JSON Lines from a position on: chunks into a buffer, and the lines in it as a batch of records.
 * Keeps I10 (a bounded buffer, aborts, close twice). A file that is not the one that a position was taken in is
 * refused.
 */
import type { FileHandle } from 'node:fs/promises';
import type { SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import { StreamError } from '../../lib/core/errors.ts';
import { refusal } from '../../lib/core/options.ts';
import { openRegular } from '../../lib/core/regular-file.ts';
import { lastingSystemError, systemError } from '../../lib/core/system-error.ts';
import { hasMark, markOf, type LineMark } from './line-mark.ts';
import { malformedAt, malformedLines, parseLine, type LineOptions, type MalformedLine } from './json-line.ts';

/** Behind the last consumed line. */
export interface JsonLinesPosition {
  /** In bytes. */
  readonly offset: number;
  /** Lines before the offset, blank and skipped ones included. */
  readonly line: number;
  /** Of a line that was read, the last one of a whole batch. @defaultValue none: its content is not looked at */
  readonly mark?: LineMark | undefined;
}

interface ReaderOptions<T> extends LineOptions<T> {
  readonly onMalformed: 'fail' | 'skip' | 'side-output';
  readonly skip: (line: MalformedLine) => void;
  readonly batchSize: number;
}

/** Bytes asked of the file at once. */
const chunkBytes = 256 * 1024;
/** A line longer than this is taken for a file that has no lines at all. */
const lineBytesMax = 256 * 1024 * 1024;
const newline = 0x0a;
const carriageReturn = 0x0d;

export class JsonLinesReader<T> implements SourceReader<T, JsonLinesPosition> {
  readonly #options: ReaderOptions<T>;
  readonly #handle: FileHandle;
  /** Size of the file when it was opened; an end before it means that the file was cut meanwhile. */
  readonly #size: number;
  #buffer = Buffer.allocUnsafe(chunkBytes);
  /**
   * What is read and not consumed: from `#start` to `#end` in the buffer; `#searched` is free of newlines up to there.
   */
  #start = 0;
  #end = 0;
  #searched = 0;
  /** File offset of `#start`, and the lines before it. */
  #offset: number;
  #line: number;
  /** Of the last record that came out of it. */
  #last: LineMark | undefined;
  #ended = false;
  #closed = false;
  #failure: StreamError | undefined;

  private constructor(
    options: ReaderOptions<T>,
    handle: FileHandle,
    start: JsonLinesPosition & { readonly size: number },
  ) {
    this.#options = options;
    this.#handle = handle;
    this.#size = start.size;
    this.#offset = start.offset;
    this.#line = start.line;
    this.#last = start.mark;
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
    const before = this.#position();
    const offsets: number[] = [];
    const lines: number[] = [];
    let [firstStart, firstText, lastStart, lastText] = [0, '', 0, ''];
    const values: T[] = [];
    const sides = new Map<number, string>();
    while (values.length < batchSize) {
      const end = this.#lineEnd();
      if (end === undefined) break;
      const text = this.#textTo(end);
      const line = this.#line + 1;
      const start = this.#offset;
      const bytes = (): Buffer => this.#buffer.subarray(this.#start, end);
      const parsed = text === '' ? undefined : parseLine(text, this.#options, { line, bytes });
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
      if (offsets.length === 0) [firstStart, firstText] = [start, text];
      lastStart = start;
      lastText = text;
      offsets.push(this.#offset);
      lines.push(this.#line);
    }
    if (values.length === 0) return undefined;
    const [first, last] = [markOf(firstStart, firstText), markOf(lastStart, lastText)];
    const table = { before, offsets, lines, first, last };
    this.#last = last;
    return {
      values,
      ...(sides.size > 0 ? { sides } : {}),
      position: (count) => positionAt(count, table),
    };
  }

  #position(): JsonLinesPosition {
    return { offset: this.#offset, line: this.#line, ...(this.#last && { mark: this.#last }) };
  }

  /**
   * Index behind the next whole line's text (its newline, or the end of the file); undefined when more has to be read
   * first.
   */
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
    const from =
      this.#offset === 0 && hasByteOrderMark(this.#buffer.subarray(this.#start, to)) ? this.#start + 3 : this.#start;
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
    const { bytesRead } = await this.#handle
      .read(this.#buffer, this.#end, this.#buffer.length - this.#end, at)
      .catch((error: unknown) => {
        throw unreadable(file, error);
      });
    this.#end += bytesRead;
    if (bytesRead > 0) return;
    const size = this.#offset + this.#end;
    if (size < this.#size) {
      this.#failure = new StreamError(
        'INPUT_CHANGED',
        `input "${file}" was cut from ${this.#size} to ${size} bytes while it was read`,
        {
          details: { file },
        },
      );
    }
    this.#ended = true;
  }

  #grow(): void {
    if (this.#buffer.length >= lineBytesMax) {
      const reason = `the line is longer than ${lineBytesMax} bytes`;
      throw malformedAt(this.#options.file, { line: this.#line + 1, reason });
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
  /** Of the first and the last record of the batch. */
  readonly first: LineMark;
  readonly last: LineMark;
}

const positionAt = (count: number, { before, offsets, lines, first, last }: PositionTable): JsonLinesPosition => {
  if (count === 0) return before;
  const offset = offsets[count - 1];
  const line = lines[count - 1];
  if (offset === undefined || line === undefined)
    throw refusal('count', `an integer from 0 to ${offsets.length}`, count);
  return { offset, line, mark: count === offsets.length ? last : first };
};

interface Reopening {
  readonly position: JsonLinesPosition | undefined;
  readonly size: number;
}

/** Where to go on, after checking that the file can be the one that the position was taken in. */
const startOf = async (handle: FileHandle, file: string, { position, size }: Reopening): Promise<JsonLinesPosition> => {
  if (position === undefined || position.offset === 0) return { offset: 0, line: 0 };
  const { offset, line, mark } = position;
  if (size < offset) {
    throw new StreamError(
      'INPUT_CHANGED',
      `input "${file}" has ${size} bytes, fewer than the ${offset} that were read before`,
      {
        details: { file },
      },
    );
  }
  if (mark !== undefined && !(await hasMark(handle, mark, offset)))
    throw new StreamError(
      'INPUT_CHANGED',
      `input "${file}" has another line at byte ${mark.start} than was read there`,
      {
        details: { file },
      },
    );
  const around = Buffer.alloc(3);
  const { bytesRead } = await handle.read(around, 0, 3, offset - 1);
  if (around[0] === newline || bytesRead === 1) return position;
  // The last line had no newline when it was read: it may have got one since, but it must not have got longer.
  const lineBreak = around[1] === newline ? 1 : around[1] === carriageReturn && around[2] === newline ? 2 : 0;
  if (lineBreak > 0) return { ...position, offset: offset + lineBreak, line };
  throw new StreamError(
    'INPUT_CHANGED',
    `input "${file}" has no line that ends at byte ${offset}, where one was read before`,
    {
      details: { file },
    },
  );
};

const hasByteOrderMark = (bytes: Buffer): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
