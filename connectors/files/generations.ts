/** The generations of a file that is rotated: the one at its path, and older ones beside it under other names. */
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StreamError } from '../../lib/core/errors.ts';
import { openRegular } from '../../lib/core/regular-file.ts';
import { noneIfAbsent, systemError } from '../../lib/core/system-error.ts';
import { unreadable, type ByteInput } from './byte-input.ts';
import { contentOf } from './compression.ts';
import type { FilePosition } from './file-position.ts';
import { FileReader, type FileReaderOptions } from './file-reader.ts';
import { globTest } from './glob.ts';
import { hasMark } from './line-mark.ts';
import type { LineFormat } from './record-format.ts';
import type { TailPosition } from './tail.ts';

/** A generation that is being read. */
export interface Generation<T> {
  readonly inode: string;
  readonly file: string;
  readonly handle: FileHandle;
  readonly input: ByteInput;
  readonly reader: FileReader<T>;
  /** Its last change when it was looked at: where that is the same, so is all of it. */
  seenNs: bigint;
}

interface Sibling {
  readonly file: string;
  readonly info: BigIntStats;
}

interface GenerationOptions<T> extends Omit<FileReaderOptions, 'file'> {
  readonly format: LineFormat<T>;
}

export class Generations<T> {
  readonly #path: string;
  readonly #isSibling: (name: string) => boolean;
  readonly #options: GenerationOptions<T>;

  constructor(path: string, rotated: string | undefined, options: GenerationOptions<T>) {
    this.#path = path;
    this.#options = options;
    const name = basename(path);
    const isRotated = rotated === undefined ? undefined : globTest(rotated);
    this.#isSibling = (other) =>
      other !== name && (isRotated?.(other) ?? (other.startsWith(name) && /^[.-]./.test(other.slice(name.length))));
  }

  /** That at the path, from its start; undefined when there is none. */
  newest(signal: AbortSignal): Promise<Generation<T> | undefined> {
    return this.#open(this.#path, undefined, signal);
  }

  /** That with this place: by its inode, else by the line that was read there, as a copy has it too. */
  async find({ inode, position }: TailPosition, signal: AbortSignal): Promise<Generation<T> | undefined> {
    const all = await this.#all();
    const isSame = ({ info }: Sibling): boolean => String(info.ino) === inode;
    const others = position.mark === undefined ? [] : all.filter((each) => !isSame(each));
    // What is compressed has to be read from its start to be looked at, so it comes last.
    const rest = others.toReversed().toSorted((a, b) => Number(isCompressed(a.file)) - Number(isCompressed(b.file)));
    for (const { file } of [...all.filter(isSame), ...rest]) {
      const found = await this.#openAt(file, position, signal);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** That which came behind one, from its start; undefined when there is none yet. */
  async after(generation: Generation<T>, signal: AbortSignal): Promise<Generation<T> | undefined> {
    const { mtimeNs } = await readable(generation.file, generation.handle.stat({ bigint: true }));
    const { position } = generation.reader;
    for (const { file, info } of await this.#all()) {
      if (String(info.ino) === generation.inode || (file !== this.#path && info.mtimeNs <= mtimeNs)) continue;
      if (file !== this.#path && (await this.#isCopy(file, position, signal))) continue;
      const next = await this.#open(file, undefined, signal);
      if (next !== undefined) return next;
    }
    return undefined;
  }

  /** Whether a compressed file, which may be younger than what it was made of, is of one that was read to this end. */
  async #isCopy(file: string, position: FilePosition, signal: AbortSignal): Promise<boolean> {
    if (!isCompressed(file) || position.mark === undefined) return false;
    const copy = await this.#openAt(file, position, signal);
    try {
      return copy !== undefined && (await copy.reader.read(signal)) === undefined;
    } finally {
      await copy?.reader.close();
    }
  }

  /** What has become of one that was read as far as it went. */
  async stateOf(
    generation: Generation<T>,
    signal: AbortSignal,
  ): Promise<'same' | 'grown' | 'emptied' | 'renamed'> {
    const { reader, inode, input, handle, file } = generation;
    const own = await readable(file, handle.stat({ bigint: true }));
    const [size, readTo] = [Number(own.size), reader.readTo];
    // The content of a compressed one has another length, and nobody writes to it.
    if (!isCompressed(file)) {
      if (size < readTo) return 'emptied';
      const { mark, offset } = reader.position;
      const mayDiffer = own.ctimeNs !== generation.seenNs && mark !== undefined;
      if (mayDiffer && !(await readable(file, hasMark(input, mark, offset, signal)))) return 'emptied';
      generation.seenNs = own.ctimeNs;
      if (size > readTo) return 'grown';
    }
    const newest = await this.#at(this.#path);
    // Between being renamed and being made anew; unless it is an older one anyway.
    if (newest === undefined) return file === this.#path ? 'same' : 'renamed';
    return String(newest.ino) === inode ? 'same' : 'renamed';
  }

  /** All that are there, the oldest first, that at the path last. */
  async #all(): Promise<readonly Sibling[]> {
    const directory = dirname(this.#path);
    const names = await readdir(directory).catch((error: unknown) => {
      throw systemError('SOURCE_FAILED', `directory "${directory}" can not be read`, error, {
        details: { file: this.#path },
      });
    });
    const siblings: Sibling[] = [];
    for (const name of names.filter(this.#isSibling)) {
      // Being compressed: not whole yet, and still there as it was.
      if (isCompressed(name) && names.includes(withoutEnding(name))) continue;
      const file = join(directory, name);
      const info = await this.#at(file);
      if (info?.isFile() === true) siblings.push({ file, info });
    }
    siblings.sort((a, b) => Number(a.info.mtimeNs - b.info.mtimeNs));
    const newest = await this.#at(this.#path);
    return newest === undefined ? siblings : [...siblings, { file: this.#path, info: newest }];
  }

  #at(file: string): Promise<BigIntStats | undefined> {
    return readable(file, stat(file, { bigint: true }).catch(noneIfAbsent));
  }

  /** Undefined when the file can not be the one with this place. */
  async #openAt(file: string, position: FilePosition, signal: AbortSignal): Promise<Generation<T> | undefined> {
    try {
      return await this.#open(file, position, signal);
    } catch (error) {
      if (error instanceof StreamError && error.code === 'INPUT_CHANGED') return undefined;
      throw error;
    }
  }

  /** Undefined when it is gone. */
  async #open(
    file: string,
    position: FilePosition | undefined,
    signal: AbortSignal,
  ): Promise<Generation<T> | undefined> {
    const { format, ...settings } = this.#options;
    const handle = await readable(file, openRegular(file, 'read').catch(noneIfAbsent));
    if (handle === undefined) return undefined;
    const input = await contentOf(file, handle, 'auto');
    const parser = await format.open(file);
    const options = { ...settings, file, follows: true };
    const reader = await FileReader.open(options, { input, parser }, position, signal);
    try {
      const { ino } = await handle.stat({ bigint: true });
      return { inode: String(ino), file, handle, input, reader, seenNs: 0n };
    } catch (error) {
      await reader.close();
      throw unreadable(file, error);
    }
  }
}

const readable = <V>(file: string, looking: Promise<V>): Promise<V> =>
  looking.catch((error: unknown) => {
    throw unreadable(file, error);
  });

const compressed = /\.(gz|zst)$/i;
const isCompressed = (file: string): boolean => compressed.test(file);
const withoutEnding = (file: string): string => file.replace(compressed, '');
