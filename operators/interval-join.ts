/**
 * Interval join: pairs of records of one key in which the right one's timestamp lies between bounds around the left
 * one's. Each record waits in state until no partner can come any more, in the order of timestamps, so that a record
 * looks only at those that it may meet.
 *
 *  - A record is late when its timestamp is before the watermark (not at it, other than in windows): it goes to the
 *    late side output of its side or is counted, and meets nobody (I3).
 *  - A pair leaves at once, with the greater of both timestamps.
 *  - In an outer join a record without a partner leaves when its interval has passed, with that time.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { refuseThenable } from '../lib/core/errors.ts';
import type { Key } from '../lib/core/key.ts';
import type { MultiInputOperator, OperatorContext } from '../lib/core/operator.ts';
import { durationMs, flag, knownOptions, oneOf, refusal, type Duration } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import { mapState, type MapState } from '../lib/core/state-descriptor.ts';
import type { Timer, Timers } from '../lib/core/timer.ts';
import { lateRecords, needTimestamp, type TakeLate } from './windows/lateness.ts';

/** A duration, which may be negative: `-5000` or `'-5s'`. */
export type Bound = Duration | `-${Duration}`;

export interface IntervalOptions {
  /** The lower bound itself does not count. @defaultValue false */
  readonly lowerExclusive?: boolean | undefined;
  /** The upper bound itself does not count. @defaultValue false */
  readonly upperExclusive?: boolean | undefined;
  /**
   * Records of this side (`full`: of both) that meet nobody leave too, with `undefined` for the other.
   * @defaultValue 'inner': none do
   */
  readonly outer?: 'inner' | 'left' | 'right' | 'full' | undefined;
}

/** The right one's timestamp less the left one's, in whole milliseconds, both ends included. */
export interface Interval {
  readonly lowerMs: number;
  readonly upperMs: number;
  readonly outer: 'inner' | 'left' | 'right' | 'full';
}

const boundMs = (option: string, bound: Bound): number => {
  const negative = typeof bound === 'string' && bound.startsWith('-');
  // What stands behind the sign is a duration.
  const ms = durationMs(option, (negative ? bound.slice(1) : bound) as Duration, { min: -Infinity });
  if (!Number.isSafeInteger(ms)) throw refusal(option, 'whole milliseconds', bound);
  return negative ? -ms : ms;
};

/**
 * Reads bounds and options. Throws a `TypeError` that names the option.
 *
 * @example
 * console.log(intervalOf('-5s', '5s')); // prints { lowerMs: -5000, upperMs: 5000, outer: 'inner' }
 */
export const intervalOf = (lower: Bound, upper: Bound, options: IntervalOptions = {}): Interval => {
  knownOptions('between', options, { lowerExclusive: true, upperExclusive: true, outer: true });
  const { lowerExclusive = false, upperExclusive = false, outer = 'inner' } = options;
  const [from, to] = [boundMs('lower', lower), boundMs('upper', upper)];
  if (from > to) throw refusal('lower', `at most \`upper\` (${to} ms)`, lower);
  return {
    // Without its ends an interval may be empty: then nobody meets.
    lowerMs: from + (flag('lowerExclusive', lowerExclusive) ? 1 : 0),
    upperMs: to - (flag('upperExclusive', upperExclusive) ? 1 : 0),
    outer: oneOf('outer', outer, ['inner', 'left', 'right', 'full']),
  };
};

/** What a join function may use while it is called. Not to be kept: it is the same object each time. */
export interface JoinContext<K = Key> {
  readonly key: K;
  /** Undefined where there is no left value. */
  readonly leftTimestamp: Timestamp | undefined;
  readonly rightTimestamp: Timestamp | undefined;
  /** That of the result: the greater of both, or the end of the interval in which nobody came. */
  readonly timestamp: Timestamp;
}

/** Makes a result of a pair; `undefined` makes none. In an outer join one of the values may be undefined. */
export type IntervalJoinFunction<A, B, O, K = Key> = (left: A, right: B, ctx: JoinContext<K>) => O | undefined;

export interface IntervalJoinOptions<A, B> {
  /** When a right record meets a left one, as `intervalOf` gives it. */
  readonly interval: Interval;
  /** Where late records of the left side go. @defaultValue nowhere: counted in `numLateRecordsDropped` */
  readonly leftLateTag?: OutputTag<A> | undefined;
  /** Where late records of the right side go. @defaultValue nowhere: counted in `numLateRecordsDropped` */
  readonly rightLateTag?: OutputTag<B> | undefined;
}

/** A record that waits. */
interface Waiting {
  readonly value: unknown;
  /** It has met somebody: noted where that matters. */
  met?: boolean;
}

/** One of both sides: what waits of it by timestamp, and whom it meets. */
interface Side {
  /** Namespace of its timers. */
  readonly number: 0 | 1;
  readonly waiting: MapState<Timestamp, Waiting[]>;
  readonly late: TakeLate<never>;
  /** Whom a record meets: timestamps from its own plus `from` to its own plus `to`. */
  readonly from: number;
  readonly to: number;
  /** Until when it waits, behind its timestamp. */
  readonly waitsMs: number;
  /** One that meets nobody leaves too. */
  readonly isOuter: boolean;
}

