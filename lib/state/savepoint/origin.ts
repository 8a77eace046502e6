/**
 * The row that says which savepoint a state database was made of: written before anything else of it, and completed in
 * the batch that brings the checkpoint. So a restore that was interrupted is known, and begins again.
 */
import type { Store, StoreBatch } from '../store.ts';
import { StreamError } from '../../core/errors.ts';
import { frameValue, unframeValue } from '../../core/frame.ts';
import { prefixes } from '../layout.ts';

export interface Origin {
  /** The id of the savepoint, and the path it was read from. */
  readonly savepoint: string;
  readonly path: string;
  /** The id of the job that goes on: it is part of what names calls outside. */
  readonly jobId: string;
  readonly complete: boolean;
}

const originKey = Uint8Array.of(prefixes.origin);

export const readOrigin = (store: Store): Origin | undefined => {
  const value = store.get(originKey);
  // Framed, so written below.
  return value === undefined ? undefined : (unframeValue(value, 'the origin of the state') as Origin);
};

export const putOrigin = (batch: StoreBatch, origin: Origin): void => batch.put(originKey, frameValue(origin));

/** Refuses a state that holds a part of a savepoint. */
export const assertComplete = (origin: Origin | undefined): void => {
  if (origin === undefined || origin.complete) return;
  throw new StreamError('STORE_DAMAGED', `restoring the savepoint '${origin.path}' was interrupted`, {
    hint: 'start again with the same `restoreFrom`: it begins anew',
  });
};
