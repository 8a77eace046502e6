/**
 * As-of join: each left record with what was known of its key at its time, the right record with the greatest timestamp
 * that is not behind its own; of several with one timestamp the last that came.
 *
 *  - A left record waits until the watermark has reached its timestamp: then all that could meet it has come. So what
 *    comes out depends on the records alone, whichever side is ahead.
 *  - A record is late when its timestamp is not behind the watermark: it goes to the late side output of its side or is
 *    counted, and meets nobody (I3).
 *  - Of right records that the watermark has reached a key keeps the last one, with `keepFor` only so long.
 */
import type { Timestamp } from '../lib/core/element.ts';
import { refuseThenable } from '../lib/core/errors.ts';
import type { Key } from '../lib/core/key.ts';
import type { MultiInputOperator, OperatorContext } from '../lib/core/operator.ts';
import { durationMs, knownOptions, oneOf, type Duration } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import { mapState, type MapState } from '../lib/core/state-descriptor.ts';
import type { Timer, Timers } from '../lib/core/timer.ts';
import type { IntervalJoinFunction, JoinContext } from './interval-join.ts';
import { lateRecords, needTimestamp, type TakeLate } from './windows/lateness.ts';

export interface AsOfOptions {
  /** `left`: records that meet nobody leave too, with `undefined` for the other. @defaultValue 'inner': they do not */
  readonly outer?: 'inner' | 'left' | undefined;
  /** How much older a right record may be than the left one that it meets. @defaultValue no limit */
  readonly keepFor?: Duration | undefined;
}

/** Makes a result of a left record and the right one that it meets; `undefined` makes none. */
export type AsOfJoinFunction<A, B, O, K = Key> = IntervalJoinFunction<A, B, O, K>;

export interface AsOfJoinOptions<A, B> extends AsOfOptions {
  /** Where late records of the left side go. @defaultValue nowhere: counted in `numLateRecordsDropped` */
  readonly leftLateTag?: OutputTag<A> | undefined;
  /** Where late records of the right side go. @defaultValue nowhere: counted in `numLateRecordsDropped` */
  readonly rightLateTag?: OutputTag<B> | undefined;
}

/**
 * Makes the operator of `asOfJoin`. Throws a `TypeError` that names the option.
 *
 * @example
 * const priced = asOfJoin<number, number, number>({}, (pieces, price) => pieces * price);
 * const harness = await OperatorHarness.open(priced, { inputs: [{ keyOf: () => 'all' }, { keyOf: () => 'all' }] });
 * harness.input(2).element(5, 1_000);
 * harness.input(2).element(6, 2_000);
 * harness.element(10, 1_999);
 * harness.watermark(1_999);
 * console.log(harness.input(2).watermark(1_999)[0]); // prints { kind: 'record', value: 50, timestamp: 1999 }
 */
export const asOfJoin = <A, B, O, K extends Key = Key>(
  { leftLateTag, rightLateTag, ...options }: AsOfJoinOptions<A, B>,
  fn: AsOfJoinFunction<A, B, O, K>,
): MultiInputOperator<readonly [A, B], O> => {
  const settings = asOfSettings(options);
  return (context) => {
    const join = new AsOfJoin<A, B, O, K>(context, settings, fn);
    const late = [lateRecords(context, leftLateTag), lateRecords(context, rightLateTag)] as const;
    return {
      inputs: [
        { process: (value, timestamp) => join.left(value, timestamp, late[0]) },
        { process: (value, timestamp) => join.right(value, timestamp, late[1]) },
      ],
    };
  };
};

type Settings = ReturnType<typeof asOfSettings>;

const asOfSettings = (options: AsOfOptions) => {
  knownOptions('asOfJoin', options, { outer: true, keepFor: true });
  const { outer = 'inner', keepFor } = options;
  return {
    isOuter: oneOf('outer', outer, ['inner', 'left']) === 'left',
    keepMs: keepFor === undefined ? Infinity : durationMs('keepFor', keepFor, { min: 0 }),
  };
};

