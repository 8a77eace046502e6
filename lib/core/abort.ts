/**
 * The signals of ours. Whatever waits in a job listens to a signal of it (I10), and a job may have any number of
 * sources, sinks and calls: Node takes more than ten listeners for a leak and prints a warning. That what has ended
 * leaves no listener behind is looked at by tests instead. A test holds all code to the one function here.
 */
import { setMaxListeners } from 'node:events';

/** A controller to whose signal any number may listen. */
export const makeAbort = (): AbortController => {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
};
