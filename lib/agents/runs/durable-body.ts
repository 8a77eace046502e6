/**
 * Which durable function the code in hand belongs to, behind its `await`s too. A replay does not run that function, so
 * what it did to memory, events or the sequence of random numbers would be there without a crash and missing with one:
 * it is refused where it is done.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallContext } from '../../core/call.ts';

/** A durable function of the user that was started: an attempt of a call of one action. */
export interface DurableBody {
  /** The execution of the action. */
  readonly owner: object;
  readonly id: string;
  readonly call: CallContext;
}

const bodies = new AsyncLocalStorage<DurableBody>();

/** Runs a function as the body of a call. */
export const runBody = <A extends unknown[], R>(body: DurableBody, fn: (...args: A) => R, ...args: A): R =>
  bodies.run(body, fn, ...args);

/** The body of `owner` that the code in hand belongs to. */
export const bodyOf = (owner: object): DurableBody | undefined => {
  const body = bodies.getStore();
  return body?.owner === owner ? body : undefined;
};
