/**
 * Waits that have an end (I10, I18): with a signal, or with a limit. What is waited for may be code of a user or a
 * service that never answers, so nothing of ours awaits it bare.
 */
/**
 * Settles as the promise does, or rejects with the signal's reason when that comes first. What comes later is let go
 * of.
 */
export const untilAborted = async <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> => {
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error); // Every signal of ours is aborted with an error.
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

/**
 * What opens something, until the signal is aborted: what opens after that is closed again, since nobody else knows of
 * it.
 */
export const openedUntilAborted = async <T>(
  opening: Promise<T>,
  signal: AbortSignal,
  close: (late: T) => Promise<void>,
): Promise<T> => {
  try {
    return await untilAborted(opening, signal);
  } catch (error) {
    if (signal.aborted) opening.then(close).catch(() => {}); // The job is over, and has been told why.
    throw error;
  }
};
