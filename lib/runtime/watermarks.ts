/**
 * Watermark strategies, as a user gives one to a source, and the generator that follows one for each split. Keeps I3: what a generator
 * emits only grows. Emission goes by record counts, so that it does not depend on the wall clock (I9); a tick emits only what is left
 * over when records stay away.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import { durationMs, integer, type Duration } from '../core/options.ts';

interface StrategySettings<T> {
  /** How far a record may be behind the greatest timestamp seen; undefined: no watermarks. */
  readonly outOfOrdernessMs: number | undefined;
  readonly timestampOf?: ((value: T) => Timestamp) | undefined;
  readonly idlenessMs?: number | undefined;
  readonly emitEvery: number;
}

const defaultEmitEvery = 64;

/**
 * Says where timestamps come from and how far records may be out of order. Immutable: each `with...` gives a new one.
 *
 * @example
 * WatermarkStrategy.boundedOutOfOrderness('5s').withTimestamps((review: { ts: number }) => review.ts * 1000);
 */
export class WatermarkStrategy<T = unknown> {
  readonly outOfOrdernessMs: number | undefined;
  /** Undefined: the source knows the timestamps, or there are none. */
  readonly timestampOf: ((value: T) => Timestamp) | undefined;
  readonly idlenessMs: number | undefined;
  /** A watermark is emitted at each so many records of a split. */
  readonly emitEvery: number;

  private constructor({ outOfOrdernessMs, timestampOf, idlenessMs, emitEvery }: StrategySettings<T>) {
    this.outOfOrdernessMs = outOfOrdernessMs;
    this.timestampOf = timestampOf;
    this.idlenessMs = idlenessMs;
    this.emitEvery = emitEvery;
  }

  /** The watermark is the greatest timestamp minus `duration` minus 1 ms. */
  static boundedOutOfOrderness<T = unknown>(duration: Duration): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ outOfOrdernessMs: durationMs('duration', duration), emitEvery: defaultEmitEvery });
  }

  /** Timestamps of a split never go back: the watermark is the greatest timestamp minus 1 ms. */
  static monotonous<T = unknown>(): WatermarkStrategy<T> {
    return WatermarkStrategy.boundedOutOfOrderness<T>(0);
  }

  /** No watermarks but the final one. */
  static none<T = unknown>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ outOfOrdernessMs: undefined, emitEvery: defaultEmitEvery });
  }

  /**
   * Takes timestamps (milliseconds since the Unix epoch) from the values. As the last of the chain its parameter has the type of the
   * stream the strategy is given to.
   */
  withTimestamps<U extends T>(fn: (value: U) => Timestamp): WatermarkStrategy<U> {
    if (typeof fn !== 'function') throw new TypeError(`Expected \`withTimestamps\` to be given a function, got \`${typeof fn}\``);
    return new WatermarkStrategy<U>({ ...this, timestampOf: fn });
  }

  /**
   * A split without records for longer than `duration` no longer holds the watermark back. It is noticed at a tick, so it takes up to
   * two ticks more.
   */
  withIdleness(duration: Duration): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ ...this, idlenessMs: durationMs('duration', duration, { min: 1 }) });
  }

  /** @defaultValue records 64 */
  withEmitEvery(records: number): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ ...this, emitEvery: integer('records', records, { min: 1 }) });
  }
}

/** What a generator keeps in a checkpoint: all of it, since replay brings the same ticks and must see the same idleness. Plain data. */
export interface WatermarkGeneratorSnapshot {
  readonly max: Timestamp;
  readonly emitted: Timestamp;
  readonly sinceEmit: number;
  readonly seen: boolean;
  readonly idle: boolean;
  readonly quietSince?: Timestamp;
}

/** Makes the watermarks of one split. */
export class WatermarkGenerator {
  readonly #boundMs: number | undefined;
  readonly #idlenessMs: number | undefined;
  readonly #emitEvery: number;
  #max = MIN_TIMESTAMP;
  #emitted = MIN_TIMESTAMP;
  /** Records since the last point of emission. */
  #sinceEmit = 0;
  /** Whether a record came since the last tick. */
  #seen = false;
  #idle = false;
  #quietSince: Timestamp | undefined;

  constructor(strategy: Pick<WatermarkStrategy<never>, 'outOfOrdernessMs' | 'idlenessMs' | 'emitEvery'>) {
    this.#boundMs = strategy.outOfOrdernessMs;
    this.#idlenessMs = strategy.idlenessMs;
    this.#emitEvery = strategy.emitEvery;
  }

  /** True from the tick that found the split idle to the first one that finds a record again. */
  get idle(): boolean {
    return this.#idle;
  }

  get watchesIdleness(): boolean {
    return this.#idlenessMs !== undefined;
  }

  /** Whether `emit` would give a watermark. */
  get hasUnemitted(): boolean {
    return this.#next() > this.#emitted;
  }

  /** Takes a record's timestamp; one that is `MIN_TIMESTAMP` moves nothing. True at each `emitEvery`-th record: call `emit` then. */
  onRecord(timestamp: Timestamp): boolean {
    if (timestamp > this.#max) this.#max = timestamp;
    this.#seen = true;
    this.#sinceEmit += 1;
    if (this.#sinceEmit < this.#emitEvery) return false;
    this.#sinceEmit = 0;
    return true;
  }

  /** The watermark, if it has grown since the last one. */
  emit(): Timestamp | undefined {
    const next = this.#next();
    if (next <= this.#emitted) return undefined;
    this.#emitted = next;
    return next;
  }

  /**
   * Takes the time. The first tick that finds no new record gives what is not emitted yet and starts the countdown; the one that finds
   * it run out makes the split idle: look at `idle`.
   */
  onTick(now: Timestamp): Timestamp | undefined {
    if (this.#seen) {
      this.#seen = false;
      this.#idle = false;
      this.#quietSince = undefined;
      return undefined;
    }
    this.#quietSince ??= now;
    if (this.#idlenessMs !== undefined && now - this.#quietSince > this.#idlenessMs) this.#idle = true;
    return this.#idle ? undefined : this.emit();
  }

  /** Forgets how long the split has been quiet. A split that is idle stays so until a record comes. */
  restartCountdown(): void {
    this.#quietSince = undefined;
  }

  snapshot(): WatermarkGeneratorSnapshot {
    return {
      max: this.#max,
      emitted: this.#emitted,
      sinceEmit: this.#sinceEmit,
      seen: this.#seen,
      idle: this.#idle,
      ...(this.#quietSince === undefined ? {} : { quietSince: this.#quietSince }),
    };
  }

  restore({ max, emitted, sinceEmit, seen, idle, quietSince }: WatermarkGeneratorSnapshot): void {
    this.#max = max;
    this.#emitted = emitted;
    this.#sinceEmit = sinceEmit;
    this.#seen = seen;
    this.#idle = idle;
    this.#quietSince = quietSince;
  }

  /** `MIN_TIMESTAMP` and `MAX_TIMESTAMP` stay what they are. */
  #next(): Timestamp {
    return this.#boundMs === undefined ? MIN_TIMESTAMP : this.#max - this.#boundMs - 1;
  }
}
