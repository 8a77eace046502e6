/**
 * Reads sources one after another: what was kept, then what comes. The switch is a place like any other, so a restart
 * goes on in the part it was in. Keeps I10 (aborts and closing go to the part that is read).
 */
import type { Clock } from '../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../lib/core/connector.ts';
import { StreamError } from '../lib/core/errors.ts';
import { refusal, resultWith, withMethods } from '../lib/core/options.ts';

/** Where the splits of a part have ended, by their names. */
export type SplitEnds = Readonly<Record<string, unknown>>;

/**
 * A source, or a function that makes it when the part before has ended, of the places where. It is asked again at a
 * restart, with the same places, and must then make the same source.
 */
export type HybridPart<T> = Source<T> | ((ends: SplitEnds) => Source<T>);

export interface HybridPosition {
  /** Which part, from 0. */
  readonly part: number;
  /** Of the part before. */
  readonly before: SplitEnds;
  /** Splits of this part that were read to their end. */
  readonly ended: SplitEnds;
  /** The split that is being read, and the place in it. */
  readonly split?: string | undefined;
  readonly position?: unknown;
}

const splitName = 'hybrid';

/**
 * A source of all records of the first part, then of the next, and so on; all but the last must end. The splits of a
 * part are read one after another in the order it names them, under one watermark. The last part has one split, which
 * may be endless. All parts must be replayable.
 *
 * @example
 * const kept = collection([1, 2, 3]);
 * const live = generator({ generate: (index) => 100 + index, count: 2 });
 * console.log(await env.fromSource(hybridSource(kept, live)).executeAndCollect()); // prints [ 1, 2, 3, 100, 101 ]
 */
export const hybridSource = <T>(first: Source<T>, ...then: readonly HybridPart<T>[]): Source<T, HybridPosition> => {
  checkPart(first);
  for (const part of then) if (typeof part !== 'function') checkPart(part);
  if (then.length === 0) throw refusal('then', 'one source or more, to be read behind the first', undefined);
  const parts: readonly HybridPart<T>[] = [first, ...then];
  const made = new Map<number, Source<T>>();
  let droppedBefore = 0;
  const sourceOf = async (part: number, ends: SplitEnds): Promise<Source<T>> => {
    const each = parts[part] ?? first;
    const source = typeof each === 'function' ? checkPart(resultWith('then', each(ends), ['splits', 'open'])) : each;
    const before = made.get(part);
    made.set(part, source);
    if (before !== undefined && before !== source) {
      // Of another life of the job, which had it made for itself.
      droppedBefore += before.dropped ?? 0;
      await before.close?.();
    }
    return source;
  };
  return {
    name: 'hybrid',
    replayable: true,
    get dropped() {
      return [...made.values()].reduce((sum, { dropped = 0 }) => sum + dropped, droppedBefore);
    },
    splits: async () => [splitName],
    async open(_split, position, signal, clock) {
      signal.throwIfAborted();
      return new HybridReader<T>({ sourceOf, partsMax: parts.length, clock }, position);
    },
    async close() {
      for (const source of made.values()) await source.close?.();
    },
  };
};

const checkPart = <T>(part: Source<T>): Source<T> => {
  withMethods('a part of hybridSource', part, 'a Source', ['splits', 'open']);
  if (!part.replayable) throw refusal('a part of hybridSource', 'a source that can be read again', part.name);
  return part;
};

interface HybridOptions<T> {
  readonly sourceOf: (part: number, ends: SplitEnds) => Promise<Source<T>>;
  readonly partsMax: number;
  readonly clock: Clock | undefined;
}

/** A part that is being read. */
interface OpenPart<T> {
  readonly source: Source<T>;
  /** Splits that were not begun. */
  readonly splits: string[];
}

/** A split that is being read, and the place behind what came out of it. */
interface OpenSplit<T> {
  readonly name: string;
  readonly reader: SourceReader<T>;
  end: unknown;
}

class HybridReader<T> implements SourceReader<T, HybridPosition> {
  readonly #options: HybridOptions<T>;
  #part: number;
  #before: SplitEnds;
  #ended: SplitEnds;
  #resumed: HybridPosition | undefined;
  #open: OpenPart<T> | undefined;
  #split: OpenSplit<T> | undefined;
  #closed = false;

  constructor(options: HybridOptions<T>, position: HybridPosition | undefined) {
    this.#options = options;
    this.#part = position?.part ?? 0;
    this.#before = position?.before ?? {};
    this.#ended = position?.ended ?? {};
    this.#resumed = position;
  }

  get waiting(): boolean | undefined {
    return this.#split === undefined ? false : this.#split.reader.waiting;
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, HybridPosition> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw new TypeError('Expected `read` to be called before `close`');
      const split = this.#split ?? (await this.#next(signal));
      if (split === undefined) {
        if (this.#part + 1 >= this.#options.partsMax) return undefined;
        this.#switch();
        continue;
      }
      this.#split = split;
      const batch = await split.reader.read(signal);
      if (batch !== undefined) return this.#wrapped(batch, split);
      await split.reader.close();
      this.#split = undefined;
      this.#ended = { ...this.#ended, [split.name]: split.end };
    }
  }

  async committed({ part, split, position }: HybridPosition): Promise<void> {
    if (part === this.#part && split === this.#split?.name) await this.#split?.reader.committed?.(position);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#split?.reader.close();
  }

  #wrapped(batch: SourceBatch<T>, split: OpenSplit<T>): SourceBatch<T, HybridPosition> {
    const { values, timestamps, sides } = batch;
    const place = { part: this.#part, before: this.#before, ended: this.#ended, split: split.name };
    split.end = batch.position(values.length);
    return { values, timestamps, sides, position: (count) => ({ ...place, position: batch.position(count) }) };
  }

  #switch(): void {
    this.#before = this.#ended;
    this.#ended = {};
    this.#part += 1;
    this.#open = undefined;
  }

  /** Opens the next split of the part; undefined when there is none. */
  async #next(signal: AbortSignal): Promise<OpenSplit<T> | undefined> {
    const { source, splits } = (this.#open ??= await this.#openPart(signal));
    const { split: begun, position } = this.#resumed ?? {};
    const name = begun ?? splits[0];
    if (name === undefined) return undefined;
    const reader = await source.open(name, position, signal, this.#options.clock);
    this.#resumed = undefined;
    splits.splice(splits.indexOf(name), splits.includes(name) ? 1 : 0);
    return { name, reader, end: position };
  }

  async #openPart(signal: AbortSignal): Promise<OpenPart<T>> {
    const source = await this.#options.sourceOf(this.#part, this.#before);
    const names = await source.splits(signal);
    const isLast = this.#part + 1 === this.#options.partsMax;
    if (isLast && names.length > 1)
      throw new StreamError('GRAPH_INVALID', `the last part of a hybrid source has ${names.length} splits`, {
        hint: 'of several, which may be endless, each would wait for the one before: give it one, or use `union`',
        details: { splits: names.length },
      });
    return { source, splits: names.filter((name) => !Object.hasOwn(this.#ended, name)) };
  }
}
