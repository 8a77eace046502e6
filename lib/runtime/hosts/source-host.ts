/**
 * Hosts one source: its splits, each with a watermark generator. Watermarks are emitted at record counts, and in front
 * of a record that is behind its bound, so that neither they nor what is late depends on the wall clock (I3, I9, I17).
 * No timestamp is taken unchecked (I16).
 */
import type { Clock } from '../../core/clock.ts';
import type { Source, SourceBatch } from '../../core/connector.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { invariant, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { MetricGroup } from '../../core/metric.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { isTimestamp } from '../../core/timestamp.ts';
import { openedUntilAborted } from '../../core/waits.ts';
import type { Receiver } from '../edges/receiver.ts';
import type { Places } from '../edges/places.ts';
import { operatorFailure } from '../edges/operator-failure.ts';
import { namedSource } from './source-failure.ts';
import { kept, recordedFrom, Split, type SplitSnapshot } from './split.ts';
import type { RecordedInput, TickedSplit } from '../journal/turn.ts';
import { WatermarkGenerator, type Quiet } from '../edges/watermark-generator.ts';
import { WatermarkCombiner, type ValveSnapshot } from '../edges/watermark-merge.ts';
import type { WatermarkChange } from '../edges/watermark-change.ts';
import type { WatermarkAlignment, WatermarkStrategy } from '../edges/watermark-strategy.ts';
import { forward } from '../edges/wire.ts';

export interface SourceSnapshot {
  readonly splits: Readonly<Record<string, SplitSnapshot>>;
  readonly merge: ValveSnapshot;
}

export interface SourceHostOptions<T> {
  readonly uid: string;
  readonly number: number;
  readonly jobId: string;
  readonly source: Source<T>;
  readonly strategy: WatermarkStrategy<T>;
  readonly output: Receiver<T>;
  readonly sides: ReadonlyMap<string, Receiver<unknown>>;
  readonly places: Places;
  readonly metrics: MetricGroup;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
}

export interface PushOptions {
  /** Hand over what was recorded, whatever is full by now. */
  readonly ignorePlaces?: boolean | undefined;
  /** Asked every few records whether the turn may take longer (I20). */
  readonly mayGoOn?: (() => boolean) | undefined;
}

/** What a push has done: the part of a `records` turn that its replay needs. */
export interface Pushed {
  /** Records that were handed over. */
  readonly count: number;
  /** Then it stopped behind the watermark that the next record has met. */
  readonly emits?: true | undefined;
}

interface Looked<T> {
  readonly value: T;
  readonly timestamp: Timestamp;
  /** Its number. */
  readonly record: number;
}

interface Run {
  readonly from: number;
  readonly to: number;
  /** Where the batch was cut before. */
  readonly cursor: number;
  readonly ignorePlaces: boolean;
}

/** Where a run has stopped. */
interface Passed {
  readonly at: number;
  /** Behind the watermark that the record there has met. */
  readonly emits?: true | undefined;
}

/** Records after which it is looked whether a turn may go on. */
const lookEvery = 64;

const always = (): boolean => true;

export class SourceHost<T> {
  readonly uid: string;
  readonly number: number;
  readonly source: Source<T>;
  readonly splits = new Map<string, Split<T>>();
  readonly #options: SourceHostOptions<T>;
  readonly #merge = new WatermarkCombiner();
  readonly #out: Pick<Receiver<never>, 'watermark' | 'status'>;
  #toldRefused = false;
  #toldDropped = false;
  /** Sent to a side output that nobody reads. */
  #dropped = 0;
  #endedSplits = 0;

