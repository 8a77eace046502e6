/** Holds, one of an operator's capabilities: places in the output for results that come later. They survive a crash. */
import type { Timestamp } from './element.ts';
import type { OutputTag } from './output-tag.ts';

export type Hold = number;

export type OutputOrder = 'completion' | 'arrival';

export interface HoldOptions {
  /**
   * `completion`: results between two watermarks leave as they come. `arrival`: in the order their holds were taken.
   * @defaultValue 'completion'
   */
  readonly order?: OutputOrder | undefined;
  /**
   * With order `completion`: a result whose timestamp is greater than the watermarks that wait before it, or that has
   * none, leaves at once. So a hold delays watermarks and nobody else's results, and still nothing on time becomes late
   * by waiting, and nothing late on time. @defaultValue false: no result crosses a watermark in either direction
   */
  readonly overtakeWatermarks?: boolean | undefined;
  /**
   * With `overtakeWatermarks`, where a key's results are emitted in the order of its holds: they leave in it too. A
   * result of a key whose earlier one waits overtakes nothing, however new it is: it waits in its hold's place, and is
   * as late or on time there. Not for a stream without keys, which has one key. @defaultValue false
   */
  readonly keyOrder?: boolean | undefined;
}

/**
 * A hold keeps later watermarks back until it is released, and what is emitted within it leaves in its place: never
 * behind a watermark that came after it, and in front of one that came before it only with `overtakeWatermarks`. Holds
 * and results that wait are state.
 */
export interface Holds<O> {
  /** Takes a hold under the current key. */
  take(): Hold;
  /**
   * Whether something emitted now under the current key and outside any hold would overtake what it must not: then it
   * needs a hold.
   */
  blocks(timestamp: Timestamp): boolean;
  /** Emits in the hold's place. */
  emit(hold: Hold, value: O, timestamp: Timestamp): void;
  /** Emits to a side output, in the hold's place too. */
  side<S>(hold: Hold, tag: OutputTag<S>, value: S, timestamp: Timestamp): void;
  /** Lets go: what waited behind the hold alone leaves. */
  release(hold: Hold): void;
}
