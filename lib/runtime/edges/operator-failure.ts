/** What a user's function threw in a turn, as an error that says which operator of the graph it belongs to. */
import { asMistake, InvariantError, messageOf, StreamError } from '../../core/errors.ts';

/** An error that has a code already passes as it is: the operator nearest to it has named itself. */
export const operatorFailure = (uid: string | undefined, error: unknown): unknown =>
  error instanceof StreamError || error instanceof InvariantError
    ? error
    : new StreamError(
        'OPERATOR_FAILED',
        `${uid === undefined ? 'a function of the pipeline' : `operator \`${uid}\``} threw: ${messageOf(error)}`,
        {
          cause: error,
          ...asMistake(error),
          details: uid === undefined ? {} : { uid },
        },
      );
