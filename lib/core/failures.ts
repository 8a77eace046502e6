/**
 * What code of somebody else throws or rejects with, told with a code, whose it was and what to do: the one rule for
 * every door (sources, sinks, operators, stores, hooks), whatever was thrown and however.
 */
import { asMistake, InvariantError, messageOf, StreamError, type ErrorCode } from './errors.ts';

/** Says what has failed: `what` begins the message. */
export interface Failing {
  readonly code: ErrorCode;
  readonly what: string;
  /** Of the operator, source or sink. */
  readonly uid?: string | undefined;
  readonly hint?: string | undefined;
}

/** An error with the code. One that has a code already passes as it is: who is nearest to it has named it. */
export const failureOf = (cause: unknown, { code, what, uid, hint }: Failing): StreamError | InvariantError => {
  if (cause instanceof StreamError || cause instanceof InvariantError) return cause;
  return new StreamError(code, `${what}: ${messageOf(cause)}`, {
    cause,
    ...(hint !== undefined && { hint }),
    ...asMistake(cause),
    ...(uid !== undefined && { details: { uid } }),
  });
};

/** Calls it in the turn in hand. */
export const named = <R>(failing: Failing, call: () => R): R => {
  try {
    return call();
  } catch (error) {
    throw failureOf(error, failing);
  }
};

/** Calls it and waits for what it returns, be that a promise or not. */
export const namedAsync = async <R>(failing: Failing, call: () => R | PromiseLike<R>): Promise<R> => {
  try {
    return await call();
  } catch (error) {
    throw failureOf(error, failing);
  }
};
