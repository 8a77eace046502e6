/**
 * Outcomes at the hand-over from the code that made them to the code that gets them (I21): what is recorded is fixed as
 * text then and there, and the reader gets what the record would give back after a crash. So nothing that either side
 * changes later is recorded or seen, and code behaves alike whether an outcome was just made or read.
 */
import { messageOf, StreamError } from '../../core/errors.ts';
import type { Outcome } from '../../core/work.ts';
import { deepFreeze, ownCopy } from '../../core/own-copy.ts';
import { decodeText, EncodedText, encodeOnce, encodeText } from '../../core/serde.ts';

export interface HandedOver {
  /** For the record. */
  readonly recorded: Outcome<unknown>;
  /** For the reader. */
  readonly given: Outcome<unknown>;
}

/**
 * Hands over an outcome. One that can't be stored becomes an error that says so, and names `what`. `freeze`: a test
 * mode.
 */
export const handOver = (
  outcome: Outcome<unknown>,
  { what, freeze }: { readonly what: () => string; readonly freeze: boolean },
): HandedOver => {
  try {
    return outcome.ok ? valueHandedOver(outcome, freeze) : errorHandedOver(outcome.error);
  } catch (cause) {
    const options = cause instanceof StreamError ? { details: cause.details } : {};
    return errorHandedOver(
      new StreamError('NOT_SERIALISABLE', `the outcome of ${what()} can not be kept: ${messageOf(cause)}`, options),
    );
  }
};

/** Whether an outcome needs no copy. */
export const isImmutable = (outcome: Outcome<unknown>): boolean => outcome.ok && isPrimitive(outcome.value);

/** What a record keeps of a value that nobody else holds. */
export const fixed = (value: unknown): unknown => (isPrimitive(value) ? value : new EncodedText(encodeText(value)));

const isPrimitive = (value: unknown): boolean => {
  const type = typeof value;
  return value === null || (type !== 'object' && type !== 'function' && type !== 'symbol');
};

const valueHandedOver = (outcome: Outcome<unknown> & { readonly ok: true }, freeze: boolean): HandedOver => {
  const { value } = outcome;
  if (isPrimitive(value)) return { recorded: outcome, given: outcome };
  // Read once: a getter or a proxy may say something else the next time, and the record must be what is given.
  const copy = ownCopy(value);
  return {
    recorded: { ok: true, value: new EncodedText(encodeText(copy)) },
    given: { ok: true, value: freeze ? deepFreeze(copy) : copy },
  };
};

/**
 * Whoever catches it sees the class that it will have when it is read; where it was thrown is worth keeping as long as
 * it is known.
 */
const errorHandedOver = (error: unknown): HandedOver => {
  const recorded = new EncodedText(encodeOnce(error));
  const given = decodeText(recorded.text);
  if (given instanceof Error && error instanceof Error && error.stack !== undefined) {
    Object.defineProperty(given, 'stack', {
      value: error.stack,
      enumerable: false,
      writable: true,
      configurable: true,
    });
  }
  return { recorded: { ok: false, error: recorded }, given: { ok: false, error: given } };
};
