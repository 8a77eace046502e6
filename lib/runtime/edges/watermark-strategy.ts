/**
 * The strategy that a user gives to a source: where timestamps come from, how far records may be out of order, and when
 * a split counts as idle. Data only: `watermark-generator.ts` follows it for each split.
 */
import type { Timestamp } from '../../core/element.ts';
import { callable, durationMs, integer, refusal, withMethods, type Duration } from '../../core/options.ts';

/**
 * Makes the watermarks of a split of what its records have in them. Functions of their arguments alone, so that a
 * replay gives the same. The state is plain data and part of the split's checkpoint: a restart goes on with it.
 *
 * @example
 * // The third greatest timestamp so far: two records that are far ahead move nothing.
 * const strategy = WatermarkStrategy.forGenerator<{ ts: number }, readonly number[]>({
 *   initial: () => [],
 *   onRecord: (newest, { ts }) => [...newest, ts].sort((a, b) => b - a).slice(0, 3),
 *   watermark: (newest) => newest[2],
 * });
 * console.log(strategy.emitEvery); // prints 64
 */
export interface WatermarkGeneratorFunction<T, S> {
  /** What a split begins with. */
  initial(): S;
  /** The state behind one more record; `timestamp` is `MIN_TIMESTAMP` where it has none. */
  onRecord(state: S, value: T, timestamp: Timestamp): S;
  /** The watermark by now; undefined where there is none yet. One below the last one is left out. */
  watermark(state: S): Timestamp | undefined;
}

interface StrategySettings<T> {
  /** How far a record may be behind the greatest timestamp seen; undefined: no watermarks. */
  readonly outOfOrdernessMs: number | undefined;
  readonly timestampOf?: ((value: T) => Timestamp) | undefined;
  readonly idlenessMs?: number | undefined;
  readonly emitEvery: number;
  readonly generator?: WatermarkGeneratorFunction<T, unknown> | undefined;
  readonly alignment?: WatermarkAlignment | undefined;
}

/** How far splits of a group of sources may be ahead of the slowest. */
export interface WatermarkAlignment {
  readonly group: string;
  readonly maxDriftMs: number;
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
  /** A generator of the user's own. */
  readonly generator: WatermarkGeneratorFunction<T, unknown> | undefined;
  /** Undefined: the source goes as fast as it can. */
  readonly alignment: WatermarkAlignment | undefined;

  private constructor(settings: StrategySettings<T>) {
    this.outOfOrdernessMs = settings.outOfOrdernessMs;
    this.timestampOf = settings.timestampOf;
    this.idlenessMs = settings.idlenessMs;
    this.emitEvery = settings.emitEvery;
    this.generator = settings.generator;
    this.alignment = settings.alignment;
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
   * Watermarks as a generator of your own says. They are emitted at record counts (`withEmitEvery`), behind the record,
   * and at a tick when records stay away. Which records are late follows from the records of their split alone. What it
   * throws fails the job, and so does a watermark that is no timestamp (`TIMESTAMP_INVALID`).
   *
   * @example
   * const strategy = WatermarkStrategy.forGenerator<{ day: number }, number>({
   *   initial: () => 0,
   *   onRecord: (day, value) => Math.max(day, value.day),
   *   watermark: (day) => day * 86_400_000 - 1,
   * });
   * console.log(strategy.emitEvery); // prints 64
   */
  static forGenerator<T, S>(generator: WatermarkGeneratorFunction<T, S>): WatermarkStrategy<T> {
    withMethods('generator', generator, 'an object with `initial`, `onRecord` and `watermark`', [
      'initial',
      'onRecord',
      'watermark',
    ]);
    return new WatermarkStrategy<T>({ outOfOrdernessMs: undefined, emitEvery: defaultEmitEvery, generator });
  }

  /**
   * Watermarks that records bring: `fn` gives the one that follows a record, or undefined.
   *
   * @example
   * const marks = WatermarkStrategy.punctuated<{ ts: number; last?: true }>(({ last }, ts) => (last ? ts : undefined));
   * const visits = [{ ts: 1 }, { ts: 5, last: true as const }];
   * const stream = env.fromCollection(visits, marks.withTimestamps(({ ts }) => ts));
   * console.log((await stream.executeAndCollect()).length); // prints 2
   */
  static punctuated<T>(fn: (value: T, timestamp: Timestamp) => Timestamp | undefined): WatermarkStrategy<T> {
    callable('fn', fn);
    const generator: WatermarkGeneratorFunction<T, Timestamp | null> = {
      initial: () => null,
      onRecord: (_last, value, timestamp) => fn(value, timestamp) ?? null,
      watermark: (last) => last ?? undefined,
    };
    return WatermarkStrategy.forGenerator(generator).withEmitEvery(1);
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
   * Keeps the splits of all sources of a group near each other in event time: one whose watermark is more than
   * `maxDrift` ahead of the least one waits, within a few records (`withEmitEvery`, and 64). So what windows and joins
   * keep stays small while one source is read again from far behind. One that is idle or has ended holds nobody; one
   * that brings nothing holds all, so give it `withIdleness`. Throws a `TypeError` for a strategy without watermarks.
   *
   * @example
   * const strategy = WatermarkStrategy.boundedOutOfOrderness('5s').withWatermarkAlignment('orders', '10m');
   * console.log(strategy.alignment); // prints { group: 'orders', maxDriftMs: 600000 }
   */
  withWatermarkAlignment(group: string, maxDrift: Duration): WatermarkStrategy<T> {
    if (typeof group !== 'string' || group === '') throw refusal('group', 'a text', group);
    if (this.outOfOrdernessMs === undefined && this.generator === undefined)
      throw new TypeError('Expected `withWatermarkAlignment` to follow a strategy that makes watermarks');
    const alignment = { group, maxDriftMs: durationMs('maxDrift', maxDrift) };
    return new WatermarkStrategy<T>({ ...this, alignment });
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
