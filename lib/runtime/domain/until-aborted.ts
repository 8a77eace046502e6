/** Waits that end with the domain: a journal that has failed acknowledges nothing any more, so a promise may never settle (I10). */

/** Settles as the promise does, or rejects with the signal's reason when that comes first. */
export const untilAborted = async (promise: Promise<void>, signal: AbortSignal): Promise<void> => {
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};
