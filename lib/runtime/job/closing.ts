/**
 * Closes what one life of a job has opened. What fails to close undoes nothing that was done, and what hangs is left
 * behind (I18); neither keeps anything else open.
 */
import { messageOf } from '../../core/errors.ts';
import type { OpenStorage } from '../../state/store.ts';
import type { Domain } from '../domain/domain.ts';
import type { JobOptions } from './job-options.ts';
import type { WayOut } from './way-out.ts';

/**
 * How a life has ended. What it has opened is open until it is closed: parts that do not end in time are left behind.
 */
export interface Life {
  readonly failure: { readonly error: unknown } | undefined;
  readonly close: (limitMs: number) => Promise<void>;
}

/** What a life has opened so far. */
export interface Opened {
  storage?: OpenStorage | undefined;
  domain?: Domain;
}

interface ClosingOptions extends Pick<JobOptions, 'name' | 'logger' | 'resources'> {
  readonly wayOut: WayOut;
  /** What the domain and the resources may take, in milliseconds. */
  readonly limitMs: number;
  /** What the store may take, in milliseconds. */
  readonly storeLimitMs: number;
}

/** The store last: what is still open may write to it. */
export const closeOpened = async ({ domain, storage }: Opened, options: ClosingOptions): Promise<void> => {
  const { resources, limitMs, storeLimitMs } = options;
  await Promise.all((domain?.close() ?? []).map(({ what, closed }) => closeInTime(what, closed, limitMs, options)));
  if (resources !== undefined) await closeInTime('the resources of the agents', resources.close(), limitMs, options);
  if (storage !== undefined) await closeInTime('the store', storage.close(), storeLimitMs, options);
};

const closeInTime = async (
  what: string,
  closing: Promise<void>,
  limitMs: number,
  { name, logger, wayOut }: ClosingOptions,
): Promise<void> => {
  try {
    if (await wayOut.closed(closing, limitMs)) return;
    logger.warn({ job: name }, `job "${name}": ${what} did not close in time and is left behind`);
  } catch (error) {
    logger.warn({ job: name, error }, `job "${name}": ${what} failed to close: ${messageOf(error)}`);
  }
};
