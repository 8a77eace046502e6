/**
 * Follows a file that grows: a log that is rotated by being renamed or by being copied and emptied. A place in it is a
 * place in one of its generations, known by its inode and by a line that was read. Keeps I9 (waits on the clock of the
 * job) and I10 (every wait takes the signal).
 */
import { sleep, systemClock, type Clock } from '../../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import { durationMs, knownOptions, oneOf, refusal, type Duration } from '../../lib/core/options.ts';
import { jsonLineFormat } from '../json-lines/json-line.ts';
import { inputChanged } from './byte-input.ts';
import type { FilePosition } from './file-position.ts';
import {
  checkSchema,
  fileOptionNames,
  readerSettings,
  type FileSourceOptions,
  type SchemaOptions,
} from './file-source.ts';
import { Generations, type Generation } from './generations.ts';
import type { LineFormat } from './record-format.ts';
import { textFormat } from './text-lines.ts';

export interface TailOptions<T> extends Omit<FileSourceOptions, 'compression' | 'lastLine'>, SchemaOptions<T> {
  /** What a line is: a text, or a value of JSON, which a schema checks. @defaultValue 'text' */
  readonly format?: 'text' | 'json' | undefined;
  /** How often to look whether the file has grown. @defaultValue '1s' */
  readonly poll?: Duration | undefined;
  /**
   * The names of older generations beside the file, as a pattern. Those that are compressed are read too.
   * @defaultValue its own name with anything behind a dot or a dash: `app.log.1`, `app.log-20261130.gz`
   */
  readonly rotated?: string | undefined;
  /**
   * What to do when lines may be lost, because the generation that was being read is not there any more, or the file
   * was emptied and no copy of it is found: fail with `INPUT_CHANGED`, or say so as a warning of the process, count it
   * as dropped, and go on at the start of the file. @defaultValue 'fail'
   */
  readonly onLost?: 'fail' | 'warn' | undefined;
}

export interface TailPosition {
  /** Inode of the generation. */
  readonly inode: string;
  readonly position: FilePosition;
}

interface TailParts<T> {
  readonly pollMs: number;
  readonly generations: Generations<T>;
  /** Lines may be lost. Throws where that is an error. */
  readonly lost: (what: string) => void;
}

/**
 * A source of the lines of a file that grows; it never ends. The file may come later. A line is handed out when its
 * newline has come; the last of a generation without one when the next has come and it has not grown for one more look.
 * A file that is renamed is read to its end, then those that have come since, the youngest last. One that is emptied in
 * place is looked for among its copies. A restart finds its generation, by whatever name, as long as it is there.
 *
 * @example
 * const logs = StreamExecutionEnvironment.create();
 * logs.fromSource(tail('app.log')).filter((line) => line.includes('ERROR')).print();
 * // `await logs.execute()` runs until the job is stopped.
 */
export const tail = <T = string>(path: string, options: TailOptions<T> = {}): Source<T, TailPosition> => {
  const { compression: _, lastLine: __, ...names } = fileOptionNames;
  knownOptions('tail', options, { ...names, schema: true, format: true, poll: true, rotated: true, onLost: true });
  const { format = 'text', schema, poll = '1s', rotated, onLost = 'fail' } = options;
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw refusal('path', 'the path of a file', path);
  oneOf('format', format, ['text', 'json']);
  oneOf('onLost', onLost, ['fail', 'warn']);
  checkSchema(schema);
  if (schema !== undefined && format === 'text') throw refusal('schema', "absent with `format: 'text'`", schema);
  if (rotated !== undefined && (typeof rotated !== 'string' || rotated === ''))
    throw refusal('rotated', 'a pattern such as `app.log.*`', rotated);
  const pollMs = durationMs('poll', poll, { min: 1 });
  const { settings, skipped } = readerSettings('tail', options);
  // A text is what T is when nothing else is said.
  const lines = (format === 'json' ? jsonLineFormat({ schema, bigints: 'number' }) : textFormat) as LineFormat<T>;
  let losses = 0;
  const lost = (what: string): void => {
    if (onLost === 'fail') throw inputChanged(path, what);
    losses += 1;
    process.emitWarning(`input "${path}" ${what}: lines may be lost`, 'MillraceWarning');
  };
  const generations = new Generations<T>(path, rotated, { ...settings, format: lines });
  return {
    name: 'tail',
    replayable: true,
    get dropped() {
      return skipped() + losses;
    },
    splits: async () => [path],
    async open(_split, position, signal, clock = systemClock) {
      signal.throwIfAborted();
      return new TailReader({ pollMs, generations, lost }, position, clock);
    },
  };
};

