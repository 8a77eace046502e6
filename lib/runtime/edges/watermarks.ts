/**
 * Watermarks: the strategy that a user gives to a source, the generator that follows it for one split, and the two ways
 * to merge the watermarks and the idleness of several channels. Keeps I3: what comes out of any of them never goes
 * back. Emission goes by record counts, and in front of a record that is behind its bound, so that which records are
 * late follows from the records of a split alone and not from how fast they come (I9, I17); a tick emits only what is
 * left over when records stay away. What is computed here stays below `MAX_TIMESTAMP`, which only the end of an input
 * brings (I16).
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { durationMs, integer, type Duration } from '../../core/options.ts';
import { timestampLimit } from '../../core/timestamp.ts';

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
 * const visits = [{ seconds: 1 }, { seconds: 3 }, { seconds: 2 }];
 * const strategy = WatermarkStrategy.boundedOutOfOrderness('5s').withIdleness('1m');
 * const stream = env.fromCollection(visits, strategy.withTimestamps(({ seconds }) => seconds * 1000));
 * console.log((await stream.executeAndCollect()).length); // prints 3
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

  /**
   * The watermark is the greatest timestamp minus `duration` minus 1 ms. A record at most `duration` behind the
   * greatest timestamp of its split so far is never late; one further behind meets the watermark as it is by then,
   * however fast records come.
   *
   * @example
   * const strategy = WatermarkStrategy.boundedOutOfOrderness('5s');
   * console.log(strategy.outOfOrdernessMs); // prints 5000
   */
  static boundedOutOfOrderness<T = unknown>(duration: Duration): WatermarkStrategy<T> {
    const outOfOrdernessMs = durationMs('duration', duration);
    return new WatermarkStrategy<T>({ outOfOrdernessMs, emitEvery: defaultEmitEvery });
  }

  /**
   * Timestamps of a split never go back: the watermark is the greatest timestamp minus 1 ms.
   *
   * @example
   * const ticks = env.fromCollection([1_000, 2_000], WatermarkStrategy.monotonous().withTimestamps((ts) => ts));
   * const seconds = ticks.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1s'));
   * console.log(await seconds.process((values) => values.length).executeAndCollect()); // prints [ 1, 1 ]
   */
  static monotonous<T = unknown>(): WatermarkStrategy<T> {
    return WatermarkStrategy.boundedOutOfOrderness<T>(0);
  }

  /**
   * No watermarks but the final one: what `fromSource` takes when it is given no strategy.
   *
   * @example
   * const letters = env.fromSource(collection(['a', 'b']), WatermarkStrategy.none(), 'letters');
   * console.log(await letters.executeAndCollect()); // prints [ 'a', 'b' ]
   */
  static none<T = unknown>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ outOfOrdernessMs: undefined, emitEvery: defaultEmitEvery });
  }

  /**
   * Takes timestamps (milliseconds since the Unix epoch) from the values. As the last of the chain its parameter has
   * the type of the stream the strategy is given to. What is not a finite number within `Number.MAX_SAFE_INTEGER` of
   * 1970 fails the job with `TIMESTAMP_INVALID`.
   *
   * @example
   * const strategy = WatermarkStrategy.boundedOutOfOrderness<{ seconds: number }>('5s');
   * const visits = env.fromCollection([{ seconds: 7 }], strategy.withTimestamps(({ seconds }) => seconds * 1000));
   * const times = visits.process<number>((_visit, ctx) => ctx.emit(ctx.timestamp));
   * console.log(await times.executeAndCollect()); // prints [ 7000 ]
   */
  withTimestamps<U extends T>(fn: (value: U) => Timestamp): WatermarkStrategy<U> {
    if (typeof fn !== 'function') {
      throw new TypeError(`Expected \`withTimestamps\` to be given a function, got \`${typeof fn}\``);
    }
    return new WatermarkStrategy<U>({ ...this, timestampOf: fn });
  }

  /**
   * A split that was asked and has had no record for longer than `duration` no longer holds the watermark back; with
   * its next record it does again. It is noticed at a tick, so it takes up to two ticks (0.2 s each) more. Time in
   * which the split could not bring any does not count: while it has records in hand, while a bounded place is full,
   * while its source reads (as opposed to waits), and while the process stood still.
   *
   * @example
   * const strategy = WatermarkStrategy.boundedOutOfOrderness('5s').withIdleness('1m');
   * console.log(strategy.idlenessMs); // prints 60000
   */
  withIdleness(duration: Duration): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ ...this, idlenessMs: durationMs('duration', duration, { min: 1 }) });
  }

  /**
   * Emits a watermark at each so many records of a split (64 if nothing is said): how soon windows fire while records
   * flow, not which records are late.
   *
   * @example
   * const strategy = WatermarkStrategy.monotonous().withEmitEvery(1);
   * console.log(strategy.emitEvery); // prints 1
   */
  withEmitEvery(records: number): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>({ ...this, emitEvery: integer('records', records, { min: 1 }) });
  }
}

