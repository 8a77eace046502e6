/**
 * Two streams that meet in windows: `join` gives pairs, `coGroup` both sides. Behind both stands one operator, keyed by
 * what each side says; their records come to it as those of one stream.
 */
import type { Key } from '../core/key.ts';
import type { Operator } from '../core/operator.ts';
import { callable, durationMs, withMethods, type Duration } from '../core/options.ts';
import {
  coGroupWindow,
  joinWindow,
  type CoGroupFunction,
  type CoGroupOptions,
  type JoinFunction,
  type Sided,
} from '../../operators/windows/co-group.ts';
import type { Trigger, WindowAssigner } from '../../operators/windows/contract.ts';
import type { DataStream } from './data-stream.ts';
import { onlyTo } from './parts.ts';

/**
 * Two streams and what they are compared by. It knows nothing of the types of their values, which the classes follow:
 * a stream of cats is one of animals, whatever is kept behind it.
 */
interface Meeting {
  readonly kind: 'join' | 'coGroup';
  readonly left: DataStream<unknown>;
  readonly right: DataStream<unknown>;
  readonly leftKey: (value: never) => Key;
  readonly rightKey: (value: never) => Key;
}

/**
 * Two streams, waiting for the keys that are compared.
 *
 * @example
 * const meeting = orders.join(orders).where(({ customer }) => customer).equalTo(({ customer }) => customer);
 * const pairs = meeting.window(TumblingEventTimeWindows.of('1m')).apply((one, other) => `${one.id}-${other.id}`);
 * console.log((await pairs.executeAndCollect()).length); // prints 5
 */
export class JoinedStreams<A, B, Kind extends 'join' | 'coGroup'> {
  readonly #sides: Pick<Meeting, 'left' | 'right'>;
  readonly #kind: Kind;

  /** @internal */
  constructor(left: DataStream<A>, right: DataStream<B>, kind: Kind) {
    this.#sides = { left, right };
    this.#kind = kind;
  }

  /** Says what the key of a value of the first stream is. */
  where<K extends Key>(
    leftKey: (value: A) => K,
  ): { equalTo(rightKey: (value: B) => K): MeetingStreams<A, B, K, Kind> } {
    callable('keyOf', leftKey);
    return {
      equalTo: (rightKey) => {
        callable('keyOf', rightKey);
        return new MeetingStreams({ ...this.#sides, kind: this.#kind, leftKey, rightKey });
      },
    };
  }
}

/**
 * Two streams with keys, waiting for the windows in which they meet.
 *
 * @example
 * const meeting = orders.coGroup(orders).where(({ customer }) => customer).equalTo(({ customer }) => customer);
 * const sides = meeting.window(TumblingEventTimeWindows.of('1m')).apply((left, right) => left.length * right.length);
 * console.log(await sides.executeAndCollect()); // prints [ 4, 1 ]
 */
export class MeetingStreams<A, B, K extends Key, Kind extends 'join' | 'coGroup'> {
  readonly #meeting: Meeting;

  /** @internal */
  constructor(meeting: Meeting) {
    this.#meeting = meeting;
  }

  /** Cuts the values of both streams into windows; the assigner is asked about the values of both. */
  window(assigner: WindowAssigner<A | B>): WindowedMeeting<A, B, K, Kind> {
    withMethods('assigner', assigner, 'a WindowAssigner; `TumblingEventTimeWindows.of(size)` makes one', ['assign']);
    return new WindowedMeeting(this.#meeting, { assigner });
  }
}

/** What makes the results of a kind. */
type FunctionOf<A, B, O, K extends Key, Kind> = Kind extends 'join'
  ? JoinFunction<A, B, O, K>
  : CoGroupFunction<A, B, O, K>;

/**
 * Windows of two streams, waiting for the function that makes their results.
 *
 * @example
 * const meeting = orders.join(orders).where(({ customer }) => customer).equalTo(({ customer }) => customer);
 * const windows = meeting.window(TumblingEventTimeWindows.of('10s'));
 * const early = windows.trigger(EventTimeTrigger.create({ early: CountTrigger.of(2) })).allowedLateness('1m');
 * console.log(await early.apply((one, other) => one.id * other.id).executeAndCollect()); // prints [ 1, 4, 9, 1, 4, 9 ]
 */
export class WindowedMeeting<A, B, K extends Key, Kind extends 'join' | 'coGroup'> {
  readonly #meeting: Meeting;
  readonly #options: CoGroupOptions<never, never>;

  /** @internal */
  constructor(meeting: Meeting, options: CoGroupOptions<never, never>) {
    this.#meeting = meeting;
    this.#options = options;
  }

  /** See `WindowedStream.trigger`. It sees the values of both streams. */
  trigger(trigger: Trigger<A | B>): WindowedMeeting<A, B, K, Kind> {
    withMethods('trigger', trigger, 'a Trigger; `CountTrigger.of(n)` makes one', ['onElement']);
    return new WindowedMeeting(this.#meeting, { ...this.#options, trigger });
  }

  /** See `WindowedStream.allowedLateness`. A late value makes all results of its window again. */
  allowedLateness(duration: Duration): WindowedMeeting<A, B, K, Kind> {
    durationMs('allowedLateness', duration);
    return new WindowedMeeting(this.#meeting, { ...this.#options, allowedLateness: duration });
  }

  /**
   * Gives what `fn` makes of each pair (`join`), or of both sides of a window (`coGroup`), with the window's last
   * millisecond; nothing for `undefined`. Records that come after their windows are counted in
   * `numLateRecordsDropped`.
   */
  apply<O>(fn: FunctionOf<A, B, O, K, Kind>): DataStream<O> {
    callable('fn', fn as () => unknown); // That is what is looked at.
    const { kind, left, right, leftKey, rightKey } = this.#meeting;
    const keyOf = ({ side, value }: Sided<unknown, unknown>): Key =>
      (side === 'left' ? leftKey : rightKey)(value as never); // It is of that side.
    const sided = left
      .map((value): Sided<unknown, unknown> => ({ side: 'left', value }))
      .union(right.map((value): Sided<unknown, unknown> => ({ side: 'right', value })))
      .keyBy(keyOf);
    const operator =
      kind === 'join'
        ? joinWindow(this.#options, fn as JoinFunction<never, never, O, K>) // As the kind says.
        : coGroupWindow(this.#options, fn as CoGroupFunction<never, never, O, K>); // As above.
    return sided.apply<O>(kind === 'join' ? 'window-join' : 'co-group', operator as Operator<unknown, O>, {
      writes: onlyTo(),
    });
  }
}
