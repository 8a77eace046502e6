/**
 * An error as plain data, for dead letters, events and whoever routes by them: its code, whether trying again can help,
 * the status that a provider answered with, and the code of what caused it. No stack.
 */
import { messageOf, StreamError } from './errors.ts';

export interface ErrorFacts {
  /** The code of a `StreamError` or of a system error, or the name of the error's class. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Whether trying again without a change can help; absent where nobody knows. */
  readonly retryable?: boolean | undefined;
  /** The HTTP status of the nearest cause that has one. */
  readonly status?: number | undefined;
  /** The innermost cause. */
  readonly cause?: { readonly code: string; readonly message: string } | undefined;
}

/** Longer chains of causes are not followed, a cycle neither. */
const causesMax = 10;

/** @example errorFacts(new StreamError('MODEL_REQUEST', 'refused', { details: { status: 401 } })).status; // 401 */
export const errorFacts = (error: unknown): ErrorFacts => {
  const chain: unknown[] = [error];
  for (let each = error; chain.length < causesMax && each instanceof Error && each.cause !== undefined;) {
    each = each.cause;
    chain.push(each);
  }
  const status = chain.map(statusOf).find((each) => each !== undefined);
  const root = chain.length > 1 ? chain.at(-1) : undefined;
  const { hint, retryable } = error instanceof StreamError ? error : { hint: undefined, retryable: undefined };
  return {
    code: codeOf(error),
    message: messageOf(error),
    ...(hint === undefined ? {} : { hint }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(status === undefined ? {} : { status }),
    ...(root === undefined ? {} : { cause: { code: codeOf(root), message: messageOf(root) } }),
  };
};

const codeOf = (error: unknown): string => {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && code !== '') return code;
  return error instanceof Error ? error.name : typeof error;
};

const statusOf = (error: unknown): number | undefined => {
  if (typeof error !== 'object' || error === null) return undefined;
  // Any object may have them, or not.
  const { status, details } = error as { status?: unknown; details?: { status?: unknown } };
  const found = details?.status ?? status;
  return typeof found === 'number' ? found : undefined;
};

/**
 * Statuses with which a provider refuses whoever asks, whatever the question: a key that is wrong or may not, a model
 * that is not there.
 */
const refusesAll: ReadonlySet<number> = new Set([401, 403, 404]);

/** Whether an error would meet every input alike: a model that refuses the key or is not there. */
export const concernsEveryInput = (error: unknown): boolean => {
  for (
    let each: unknown = error, depth = 0;
    each instanceof Error && depth < causesMax;
    each = each.cause, depth += 1
  ) {
    if (each instanceof StreamError && each.code === 'MODEL_REQUEST') return refusesAll.has(statusOf(each) ?? 0);
  }
  return false;
};
