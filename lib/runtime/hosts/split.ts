/**
 * One split of a source while the job runs: its reader, what it has in hand, and its place in the input. Batches come
 * in by `take` (what a read brought) or `accept` (records that can't be read again, as they were journaled) and leave
 * record by record; a position belongs to what was handed over and not to what was fetched, so a batch may be cut at
 * any record.
 */
import type { SourceBatch, SourceReader } from '../../core/connector.ts';
import type { Timestamp } from '../../core/element.ts';
import { invariant, isThenable, refusedPromise } from '../../core/errors.ts';
import { decodeText, encodeText } from '../../core/serde.ts';
import { invalidTimestamp, isTimestamp } from '../../core/timestamp.ts';
import type { RecordedInput } from '../journal/turn.ts';
import type { GeneratorSnapshot, Quiet, WatermarkGenerator } from '../edges/watermark-generator.ts';

export interface SplitSnapshot {
  /** Behind what was handed over; of a split that can't be read again, behind what was accepted. */
  readonly position: unknown;
  /** Records handed over. */
  readonly records: number;
  readonly ended: boolean;
  readonly generator: GeneratorSnapshot;
  /**
   * Accepted and not handed over yet: encoded at the instant, since user code is given these records after it (I21).
   */
  readonly accepted?: readonly string[] | undefined;
}

export interface SplitOptions<T> {
  /** Of the source. */
  readonly uid: string;
  readonly name: string;
  readonly generator: WatermarkGenerator<T>;
}

export class Split<T> {
  readonly name: string;
  readonly generator: WatermarkGenerator<T>;
  readonly #uid: string;
  /** A copy that no source holds, and never changed: a checkpoint may store it later. */
  #position: unknown;
  #records = 0;
  #ended = false;
  #reader: SourceReader<T> | undefined;
  #reading = false;
  /** A read said that nothing comes any more; what is in hand comes first. */
  #readToEnd = false;
  /** The first one is cut at `#cursor`. */
  readonly #batches: SourceBatch<T>[] = [];
  #cursor = 0;
  /** The batches are what was accepted: they have moved the position already. */
  #accepted = false;
  /** What a read brought and was not accepted yet, and from where on. */
  #unaccepted: { readonly batch: SourceBatch<T>; readonly from: number } | undefined;
  /** Batches from the front that may be handed over: what was accepted leaves when it is durable. */
  #released = 0;

  constructor({ uid, name, generator }: SplitOptions<T>) {
    this.#uid = uid;
    this.name = name;
    this.generator = generator;
  }

  get position(): unknown {
    return this.#position;
  }

  /** Records handed over since the job first started. */
  get records(): number {
    return this.#records;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether anything can be handed over now. */
  get hasRecords(): boolean {
    return this.#released > 0;
  }

  /** The end was read, and nothing is in hand any more: it is to be ended. */
  get isDrained(): boolean {
    return this.#readToEnd && !this.#ended && this.#isEmpty;
  }

  get #isEmpty(): boolean {
    return this.#batches.length === 0 && this.#unaccepted === undefined;
  }

  /** Nothing is in hand, and either the end was read or nobody has told the reader to come to one. */
  get isEmptied(): boolean {
    return this.#isEmpty && (this.#readToEnd || this.#ended || this.#reader?.end === undefined);
  }

