/**
 * The strategy that a user gives to a source: where timestamps come from, how far records may be out of order, and when
 * a split counts as idle. Data only: `watermark-generator.ts` follows it for each split.
 */
import type { Timestamp } from '../../core/element.ts';
import { durationMs, integer, type Duration } from '../../core/options.ts';

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
