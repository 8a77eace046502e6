/** A pattern in the events of a keyed stream: how it is set up, and what makes a result of a match. */
import type { Key } from '../core/key.ts';
import { callable } from '../core/options.ts';
import type { OutputTag } from '../core/output-tag.ts';
import {
  matchPattern,
  planOf,
  type MatchFunction,
  type MatchPatternOptions,
} from '../../operators/patterns/match-pattern.ts';
import type { Match } from '../../operators/patterns/pattern.ts';
import type { DataStream } from './data-stream.ts';
import type { KeyedStream } from './keyed-stream.ts';
import { onlyTo, tagId } from './parts.ts';

/**
 * A pattern in a keyed stream, waiting for the function that makes results of matches.
 *
 * @example
 * const late = outputTag<Order>('late');
 * const alone = outputTag<Match<Order, 'first' | 'second'>>('alone');
 * const pattern = Pattern.begin('first').where((order: Order) => order.euros > 0).followedBy('second').within('5s');
 * const pairs = orders.keyBy(({ customer }) => customer).pattern(pattern).sideOutputLateData(late);
 * const results = pairs.sideOutputTimedOut(alone).process(({ first, second }) => [first[0]?.id, second[0]?.id]);
 * const ids = results.sideOutput(alone).map(({ first }) => first[0]?.id);
 * console.log(await ids.executeAndCollect()); // prints [ 1, 2, 3 ]
 */
export class PatternStream<T, N extends string, K extends Key = Key> {
  readonly #stream: KeyedStream<T, K>;
  readonly #options: MatchPatternOptions<T, N>;

  /** @internal */
  constructor(stream: KeyedStream<T, K>, options: MatchPatternOptions<T, N>) {
    planOf(options.pattern);
    this.#stream = stream;
    this.#options = options;
  }

  /** Sends late events to a side output. Without it, or a reader, they are counted and dropped. */
  sideOutputLateData(tag: OutputTag<T>): PatternStream<T, N, K> {
    tagId(tag);
    return new PatternStream(this.#stream, { ...this.#options, lateTag: tag });
  }

  /**
   * Sends what there is of matches that were not whole when the time of `within` was over to a side output, with that
   * time. Without it they are dropped.
   */
  sideOutputTimedOut(tag: OutputTag<Match<T, N>>): PatternStream<T, N, K> {
    tagId(tag);
    return new PatternStream(this.#stream, { ...this.#options, timedOutTag: tag });
  }

  /** Gives what `fn` makes of each match, with the time at which it was sure; nothing for `undefined`. */
  process<O>(fn: MatchFunction<T, N, O, K>): DataStream<O> {
    const { lateTag, timedOutTag } = this.#options as MatchPatternOptions<unknown, string>; // For their ids alone.
    const operator = matchPattern<T, N, O, K>(this.#options, callable('fn', fn));
    return this.#stream.apply('pattern', operator, { writes: onlyTo(lateTag, timedOutTag) });
  }
}
