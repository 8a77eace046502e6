/**
 * What happens to an input that fails for good: the letter of the dead-letter side output, and the options that say so.
 */
import { errorFacts, type ErrorFacts } from '../lib/core/error-facts.ts';
import type { Key } from '../lib/core/key.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import { oneOf, refusal } from '../lib/core/options.ts';

/** An input whose run failed for good. */
export interface DeadLetter<I = unknown> {
  readonly key: Key;
  readonly input: I;
  readonly action: string;
  /** Code, message, hint, whether trying again can help, the status of a provider, and the code of what caused it. */
  readonly error: ErrorFacts;
}

/** Refuses a tag that carries something else than the dead letters of inputs `I`; of `D` it says what it carries. */
export type FitsDeadLetters<I, D> =
  DeadLetter<I> extends D ? unknown : { readonly deadLetters: OutputTag<DeadLetter<I>> };

type OnError = 'fail' | 'ignore' | 'dead-letter';

export interface ErrorOptions {
  readonly onError?: OnError | undefined;
  readonly deadLetters?: OutputTag<DeadLetter> | undefined;
}

/** Gives what happens to an input that fails, and refuses options that say one thing and would do another. */
export const checkErrorOptions = ({ onError, deadLetters }: ErrorOptions): OnError => {
  if (onError !== undefined) oneOf('onError', onError, ['fail', 'ignore', 'dead-letter']);
  if (deadLetters !== undefined && typeof deadLetters?.id !== 'string')
    throw refusal('deadLetters', 'an OutputTag', deadLetters);
  if (onError === 'dead-letter' && deadLetters === undefined)
    throw refusal('onError', "'fail' or 'ignore' where no `deadLetters` are given", onError);
  if (onError !== undefined && onError !== 'dead-letter' && deadLetters !== undefined)
    throw refusal('onError', "'dead-letter' or left out where `deadLetters` are given", onError);
  return onError ?? (deadLetters === undefined ? 'fail' : 'dead-letter');
};

/** The letter of a failure. */
export const letterOf = <I>({
  error,
  ...facts
}: Pick<DeadLetter<I>, 'key' | 'input' | 'action'> & { readonly error: unknown }): DeadLetter<I> => ({
  ...facts,
  error: errorFacts(error),
});
