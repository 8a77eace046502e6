/** Two keyed streams, one of which says what is known at the time of each record of the other. */
import type { Key } from '../core/key.ts';
import type { MultiInputOperator } from '../core/operator.ts';
import { callable } from '../core/options.ts';
import type { OutputTag } from '../core/output-tag.ts';
import { asOfJoin, type AsOfJoinFunction, type AsOfJoinOptions } from '../../operators/as-of-join.ts';
import { DataStream } from './data-stream.ts';
import type { Origin } from './origin.ts';
import { onlyTo, tagId } from './parts.ts';

/**
 * Two keyed streams, waiting for the function that makes a result of each left record and the right one that is the
 * latest at its time.
 *
 * @example
 * const customers = orders.keyBy(({ customer }) => customer);
 * const large = orders.filter(({ euros }) => euros > 10).keyBy(({ customer }) => customer);
 * const late = outputTag<Order>('late');
 * const last = customers.asOfJoin(large, { outer: 'left' }).sideOutputLeftLateData(late).sideOutputRightLateData(late);
 * const ids = last.process((order, before) => `${order.id}: ${before?.id ?? 'none'}`);
 * console.log(await ids.executeAndCollect()); // prints [ '1: 1', '2: none', '3: 3' ]
 */
export class AsOfJoinedStreams<A, B, K extends Key = Key> {
  readonly #sides: readonly [Origin, Origin];
  readonly #options: AsOfJoinOptions<A, B>;

  /** @internal */
  constructor(sides: readonly [Origin, Origin], options: AsOfJoinOptions<A, B>) {
    this.#sides = sides;
    this.#options = options;
  }

  /** Sends late records of the left stream to a side output. Without it, or a reader, they are counted and dropped. */
  sideOutputLeftLateData(tag: OutputTag<A>): AsOfJoinedStreams<A, B, K> {
    tagId(tag);
    return new AsOfJoinedStreams(this.#sides, { ...this.#options, leftLateTag: tag });
  }

  /** Sends late records of the right stream to a side output. */
  sideOutputRightLateData(tag: OutputTag<B>): AsOfJoinedStreams<A, B, K> {
    tagId(tag);
    return new AsOfJoinedStreams(this.#sides, { ...this.#options, rightLateTag: tag });
  }

  /** Gives what `fn` makes of each left record and its right one, with the left one's time; nothing for `undefined`. */
  process<O>(fn: AsOfJoinFunction<A, B, O, K>): DataStream<O> {
    const { leftLateTag, rightLateTag } = this.#options as AsOfJoinOptions<unknown, unknown>; // For their ids alone.
    const operator = asOfJoin<A, B, O, K>(this.#options, callable('fn', fn));
    const [left, right] = this.#sides;
    // The streams in front carry these types.
    const added = operator as MultiInputOperator<readonly never[], unknown>;
    const writes = onlyTo(leftLateTag, rightLateTag);
    return new DataStream<O>(left.addOperator('as-of-join', added, { writes }, [right]));
  }
}
