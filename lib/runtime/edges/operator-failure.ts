/** What a user's function threw in a turn, as an error that says which operator of the graph it belongs to. */
import { failureOf, type Failing } from '../../core/failures.ts';

/** What is said of an operator, or of whoever it was. */
export const failingOperator = (uid: string | undefined): Failing => ({
  code: 'OPERATOR_FAILED',
  what: `${uid === undefined ? 'a function of the pipeline' : `operator \`${uid}\``} threw`,
  uid,
});

/** An error that has a code already passes as it is: the operator nearest to it has named itself. */
export const operatorFailure = (uid: string | undefined, error: unknown): unknown =>
  failureOf(error, failingOperator(uid));
