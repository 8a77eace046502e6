/**
 * What one record gives leaves in the turn in hand, in which nothing else happens and nothing is heard, and waits in
 * memory where an operator behind takes its time. So it has a bound (I10, I20): a function that never comes to an end
 * is found there.
 */
import { StreamError } from './errors.ts';

/** Values that one record gives at most, unless an option says otherwise. */
export const valuesMaxDefault = 1_000_000;

/** The refusal of one more; `what` says of whom. */
export const tooManyValues = (
  what: string,
  max: number,
  options: { readonly uid?: string | undefined; readonly hint?: string | undefined },
): StreamError => {
  const { uid, hint } = options;
  const details = { ...(uid !== undefined && { uid }), valuesMax: max };
  return new StreamError('VALUES_EXCEEDED', `${what} gave more than ${max} values for one record`, { hint, details });
};
