/**
 * Tells the failure of an action, a model or a tool from an error about the job. Strategies (`onError`, `errorHandling`, a tool's answer)
 * take the former only: a missing resource, a store that fails or a bug of ours would otherwise drop every input in silence.
 */
import { InvariantError, StreamError, type ErrorCode } from './errors.ts';

const aboutTheJob: ReadonlySet<ErrorCode> = new Set([
  'AGENT_INVALID',
  'ASYNC_IN_TURN',
  'DIVERGED',
  'PLAN_CHANGED',
  'RESOURCE_NOT_FOUND',
  'STATE_INCOMPATIBLE',
  'STORE_DAMAGED',
  'STORE_FAILED',
  'STORE_FORMAT',
  'STORE_LOCKED',
  'VALUE_DAMAGED',
  'WORK_ABORTED',
]);

/** Whether an error says something about the work in hand, and not about the job. Sees through `ACTION_FAILED`. */
export const isOwnFailure = (error: unknown): boolean => {
  if (error instanceof InvariantError) return false;
  if (!(error instanceof StreamError)) return true;
  if (error.code === 'ACTION_FAILED') return error.cause === undefined || isOwnFailure(error.cause);
  return !aboutTheJob.has(error.code);
};
