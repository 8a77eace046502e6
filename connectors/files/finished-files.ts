/**
 * Which files of a directory were read to their end: as one text, which a position holds without copying it. Files that
 * are gone are forgotten, so it is as long as there are files.
 */
import { inputChanged } from './byte-input.ts';
import { join } from 'node:path';
import { fileAt, type FoundFile } from './directory-listing.ts';

/** No name holds it. */
const separator = '\0';

/** @internal */
export class FinishedFiles {
  readonly #path: string;
  /** Length and time by name. */
  #marks = new Map<string, string>();
  #text: string;

  /** `text` is what another one gave. */
  constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
    const fields = text.split(separator);
    for (let at = 0; at + 1 < fields.length; at += 2) this.#marks.set(fields[at] ?? '', fields[at + 1] ?? '');
  }

  get text(): string {
    return this.#text;
  }

  add(file: FoundFile): void {
    const isChange = this.#marks.has(file.name);
    this.#marks.set(file.name, markOf(file));
    this.#text = isChange ? textOf(this.#marks) : this.#text + entryOf(file.name, markOf(file));
  }

  /** Forgets what is not among the files. */
  keep(found: readonly FoundFile[]): void {
    const names = new Set(found.map(({ name }) => name));
    const before = this.#marks.size;
    for (const name of this.#marks.keys()) if (!names.has(name)) this.#marks.delete(name);
    if (this.#marks.size < before) this.#text = textOf(this.#marks);
  }

  /** Whether a file is to be read. Throws `INPUT_CHANGED` when one that was read has changed, and that is an error. */
  isNew(file: FoundFile, onChanged: 'fail' | 'read' | 'ignore'): boolean {
    const mark = this.#marks.get(file.name);
    if (mark === undefined || mark === markOf(file)) return mark === undefined;
    if (onChanged === 'fail')
      throw inputChanged(join(this.#path, file.name), 'has changed since it was read to its end');
    return onChanged === 'read';
  }

  /** A file as it is now. */
  stat(name: string): Promise<FoundFile | undefined> {
    return fileAt(this.#path, name);
  }
}

const markOf = ({ size, timeMs }: FoundFile): string => `${size}:${timeMs}`;

const entryOf = (name: string, mark: string): string => `${name}${separator}${mark}${separator}`;

const textOf = (marks: ReadonlyMap<string, string>): string =>
  [...marks].map(([name, mark]) => entryOf(name, mark)).join('');
