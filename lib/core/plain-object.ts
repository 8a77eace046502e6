/**
 * What counts as a plain object, an array, a map and so on, whatever realm it comes from: a vm context, a test runner
 * and a structured clone have an `Object.prototype` of their own. The one place that knows it; instances of classes
 * that extend these are something else.
 */
import { types } from 'node:util';

/** Whether a prototype is the `Object.prototype` of this realm or of another one. */
const isRoot = (prototype: unknown): boolean =>
  prototype === Object.prototype ||
  (typeof prototype === 'object' &&
    prototype !== null &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, 'isPrototypeOf') &&
    Object.hasOwn(prototype, 'constructor'));

/** Made by `{}`, `Object.create(null)` or their like in another realm. */
export const isPlainObject = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || isRoot(prototype);
};

/**
 * Members of a list at most. A longer one is an array that was used as a map of large numbers (`byId[id] = ...`): the
 * holes in it are members to whoever copies or writes it, until V8 ends the process.
 */
const membersMax = 2 ** 25;

/** Whether an array is longer than anything that can be kept, for messages too. */
export const isTooLong = (value: object): boolean => Array.isArray(value) && value.length > membersMax;

/**
 * Made by `[]` and not by a class that extends `Array`: the prototype of arrays is an array itself, in every realm. One
 * that is too long to be kept is none.
 */
export const isPlainArray = (value: unknown): value is readonly unknown[] => {
  if (!Array.isArray(value) || isTooLong(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Array.prototype || Array.isArray(prototype);
};

/**
 * Whether the class of an object stands directly under `Object`, so that it is a built-in one and none that extends it.
 */
const isDirect = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value);
  return typeof prototype === 'object' && prototype !== null && isRoot(Object.getPrototypeOf(prototype));
};

export const isPlainMap = (value: object): value is ReadonlyMap<unknown, unknown> =>
  types.isMap(value) && isDirect(value);

export const isPlainSet = (value: object): value is ReadonlySet<unknown> => types.isSet(value) && isDirect(value);

export const isPlainDate = (value: object): value is Date => types.isDate(value) && isDirect(value);

/** A `Uint8Array` and no class that extends it; a `Buffer` is one too, and of this realm always. */
export const isPlainBytes = (value: object): value is Uint8Array => {
  if (!types.isUint8Array(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Between a `Uint8Array` and `Object` stands the class of all typed arrays.
  return prototype === Uint8Array.prototype || Buffer.isBuffer(value) || isDirect(prototype as object);
};

/** The name of an object's class, for messages; undefined where it has none. */
export const classNameOf = (value: object): string | undefined => {
  // Any object may be a prototype, with a constructor or without.
  const { name } = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor ?? {};
  return typeof name === 'string' && name !== '' ? name : undefined;
};