  constructor(options: SourceHostOptions<T>) {
    this.uid = options.uid;
    this.number = options.number;
    this.source = namedSource(options.source, options);
    this.#options = options;
    const { output, sides } = options;
    // Here they are only told of time, whatever they receive.
    const all = [output, ...sides.values()];
    this.#out = {
      watermark: (timestamp) => all.forEach((each) => each.watermark(timestamp)),
      status: (idle) => all.forEach((each) => each.status(idle)),
    };
  }

  get ended(): boolean {
    return this.#endedSplits === this.splits.size;
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

  /** The group that it keeps near to. */
  get alignment(): WatermarkAlignment | undefined {
    return this.#options.strategy.alignment;
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
    const split = new Split<T>({ uid: this.uid, name, generator: new WatermarkGenerator<T>(this.#options.strategy) });
    this.splits.set(name, split);
    this.#merge.add(name);
    return split;
  }

  /**
   * Hands over up to `max` records of one batch, fewer when a place fills up or `mayGoOn` says no: also one that is
   * filled by a watermark in front of a record, which may leave timers for slices. Runs in a turn.
   */
  push(split: Split<T>, max: number, { ignorePlaces = false, mayGoOn = always }: PushOptions = {}): Pushed {
    const { front } = split;
    if (front === undefined) return { count: 0 };
    const { batch, cursor } = front;
    const { places, strategy } = this.#options;
    const { emitEvery } = strategy;
    const end = Math.min(batch.values.length, cursor + max);
    this.#wake(split);
    let passed: Passed = { at: cursor };
    let emitAt = cursor + emitEvery - (split.records % emitEvery);
    while (passed.at < end) {
      const from = passed.at;
      const to = Math.min(end, emitAt, from + lookEvery);
      passed = this.#passNamed(split, batch, { from, to, cursor, ignorePlaces });
      if (passed.emits === true) break;
      if (passed.at === emitAt) {
        emitAt += emitEvery;
        this.#emit(split);
      }
      if ((places.full && !ignorePlaces) || !mayGoOn()) break;
    }
    split.advance(passed.at);
    return { count: passed.at - cursor, ...(passed.emits && { emits: passed.emits }) };
  }

  /**
   * The next record of the split is behind its bound: the watermark that it meets goes in front of it, so that what is
   * late does not depend on when the next one would come. Runs in a turn, and follows from the split's past alone.
   */
  emitInFront(split: Split<T>): void {
    this.#wake(split);
    split.generator.onRecords(MIN_TIMESTAMP);
    this.#emit(split);
  }

  /**
   * What of a batch that can't be read again can be journaled. Nobody can be told of a record that can not be, and it
   * must not end the job for all others: it is left out, counted as `numRecordsRefused`, and the first one is logged
   * (I22).
   */
  acceptable(split: Split<T>, batch: SourceBatch<T>): RecordedInput {
    const refusals: (string | undefined)[] = Array.from(batch.values, () => undefined);
    // Copies, since who made them may change them before they are journaled (I21).
    const values = batch.values.map((value, at) => {
      try {
        return ownCopy(value);
      } catch (error) {
        refusals[at] = messageOf(error);
        return value;
      }
    });
    const input = { ...recordedFrom(batch, 0, batch.position(batch.values.length)), values };
    const refused = refusals.filter((why) => why !== undefined).length;
    if (refused === 0) return input;
    this.#options.metrics.getCounter('numRecordsRefused').inc(refused);
    if (!this.#toldRefused) {
      const at = refusals.findIndex((why) => why !== undefined);
      const which = `source \`${this.uid}\`, split \`${split.name}\`: value ${at} of ${refusals.length}`;
      const what = `${which} can not be journaled and is left out: ${refusals[at]}; see the metric numRecordsRefused`;
      this.#options.logger.error({ source: this.uid, split: split.name, refused }, what);
    }
    this.#toldRefused = true;
    return kept(input, (at) => refusals[at] === undefined);
  }

  /** Values that the source has left out, or sent to a side output that nobody reads, in this process. */
  get dropped(): number | undefined {
    return this.droppedInTheEnd();
  }

  /** Reads the same when this host is gone: what a source leaves when it is closed counts too. */
  get droppedInTheEnd(): () => number | undefined {
    const { source } = this;
    const ofHost = this.#dropped;
    return () => (source.dropped === undefined && ofHost === 0 ? undefined : (source.dropped ?? 0) + ofHost);
  }

  /** Says so once when the source has begun to drop values. */
  noteDropped(): void {
    const { dropped = 0 } = this;
    if (dropped === 0 || this.#toldDropped) return;
    this.#toldDropped = true;
    const why = 'for which it has no room or nobody has a use, or which are no data';
    const what = `source \`${this.uid}\` leaves out values, ${why}; see the metric numRecordsDropped`;
    this.#options.logger.warn({ source: this.uid, dropped }, what);
  }

  /** The split has ended: it holds the watermark back no more. Runs in a turn. */
  end(split: Split<T>): void {
    split.end();
    this.#endedSplits += 1;
    forward(this.#merge.watermark(split.name, MAX_TIMESTAMP), this.#out);
  }

  /**
   * The splits for which a tick would change something now, and what it means to each. `asked`: sources are read at
   * all.
   */
  dueForTick(now: Timestamp, asked: boolean): TickedSplit[] {
    const due: TickedSplit[] = [];
    for (const split of this.splits.values()) {
      if (split.ended) continue;
      const quiet = split.quiet(asked);
      if (split.generator.tickInMs(now, quiet) === 0) due.push([this.number, split.name, quiet]);
    }
    return due;
  }

  /** In how many milliseconds a tick would change something. */
  tickInMs(now: Timestamp, asked: boolean): number {
    let least = Number.POSITIVE_INFINITY;
    for (const split of this.splits.values()) {
      if (!split.ended) least = Math.min(least, split.generator.tickInMs(now, split.quiet(asked)));
    }
    return least;
  }

  /**
   * A tick, as it was recorded for one split. Runs in a turn, so what it does follows from that turn and the split's
   * recorded past alone.
   */
  tick(name: string, now: Timestamp, quiet: Quiet): void {
    const split = this.split(name);
    this.#change(split, split.generator.onTick(now, quiet));
  }

  /** The process has started: how long a split was quiet is not known. Runs in a turn. */
  restartCountdown(): void {
    for (const { generator } of this.splits.values()) generator.restartCountdown();
  }

  snapshot(): SourceSnapshot {
    const splits = [...this.splits.values()].map((split): [string, SplitSnapshot] => [split.name, split.snapshot()]);
    return { splits: Object.fromEntries(splits), merge: this.#merge.snapshot() };
  }

  restore(snapshot: SourceSnapshot): void {
    for (const [name, split] of Object.entries(snapshot.splits)) {
      this.addSplit(name).restore(split);
      if (split.ended) this.#endedSplits += 1;
    }
    this.#merge.restore(snapshot.merge);
  }

  /** Opens the reader of a split at its position. */
  async openSplit(name: string, signal: AbortSignal, clock: Clock): Promise<void> {
    const split = this.split(name);
    if (split.ended) return;
    const opening = this.source.open(name, split.position, signal, clock);
    split.open(await openedUntilAborted(opening, signal, (late) => late.close()));
  }

  async close(): Promise<void> {
    this.noteDropped();
    await Promise.all([...this.splits.values()].map((split) => split.close()));
  }

  /** What is thrown here and has no name yet is thrown by the strategy of the source. */
  #passNamed(split: Split<T>, batch: SourceBatch<T>, run: Run): Passed {
    try {
      return this.#pass(split, batch, run);
    } catch (error) {
      throw operatorFailure(this.uid, error);
    }
  }

  /** Hands over the records from `from` up to `to`, or until a place is full. */
  #pass(split: Split<T>, { values, timestamps, sides }: SourceBatch<T>, run: Run): Passed {
    const { places, strategy, output } = this.#options;
    const { timestampOf } = strategy;
    const { record } = output;
    const { generator } = split;
    const { to, cursor, ignorePlaces } = run;
    let at = run.from;
    const { boundMs, looks } = generator;
    let { greatest, bound } = generator;
    while (at < to) {
      const value = values[at] as T; // Inside the bounds.
      if (sides?.has(at) === true) this.#side(sides.get(at) as string, value);
      else {
        let timestamp = timestamps?.[at] ?? MIN_TIMESTAMP;
        if (timestampOf !== undefined) {
          timestamp = timestampOf(value);
          if (!isTimestamp(timestamp)) throw split.invalidTimestamp(split.records + at - cursor, timestamp);
        }
        if (timestamp > greatest) {
          greatest = timestamp;
          bound = greatest - boundMs;
        } else if (timestamp < bound) {
          generator.onRecords(greatest);
          this.emitInFront(split);
          if (places.full && !ignorePlaces) return { at, emits: true };
          bound = MIN_TIMESTAMP;
        }
        record(value, timestamp);
        if (looks) this.#look(split, { value, timestamp, record: split.records + at - cursor });
      }
      at += 1;
      if (places.full && !ignorePlaces) break;
    }
    generator.onRecords(greatest);
    return { at };
  }

  /** A generator of the user's own looks at a record that was handed over. */
  #look(split: Split<T>, { value, timestamp, record }: Looked<T>): void {
    const of = 'the watermark behind record';
    split.generator.look(value, timestamp, (watermark) => split.invalidTimestamp(record, watermark, of));
  }

  /** Something comes of a split: one that is idle is active again before. */
  #wake(split: Split<T>): void {
    if (split.generator.idle) this.#change(split, split.generator.wake());
  }

  #emit(split: Split<T>): void {
    const watermark = split.generator.emit();
    if (watermark !== undefined) this.#change(split, { watermark });
  }

  #change({ name }: Split<T>, { watermark, idle }: WatermarkChange): void {
    if (idle !== undefined) forward(this.#merge.status(name, idle), this.#out);
    if (watermark !== undefined) forward(this.#merge.watermark(name, watermark), this.#out);
  }

  #side(tag: string, value: T): void {
    const side = this.#options.sides.get(tag);
    if (side === undefined)
      this.#dropped += 1; // Nobody reads that side output.
    else side.record(value, MIN_TIMESTAMP);
  }
}
