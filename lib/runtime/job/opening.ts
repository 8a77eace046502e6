/**
 * How the place for state of a life is opened, and filled from a savepoint where it is to be: in the time that a stop
 * leaves. What comes later is closed, since nobody else knows of it (I18).
 */
import type { Clock } from '../../core/clock.ts';
import type { Storage } from '../../state/store.ts';
import type { RestoredOn } from '../recovery/savepoint.ts';
import type { Opened } from './closing.ts';
import type { Savepoints } from './savepoints.ts';
import type { WayOut } from './way-out.ts';

export interface Opening {
  readonly storage: Storage | undefined;
  readonly savepoints: Savepoints;
  readonly wayOut: WayOut;
  readonly declared: RestoredOn['declared'];
}

/** False: the job was asked to leave, and the time is over. */
export const openStorage = async (opened: Opened, options: Opening): Promise<boolean> => {
  const { storage, savepoints, wayOut, declared } = options;
  if (storage === undefined) return wayOut.inTime(Promise.resolve());
  if (!(await wayOut.inTime(savepoints.beforeOpening(declared)))) return false;
  const opening = storage.open();
  if (!(await wayOut.inTime(opening))) {
    opening.then((late) => late.close()).catch(() => {});
    return false;
  }
  const open = await opening;
  opened.storage = open; // Also when it can't be filled: then it is closed.
  const beginning = savepoints.begin(open, declared);
  if (!(await wayOut.inTime(beginning))) return false;
  opened.storage = await beginning;
  return true;
};

/** Made when it is first asked for. */
export const once = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
};

/** For a job that keeps nothing: the same over its restarts in this process, and no other run has it. */
export const memoryId = (clock: Clock): string =>
  `memory-${[clock.random(), clock.random()].map((each) => each.toString(36).slice(2, 10)).join('')}`;
