/**
 * Tells apart what failed: the data or the work in hand, the code, or the job. What skips bad data must not take a
 * mistake in code for it: that would skip everything.
 *
 * Tells the failure of an action, a model or a tool from an error about the job. Strategies (`onError`,
 * `errorHandling`, a tool's answer) take the former only: a missing resource, a store that fails or a bug of ours would
 * otherwise drop every input in silence.
 */
import { concernsEveryInput } from './error-facts.ts';
import { InvariantError, isMistake, StreamError, type ErrorCode } from './errors.ts';

const ofTheEngine: ReadonlySet<ErrorCode> = new Set([
  'ASYNC_IN_TURN',
  'DIVERGED',
  'PLAN_CHANGED',
  'STATE_INCOMPATIBLE',
  'STORE_DAMAGED',
  'STORE_FAILED',
  'STORE_FORMAT',
  'STORE_LOCKED',
  'VALUE_DAMAGED',
  'WORK_ABORTED',
]);

const aboutTheJob: ReadonlySet<ErrorCode> = new Set([...ofTheEngine, 'AGENT_INVALID', 'RESOURCE_NOT_FOUND']);

/**
 * Whether the engine itself has said what is wrong: the work that met it, such as an action that read a damaged row, is
 * innocent, and its error keeps its code however deep it was thrown.
 */
export const isOfTheEngine = (error: unknown): boolean =>
  error instanceof InvariantError || (error instanceof StreamError && ofTheEngine.has(error.code));

/** What becomes of an error that would meet every input alike, such as a key that a model refuses. */
export type AccessError = 'fail-job' | 'as-input';

/**
 * Whether an error says something about the work in hand, and not about the job. Sees through `ACTION_FAILED`.
 * `onAccessError` @defaultValue 'fail-job'
 */
export const isOwnFailure = (error: unknown, onAccessError: AccessError = 'fail-job'): boolean =>
  (onAccessError === 'as-input' || !concernsEveryInput(error)) && isOfWork(error);

const isOfWork = (error: unknown): boolean => {
  if (error instanceof InvariantError) return false;
  if (!(error instanceof StreamError)) return true;
  if (error.code === 'ACTION_FAILED') return error.cause === undefined || isOfWork(error.cause);
  return !aboutTheJob.has(error.code);
};

/** What happens to an input whose work has failed for good. */
export type FailureStrategy = 'fail' | 'ignore' | 'dead-letter';

/**
 * Whether a strategy takes this failure, so that the job goes on. `ignore` leaves nothing of the input, so it takes no
 * mistake in code; a dead letter keeps the input with its error and may be sent again when the code is mended, but what
 * no input can cause, a name that does not exist, fails the job at the first.
 */
export const takesFailure = (strategy: FailureStrategy, error: unknown, onAccessError?: AccessError): boolean => {
  if (strategy === 'fail' || !isOwnFailure(error, onAccessError)) return false;
  const root = rootOf(error);
  return strategy === 'ignore' ? !isMistake(root) : !(isMistake(root) && nameOf(root) === 'ReferenceError');
};

/** What lies behind the errors of ours that name the operator, the action and the call. */
const rootOf = (error: unknown): unknown =>
  error instanceof StreamError && error.cause !== undefined ? rootOf(error.cause) : error;

const nameOf = (error: unknown): unknown => (error as { name?: unknown } | null)?.name; // Whatever was thrown.

// ---------- data that a parser refuses

/** What parses or checks a value and throws where it does not fit. */
export interface Parser {
  parse(value: unknown): unknown;
}

/**
 * Whether what a parser threw is its refusal of the data. A schema of a library says what does not fit in a list of
 * issues, and whatever else comes out of it is a mistake in what it was made of; a function that somebody wrote refuses
 * with any error that shows no mistake.
 */
export const isRefusal = (error: unknown, parser: Parser): boolean => {
  if (isListed(error, 'issues') || isListed(error, 'errors')) return true;
  return !('~standard' in parser) && !isMistake(error) && isOwnFailure(error);
};

const isListed = (error: unknown, name: 'issues' | 'errors'): boolean =>
  typeof error === 'object' &&
  error !== null &&
  // Any object may have it, or not.
  Array.isArray((error as Readonly<Record<string, unknown>>)[name]) &&
  !(error instanceof AggregateError);

/** Whether a library says that its schema has to wait, where it was asked for a value: zod's words, 3 and 4. */
export const needsToWait = (error: unknown): boolean =>
  error instanceof Error && /during synchronous parse/.test(error.message);