/** A right record, which may be `undefined` itself. */
interface Known<B> {
  readonly value: B;
}

class AsOfJoin<A, B, O, K extends Key> implements JoinContext<K> {
  rightTimestamp: Timestamp | undefined;
  /** That of the left record, whose result it is. */
  timestamp: Timestamp = 0;
  readonly #context: OperatorContext<O>;
  readonly #settings: Settings;
  readonly #fn: AsOfJoinFunction<A, B, O, K>;
  /** Those that the watermark has not reached. */
  readonly #lefts: MapState<Timestamp, A[]>;
  /** Those that the watermark has not reached, and the last one before. */
  readonly #rights: MapState<Timestamp, Known<B>>;
  readonly #timers: Timers;

  constructor(context: OperatorContext<O>, settings: Settings, fn: AsOfJoinFunction<A, B, O, K>) {
    this.#context = context;
    this.#settings = settings;
    this.#fn = fn;
    this.#lefts = context.state(mapState<Timestamp, A[]>('left', { inPlace: true }));
    this.#rights = context.state(mapState<Timestamp, Known<B>>('right', { ordered: true, inPlace: true }));
    this.#timers = context.timers((timer) => this.#onTimer(timer));
  }

  get key(): K {
    return this.#context.currentKey() as K; // The streams in front say which keys there are.
  }

  get leftTimestamp(): Timestamp {
    return this.timestamp;
  }

  left(value: A, timestamp: Timestamp, late: TakeLate<A>): void {
    if (this.#isLate(timestamp)) return late(value, timestamp);
    const waiting = this.#lefts.get(timestamp) ?? [];
    waiting.push(this.#context.handOver(value));
    this.#lefts.set(timestamp, waiting);
    this.#timers.register(timestamp);
  }

  right(value: B, timestamp: Timestamp, late: TakeLate<B>): void {
    if (this.#isLate(timestamp)) return late(value, timestamp);
    this.#rights.set(timestamp, { value: this.#context.handOver(value) });
    this.#timers.register(timestamp);
    if (this.#settings.keepMs < Infinity) this.#timers.register(timestamp + this.#settings.keepMs);
  }

  #isLate(timestamp: Timestamp): boolean {
    needTimestamp(timestamp, this.#context.uid, 'as-of join');
    return timestamp <= this.#timers.watermark;
  }

  /** Left records of this time meet their right one, which may be of no use from then on. */
  #onTimer({ timestamp }: Timer): void {
    const at = this.#latest(timestamp);
    const endsAt = at === undefined ? Infinity : at + this.#settings.keepMs;
    const lefts = this.#lefts.get(timestamp);
    if (lefts !== undefined) {
      this.timestamp = timestamp;
      this.rightTimestamp = timestamp <= endsAt ? at : undefined;
      for (const left of lefts) this.#meet(left);
      this.#lefts.delete(timestamp);
    }
    if (at !== undefined && endsAt <= timestamp) this.#rights.delete(at);
  }

  /** When the right record came that counts at a time; what is before it is forgotten. */
  #latest(timestamp: Timestamp): Timestamp | undefined {
    // Each right record has a timer at its time, so one at most is left of all before it.
    const [earlier] = this.#rights.range(undefined, timestamp);
    if (this.#rights.get(timestamp) === undefined) return earlier?.[0];
    if (earlier !== undefined) this.#rights.delete(earlier[0]);
    return timestamp;
  }

  #meet(left: A): void {
    const at = this.rightTimestamp;
    if (at === undefined && !this.#settings.isOuter) return;
    // In an outer join its type says that it may be missing.
    const right = looseCopy(at === undefined ? undefined : this.#rights.get(at)?.value) as B;
    const result = refuseThenable(this.#fn(left, right, this), 'the join function', this.#context.uid);
    if (result !== undefined) this.#context.output.emit(result, this.timestamp);
  }
}
