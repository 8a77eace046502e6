/**
 * Reads the files of a directory one after another, those that are there and, when it is watched, those that come while
 * the job runs. A place in it is a place in one file, and which files were read. Keeps I9 (waits on the clock of the
 * job) and I10 (every wait takes the signal).
 */
import { crc32 } from 'node:zlib';
import { join } from 'node:path';
import { sleep, systemClock, type Clock } from '../../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import {
  callable,
  durationMs,
  integer,
  knownOptions,
  oneOf,
  refusal,
  refusedResult,
  resultWith,
  type Duration,
} from '../../lib/core/options.ts';
import { ownBatch } from '../../lib/core/own-batch.ts';
import { listFiles, type FoundFile } from './directory-listing.ts';
import { DroppedSum } from './dropped-sum.ts';
import { FinishedFiles, type OnChanged } from './finished-files.ts';
import { globTest } from './glob.ts';

export interface DirectoryOptions<T, P> {
  /**
   * The source of one file, by its path: `jsonLines`, or `(path) => csv(path, options)`. Asked for each file that is
   * begun. It has one split, ends, and can be read again; it is read one batch ahead of what is handed out.
   */
  readonly format: (path: string) => Source<T, P>;
  /** Which files, by their paths below the directory: `*.csv`, `{a,b}/**`, `**` for all of them. @defaultValue '*' */
  readonly match?: string | undefined;
  /** How often to look for new files; false: those found at the start are all. @defaultValue false */
  readonly watch?: Duration | false | undefined;
  /**
   * Which of the files that were found at once comes first: by the time of their last change and then by name, or by
   * name alone. @defaultValue 'time'
   */
  readonly order?: 'time' | 'name' | undefined;
  /**
   * How long a file must not have changed before it is read, for files that are written where they stand. Files that
   * are renamed into the directory are whole. @defaultValue 0
   */
  readonly settle?: Duration | undefined;
  /**
   * What to do with a file that was read and has another length or time since: fail with `INPUT_CHANGED`, read all of
   * it as a new one, nothing, or go on behind its last record, for files that grow; those are best read with
   * `lastLine: 'wait'`. @defaultValue 'fail'
   */
  readonly onChanged?: OnChanged | undefined;
  /**
   * How many files are read side by side: each of these is a split, with a share of the files by their names, from 1.
   * @defaultValue 1
   */
  readonly readers?: number | undefined;
}

export interface DirectoryPosition<P> {
  /** The files that were read to their end and are still there, with length and time. */
  readonly finished: string;
  /** The file that is being read, by its path below the directory, and the place in it. */
  readonly file?: string | undefined;
  readonly position?: P | undefined;
}

interface DirectoryParts<T, P> {
  readonly path: string;
  readonly order: 'time' | 'name';
  readonly onChanged: OnChanged;
  readonly matches: (name: string) => boolean;
  readonly watchMs: number | undefined;
  readonly settleMs: number;
  readonly sourceOf: (file: string) => Source<T, P>;
  readonly dropped: DroppedSum;
}

/**
 * A source of the records of all files of a directory, file by file. Files that come while it is watched are read once
 * those found before are. Each file is read once: what was read is remembered by path, length and time for as long as
 * the file is there, so a file that is taken away and comes back is a new one, and a place of state holds as much as
 * there are files. A file that is gone in the middle of it, or before a checkpoint covers it, is `INPUT_NOT_FOUND` or
 * `INPUT_CHANGED`. Hidden files are left out unless `match` names them.
 *
 * @example
 * import { mkdir, writeFile } from 'node:fs/promises';
 * await mkdir('inbox', { recursive: true });
 * await writeFile('inbox/a.txt', 'green\nred\n');
 * await writeFile('inbox/b.txt', 'blue\n');
 * const colours = env.fromSource(directory('inbox', { match: '*.txt', format: textLines, order: 'name' }));
 * console.log(await colours.executeAndCollect()); // prints [ 'green', 'red', 'blue' ]
 */
