/** What becomes of processing-time timers that are not due when the input ends. */
import { oneOf } from './options.ts';

/**
 * - `drop`: they never fire, as in Flink. The job ends when its input has ended and its work is done.
 * - `fire`: they fire at once, in the order of their times, behind the event-time timers and in front of the final
 *   watermark. What they register by the clock does not fire.
 * - `wait`: they fire when the clock has passed them, and the final watermark and the end of the job wait for that. A
 *   timer that is always registered anew keeps the job running.
 */
export type TimersAtEnd = 'drop' | 'fire' | 'wait';

export const timersAtEnd = (value: TimersAtEnd): TimersAtEnd =>
  oneOf('processingTimersAtEnd', value, ['drop', 'fire', 'wait']);
