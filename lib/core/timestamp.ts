/**
 * The one rule for timestamps that come from outside (a strategy, a source's batch, an operator, a test): a finite
 * number of milliseconds that can be counted exactly (I16). What goes beyond that would end event time, since an
 * infinite watermark is the end of the input, or stop it, since a watermark one millisecond behind would be the same
 * number.
 */
import { MIN_TIMESTAMP, type Timestamp } from './element.ts';
import { isThenable, messageOf, refusedPromise, StreamError } from './errors.ts';

/**
 * The greatest timestamp, and by its negation the least: 285,000 years from 1970. Beyond it numbers skip milliseconds.
 */
export const timestampLimit = Number.MAX_SAFE_INTEGER;

/** Whether a value is a timestamp. `MIN_TIMESTAMP`, which stands for none, is not. */
export const isTimestamp = (value: unknown): value is Timestamp =>
  typeof value === 'number' && value >= -timestampLimit && value <= timestampLimit;

/** The refusal. `what` says who gave it: ``source `orders`, split `0`: record 7``. */
export const invalidTimestamp = (what: string, value: unknown, details: StreamError['details']): StreamError => {
  if (isThenable(value)) return refusedPromise(`what gives the timestamp of ${what}`, value, { details });
  const told = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : messageOf(value);
  const message = `${what} has the timestamp \`${told}\` (${typeof value})`;
  return new StreamError('TIMESTAMP_INVALID', message, { details: { ...details, timestamp: told } });
};

/** Refuses a timestamp that an operator was given by a user's function. */
export const checkTimestamp = (timestamp: unknown, uid: string, what: string): void => {
  if (!isTimestamp(timestamp)) throw invalidTimestamp(`operator \`${uid}\`: ${what}`, timestamp, { uid });
};

/** The same, where a record may have none. */
export const checkTimestampOrNone = (timestamp: unknown, uid: string, what: string): void => {
  if (timestamp !== MIN_TIMESTAMP) checkTimestamp(timestamp, uid, what);
};
