/**
 * Code of a user for whose end a checkpoint waits: a sink's while it writes, seals or commits, and whatever opens,
 * since a job that starts takes none. Whoever waits for a checkpoint there waits for himself, and that would have no
 * end (I10). Each such call is noted, and no record.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { StreamError } from '../../core/errors.ts';

export interface WaitedCode {
  /** The job whose checkpoint waits: it may wait for that of another one. */
  readonly jobId: string;
  /** Whose code it is. */
  readonly what: string;
  readonly uid?: string | undefined;
}

/** A call of it. What it has started and left behind may go on, and is waited for no more. */
interface WaitedCall {
  readonly code: WaitedCode;
  isOpen: boolean;
}

const calls = new AsyncLocalStorage<WaitedCall | undefined>();

/** How many are open. On Node 20 every promise of the process costs more while contexts are kept. */
let openCalls = 0;

/** Calls it and waits for what it returns. */
export const waitFor = async <R>(code: WaitedCode, call: () => R | PromiseLike<R>): Promise<R> => {
  const waited = { code, isOpen: true };
  openCalls += 1;
  try {
    return await calls.run(waited, call);
  } finally {
    waited.isOpen = false;
    openCalls -= 1;
    if (openCalls === 0) calls.disable(); // Until the next one runs.
  }
};

/**
 * Asks for a checkpoint of a job, for code of anybody. Asked for inside of code that it waits for it is taken as well,
 * and the promise is a refusal for whoever awaits it: one that only asks hears of nothing.
 */
export const askForCheckpoint = (jobId: string, ask: () => Promise<void>): Promise<void> => {
  const waited = calls.getStore();
  if (waited?.isOpen !== true || waited.code.jobId !== jobId) return ask();
  const { what, uid } = waited.code;
  // What comes of it, listeners of the job too, belongs to that code no more.
  const taken = calls.run(undefined, ask);
  taken.catch(() => {}); // The job tells of a failure.
  const refused = Promise.reject(
    new StreamError('WAITS_FOR_ITSELF', `a checkpoint waits for code of ${what}, which can not await it`, {
      ...(uid !== undefined && { details: { uid } }),
    }),
  );
  refused.catch(() => {});
  return refused;
};
