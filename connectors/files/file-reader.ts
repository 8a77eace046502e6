/**
 * Reads one file from a position on: chunks into a buffer, and the records in it as a batch. What a record is says the
 * format. Keeps I10 (a bounded buffer, aborts, close twice). A file that is not the one that a position was taken in is
 * refused.
 */
import type { SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import { StreamError } from '../../lib/core/errors.ts';
import { inputChanged, unreadableUnless, type ByteInput } from './byte-input.ts';
import { FileBatch } from './file-batch.ts';
import type { LineMark } from './line-mark.ts';
import { startOf, type FilePosition } from './file-position.ts';
import { malformedAt, type MalformedLine, type ParsedRecord } from './malformed.ts';
import type { LineParser, RawRecord } from './record-format.ts';

export interface FileReaderOptions {
  readonly file: string;
  readonly onMalformed: 'fail' | 'skip' | 'side-output';
  readonly skip: (line: MalformedLine) => void;
  readonly batchSize: number;
  /** Longest record, in bytes. */
  readonly lineBytesMax: number;
  /**
   * The end is where more may come: a record that it cuts waits, and `read` resolves with undefined for now, until
   * `endsHere` says that nothing comes any more. @defaultValue false
   */
  readonly follows?: boolean | undefined;
  /** The end of the file ends a record that has no newline. @defaultValue true */
  readonly takesPartial?: boolean | undefined;
}

/** A record and where it ends. */
interface FoundRecord extends RawRecord {
  /** Where it starts in the content. */
  readonly offset: number;
  /** Behind its break: in the buffer, and in the content. */
  readonly next: number;
  readonly nextOffset: number;
  readonly lines: number;
  readonly tooLong: boolean;
}

/** A line that is longer than any may be: its bytes are passed over up to its end. */
interface LongLine {
  readonly offset: number;
  readonly text: string;
}

/** Bytes asked of the file at once. */
const chunkBytes = 256 * 1024;
/** Characters that are told of a line that is too long. */
const longTextMax = 1024;
const newline = 0x0a;
const carriageReturn = 0x0d;

/** @internal */
export class FileReader<T> implements SourceReader<T, FilePosition> {
  readonly #options: FileReaderOptions;
  readonly #input: ByteInput;
  readonly #parser: LineParser<T>;
  #buffer = Buffer.allocUnsafe(chunkBytes);
  /**
   * What is read and not consumed: from `#start` to `#end` in the buffer; `#searched` is free of newlines up to there.
   */
  #start = 0;
  #end = 0;
  #searched = 0;
  /** Offset of `#start` in the content, and the lines before it. */
  #offset = 0;
  #line = 0;
  /** Of the last record that came out of it. */
  #last: LineMark | undefined;
  #long: LongLine | undefined;
  #ended = false;
  #closed = false;
  #failure: StreamError | undefined;

  private constructor(options: FileReaderOptions, input: ByteInput, parser: LineParser<T>) {
    this.#options = options;
    this.#input = input;
    this.#parser = parser;
  }

  /** The input is its own from now on, and closed with it, also when opening fails. */
  static async open<T>(
    options: FileReaderOptions,
    { input, parser }: { readonly input: ByteInput; readonly parser: LineParser<T> },
    position: FilePosition | undefined,
    signal: AbortSignal,
  ): Promise<FileReader<T>> {
    try {
      const reader = new FileReader(options, input, parser);
      if (parser.header !== undefined) await reader.#readHeader(parser.header, signal);
      if (position !== undefined && position.offset > 0)
        reader.#jump(await startOf(input, options.file, position, signal));
      return reader;
    } catch (error) {
      await input.close();
      throw unreadableUnless(signal, options.file, error);
    }
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, FilePosition> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw new TypeError('Expected `read` to be called before `close`');
      if (this.#failure !== undefined) throw this.#failure;
      const batch = this.#take();
      if (batch !== undefined) return batch;
      if (this.#failure !== undefined) continue;
      if (this.#ended || !(await this.#fill(signal))) return undefined;
    }
  }

  /** Nothing comes any more: the next reads give what is left. */
  endsHere(): void {
    this.#ended = true;
  }

  /** Whether the next read has to ask the file: no end of a line is left of what was read before. */
  get isDrained(): boolean {
    return this.#buffer.subarray(this.#start, this.#end).indexOf(newline) < 0;
  }

  /** Behind what was read of the file, whole records or not. */
  get readTo(): number {
    return this.#offset + this.#end - this.#start;
  }

  /** Behind the last record that came out of it. */
  get position(): FilePosition {
    return this.#position();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#input.close();
  }

  async #readHeader(header: (record: RawRecord) => StreamError | undefined, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const [record] = this.#find(1);
      if (record !== undefined) {
        const failure = record.tooLong ? this.#tooLong(record) : header(record);
        if (failure !== undefined) throw failure;
        return this.#consume(record);
      }
      if (this.#ended) return;
      await this.#fill(signal);
    }
  }

  #jump(start: FilePosition): void {
    [this.#offset, this.#line, this.#last] = [start.offset, start.line, start.mark];
    this.#start = this.#end = this.#searched = 0;
    this.#ended = false;
  }

  /** The records that are in the buffer, up to the batch size; undefined when there is none. */
  #take(): SourceBatch<T, FilePosition> | undefined {
    const { batchSize } = this.#options;
    const batch = new FileBatch<T>(this.#position());
    while (batch.size < batchSize && this.#failure === undefined) {
      const found = this.#find(batchSize - batch.size);
      if (found.length === 0) break;
      this.#parse(found, batch);
    }
    if (batch.size === 0) return undefined;
    this.#last = batch.seal();
    return batch;
  }

  #position(): FilePosition {
    const offset = this.#long?.offset ?? this.#offset;
    return { offset, line: this.#line, ...(this.#last && { mark: this.#last }) };
  }

  /** Consumes records up to the first that fails the read. */
  #parse(found: readonly FoundRecord[], batch: FileBatch<T>): void {
    const { onMalformed, file } = this.#options;
    const parsedAt = this.#parser.parse(found);
    for (const [index, record] of found.entries()) {
      const parsed: ParsedRecord<T> | undefined = record.tooLong
        ? { malformed: this.#tooLong(record) }
        : parsedAt(index);
      const { mistake, malformed } = parsed ?? {};
      this.#failure = mistake ?? (onMalformed === 'fail' ? malformed : undefined);
      if (this.#failure !== undefined) return;
      this.#consume(record);
      if (parsed === undefined) continue;
      const place = { start: record.offset, text: record.text, offset: this.#offset, line: this.#line };
      if (malformed === undefined) {
        batch.add(parsed.value as T, place); // neither malformed nor a mistake
        continue;
      }
      const item: MalformedLine = { file, line: record.line, text: record.text, error: malformed.message };
      if (onMalformed === 'skip') this.#options.skip(item);
      else batch.addSide(item, place);
    }
  }

  /** What is left without a newline is a record. */
  get #takesRest(): boolean {
    return this.#ended && this.#options.takesPartial !== false;
  }

  /** Whole records at the start of what is not consumed, at most `count`. */
  #find(count: number): FoundRecord[] {
    const bytes = this.#buffer.subarray(0, this.#end);
    const found: FoundRecord[] = [];
    let [start, offset, line] = [this.#start, this.#offset, this.#line];
    if (this.#long !== undefined) {
      const rest = this.#endOfLong(bytes, this.#long);
      if (rest === undefined) return found;
      found.push(rest);
      [start, offset, line] = [rest.next, rest.nextOffset, line + 1];
    }
    while (found.length < count) {
      const mark = offset === 0 && hasByteOrderMark(bytes.subarray(start)) ? 3 : 0;
      const end = this.#endOf(bytes, start + mark, found.length === 0);
      if (end < 0) break;
      const record = this.#recordOf(bytes, { from: start + mark, end, offset, line, start });
      found.push(record);
      [start, offset, line] = [record.next, record.nextOffset, line + record.lines];
    }
    return found;
  }

  #recordOf(
    bytes: Buffer,
    { from, end, offset, line, start }: Readonly<Record<'from' | 'end' | 'offset' | 'line' | 'start', number>>,
  ): FoundRecord {
    const to = end > from && bytes[end - 1] === carriageReturn ? end - 1 : end;
    const tooLong = end - from > this.#options.lineBytesMax;
    const text = bytes.toString('utf8', from, tooLong ? Math.min(to, from + longTextMax) : to);
    const next = Math.min(end + 1, bytes.length);
    return {
      text,
      line: line + 1,
      offset,
      next,
      nextOffset: offset + next - start,
      lines: tooLong ? 1 : linesOf(text),
      tooLong,
      bytes: () => bytes.subarray(from, to),
    };
  }

  /**
   * Index behind the record that begins at `start`, -1 when more has to be read first. A record that gets too long, or
   * that the end of the file cuts, ends with its first line: what it is says the format, and the next begins there.
   */
  #endOf(bytes: Buffer, start: number, first: boolean): number {
    const searched = first ? Math.max(this.#searched, start) : start;
    const end = this.#parser.end(bytes, { start, searched, ended: this.#takesRest });
    const isWhole = end >= 0 && end - start <= this.#options.lineBytesMax;
    if (isWhole || start === bytes.length) return isWhole && start < bytes.length ? end : -1;
    if (first) this.#searched = bytes.length;
    if (!this.#takesRest && bytes.length - start <= this.#options.lineBytesMax) return -1;
    const line = bytes.indexOf(newline, start);
    if (line >= 0 || this.#takesRest) return line < 0 ? bytes.length : line;
    if (first) this.#beginLong(bytes, start);
    return -1;
  }

  #beginLong(bytes: Buffer, start: number): void {
    const text = bytes.toString('utf8', start, start + longTextMax);
    this.#long = { offset: this.#offset, text };
    if (this.#options.onMalformed === 'fail') this.#failure = this.#tooLong({ line: this.#line + 1 });
  }

  /** The line that is too long, when its end is there; else its bytes so far are let go. */
  #endOfLong(bytes: Buffer, { offset, text }: LongLine): FoundRecord | undefined {
    const at = bytes.indexOf(newline, this.#start);
    const next = at < 0 ? bytes.length : at + 1;
    if (at >= 0 || this.#takesRest) {
      const nextOffset = this.#offset + next - this.#start;
      const line = this.#line + 1;
      return { text, line, offset, next, nextOffset, lines: 1, tooLong: true, bytes: () => Buffer.from(text) };
    }
    this.#offset += next - this.#start;
    this.#start = this.#searched = next;
    return undefined;
  }

  #tooLong({ line }: { readonly line: number }): StreamError {
    const { file, lineBytesMax } = this.#options;
    return malformedAt({ file, line, reason: `the line is longer than ${lineBytesMax} bytes` });
  }

  #consume({ next, nextOffset, lines }: FoundRecord): void {
    this.#offset = nextOffset;
    this.#line += lines;
    this.#start = this.#searched = next;
    this.#long = undefined;
  }

  /**
   * Reads the next chunk behind what is there, growing the buffer for a record that is longer than it. False when what
   * is followed has no more for now.
   */
  async #fill(signal: AbortSignal): Promise<boolean> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#searched -= this.#start;
      this.#start = 0;
    }
    if (this.#end === this.#buffer.length) {
      const larger = Buffer.allocUnsafe(this.#buffer.length * 2);
      this.#buffer.copy(larger, 0, 0, this.#end);
      this.#buffer = larger;
    }
    const { file } = this.#options;
    const read = await this.#input
      .read(this.#buffer, this.#end, this.#offset + this.#end, signal)
      .catch((error: unknown) => {
        throw unreadableUnless(signal, file, error);
      });
    this.#end += read;
    if (read > 0) return true;
    if (this.#options.follows === true) return false;
    const [size, before] = [this.#offset + this.#end, this.#input.size];
    if (before !== undefined && size < before)
      this.#failure = inputChanged(file, `was cut from ${before} to ${size} bytes while it was read`);
    this.#ended = true;
    return true;
  }
}

const linesOf = (text: string): number => {
  let lines = 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
};

const hasByteOrderMark = (bytes: Buffer): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
