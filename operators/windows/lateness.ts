/** What becomes of records whose windows are gone: they go to the late side output, or are counted (I3). */
import { MIN_TIMESTAMP, type Timestamp } from '../../lib/core/element.ts';
import { StreamError } from '../../lib/core/errors.ts';
import type { OperatorContext } from '../../lib/core/operator.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';

export type TakeLate<T> = (value: T, timestamp: Timestamp) => void;

/** Each is counted once: by the operator when nobody reads the side output. */
export const lateRecords = <T>(context: OperatorContext<never>, tag: OutputTag<T> | undefined): TakeLate<T> => {
  const dropped = context.metrics.getCounter('numLateRecordsDropped');
  return (value, timestamp) => {
    if (tag === undefined || !context.output.isRead(tag)) dropped.inc();
    if (tag !== undefined) context.output.side(tag, value, timestamp);
  };
};

/** Refuses a record without a timestamp. `what` says in the message what needs one. */
export const needTimestamp = (timestamp: Timestamp, uid: string, what = 'event-time windows'): void => {
  if (timestamp === MIN_TIMESTAMP)
    throw new StreamError('TIMESTAMP_MISSING', `a record without a timestamp came to the ${what} of \`${uid}\``);
};

/**
 * How long a window stays behind its end. One that has fired and has no lateness since a restart goes with the next
 * watermark, by a timer that does not fire it again.
 */
export const staysMs = (latenessMs: number, hasFired: boolean): number =>
  hasFired ? Math.max(latenessMs, 1) : latenessMs;
