/** A batch of records of a file, and the position behind each of them. */
import type { SourceBatch } from '../../lib/core/connector.ts';
import { invariant } from '../../lib/core/errors.ts';
import { refusal } from '../../lib/core/options.ts';
import type { FilePosition } from './file-position.ts';
import { markOf, type LineMark } from './line-mark.ts';
import { malformedLines, type MalformedLine } from './malformed.ts';

/** Where a record started, what it was, and what is behind it. */
interface ConsumedRecord {
  readonly start: number;
  readonly text: string;
  readonly offset: number;
  readonly line: number;
}

/** @internal */
export class FileBatch<T> implements SourceBatch<T, FilePosition> {
  readonly values: T[] = [];
  readonly #before: FilePosition;
  readonly #offsets: number[] = [];
  readonly #lines: number[] = [];
  #sides: Map<number, string> | undefined;
  #first: ConsumedRecord | undefined;
  #last: ConsumedRecord | undefined;
  #marks: { readonly first: LineMark; readonly last: LineMark } | undefined;

  constructor(before: FilePosition) {
    this.#before = before;
  }

  get size(): number {
    return this.values.length;
  }

  get sides(): ReadonlyMap<number, string> | undefined {
    return this.#sides;
  }

  add(value: T, record: ConsumedRecord): void {
    this.values.push(value);
    this.#offsets.push(record.offset);
    this.#lines.push(record.line);
    this.#first ??= record;
    this.#last = record;
  }

  addSide(item: MalformedLine, record: ConsumedRecord): void {
    this.#sides ??= new Map();
    this.#sides.set(this.values.length, malformedLines.id);
    this.add(item as T, record); // not a T, which `sides` says of this index
  }

  /** Nothing is added any more. Gives the mark of its last record. */
  seal(): LineMark {
    const [first, last] = [this.#first, this.#last];
    invariant(first !== undefined && last !== undefined, 'I12: a batch that is sealed has records');
    this.#marks = { first: markOf(first.start, first.text), last: markOf(last.start, last.text) };
    return this.#marks.last;
  }

  position(count: number): FilePosition {
    if (count === 0) return this.#before;
    const [offset, line] = [this.#offsets[count - 1], this.#lines[count - 1]];
    if (offset === undefined || line === undefined)
      throw refusal('count', `an integer from 0 to ${this.#offsets.length}`, count);
    return { offset, line, mark: count === this.#offsets.length ? this.#marks?.last : this.#marks?.first };
  }
}