export const directory = <T, P>(path: string, options: DirectoryOptions<T, P>): Source<T, DirectoryPosition<P>> => {
  knownOptions('directory', options, {
    format: true,
    match: true,
    watch: true,
    order: true,
    settle: true,
    onChanged: true,
    readers: true,
  });
  const { format, match = '*', watch = false, order = 'time', settle = 0, onChanged = 'fail', readers = 1 } = options;
  if (typeof path !== 'string' || path === '' || path.includes('\0'))
    throw refusal('path', 'that of a directory', path);
  callable('format', format);
  if (typeof match !== 'string' || match === '') throw refusal('match', 'a pattern such as `*.csv`', match);
  oneOf('order', order, ['time', 'name']);
  oneOf('onChanged', onChanged, ['fail', 'read', 'resume', 'ignore']);
  integer('readers', readers, { min: 1, max: 1024 });
  const watchMs = watch === false ? undefined : durationMs('watch', watch, { min: 1 });
  const settleMs = durationMs('settle', settle);
  const matchesPattern = globTest(match);
  const dropped = new DroppedSum();
  return {
    name: 'directory',
    replayable: true,
    get dropped() {
      return dropped.sum;
    },
    splits: async () => Array.from({ length: readers }, (_, index) => `reader ${index}`),
    async open(split, position, signal, clock = systemClock) {
      signal.throwIfAborted();
      const share = Number(split.replace(/^reader /, ''));
      const matches = (name: string): boolean => matchesPattern(name) && crc32(name) % readers === share;
      const sourceOf = (file: string): Source<T, P> => format(join(path, file));
      const parts = { path, order, onChanged, watchMs, settleMs, matches, sourceOf, dropped };
      return new DirectoryReader<T, P>(parts, position, clock);
    },
  };
};

interface OpenFile<T, P> {
  readonly file: FoundFile;
  readonly source: Source<T, P>;
  readonly reader: SourceReader<T, P>;
  /** What was read of it and not handed out. */
  ahead: SourceBatch<T, P> | undefined;
  /** Behind what was read of it, where that is to be remembered. */
  end: P | undefined;
}

class DirectoryReader<T, P> implements SourceReader<T, DirectoryPosition<P>> {
  readonly #parts: DirectoryParts<T, P>;
  readonly #clock: Clock;
  readonly #finished: FinishedFiles;
  /** Found and not begun. */
  #queue: FoundFile[] = [];
  #listed = false;
  /** What to go on with before anything else. */
  #resumed: DirectoryPosition<P> | undefined;
  #open: OpenFile<T, P> | undefined;
  #sleeping = false;
  #closed = false;

  constructor(parts: DirectoryParts<T, P>, position: DirectoryPosition<P> | undefined, clock: Clock) {
    this.#parts = parts;
    this.#clock = clock;
    this.#finished = new FinishedFiles(parts.path, position?.finished ?? '');
    if (position?.file !== undefined) this.#resumed = position;
  }

  get waiting(): boolean {
    return this.#sleeping;
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, DirectoryPosition<P>> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw new TypeError('Expected `read` to be called before `close`');
      if (this.#open === undefined && !(await this.#openNext(signal))) return undefined;
      const open = this.#open;
      if (open === undefined) continue;
      const before = this.#finished.text;
      const batch = await this.#next(open, signal);
      if (batch === undefined) await this.#finish(open);
      else {
        await this.#lookAhead(open, signal);
        return this.#wrapped(batch, before, open.file.name);
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#open !== undefined) await this.#closeFile(this.#open);
  }

  async committed({ file, position }: DirectoryPosition<P>): Promise<void> {
    if (file !== this.#open?.file.name || position === undefined) return;
    await this.#open?.reader.committed?.(position);
  }

  get #goesOn(): boolean {
    return this.#parts.onChanged === 'resume';
  }

  #next(open: OpenFile<T, P>, signal: AbortSignal): Promise<SourceBatch<T, P> | undefined> {
    const { ahead } = open;
    open.ahead = undefined;
    return ahead === undefined ? this.#readOwn(open, signal) : Promise.resolve(ahead);
  }

  /** The lists of a batch may be used again by its source while the next is read. */
  async #readOwn(open: OpenFile<T, P>, signal: AbortSignal): Promise<SourceBatch<T, P> | undefined> {
    const batch = await open.reader.read(signal);
    if (batch === undefined) return undefined;
    const own = ownBatch(batch, `file "${open.file.name}" of a directory`);
    if (this.#goesOn) open.end = own.position(own.values.length);
    return own;
  }

  /**
   * Whether the batch in hand is the last of its file: then the position behind it is one behind the file, which may be
   * taken away as soon as that is in a checkpoint.
   */
  async #lookAhead(open: OpenFile<T, P>, signal: AbortSignal): Promise<void> {
    try {
      open.ahead = await this.#readOwn(open, signal);
    } catch {
      return; // Told by the next read: what came before goes first.
    }
    if (open.ahead === undefined) await this.#finish(open);
  }

