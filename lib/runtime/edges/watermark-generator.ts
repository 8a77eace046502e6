/**
 * Makes the watermarks of one split as its strategy says. Keeps I3: they never go back. Emission goes by record counts,
 * and in front of a record that is behind its bound, so that which records are late follows from the records of a split
 * alone and not from how fast they come (I9, I17); a tick emits only what is left over when records stay away. What is
 * computed here stays below `MAX_TIMESTAMP`, which only the end of an input brings (I16).
 */
import { MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { isThenable, refusedPromise } from '../../core/errors.ts';
import { decodeText, encodeOnce } from '../../core/serde.ts';
import { isTimestamp, timestampLimit } from '../../core/timestamp.ts';
import { noChange, type WatermarkChange } from './watermark-change.ts';
import type { WatermarkGeneratorFunction, WatermarkStrategy } from './watermark-strategy.ts';

const never = Number.POSITIVE_INFINITY;

/**
 * What a split without new records could have brought since the tick before. `waits`: it was asked, and there is
 * nothing. `reads`: it was asked, and what is there may be on its way; that is no idleness. `held`: it has records in
 * hand, or nobody asked it, or the process stood still; that says nothing at all.
 */
export type Quiet = 'waits' | 'reads' | 'held';

/**
 * What a generator keeps in a checkpoint: all of it, since replay brings the same ticks and must see the same idleness.
 * Plain data.
 */
export interface GeneratorSnapshot {
  readonly max: Timestamp;
  readonly emitted: Timestamp;
  readonly seen: boolean;
  readonly idle: boolean;
  readonly quietSince?: Timestamp;
  /** Of a user's own generator, as it was at the instant. */
  readonly own?: string;
}

interface OwnGenerator<T> {
  readonly generator: WatermarkGeneratorFunction<T, unknown>;
  /** Undefined before the first record. */
  state: unknown;
}

/** Makes the watermarks of one split. */
export class WatermarkGenerator<T = never> {
  readonly #lagMs: number;
  readonly #idlenessMs: number | undefined;
  #max = MIN_TIMESTAMP;
  #emitted = MIN_TIMESTAMP;
  /** Whether a record came since the last tick. */
  #seen = false;
  #idle = false;
  #quietSince: Timestamp | undefined;
  readonly #own: OwnGenerator<T> | undefined;

  constructor(strategy: Pick<WatermarkStrategy<T>, 'outOfOrdernessMs' | 'idlenessMs'> & Partial<WatermarkStrategy<T>>) {
    const { outOfOrdernessMs, generator } = strategy;
    this.#own = generator && { generator, state: undefined };
    // What a generator of the user's own says is the watermark itself.
    this.#lagMs = generator ? 0 : outOfOrdernessMs === undefined ? Number.POSITIVE_INFINITY : outOfOrdernessMs + 1;
    this.#idlenessMs = strategy.idlenessMs;
  }

  /** True from the tick that found the split idle to the next record. */
  get idle(): boolean {
    return this.#idle;
  }

  /** The last watermark that was emitted. */
  get current(): Timestamp {
    return this.#emitted;
  }

  /** The greatest timestamp so far. */
  get greatest(): Timestamp {
    return this.#max;
  }

  /** Whether it wants to see each record. */
  get looks(): boolean {
    return this.#own !== undefined;
  }

  /** How far a record may be behind the greatest timestamp; infinity without any bound. */
  get boundMs(): number {
    return this.#own === undefined ? this.#lagMs - 1 : Number.POSITIVE_INFINITY;
  }

  /**
   * A record before this time is behind the bound, and meets a watermark that is not emitted yet. `MIN_TIMESTAMP`:
   * there is none.
   */
  get bound(): Timestamp {
    if (this.#own !== undefined) return MIN_TIMESTAMP;
    const next = this.#next();
    return next > this.#emitted ? next + 1 : MIN_TIMESTAMP;
  }

  /** Lets a generator of the user's own look at a record. What it says leaves with the next `emit`. */
  look(value: T, timestamp: Timestamp, refuse: (watermark: unknown) => Error): void {
    if (this.#own === undefined) return;
    const { generator, state } = this.#own;
    const after = generator.onRecord(state === undefined ? generator.initial() : state, value, timestamp);
    if (isThenable(after)) throw refusedPromise('`onRecord` of a watermark generator', after);
    this.#own.state = after;
    const watermark: unknown = generator.watermark(this.#own.state);
    if (watermark === undefined || watermark === MIN_TIMESTAMP) return;
    if (!isTimestamp(watermark)) throw refuse(watermark);
    this.#max = Math.max(this.#max, watermark);
  }

  /** Takes the greatest timestamp of some records; `MIN_TIMESTAMP` moves nothing. */
  onRecords(greatest: Timestamp): void {
    // Below the limit, so no watermark is that of an end (I16).
    if (greatest > this.#max && this.#own === undefined) this.#max = Math.min(greatest, timestampLimit);
    this.#seen = true;
  }

  /** The watermark, if it has grown since the last one. */
  emit(): Timestamp | undefined {
    const next = this.#next();
    if (next <= this.#emitted) return undefined;
    this.#emitted = next;
    return next;
  }

  /** A record comes: one that is idle is active again before that. */
  wake(): WatermarkChange {
    if (!this.#idle) return noChange;
    this.#idle = false;
    this.#quietSince = undefined;
    return { idle: false };
  }

  /**
   * Takes the time. The first tick that finds no new record gives what is not emitted yet and starts the countdown; the
   * one that finds it run out makes the split idle; the first that finds a record again makes it active. What a tick
   * means depends on what the split could bring since: see `Quiet`.
   */
  onTick(now: Timestamp, quiet: Quiet = 'waits'): WatermarkChange {
    if (this.#seen) {
      this.#seen = false;
      this.#quietSince = undefined;
      if (!this.#idle) return noChange;
      this.#idle = false;
      return { idle: false };
    }
    if (this.#idle) return noChange;
    if (quiet !== 'waits') this.#quietSince = undefined;
    if (quiet === 'held') return noChange;
    if (quiet === 'waits') this.#quietSince ??= now;
    if (!this.#isOverdue(now)) return { watermark: this.emit() };
    this.#idle = true;
    return { idle: true };
  }

  /**
   * In how many milliseconds a tick changes anything: 0 is now, infinity not before something else happens. What
   * changes nothing need not become a turn.
   */
  tickInMs(now: Timestamp, quiet: Quiet = 'waits'): number {
    const watched = this.#idlenessMs !== undefined;
    const unemitted = this.#next() > this.#emitted;
    if (this.#seen) return quiet !== 'held' && (watched || unemitted) ? 0 : never;
    if (this.#idle) return never;
    if (unemitted && quiet !== 'held') return 0;
    if (!watched) return never;
    const since = this.#quietSince;
    if (quiet === 'waits') return since === undefined ? 0 : Math.max(0, since + this.#idlenessMs + 1 - now);
    if (since !== undefined) return 0;
    return quiet === 'reads' ? 1 : never; // Whoever reads may wait by then, without a word.
  }

  /** Forgets how long the split has been quiet. One that is idle stays so until a record comes. */
  restartCountdown(): void {
    this.#quietSince = undefined;
  }

  snapshot(): GeneratorSnapshot {
    const quiet = this.#quietSince === undefined ? {} : { quietSince: this.#quietSince };
    const own = this.#own?.state !== undefined && { own: encodeOnce(this.#own.state) };
    return { max: this.#max, emitted: this.#emitted, seen: this.#seen, idle: this.#idle, ...quiet, ...own };
  }

  restore({ max, emitted, seen, idle, quietSince, own }: GeneratorSnapshot): void {
    if (own !== undefined && this.#own !== undefined) this.#own.state = decodeText(own);
    this.#max = max;
    this.#emitted = emitted;
    this.#seen = seen;
    this.#idle = idle;
    this.#quietSince = quietSince;
  }

  #next(): Timestamp {
    return this.#max - this.#lagMs;
  }

  #isOverdue(now: Timestamp): boolean {
    if (this.#quietSince === undefined || this.#idlenessMs === undefined) return false;
    return now - this.#quietSince > this.#idlenessMs;
  }
}
