/**
 * Copies of values at the doors of an action. What is sent, remembered or read is a copy, so that changing an object later changes
 * neither an event under way nor the memory of a key: a change that no record knows would be lost by a crash (part of I6).
 */
import { isPlainArray, isPlainObject } from '../core/plain-object.ts';
import { decodeText, encodeText } from '../core/serde.ts';

const notPlain = Symbol('not plain');

/** Deeper values go the long way, which knows their bound and finds cycles. */
const depthMax = 200;

/** A copy of a value that shares no object with it. Throws `NOT_SERIALISABLE` with the path to what can not be stored. */
export const detached = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol') encodeText(value);
    return value;
  }
  const copy = plainCopy(value, 0);
  // The serialised form brings back what it was given, so the type is the same.
  return (copy === notPlain ? decodeText(encodeText(value)) : copy) as T;
};

/** The quick way for what JSON can say; `notPlain` for everything else. */
const plainCopy = (value: unknown, depth: number): unknown => {
  if (typeof value !== 'object') return typeof value === 'function' || typeof value === 'symbol' ? notPlain : value;
  if (value === null) return null;
  if (depth > depthMax) return notPlain;
  if (isPlainArray(value)) return arrayCopy(value, depth);
  if (!isPlainObject(value)) return notPlain;
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    const member = plainCopy(value[name], depth + 1);
    if (member === notPlain || name === '__proto__') return notPlain;
    copy[name] = member;
  }
  return copy;
};

const arrayCopy = (values: readonly unknown[], depth: number): unknown => {
  const copy: unknown[] = [];
  for (const value of values) {
    const member = plainCopy(value, depth + 1);
    if (member === notPlain) return notPlain;
    copy.push(member);
  }
  return copy;
};