/**
 * Makes the operator of `intervalJoin`.
 *
 * @example
 * const options = { interval: intervalOf('-1s', '1s') };
 * const pairs = intervalJoin<number, string, string>(options, (n, text) => `${n} ${text}`);
 * const harness = await OperatorHarness.open(pairs, { inputs: [{ keyOf: () => 'all' }, { keyOf: () => 'all' }] });
 * harness.element(7, 5_000);
 * console.log(harness.input(2).element('a', 5_500)); // prints [ { kind: 'record', value: '7 a', timestamp: 5500 } ]
 */
export const intervalJoin =
  <A, B, O, K extends Key = Key>(
    options: IntervalJoinOptions<A, B>,
    fn: IntervalJoinFunction<A, B, O, K>,
  ): MultiInputOperator<readonly [A, B], O> =>
  (context) => {
    const join = new IntervalJoin(context, options, fn);
    return {
      inputs: [
        { process: (value, timestamp) => join.process(join.left, value, timestamp) },
        { process: (value, timestamp) => join.process(join.right, value, timestamp) },
      ],
    };
  };

class IntervalJoin<A, B, O, K extends Key> implements JoinContext<K> {
  readonly left: Side;
  readonly right: Side;
  leftTimestamp: Timestamp | undefined;
  rightTimestamp: Timestamp | undefined;
  timestamp = MIN_TIMESTAMP;
  readonly #context: OperatorContext<O>;
  readonly #timers: Timers;
  readonly #fn: IntervalJoinFunction<A, B, O, K>;
  readonly #isOuter: boolean;

  constructor(
    context: OperatorContext<O>,
    { interval: { lowerMs, upperMs, outer }, leftLateTag, rightLateTag }: IntervalJoinOptions<A, B>,
    fn: IntervalJoinFunction<A, B, O, K>,
  ) {
    this.#context = context;
    this.#fn = fn;
    this.#isOuter = outer !== 'inner';
    const waiting = (name: string): MapState<Timestamp, Waiting[]> =>
      context.state(mapState<Timestamp, Waiting[]>(name, { ordered: true, inPlace: true }));
    this.left = {
      number: 0,
      waiting: waiting('left'),
      late: lateRecords(context, leftLateTag),
      from: lowerMs,
      to: upperMs,
      waitsMs: Math.max(upperMs, 0),
      isOuter: outer === 'left' || outer === 'full',
    };
    this.right = {
      number: 1,
      waiting: waiting('right'),
      late: lateRecords(context, rightLateTag),
      from: -upperMs,
      to: -lowerMs,
      waitsMs: Math.max(-lowerMs, 0),
      isOuter: outer === 'right' || outer === 'full',
    };
    this.#timers = context.timers((timer) => this.#onTimer(timer));
  }

  get key(): K {
    return this.#context.currentKey() as K; // The streams in front say which keys there are.
  }

  process(side: Side, value: A | B, timestamp: Timestamp): void {
    needTimestamp(timestamp, this.#context.uid, 'interval join');
    if (timestamp < this.#timers.watermark) return side.late(value as never, timestamp); // It is of that side.
    const own: Waiting = { value: this.#context.handOver(value) };
    const waiting = side.waiting.get(timestamp) ?? [];
    waiting.push(own);
    side.waiting.set(timestamp, waiting);
    this.#timers.register(timestamp + side.waitsMs, { namespace: side.number });
    this.#meet(side, { own, value, timestamp });
    if (own.met === true) side.waiting.set(timestamp, waiting);
  }

  /** Calls the function with each partner that waits, in the order of timestamps and of arrival. */
  #meet(
    side: Side,
    { own, value, timestamp }: { readonly own: Waiting; readonly value: A | B; readonly timestamp: Timestamp },
  ): void {
    const other = side === this.left ? this.right : this.left;
    for (const [at, partners] of other.waiting.range(timestamp + side.from, timestamp + side.to + 1)) {
      for (const partner of partners) {
        if (this.#isOuter) own.met = partner.met = true;
        const [left, right] =
          side === this.left ? [value, looseCopy(partner.value)] : [looseCopy(partner.value), value];
        this.#call(left, right, side === this.left ? [timestamp, at] : [at, timestamp], Math.max(timestamp, at));
      }
      if (this.#isOuter) other.waiting.set(at, partners);
    }
  }

  #call(
    left: unknown,
    right: unknown,
    [leftTimestamp, rightTimestamp]: readonly [Timestamp | undefined, Timestamp | undefined],
    timestamp: Timestamp,
  ): void {
    this.leftTimestamp = leftTimestamp;
    this.rightTimestamp = rightTimestamp;
    this.timestamp = timestamp;
    const returned = this.#fn(left as A, right as B, this); // They were given as such.
    const result = refuseThenable(returned, 'the join function', this.#context.uid);
    if (result !== undefined) this.#context.output.emit(result, timestamp);
  }

  /** Records of one timestamp wait no longer. */
  #onTimer({ timestamp, namespace }: Timer): void {
    const side = namespace === this.left.number ? this.left : this.right;
    const at = timestamp - side.waitsMs;
    if (side.isOuter)
      for (const { value, met } of side.waiting.get(at) ?? []) {
        if (met === true) continue;
        if (side === this.left) this.#call(value, undefined, [at, undefined], timestamp);
        else this.#call(undefined, value, [undefined, at], timestamp);
      }
    side.waiting.delete(at);
  }
}
