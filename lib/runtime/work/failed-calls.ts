/**
 * What becomes of a body that nobody's code saved: an error with a code that says whose it is, and a journal that does
 * not hold the failed calls, so that the next start makes them again.
 */
import { InvariantError, isMistake, messageOf, StreamError } from '../../core/errors.ts';
import type { Rejection, Worker } from '../../core/work.ts';
import type { Journal } from '../journal/journal.ts';
import type { WorkItem } from './work-item.ts';

/** A call whose outcome is an error. */
export interface FailedCall {
  readonly call: number;
  readonly id: string;
  readonly args: string;
  readonly lsn: number;
  /** Takes its record back, if it is in no write yet. Undefined: it was found in the journal. */
  supersede?(): boolean;
}

/** One list for all: most bodies have none. */
export const noFailedCalls: readonly FailedCall[] = [];

/** Takes failed calls out of the journal again. True when a record had to be written for that. */
export const voidFailedCalls = (calls: readonly FailedCall[], item: WorkItem, journal: Journal): boolean => {
  const again = calls.filter((call) => call.supersede?.() !== true);
  for (const { call, id, args, lsn } of again) {
    journal.append({ kind: 'called', lsn, ...item.facts(), call, id, args, outcome: undefined }, () => {});
  }
  return again.length > 0;
};

/** What its worker says of a rejection. One that throws fails the job with what it throws: nobody else would hear. */
export const rejectionOf = (
  { onRejection = 'fail' }: Pick<Worker<unknown, unknown>, 'onRejection'>,
  error: unknown,
): { readonly kind: Rejection; readonly error: unknown } => {
  if (typeof onRejection !== 'function') return { kind: onRejection, error };
  try {
    return { kind: onRejection(error), error };
  } catch (thrown) {
    return { kind: 'fail', error: thrown };
  }
};

/** What a body rejected with, as an error with a code that says whose it is. */
export const workFailure = ({ title, details }: WorkItem, error: unknown): unknown =>
  error instanceof StreamError || error instanceof InvariantError
    ? error
    : new StreamError('WORK_FAILED', `${title} failed: ${messageOf(error)}`, {
        cause: error,
        retryable: !isMistake(error),
        details,
      });
