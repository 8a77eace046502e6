/** What happens to an input that fails for good: the letter of the dead-letter side output, and the options that say so. */
import type { Key } from '../lib/core/key.ts';
import type { OutputTag } from '../lib/core/operator.ts';
import { oneOf, refusal } from '../lib/core/options.ts';

/** An input whose run failed for good. */
export interface DeadLetter<I = unknown> {
  readonly key: Key;
  readonly input: I;
  readonly action: string;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string | undefined };
}

type OnError = 'fail' | 'ignore' | 'dead-letter';

export interface ErrorOptions {
  readonly onError?: OnError | undefined;
  readonly deadLetters?: OutputTag<DeadLetter> | undefined;
}

/** Gives what happens to an input that fails, and refuses options that say one thing and would do another. */
export const checkErrorOptions = ({ onError, deadLetters }: ErrorOptions): OnError => {
  if (onError !== undefined) oneOf('onError', onError, ['fail', 'ignore', 'dead-letter']);
  if (deadLetters !== undefined && typeof deadLetters?.id !== 'string') throw refusal('deadLetters', 'an OutputTag', deadLetters);
  if (onError === 'dead-letter' && deadLetters === undefined) throw refusal('onError', "'fail' or 'ignore' where no `deadLetters` are given", onError);
  if (onError !== undefined && onError !== 'dead-letter' && deadLetters !== undefined)
    throw refusal('onError', "'dead-letter' or left out where `deadLetters` are given", onError);
  return onError ?? (deadLetters === undefined ? 'fail' : 'dead-letter');
};
