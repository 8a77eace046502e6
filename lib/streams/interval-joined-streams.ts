/** Two keyed streams that meet where their timestamps are near each other. */
import type { Key } from '../core/key.ts';
import type { MultiInputOperator } from '../core/operator.ts';
import { callable } from '../core/options.ts';
import type { OutputTag } from '../core/output-tag.ts';
import {
  intervalJoin,
  intervalOf,
  type Bound,
  type Interval,
  type IntervalJoinFunction,
  type IntervalJoinOptions,
  type IntervalOptions,
} from '../../operators/interval-join.ts';
import { DataStream } from './data-stream.ts';
import type { Origin } from './origin.ts';
import { onlyTo, tagId } from './parts.ts';

/** What is missing on a side of an outer join. */
type Left<A, Outer> = Outer extends 'right' | 'full' ? A | undefined : A;
type Right<B, Outer> = Outer extends 'left' | 'full' ? B | undefined : B;

/**
 * Two keyed streams, waiting for the interval in which their records meet.
 *
 * @example
 * const customers = orders.keyBy(({ customer }) => customer);
 * const pairs = customers.intervalJoin(customers).between('1s', '20s');
 * const ids = pairs.process((first, second) => `${first.id} then ${second.id}`);
 * console.log(await ids.executeAndCollect()); // prints [ '1 then 3' ]
 */
export class IntervalJoin<A, B, K extends Key = Key> {
  readonly #sides: readonly [Origin, Origin];

  /** @internal */
  constructor(left: Origin, right: Origin) {
    this.#sides = [left, right];
  }

  /**
   * The right one's timestamp less the left one's is between these, both included; they may be negative (`-5000`,
   * `'-5s'`). Throws a `TypeError` when `lower` is greater.
   */
  between<Outer extends NonNullable<IntervalOptions['outer']> = 'inner'>(
    lower: Bound,
    upper: Bound,
    options?: IntervalOptions & { readonly outer?: Outer | undefined },
  ): IntervalJoinedStreams<Left<A, Outer>, Right<B, Outer>, K> {
    return new IntervalJoinedStreams({ sides: this.#sides, interval: intervalOf(lower, upper, options) });
  }
}

interface IntervalSetup {
  readonly sides: readonly [Origin, Origin];
  readonly interval: Interval;
  readonly leftLateTag?: OutputTag<unknown> | undefined;
  readonly rightLateTag?: OutputTag<unknown> | undefined;
}

/**
 * Two keyed streams whose records meet in an interval, waiting for the function that makes results of pairs.
 *
 * @example
 * const customers = orders.keyBy(({ customer }) => customer);
 * const late = outputTag<Order>('late');
 * const pairs = customers.intervalJoin(customers).between('1s', '20s', { outer: 'left' }).sideOutputLeftLateData(late);
 * const ids = pairs.sideOutputRightLateData(late).process((first, second) => `${first.id}: ${second?.id ?? 'none'}`);
 * console.log(await ids.executeAndCollect()); // prints [ '1: 3', '2: none', '3: none' ]
 */
export class IntervalJoinedStreams<A, B, K extends Key = Key> {
  readonly #setup: IntervalSetup;

  /** @internal */
  constructor(setup: IntervalSetup) {
    this.#setup = setup;
  }

  /** Sends late records of the left stream to a side output. Without it, or a reader, they are counted and dropped. */
  sideOutputLeftLateData(tag: OutputTag<A>): IntervalJoinedStreams<A, B, K> {
    tagId(tag);
    return new IntervalJoinedStreams({ ...this.#setup, leftLateTag: tag });
  }

  /** Sends late records of the right stream to a side output. */
  sideOutputRightLateData(tag: OutputTag<B>): IntervalJoinedStreams<A, B, K> {
    tagId(tag);
    return new IntervalJoinedStreams({ ...this.#setup, rightLateTag: tag });
  }

  /** Gives what `fn` makes of each pair, with the greater of both timestamps; nothing for `undefined`. */
  process<O>(fn: IntervalJoinFunction<A, B, O, K>): DataStream<O> {
    const { sides, interval, leftLateTag, rightLateTag } = this.#setup;
    // The methods above say of what the tags are.
    const options = { interval, leftLateTag, rightLateTag } as IntervalJoinOptions<A, B>;
    const operator = intervalJoin<A, B, O, K>(options, callable('fn', fn));
    const [left, right] = sides;
    const writes = onlyTo(leftLateTag, rightLateTag);
    // The classes in front follow the types of both streams.
    const added = operator as MultiInputOperator<readonly never[], unknown>;
    return new DataStream<O>(left.addOperator('interval-join', added, { writes }, [right]));
  }
}
