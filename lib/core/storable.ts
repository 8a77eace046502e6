/**
 * Whether a value can be stored, and refusals that say whose value it is. What is to be stored is looked at when it
 * comes in, with a place for state or without one: later nobody knows who put it there, and it would end the job at a
 * checkpoint, for every key.
 */
import { types } from 'node:util';
import { StreamError } from './errors.ts';
import { ownCopy } from './own-copy.ts';
import { isPlainArray, isPlainBytes, isPlainDate, isPlainMap, isPlainObject, isPlainSet } from './plain-object.ts';
import { encodeOnce } from './serde.ts';
import { depthMax } from './value-path.ts';

/** Refuses with `NOT_SERIALISABLE` what can not be stored, naming `what` and the path inside the value. */
export const assertStorable = (value: unknown, what: () => string): void => {
  if (!isStorable(value)) named(what, () => encodeOnce(value)); // Knows the path and says what is wrong there.
};

/**
 * A copy to keep (I21), refused like that. The walk that copies is the one that finds what can't be stored, so what was
 * looked at is what is kept.
 */
export const ownStorable = <T>(value: T, what: () => string): T => named(what, () => ownCopy(value));

const named = <R>(what: () => string, make: () => R): R => {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof StreamError)) throw cause;
    throw new StreamError('NOT_SERIALISABLE', `${what()}: ${cause.message}`, { details: cause.details });
  }
};

/**
 * Found without making text of it. Agrees with `encodeText`; a test holds the two together. A primitive costs next to
 * nothing, an object its walk.
 */
export const isStorable = (value: unknown): boolean => isStorableAt(value, 0);

const isStorableAt = (value: unknown, depth: number): boolean => {
  if (typeof value !== 'object') return typeof value !== 'function' && typeof value !== 'symbol';
  if (value === null) return true;
  // Deeper than that there is a cycle, or something that `encodeText` refuses as well.
  if (depth >= depthMax) return false;
  if (isPlainArray(value)) {
    // By number: an iterator makes an object for each member.
    for (let at = 0; at < value.length; at += 1) if (!isStorableAt(value[at], depth + 1)) return false;
    return true;
  }
  if (isPlainObject(value)) {
    for (const name in value) if (!isStorableAt(value[name], depth + 1)) return false;
    return true;
  }
  if (isPlainMap(value)) return allStorable(value.keys(), depth + 1) && allStorable(value.values(), depth + 1);
  if (isPlainSet(value)) return allStorable(value, depth + 1);
  // What hangs on an error and can't be stored is left out when it is.
  return isPlainDate(value) || isPlainBytes(value) || value instanceof Error || types.isNativeError(value);
};

const allStorable = (values: Iterable<unknown>, depth: number): boolean => {
  for (const value of values) if (!isStorableAt(value, depth)) return false;
  return true;
};
