/**
 * The one rule of handing over (I21): who keeps a value beyond the turn, or hands it to code that runs outside of one,
 * keeps or hands over a copy. Inside a turn values are shared, since a replay does the same again; what two readers
 * hold across turns would be changed by the one and stored for the other, and an outcome would depend on whether there
 * was a crash. A primitive costs nothing.
 */
import {
  classNameOf,
  isPlainArray,
  isPlainBytes,
  isPlainDate,
  isPlainMap,
  isPlainObject,
  isPlainSet,
} from './plain-object.ts';
import { decodeText, encodeOnce } from './serde.ts';
import { depthMax as storedDepthMax } from './value-path.ts';

const notPlain = Symbol('not plain');

/** Deeper values go the long way, which knows their bound and finds cycles. */
const depthMax = 200;

/**
 * A copy of a value that shares no object with it: what a store gives back of it, at once. Throws `NOT_SERIALISABLE`
 * with the path to what can not be stored.
 */
export const ownCopy = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol') encodeOnce(value);
    return value;
  }
  const copy = plainCopy(value, stored, 0);
  // The stored form brings back what it was given, so the type is the same.
  return (copy === notPlain ? decodeText(encodeOnce(value)) : copy) as T;
};

/**
 * A copy for doors where values are only passed on and need not be storable: what can not be stored (an instance of a
 * class, a function) is passed on as it is, and what holds it is copied around it.
 */
export const looseCopy = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) return value;
  const copy = plainCopy(value, passedOn, 0);
  // A copy has the type of what it is a copy of.
  return (copy === notPlain ? new LooseCopy((other) => other).of(value) : copy) as T;
};

/** A copy that can be stored of anything: in the place of what can't be stored stands a text that says what it was. */
export const storableCopy = (value: unknown): unknown => {
  try {
    return ownCopy(new LooseCopy((other) => `[${nameOf(other)}]`).of(value));
  } catch {
    return `[${nameOf(value)}]`; // It contains itself, say.
  }
};

const nameOf = (value: unknown): string =>
  typeof value === 'object' && value !== null ? (classNameOf(value) ?? 'object') : typeof value;

/** Whether members under symbols, which no store keeps, are looked for: that takes as long as the copy. */
type Symbols = typeof stored | typeof passedOn;
const stored = true;
const passedOn = false;

/**
 * The quick way for what JSON can say; `notPlain` for everything else. V8 clones the shape of an object that is spread,
 * and makes one made member by member anew; what is looked at is the copy, since a getter may say something else twice.
 */
const plainCopy = (value: object, symbols: Symbols, depth: number): unknown => {
  if (depth > depthMax) return notPlain;
  if (Object.getPrototypeOf(value) !== Object.prototype && !isPlainObject(value))
    return isPlainArray(value) ? arrayCopy(value, symbols, depth) : notPlain;
  const copy: Record<string, unknown> = { ...value };
  if (symbols && Object.getOwnPropertySymbols(copy).length > 0) return notPlain;
  for (const name in copy) if (!isFlat(copy[name])) return withMembers(copy, symbols, depth);
  return copy;
};

const isFlat = (member: unknown): boolean =>
  typeof member === 'object' ? member === null : typeof member !== 'function' && typeof member !== 'symbol';

const withMembers = (copy: Record<string, unknown>, symbols: Symbols, depth: number): unknown => {
  for (const name of Object.keys(copy)) {
    const member = memberCopy(copy[name], symbols, depth);
    if (member === notPlain || name === '__proto__') return notPlain;
    copy[name] = member;
  }
  return copy;
};

const arrayCopy = (values: readonly unknown[], symbols: Symbols, depth: number): unknown => {
  const copy: unknown[] = [];
  for (const value of values) {
    const member = memberCopy(value, symbols, depth);
    if (member === notPlain) return notPlain;
    copy.push(member);
  }
  return copy;
};

const memberCopy = (member: unknown, symbols: Symbols, depth: number): unknown => {
  if (typeof member === 'object' && member !== null) return plainCopy(member, symbols, depth + 1);
  return isFlat(member) ? member : notPlain;
};

/**
 * Copies what is plain; `other` says what stands for the rest. One object stays one, which ends the walk through a
 * cycle too.
 */
class LooseCopy {
  readonly #copies = new Map<object, unknown>();
  readonly #other: (value: unknown) => unknown;
  #depth = 0;

  constructor(other: (value: unknown) => unknown) {
    this.#other = other;
  }

  of(value: unknown): unknown {
    if (typeof value === 'function' || typeof value === 'symbol') return this.#other(value);
    if (typeof value !== 'object' || value === null) return value;
    const copy = this.#copies.get(value);
    if (copy !== undefined) return copy;
    if (this.#depth === storedDepthMax) return this.#other(value); // No store takes it, and the stack has an end.
    this.#depth += 1;
    try {
      return this.#copyOf(value);
    } finally {
      this.#depth -= 1;
    }
  }

  #copyOf(value: object): unknown {
    if (isPlainArray(value)) {
      const copy = this.#made<unknown[]>(value, []);
      for (const each of value) copy.push(this.of(each));
      return copy;
    }
    if (isPlainMap(value)) {
      const copy = this.#made(value, new Map());
      for (const [key, each] of value) copy.set(this.of(key), this.of(each));
      return copy;
    }
    if (isPlainSet(value)) {
      const copy = this.#made(value, new Set());
      for (const each of value) copy.add(this.of(each));
      return copy;
    }
    if (isPlainDate(value)) return this.#made(value, new Date(value.getTime()));
    if (isPlainBytes(value)) return this.#made(value, Buffer.isBuffer(value) ? Buffer.from(value) : value.slice());
    return isPlainObject(value) ? this.#record(value) : this.#other(value);
  }

  #record(value: Record<string, unknown>): unknown {
    // A prototype is an object or null, and so is what is made an object.
    const copy = this.#made(value, Object.create(Object.getPrototypeOf(value) as object | null) as object);
    for (const name of Object.keys(value)) {
      const member = { value: this.of(value[name]), enumerable: true, writable: true, configurable: true };
      Object.defineProperty(copy, name, member); // Not an assignment: a name may be `__proto__`.
    }
    return copy;
  }

  #made<C extends object>(value: object, copy: C): C {
    this.#copies.set(value, copy);
    return copy;
  }
}

/** What changes a `Map`, a `Set` or a `Date` whose own fields are frozen. */
const changing = (value: object): readonly string[] => {
  if (value instanceof Map) return ['set', 'delete', 'clear'];
  if (value instanceof Set) return ['add', 'delete', 'clear'];
  if (!(value instanceof Date)) return [];
  return Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith('set'));
};

const refuseChange = (): never => {
  throw new TypeError('Cannot assign to read only property: the object is frozen'); // As V8 says it of a plain object.
};

/**
 * Freezes a value with all it holds, so that who changes it later is told where it does: for tests. Typed arrays can't
 * be frozen and are left as they are.
 */
export const deepFreeze = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value;
  for (const name of changing(value)) Object.defineProperty(value, name, { value: refuseChange });
  Object.freeze(value);
  if (value instanceof Map) for (const pair of value) pair.forEach(deepFreeze);
  else if (value instanceof Set) value.forEach(deepFreeze);
  else Object.values(value).forEach(deepFreeze);
  return value;
};
