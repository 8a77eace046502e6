/**
 * Which files of a directory were read to their end: as one text, which a position holds without copying it. Files that
 * are gone are forgotten, so it is as long as there are files.
 */
import { inputChanged } from './byte-input.ts';
import { join } from 'node:path';
import { decodeText, encodeText } from '../../lib/core/serde.ts';
import { fileAt, type FoundFile } from './directory-listing.ts';

/** What to do with a file that has changed since it was read. */
export type OnChanged = 'fail' | 'read' | 'resume' | 'ignore';

/** Length and time of a file, and the place behind its last record as text, empty where it is of no use. */
interface Mark {
  readonly mark: string;
  readonly end: string;
}

/** No name holds it, and no text of a place. */
const separator = '\0';

/** @internal */
export class FinishedFiles {
  readonly #path: string;
  /** Length and time, and the place behind the last record, by name. */
  readonly #marks = new Map<string, Mark>();
  #text: string;

  /** `text` is what another one gave. */
  constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
    const fields = text.split(separator);
    for (let at = 0; at + 2 < fields.length; at += 3) {
      const [name = '', mark = '', end = ''] = fields.slice(at, at + 3);
      this.#marks.set(name, { mark, end });
    }
  }

  get text(): string {
    return this.#text;
  }

  /** `end` is the place behind its last record, where it is to be gone on from when it grows. */
  add(file: FoundFile, end?: unknown): void {
    const isChange = this.#marks.has(file.name);
    const entry = { mark: markOf(file), end: end === undefined ? '' : encodeText(end) };
    this.#marks.set(file.name, entry);
    this.#text = isChange ? textOf(this.#marks) : this.#text + entryOf(file.name, entry);
  }

  /** Behind the last record of a file that was read; undefined for one that was not, or without records. */
  endOf(name: string): unknown {
    const end = this.#marks.get(name)?.end ?? '';
    return end === '' ? undefined : decodeText(end);
  }

  /** Forgets what is not among the files. */
  keep(found: readonly FoundFile[]): void {
    const names = new Set(found.map(({ name }) => name));
    const before = this.#marks.size;
    for (const name of this.#marks.keys()) if (!names.has(name)) this.#marks.delete(name);
    if (this.#marks.size < before) this.#text = textOf(this.#marks);
  }

  /** Whether a file is to be read. Throws `INPUT_CHANGED` when one that was read has changed, and that is an error. */
  isNew(file: FoundFile, onChanged: OnChanged): boolean {
    const mark = this.#marks.get(file.name)?.mark;
    if (mark === undefined || mark === markOf(file)) return mark === undefined;
    if (onChanged === 'fail')
      throw inputChanged(join(this.#path, file.name), 'has changed since it was read to its end');
    return onChanged !== 'ignore';
  }

  /** A file as it is now. */
  stat(name: string): Promise<FoundFile | undefined> {
    return fileAt(this.#path, name);
  }
}

const markOf = ({ size, timeMs }: FoundFile): string => `${size}:${timeMs}`;

const entryOf = (name: string, { mark, end }: Mark): string => [name, mark, end, ''].join(separator);

const textOf = (marks: ReadonlyMap<string, Mark>): string =>
  [...marks].map(([name, mark]) => entryOf(name, mark)).join('');
