/** Lengths of windows: durations that must be whole milliseconds, so that starts are exact. */
import { durationMs, refusal, type Duration } from '../../lib/core/options.ts';

/** Reads a duration of at least `min` ms. Throws a `TypeError` that names the option. */
export const wholeMs = (option: string, value: Duration, min: number): number => {
  const ms = durationMs(option, value, { min });
  if (!Number.isSafeInteger(ms)) throw refusal(option, 'whole milliseconds', value);
  return ms;
};