class TailReader<T> implements SourceReader<T, TailPosition> {
  readonly #parts: TailParts<T>;
  readonly #clock: Clock;
  #resumed: TailPosition | undefined;
  #current: Generation<T> | undefined;
  /** `last`: the next was seen, and when there is no more once again, this one is `over`. */
  #phase: 'grows' | 'last' | 'over' = 'grows';
  /** What was read of it is used up: it is looked at before it is asked for more. */
  #isDry = false;
  #sleeping = false;
  #closed = false;

  constructor(parts: TailParts<T>, position: TailPosition | undefined, clock: Clock) {
    this.#parts = parts;
    this.#resumed = position;
    this.#clock = clock;
  }

  get waiting(): boolean {
    return this.#sleeping;
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, TailPosition> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw new TypeError('Expected `read` to be called before `close`');
      const current = (this.#current ??= await this.#begin(signal));
      if (current === undefined || (this.#isDry && !(await this.#look(current, signal)))) {
        await this.#sleep(signal);
        continue;
      }
      const { reader, inode } = this.#current ?? current;
      const batch = await reader.read(signal);
      this.#isDry = batch === undefined || reader.isDrained;
      if (batch !== undefined) return wrapped(batch, inode);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#current?.reader.close();
  }

  async #begin(signal: AbortSignal): Promise<Generation<T> | undefined> {
    const { generations, lost } = this.#parts;
    if (this.#resumed !== undefined) {
      const found = await generations.find(this.#resumed, signal);
      if (found === undefined) lost(`is not the one that was read, and no generation of it is`);
      this.#resumed = undefined;
      if (found !== undefined) return found;
    }
    return generations.newest(signal);
  }

  /** What has become of it, before it is read on. Gives whether there is something to read now. */
  async #look(current: Generation<T>, signal: AbortSignal): Promise<boolean> {
    const { generations, lost } = this.#parts;
    if (this.#phase === 'over') return this.#goOn(current, await generations.after(current, signal));
    if (this.#phase === 'last') {
      this.#phase = 'over';
      current.reader.endsHere();
      return true;
    }
    const state = await generations.stateOf(current, signal);
    if (state === 'emptied') {
      const copy = await generations.find({ inode: '', position: current.reader.position }, signal);
      if (copy === undefined) lost('was emptied, and no copy of it is found');
      return this.#goOn(current, copy ?? (await generations.newest(signal)));
    }
    if (state !== 'renamed') return state === 'grown';
    // It may still be written to by who has not noticed yet.
    await this.#sleep(signal);
    this.#phase = 'last';
    return true;
  }

  /** False when there is nothing to go on with yet. */
  async #goOn(before: Generation<T>, next: Generation<T> | undefined): Promise<boolean> {
    if (next === undefined) return false;
    await before.reader.close();
    this.#current = next;
    this.#phase = 'grows';
    return true;
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    this.#sleeping = true;
    try {
      await sleep(this.#clock, this.#parts.pollMs, signal);
    } finally {
      this.#sleeping = false;
    }
  }
}

const wrapped = <T>(batch: SourceBatch<T, FilePosition>, inode: string): SourceBatch<T, TailPosition> => ({
  values: batch.values,
  sides: batch.sides,
  position: (count) => ({ inode, position: batch.position(count) }),
});
