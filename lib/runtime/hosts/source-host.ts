/**
 * Hosts one source: its splits, each with a position, a watermark generator and at most one batch in hand. A position belongs to the
 * push and not to the fetch, so a batch may be cut at any record. Watermarks are emitted at record counts, so that they do not depend
 * on the wall clock (I3, I9).
 */
import type { Source, SourceBatch, SourceReader } from '../../core/connector.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { invariant, StreamError } from '../../core/errors.ts';
import { nowhere, type Receiver } from '../edges/receiver.ts';
import type { Places } from '../edges/places.ts';
import { namedSource } from './source-failure.ts';
import type { RecordedInput } from '../journal/turn.ts';
import { WatermarkCombiner, WatermarkGenerator, type GeneratorSnapshot, type ValveSnapshot, type WatermarkStrategy } from '../edges/watermarks.ts';
import { forward } from '../edges/wire.ts';

export interface SplitSnapshot {
  readonly position: unknown;
  /** Records handed over. */
  readonly records: number;
  readonly ended: boolean;
  readonly generator: GeneratorSnapshot;
}

export interface SourceSnapshot {
  readonly splits: Readonly<Record<string, SplitSnapshot>>;
  readonly merge: ValveSnapshot;
}

export interface SourceHostOptions<T> {
  readonly uid: string;
  readonly number: number;
  readonly source: Source<T>;
  readonly strategy: WatermarkStrategy<T>;
  readonly output: Receiver<T>;
  readonly sides: ReadonlyMap<string, Receiver<unknown>>;
  readonly places: Places;
}

/** One split while the job runs. */
export class Split<T> {
  readonly name: string;
  readonly generator: WatermarkGenerator;
  position: unknown;
  records = 0;
  ended = false;
  reader: SourceReader<T> | undefined;
  batch: SourceBatch<T> | undefined;
  /** Values of the batch handed over. */
  cursor = 0;
  /** True while a read is open. */
  reading = false;

  constructor(name: string, generator: WatermarkGenerator) {
    this.name = name;
    this.generator = generator;
  }

  get hasRecords(): boolean {
    return this.batch !== undefined && this.cursor < this.batch.values.length;
  }
}

export class SourceHost<T> {
  readonly uid: string;
  readonly number: number;
  readonly source: Source<T>;
  readonly splits = new Map<string, Split<T>>();
  readonly #options: SourceHostOptions<T>;
  readonly #merge = new WatermarkCombiner();
  readonly #out: Pick<Receiver<never>, 'watermark' | 'status'>;

