/**
 * Whoever only listens decides nothing: what a listener throws, or what its promise rejects with, is told once as a
 * warning of the process, and nothing else comes of it. Who calls code of a user and wants nothing back calls it by
 * this.
 */
import { types } from 'node:util';
import { messageOf } from './errors.ts';

/** The listener as one that never throws. `what` begins the warning: ``the listener `onSkipped` of jsonLines``. */
export const harmless = <A extends readonly unknown[]>(
  what: string,
  listener: (...facts: A) => unknown,
): ((...facts: A) => void) => {
  let told = false;
  const failed = (error: unknown): void => {
    if (!told) process.emitWarning(`${what} threw: ${messageOf(error)}`, 'MillraceWarning');
    told = true;
  };
  return (...facts) => {
    try {
      const returned = listener(...facts);
      // A foreign one is left alone: many start what they stand for when somebody asks them for it.
      if (types.isPromise(returned)) returned.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  };
};