// ---------- one split

/** What a generator or a merge lets out: `active` goes before the watermark, and the watermark before `idle`. */
export interface WatermarkChange {
  readonly watermark?: Timestamp | undefined;
  readonly idle?: boolean | undefined;
}

const noChange: WatermarkChange = {};

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
}

/** Makes the watermarks of one split. */
export class WatermarkGenerator {
  readonly #lagMs: number;
  readonly #idlenessMs: number | undefined;
  #max = MIN_TIMESTAMP;
  #emitted = MIN_TIMESTAMP;
  /** Whether a record came since the last tick. */
  #seen = false;
  #idle = false;
  #quietSince: Timestamp | undefined;

  constructor(strategy: Pick<WatermarkStrategy<never>, 'outOfOrdernessMs' | 'idlenessMs'>) {
    this.#lagMs = strategy.outOfOrdernessMs === undefined ? Number.POSITIVE_INFINITY : strategy.outOfOrdernessMs + 1;
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

  /** How far a record may be behind the greatest timestamp; infinity without any bound. */
  get boundMs(): number {
    return this.#lagMs - 1;
  }

  /**
   * A record before this time is behind the bound, and meets a watermark that is not emitted yet. `MIN_TIMESTAMP`:
   * there is none.
   */
  get bound(): Timestamp {
    const next = this.#next();
    return next > this.#emitted ? next + 1 : MIN_TIMESTAMP;
  }

  /** Takes the greatest timestamp of some records; `MIN_TIMESTAMP` moves nothing. */
  onRecords(greatest: Timestamp): void {
    // Below the limit, so no watermark is that of an end (I16).
    if (greatest > this.#max) this.#max = Math.min(greatest, timestampLimit);
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
    return { max: this.#max, emitted: this.#emitted, seen: this.#seen, idle: this.#idle, ...quiet };
  }

  restore({ max, emitted, seen, idle, quietSince }: GeneratorSnapshot): void {
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

// ---------- several channels

interface Channel {
  watermark: Timestamp;
  idle: boolean;
  /** Valve only: whether the channel counts for the least watermark. */
  aligned: boolean;
}

/** Plain data. */
export interface ValveSnapshot {
  readonly watermark: Timestamp;
  readonly idle: boolean;
  readonly channels: readonly (readonly [channel: string, watermark: Timestamp, idle: boolean, aligned: boolean])[];
}

/**
 * What both merges share. Channels have names, never positions. One that has ended (its watermark is `MAX_TIMESTAMP`)
 * is neither active nor idle: it holds nothing back, and while others are only idle it does not end the stream.
 */
class WatermarkMerge {
  protected readonly channels = new Map<string, Channel>();
  #watermark = MIN_TIMESTAMP;
  #idle = false;

  /** The last watermark that came out. */
  get current(): Timestamp {
    return this.#watermark;
  }

  get idle(): boolean {
    return this.#idle;
  }

  /** Who holds the watermark back: the active channel with the least one. */
  get slowest(): string | undefined {
    let slowest: string | undefined;
    let least = MAX_TIMESTAMP;
    for (const [name, { watermark, idle }] of this.channels) {
      if (idle || watermark >= least) continue;
      slowest = name;
      least = watermark;
    }
    return slowest;
  }

  /** The channel holds the watermark back from now on, until it has brought one of its own. */
  add(channel: string): void {
    if (this.channels.has(channel)) throw new TypeError(`Expected \`channel\` to be new, got \`${channel}\` twice`);
    this.channels.set(channel, { watermark: MIN_TIMESTAMP, idle: false, aligned: true });
  }

  snapshot(): ValveSnapshot {
    const channels = [...this.channels].map(([name, each]) => [name, each.watermark, each.idle, each.aligned] as const);
    return { watermark: this.#watermark, idle: this.#idle, channels };
  }

  /**
   * Brings the channels that are there to where they were. One that is gone holds nothing back any more, and a new one
   * is new.
   */
  restore({ watermark, idle, channels }: ValveSnapshot): void {
    this.#watermark = watermark;
    this.#idle = idle;
    for (const [name, watermark, idle, aligned] of channels) {
      if (this.channels.has(name)) this.channels.set(name, { watermark, idle, aligned });
    }
  }

  protected get(channel: string): Channel {
    const found = this.channels.get(channel);
    if (found === undefined) throw new TypeError(`Expected \`channel\` to be one that was added, got \`${channel}\``);
    return found;
  }

  protected hasEnded({ watermark }: Channel): boolean {
    return watermark === MAX_TIMESTAMP;
  }

  /**
   * What the channels say together: the least watermark of the active ones that count; where all rest, the greatest of
   * the idle ones and `idle`; where all have ended, the final watermark.
   */
  protected merge(): WatermarkChange {
    let least = MAX_TIMESTAMP;
    let greatestIdle = MIN_TIMESTAMP;
    let [active, counted, idle] = [0, 0, 0];
    for (const channel of this.channels.values()) {
      if (this.hasEnded(channel)) continue;
      if (channel.idle) {
        idle += 1;
        greatestIdle = Math.max(greatestIdle, channel.watermark);
        continue;
      }
      active += 1;
      if (!channel.aligned) continue;
      counted += 1;
      least = Math.min(least, channel.watermark);
    }
    if (active > 0) return this.#change(counted > 0 ? least : MIN_TIMESTAMP, false);
    if (idle > 0) return this.#change(greatestIdle, true);
    return this.channels.size > 0 ? this.#change(MAX_TIMESTAMP, false) : noChange;
  }

  /** Leaves out what was said already, and a watermark that would go back (I3). */
  #change(watermark: Timestamp, idle: boolean): WatermarkChange {
    const grown = watermark > this.#watermark;
    const turned = idle !== this.#idle;
    if (!grown && !turned) return noChange;
    if (grown) this.#watermark = watermark;
    this.#idle = idle;
    return { watermark: grown ? watermark : undefined, idle: turned ? idle : undefined };
  }
}

export interface WatermarkValveOptions {
  /**
   * Whether the final watermark ends a channel. False only to compare with runtimes that take it for one like any
   * other. @defaultValue true
   */
  readonly finalEndsChannel?: boolean | undefined;
}

/**
 * Merges channels that are one input: a union, the partitions of an edge. The watermark of an idle channel is ignored,
 * and a channel that comes back behind is left out until it has caught up.
 */
export class WatermarkValve extends WatermarkMerge {
  readonly #finalEndsChannel: boolean;

  constructor({ finalEndsChannel = true }: WatermarkValveOptions = {}) {
    super();
    this.#finalEndsChannel = finalEndsChannel;
  }

  watermark(channel: string, timestamp: Timestamp): WatermarkChange {
    const from = this.get(channel);
    if (from.idle || timestamp <= from.watermark) return noChange;
    from.watermark = timestamp;
    if (timestamp >= this.current) from.aligned = true;
    return this.merge();
  }

  status(channel: string, idle: boolean): WatermarkChange {
    const from = this.get(channel);
    if (idle === from.idle || this.hasEnded(from)) return noChange;
    from.idle = idle;
    from.aligned = !idle && from.watermark >= this.current;
    return this.merge();
  }

  remove(channel: string): WatermarkChange {
    this.get(channel);
    this.channels.delete(channel);
    return this.merge();
  }

  protected override hasEnded(channel: Channel): boolean {
    return this.#finalEndsChannel && super.hasEnded(channel);
  }
}

/**
 * Merges inputs of different meaning (the two of a join) or the splits of a source. A watermark makes its channel
 * active, and a channel that comes back behind holds the output.
 */
export class WatermarkCombiner extends WatermarkMerge {
  watermark(channel: string, timestamp: Timestamp): WatermarkChange {
    return this.note(channel, timestamp) ? this.merge() : noChange;
  }

  status(channel: string, idle: boolean): WatermarkChange {
    this.noteStatus(channel, idle);
    return this.merge();
  }

  /** Takes a watermark, which lets its channel be active, for the next `emit`. True when it has grown. */
  note(channel: string, timestamp: Timestamp): boolean {
    const from = this.get(channel);
    from.idle = false;
    if (timestamp <= from.watermark) return false;
    from.watermark = timestamp;
    return true;
  }

  /** Takes a status for the next `emit`. */
  noteStatus(channel: string, idle: boolean): void {
    const from = this.get(channel);
    if (!this.hasEnded(from)) from.idle = idle;
  }

  /** Takes effect with the next `emit`. */
  remove(channel: string): void {
    this.get(channel);
    this.channels.delete(channel);
  }

  /** What has changed by everything noted since. */
  emit(): WatermarkChange {
    return this.merge();
  }
}