  /** Whether to read on. */
  get wantsRead(): boolean {
    if (this.#reader === undefined || this.#reading || this.#ended) return false;
    return !this.#readToEnd && this.#isEmpty;
  }

  /** What it says that no record has come, while `asked` (sources are read at all). */
  quiet(asked: boolean): Quiet {
    if (!asked || !this.#reading || !this.#isEmpty) return 'held';
    return this.#reader?.waiting === false ? 'reads' : 'waits';
  }

  open(reader: SourceReader<T>): void {
    this.#reader = reader;
  }

  /** Reads on. Gives what `take` or `accept` is to be given; undefined is the end. */
  async read(signal: AbortSignal): Promise<SourceBatch<T> | undefined> {
    const reader = this.#reader;
    const free = reader !== undefined && !this.#reading;
    invariant(free, `I12: split ${this.name} of source ${this.#uid} is open, and read once at a time`);
    this.#reading = true;
    try {
      const batch = await reader.read(signal);
      if (batch === undefined) this.#readToEnd = true;
      else this.#check(batch.timestamps);
      return batch;
    } finally {
      this.#reading = false;
    }
  }

  /** Takes no more than has come. */
  endInput(): void {
    this.#reader?.end?.();
  }

  /** Takes in hand what a read brought. */
  take(batch: SourceBatch<T>): void {
    if (batch.values.length === 0) return; // Nothing is there now.
    this.#refusePromises(batch.values);
    this.#batches.push(batch);
    this.#released += 1;
  }

  /** Keeps what a read brought until it is accepted, part by part. */
  keep(batch: SourceBatch<T>): void {
    if (batch.values.length > 0) this.#unaccepted = { batch, from: 0 };
  }

  /** Whether anything is to be accepted. */
  get hasUnaccepted(): boolean {
    return this.#unaccepted !== undefined;
  }

  /** The next `max` records to accept, which are kept no longer. */
  takeUnaccepted(max: number): SourceBatch<T> | undefined {
    if (this.#unaccepted === undefined) return undefined;
    const { batch, from } = this.#unaccepted;
    const to = Math.min(batch.values.length, from + max);
    this.#unaccepted = to < batch.values.length ? { batch, from: to } : undefined;
    return partOf(batch, from, to);
  }

  /** Takes in hand records that can't be read again. Runs in a turn; they leave when they are released. */
  accept(input: RecordedInput): void {
    this.#accepted = true;
    this.#position = input.position;
    if (input.values.length === 0) return;
    this.#check(input.timestamps);
    this.#batches.push({
      values: input.values as readonly T[], // They came from this source.
      timestamps: input.timestamps,
      sides: input.sides === undefined ? undefined : new Map(input.sides),
      position: () => input.position,
    });
  }

  /** What was accepted so far is durable. */
  release(): void {
    this.#released = this.#batches.length;
  }

  /** The batch to hand over from, and where it is cut. */
  get front(): { readonly batch: SourceBatch<T>; readonly cursor: number } | undefined {
    const batch = this.#released > 0 ? this.#batches[0] : undefined;
    return batch === undefined ? undefined : { batch, cursor: this.#cursor };
  }

  /** The first batch was handed over up to `cursor`. */
  advance(cursor: number): void {
    const [batch] = this.#batches;
    const goesOn = batch !== undefined && cursor >= this.#cursor;
    invariant(goesOn, `I4: split ${this.name} of source ${this.#uid} goes on in what it has in hand`);
    const count = cursor - this.#cursor;
    this.#records += count;
    this.#cursor = cursor;
    if (count > 0 && !this.#accepted) this.#position = batch.position(cursor);
    if (cursor < batch.values.length) return;
    this.#batches.shift();
    this.#released -= 1;
    this.#cursor = 0;
  }

  /** Of turns that are not done again: nothing comes behind what was accepted. */
  noteEnd(): void {
    this.#readToEnd = true;
  }

  end(): void {
    this.#ended = true;
  }

  /** Tells the source that this position is durable. Undefined is where it starts, so there is nothing to tell. */
  async committed(position: unknown): Promise<void> {
    if (position !== undefined) await this.#reader?.committed?.(position);
  }

  async close(): Promise<void> {
    await this.#reader?.close();
  }

  /** Records in hand. */
  get inHand(): number {
    return this.#batches.reduce((sum, { values }) => sum + values.length, 0) - this.#cursor;
  }

  snapshot(): SplitSnapshot {
    const position = this.#position;
    const facts = { position, records: this.#records, ended: this.#ended, generator: this.generator.snapshot() };
    if (!this.#accepted || this.#batches.length === 0) return facts;
    const rest = this.#batches.map((batch, at) => recordedFrom(batch, at === 0 ? this.#cursor : 0, position));
    return { ...facts, accepted: rest.map((input) => encodeText(input)) };
  }

  restore({ position, records, ended, generator, accepted = [] }: SplitSnapshot): void {
    // Written by `snapshot`; the checkpoint has a checksum.
    for (const input of accepted) this.accept(decodeText(input) as RecordedInput);
    this.release();
    this.#position = position;
    this.#records = records;
    this.#ended = ended;
    this.generator.restore(generator);
  }

  /** A record is a value: nobody waits for a promise, and what it rejects with would be lost. */
  #refusePromises(values: readonly T[]): void {
    if (!holdPromise(values)) return;
    const promises = values.filter(isThenable);
    const [first] = promises as [T & PromiseLike<unknown>]; // There is one.
    const record = this.#records + this.inHand + values.indexOf(first);
    const errors = promises.map((promise) =>
      refusedPromise(`source \`${this.#uid}\`, split \`${this.name}\`, record ${record},`, promise, {
        did: 'emitted',
        hint: 'wait for it in `asyncMap`, or in the `read` of a source',
      }),
    );
    throw errors[0];
  }

  /** A source may leave single ones out: those records have none. */
  #check(timestamps: readonly (Timestamp | undefined)[] | undefined): void {
    if (timestamps === undefined) return;
    for (let at = 0; at < timestamps.length; at += 1) {
      const timestamp = timestamps[at];
      if (timestamp === undefined || isTimestamp(timestamp)) continue;
      throw this.invalidTimestamp(this.#records + this.inHand + at, timestamp);
    }
  }

  /** The refusal of what a record was given as its timestamp, or as the watermark `of` it; records count from 0. */
  invalidTimestamp(record: number, timestamp: unknown, of = 'record'): Error {
    const what = `source \`${this.#uid}\`, split \`${this.name}\`: ${of} ${record}`;
    return invalidTimestamp(what, timestamp, { uid: this.#uid, split: this.name, record });
  }
}

const partOf = <T>(batch: SourceBatch<T>, from: number, to: number): SourceBatch<T> => {
  const { values, timestamps, sides } = batch;
  return {
    values: values.slice(from, to),
    timestamps: timestamps?.slice(from, to),
    sides:
      sides && new Map([...sides].flatMap(([at, tag]) => (at < from || at >= to ? [] : [[at - from, tag] as const]))),
    position: (count) => batch.position(from + count),
  };
};

/** The rest of a batch, as the journal would hold it. */
export const recordedFrom = (batch: SourceBatch<unknown>, from: number, position: unknown): RecordedInput => ({
  values: from === 0 ? batch.values : batch.values.slice(from),
  timestamps: batch.timestamps?.slice(from),
  sides: batch.sides && [...batch.sides].flatMap(([at, tag]) => (at < from ? [] : [[at - from, tag] as const])),
  position,
});

/** `isThenable` of each, written out: a place of its own sees values of one shape, and is several times as fast. */
const holdPromise = (values: readonly unknown[]): boolean => {
  for (const value of values) {
    // Any object may have it, or not.
    if (typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function')
      return true;
  }
  return false;
};

/** The records of an input that are kept, by their place. */
export const kept = (input: RecordedInput, isKept: (at: number) => boolean): RecordedInput => {
  const { values, timestamps, sides, position } = input;
  const places = values.flatMap((_, at) => (isKept(at) ? [at] : []));
  const sideOf = new Map(sides);
  return {
    values: places.map((at) => values[at]),
    // As many as values, or none for those behind.
    timestamps: timestamps === undefined ? undefined : places.map((at) => timestamps[at] as Timestamp),
    // `has` said that it is there.
    sides: sides && places.flatMap((at, to) => (sideOf.has(at) ? [[to, sideOf.get(at) as string] as const] : [])),
    position,
  };
};
