/**
 * `distinct`: of equal values the first. Of a key, or of what `by` gives of a value, it keeps until when others are
 * equal; a timer lets go of that, so nothing is left of what has not been seen for long.
 */
import { MIN_TIMESTAMP } from '../lib/core/element.ts';
import { StreamError } from '../lib/core/errors.ts';
import { checkKey, keyText, type Key } from '../lib/core/key.ts';
import type { Operator } from '../lib/core/operator.ts';
import { callable, durationMs, knownOptions, oneOf, refusal, type Duration } from '../lib/core/options.ts';
import { mapState } from '../lib/core/state-descriptor.ts';
import type { TimeDomain } from '../lib/core/timer.ts';

export interface DistinctOptions<T> {
  /** What tells values of a key apart. @defaultValue nothing: all values of a key are equal */
  readonly by?: ((value: T) => Key) | undefined;
  /**
   * A value as late as this behind the first one counts as new, and is then the first; from 1 ms. @defaultValue for
   * ever: what has been seen is kept for good
   */
  readonly within?: Duration | undefined;
  /** What `within` goes by: timestamps, or the clock. @defaultValue 'event' */
  readonly time?: TimeDomain | undefined;
}

const missing = (uid: string): StreamError =>
  new StreamError('TIMESTAMP_MISSING', `\`distinct\` of \`${uid}\` goes by timestamps, and a record has none`);

/**
 * Makes the operator of `distinct`.
 *
 * @example
 * const harness = await OperatorHarness.open(distinct<string>({ within: '1s' }), { keyOf: (id) => id });
 * harness.element('a', 0);
 * console.log(harness.element('a', 999).length, harness.element('a', 1_000).length); // prints 0 1
 */
export const distinct = <T>(options: DistinctOptions<T> = {}): Operator<T, T> => {
  knownOptions('distinct', options, { by: true, within: true, time: true });
  const { by, within, time = 'event' } = options;
  if (by !== undefined) callable('by', by);
  oneOf('time', time, ['event', 'processing']);
  if (within === undefined && options.time !== undefined) throw refusal('time', 'left out without `within`', time);
  const withinMs = within === undefined ? undefined : durationMs('within', within, { min: 1 });
  return (context) => {
    const { uid, output } = context;
    /** Until when another is equal. */
    const seen = context.state(mapState<string, number>('seen'));
    /** What is let go of at a time. */
    const due = context.state(mapState<number, readonly string[]>('due'));
    const timers =
      withinMs === undefined
        ? undefined
        : context.timers(({ timestamp }) => {
            for (const each of due.get(timestamp) ?? []) if (seen.get(each) === timestamp) seen.delete(each);
            due.delete(timestamp);
          });
    const nameOf = (value: T): string => {
      if (by === undefined) return '';
      const own = by(value);
      checkKey(own, uid);
      return keyText(own);
    };
    const timeOf = (timestamp: number): number => {
      if (time === 'processing') return context.now();
      if (timestamp === MIN_TIMESTAMP && withinMs !== undefined)
        throw missing(uid);
      return timestamp;
    };
    return {
      process(value, timestamp) {
        const now = timeOf(timestamp);
        const name = nameOf(value);
        const until = seen.get(name);
        if (until !== undefined && now < until) return;
        if (timers === undefined || withinMs === undefined) seen.set(name, Number.MAX_SAFE_INTEGER);
        else {
          const end = now + withinMs;
          seen.set(name, end);
          due.set(end, [...(due.get(end) ?? []), name]);
          timers.register(end, { domain: time });
        }
        output.emit(value, timestamp);
      },
    };
  };
};