  #wrapped(batch: SourceBatch<T, P>, finished: string, file: string): SourceBatch<T, DirectoryPosition<P>> {
    const { values, timestamps, sides } = batch;
    const behind = this.#open === undefined ? { finished: this.#finished.text } : undefined;
    return {
      values,
      timestamps,
      sides,
      position: (count) =>
        behind !== undefined && count === values.length ? behind : { finished, file, position: batch.position(count) },
    };
  }

  /** Opens the next file, or looks for some. False at the end. */
  async #openNext(signal: AbortSignal): Promise<boolean> {
    const { file: resumed, position: place } = this.#resumed ?? {};
    this.#resumed = undefined;
    const name = resumed ?? this.#queue.shift()?.name;
    if (name !== undefined) {
      // Length and time from before it is read: what it has become since is noticed.
      const file = await this.#finished.stat(name);
      // One that was taken away before its turn has come was never read; of one that was begun the format says so.
      if (file === undefined && resumed === undefined) return true;
      const source = resultWith('format', this.#parts.sourceOf(name), ['splits', 'open']);
      const [split, ...more] = await source.splits(signal);
      if (split === undefined || more.length > 0 || !source.replayable)
        throw refusedResult('format', 'a source with one split that can be read again', source.name);
      // What was remembered is a position of this format.
      const position = resumed === undefined && this.#goesOn ? (this.#finished.endOf(name) as P | undefined) : place;
      const reader = await source.open(split, position, signal, this.#clock);
      this.#parts.dropped.begin(source);
      this.#open = { file: file ?? { name, size: 0, timeMs: 0 }, source, reader, ahead: undefined, end: position };
      return true;
    }
    const { watchMs } = this.#parts;
    if (this.#listed && watchMs === undefined) return false;
    if (this.#listed) await this.#sleep(watchMs ?? 0, signal);
    await this.#list(signal);
    return true;
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.#sleeping = true;
    try {
      await sleep(this.#clock, ms, signal);
    } finally {
      this.#sleeping = false;
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { path, matches, order, onChanged, settleMs } = this.#parts;
    const found = await listFiles(path, matches, signal);
    this.#finished.keep(found);
    const now = this.#clock.now();
    const isNew = found.filter((file) => {
      if (settleMs > 0 && now - file.timeMs < settleMs) return false;
      return this.#finished.isNew(file, onChanged);
    });
    const byName = (a: FoundFile, b: FoundFile): number => (a.name < b.name ? -1 : 1);
    this.#queue = isNew.toSorted((a, b) => (order === 'time' && a.timeMs - b.timeMs) || byName(a, b));
    // One that has not settled yet is looked at again, also where nothing else is waited for.
    this.#listed = this.#parts.watchMs !== undefined || found.every((file) => now - file.timeMs >= settleMs);
    if (!this.#listed && this.#queue.length === 0) await this.#sleep(settleMs, signal);
  }

  async #finish(open: OpenFile<T, P>): Promise<void> {
    this.#open = undefined;
    this.#finished.add(open.file, this.#goesOn ? open.end : undefined);
    await this.#closeFile(open);
  }

  /** The source of a file is asked for anew by each life of the job, so it ends with its reader. */
  async #closeFile({ reader, source }: OpenFile<T, P>): Promise<void> {
    await reader.close();
    this.#parts.dropped.end(source);
    await source.close?.();
  }
}