  constructor(options: SourceHostOptions<T>) {
    this.uid = options.uid;
    this.number = options.number;
    this.source = namedSource(options.uid, options.source);
    this.#options = options;
    const { output, sides } = options;
    const all = [output as Receiver<never>, ...sides.values()];
    this.#out = {
      watermark: (timestamp) => all.forEach((each) => each.watermark(timestamp)),
      status: (idle) => all.forEach((each) => each.status(idle)),
    };
  }

  get ended(): boolean {
    for (const split of this.splits.values()) if (!split.ended) return false;
    return true;
  }

  /** Records handed over since the job first started. */
  get records(): number {
    let records = 0;
    for (const split of this.splits.values()) records += split.records;
    return records;
  }

  get currentWatermark(): Timestamp {
    return this.#merge.current;
  }

  /** The split that holds the watermark back. */
  get slowestSplit(): string | undefined {
    return this.#merge.slowest;
  }

  split(name: string): Split<T> {
    const split = this.splits.get(name);
    invariant(split !== undefined, `I12: source ${this.uid} has a split ${name}`);
    return split;
  }

  /** A split appears. Runs in a turn. */
  addSplit(name: string): Split<T> {
    const split = new Split<T>(name, new WatermarkGenerator(this.#options.strategy));
    this.splits.set(name, split);
    this.#merge.add(name);
    return split;
  }

  /** Hands over up to `max` records of the batch in hand, fewer when a place fills up. Runs in a turn. Returns how many. */
  push(split: Split<T>, max: number, ignorePlaces = false): number {
    const { batch } = split;
    if (batch === undefined) return 0;
    const { places, strategy } = this.#options;
    const { emitEvery } = strategy;
    const end = Math.min(batch.values.length, split.cursor + max);
    let at = split.cursor;
    let emitAt = at + emitEvery - (split.records % emitEvery);
    while (at < end) {
      at = this.#pass(split, batch, { from: at, to: Math.min(end, emitAt), ignorePlaces });
      if (at === emitAt) {
        emitAt += emitEvery;
        this.#emit(split);
      }
      if (places.full && !ignorePlaces) break;
    }
    const handedOver = at - split.cursor;
    this.#advance(split, batch, at);
    return handedOver;
  }

  /** Hands over records that were journaled when they were accepted. Runs in a turn. */
  pushRecorded(split: Split<T>, input: RecordedInput): void {
    split.batch = {
      values: input.values as readonly T[], // They came from this source.
      timestamps: input.timestamps,
      sides: input.sides === undefined ? undefined : new Map(input.sides),
      position: () => input.position,
    };
    split.cursor = 0;
    this.push(split, input.values.length, true);
  }

  /** The split has ended: it holds the watermark back no more. Runs in a turn. */
  end(split: Split<T>): void {
    split.ended = true;
    split.batch = undefined;
    forward(this.#merge.watermark(split.name, MAX_TIMESTAMP), this.#out);
  }

  /** Whether a tick would change anything; one that would not need not become a turn. */
  needsTick(now: Timestamp): boolean {
    for (const split of this.splits.values()) if (!split.ended && split.generator.needsTick(now)) return true;
    return false;
  }

  /** Runs in a turn, so what it does follows from that turn and the splits' recorded past alone. */
  tick(now: Timestamp): void {
    for (const split of this.splits.values()) {
      if (split.ended) continue;
      const { watermark, idle } = split.generator.onTick(now);
      if (idle !== undefined) forward(this.#merge.status(split.name, idle), this.#out);
      if (watermark !== undefined) forward(this.#merge.watermark(split.name, watermark), this.#out);
    }
  }

  /** The process has started: how long a split was quiet is not known. Runs in a turn. */
  restartCountdown(): void {
    for (const { generator } of this.splits.values()) generator.restartCountdown();
  }

  snapshot(): SourceSnapshot {
    const splits = [...this.splits.values()].map(({ name, position, records, ended, generator }): [string, SplitSnapshot] => [
      name,
      { position, records, ended, generator: generator.snapshot() },
    ]);
    return { splits: Object.fromEntries(splits), merge: this.#merge.snapshot() };
  }

  restore(snapshot: SourceSnapshot): void {
    for (const [name, { position, records, ended, generator }] of Object.entries(snapshot.splits)) {
      const split = this.addSplit(name);
      Object.assign(split, { position, records, ended });
      split.generator.restore(generator);
    }
    this.#merge.restore(snapshot.merge);
  }

  async close(): Promise<void> {
    await Promise.all([...this.splits.values()].map((split) => split.reader?.close()));
  }

  /** Hands over the records from `from` up to `to`, or until a place is full. Returns where it stopped. */
  #pass(split: Split<T>, { values, timestamps, sides }: SourceBatch<T>, run: { from: number; to: number; ignorePlaces: boolean }): number {
    const { places, strategy, output } = this.#options;
    const { timestampOf } = strategy;
    const { record } = output;
    const { to, ignorePlaces } = run;
    let at = run.from;
    let greatest: Timestamp | undefined;
    while (at < to) {
      const value = values[at] as T; // Inside the bounds.
      if (sides?.has(at) === true) this.#side(sides.get(at) as string, value);
      else {
        const timestamp = timestampOf === undefined ? (timestamps?.[at] ?? MIN_TIMESTAMP) : this.#check(timestampOf(value));
        record(value, timestamp);
        if (greatest === undefined || timestamp > greatest) greatest = timestamp;
      }
      at += 1;
      if (places.full && !ignorePlaces) break;
    }
    if (greatest !== undefined) split.generator.onRecords(greatest);
    return at;
  }

  #emit(split: Split<T>): void {
    const watermark = split.generator.emit();
    if (watermark !== undefined) forward(this.#merge.watermark(split.name, watermark), this.#out);
  }

  #advance(split: Split<T>, batch: SourceBatch<T>, at: number): void {
    const handedOver = at - split.cursor;
    split.records += handedOver;
    split.cursor = at;
    if (handedOver > 0) split.position = batch.position(at);
    if (at === batch.values.length) split.batch = undefined;
  }

  #side(tag: string, value: T): void {
    (this.#options.sides.get(tag) ?? nowhere).record(value, MIN_TIMESTAMP);
  }

  #check(timestamp: Timestamp): Timestamp {
    if (typeof timestamp === 'number' && !Number.isNaN(timestamp)) return timestamp;
    throw new StreamError('TIMESTAMP_MISSING', `the timestamp function of source \`${this.uid}\` returned \`${String(timestamp)}\``);
  }
}
