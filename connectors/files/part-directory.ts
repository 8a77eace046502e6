/**
 * The directory of a sink of parts: where those of an epoch wait, and how they get their names. Nothing is overwritten
 * or removed that this sink has not written. Keeps I7 (a commit may be repeated, also when a reader has taken its parts
 * away meanwhile).
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { SinkContext } from '../../lib/core/connector.ts';
import { StreamError } from '../../lib/core/errors.ts';
import { openRegular } from '../../lib/core/regular-file.ts';
import { noneIfAbsent } from '../../lib/core/system-error.ts';
import { failed } from './line-output.ts';
import { PartFile, type PartPlace, type SealedPart } from './part-file.ts';
import { crcOfRange, syncDirectory } from './pending-file.ts';

/** The parts of one epoch. */
export interface PartsCommittable {
  /** That of the sink, absolute. */
  readonly directory: string;
  readonly epoch: number;
  readonly parts: readonly SealedPart[];
}

interface PartDirectoryOptions {
  readonly directory: string;
  /** Begins the names of parts: no other sink of any job has it. */
  readonly name: string;
  readonly ending: string;
}

/** What waits can be read by its owner alone. */
const waitingMode = 0o700;

export class PartDirectory {
  readonly path: string;
  /** Where parts wait. */
  readonly #waiting: string;
  readonly #name: string;
  readonly #ending: string;

  constructor({ directory, name, ending }: PartDirectoryOptions) {
    this.path = resolve(directory);
    this.#name = name;
    this.#ending = ending;
    this.#waiting = join(this.path, `.${name}.pending`);
  }

  /** Makes the place ready: what waits there and is in no checkpoint is removed, it is written again. */
  async open(
    { pending, last, signal }: SinkContext<PartsCommittable>,
    onExisting: 'fail' | 'append',
  ): Promise<void> {
    const known = [...pending, ...(last === undefined ? [] : [last])];
    for (const { directory } of known) await this.#checkSame(directory);
    await mkdir(this.path, { recursive: true });
    if (known.length === 0 && onExisting === 'fail') await this.#checkEmpty();
    await this.#checkWaiting(pending);
    await mkdir(this.#waiting, { recursive: true, mode: waitingMode });
    await syncDirectory(this.#waiting);
    const kept = new Set(known.map(({ epoch }) => String(epoch)));
    for (const name of await readdir(this.#waiting)) {
      if (kept.has(name.split('-')[0] ?? '')) continue;
      await rm(join(this.#waiting, name), { force: true });
    }
    // A loss of power may have taken back the names that the newest epoch was given last.
    if (last !== undefined && !pending.some(({ epoch }) => epoch === last.epoch)) await this.commit(last, signal);
  }

  begin(place: PartPlace): PartFile {
    return new PartFile(this.#waitingPath(place.epoch, place.index), place);
  }

  /** Gives each part of an epoch its name. */
  async commit({ epoch, parts }: PartsCommittable, signal: AbortSignal): Promise<void> {
    try {
      const places = new Set<string>();
      for (const part of parts) {
        signal.throwIfAborted();
        places.add(await this.#publish(epoch, part));
      }
      // A reader who has taken all parts of a place away may have removed it too.
      for (const place of places) await syncDirectory(join(place, this.#name)).catch(noneIfAbsent);
      await syncDirectory(this.#waitingPath(epoch, 0));
    } catch (error) {
      if (signal.aborted) throw error;
      throw failed(`epoch ${epoch} of directory "${this.path}" can not be committed`, error);
    }
  }

  /** Gives the directory that the part is in. */
  async #publish(epoch: number, part: SealedPart): Promise<string> {
    const waiting = this.#waitingPath(epoch, part.index);
    const directory = join(this.path, part.place);
    const number = `${String(epoch).padStart(8, '0')}-${String(part.index).padStart(4, '0')}`;
    const path = join(directory, `${this.#name}-${number}${this.#ending}`);
    const crc = await crcOf(waiting, part.bytes);
    // It has its name already, or had it before a reader took it away.
    if (crc === undefined) return directory;
    if (crc !== part.crc) throw this.#changed(`has lost records: "${waiting}" is not as it was sealed`);
    await this.#makePlace(part.place);
    if ((await stat(path).catch(noneIfAbsent)) !== undefined)
      throw this.#changed(`holds "${path}", which this job has not written`);
    await rename(waiting, path);
    return directory;
  }

  /** Each level is durable before something is in it. */
  async #makePlace(place: string): Promise<void> {
    const first = await mkdir(join(this.path, place), { recursive: true });
    if (first === undefined) return;
    for (let at = join(this.path, place); at !== dirname(first); at = dirname(at)) await syncDirectory(at);
  }

  #waitingPath(epoch: number, index: number): string {
    return join(this.#waiting, `${epoch}-${index}`);
  }

  /** A place that was moved is the same one; two sinks that have changed places are not. */
  async #checkSame(before: string): Promise<void> {
    if (before === this.path) return;
    const [here, there] = await Promise.all([this.path, before].map((each) => stat(each).catch(noneIfAbsent)));
    if (there === undefined || (here?.ino === there.ino && here.dev === there.dev)) return;
    throw new StreamError(
      'OUTPUT_CHANGED',
      `the checkpoint holds parts of directory "${before}", and the sink writes to "${this.path}"`,
      {
        hint: 'give the sink the directory it had; two sinks that have changed places need uids of their own: `sinkTo(sink).uid(...)`',
        details: { path: this.path, before },
      },
    );
  }

  async #checkEmpty(): Promise<void> {
    const visible = (await readdir(this.path)).filter((name) => !name.startsWith('.'));
    if (visible.length === 0) return;
    throw new StreamError('OUTPUT_NOT_EMPTY', `directory "${this.path}" holds "${visible[0]}" already`, {
      hint: "give a new directory, or set `onExisting` to 'append'",
      details: { path: this.path },
    });
  }

  /** A part that does not wait any more was committed; but with the place gone where it waited, nobody can say. */
  async #checkWaiting(pending: readonly PartsCommittable[]): Promise<void> {
    if (pending.length === 0 || (await stat(this.#waiting).catch(noneIfAbsent)) !== undefined) return;
    throw this.#changed(`has lost "${this.#waiting}", where parts waited for their commit`);
  }

  #changed(message: string): StreamError {
    return new StreamError('OUTPUT_CHANGED', `directory "${this.path}" ${message}`, { details: { path: this.path } });
  }
}

/** Undefined when there is no such file; that of what is there when it is shorter. */
const crcOf = async (path: string, bytes: number): Promise<number | undefined> => {
  const handle = await openRegular(path, 'read').catch(noneIfAbsent);
  try {
    if (handle === undefined) return undefined;
    return (await crcOfRange(handle, { offset: 0, bytes })) ?? -1;
  } finally {
    await handle?.close();
  }
};
