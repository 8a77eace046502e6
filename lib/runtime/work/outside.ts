/**
 * Failures that came from outside (a durable call that was refused), and not from code of the pipeline that would fail
 * again.
 */
const outside = new WeakSet<object>();

export const noteOutside = (error: unknown): void => {
  if (typeof error === 'object' && error !== null) outside.add(error);
};

export const isOutside = (error: unknown): boolean => typeof error === 'object' && error !== null && outside.has(error);
