/**
 * Values that code changes, through and through, and a hoard of what it has had in its hands: for the stages of
 * `changing-stages.ts`.
 */
import type { DataStream } from 'millrace';

export interface Value {
  readonly key: string;
  readonly ts: number;
  seen: string[];
  inner: { n: number; map: Map<string, number[]>; at: Date };
}

export const keys = ['a', 'b', 'c'];

export const inputOf = (n: number): Value => ({
  key: keys[n % keys.length] as string,
  ts: n % 4 === 3 ? Math.max(0, 10 * n - 50) : 10 * n, // Some come late, to a window that has fired.
  seen: [`input ${n}`],
  inner: { n, map: new Map([['m', [n]]]), at: new Date(n) },
});

/** Changes whatever it gets, through and through. */
export const change = (value: unknown, mark: string): void => {
  if (typeof value !== 'object' || value === null || value instanceof Error) return;
  if (value instanceof Map) {
    for (const each of value.values()) change(each, mark);
    value.set(mark, [1]);
  } else if (value instanceof Date) value.setTime(value.getTime() + 1);
  else if (Array.isArray(value)) {
    for (const each of value) change(each, mark);
    value.push(typeof value[0] === 'number' ? 7 : mark);
  } else if (Object.hasOwn(value, 'seen') || Object.hasOwn(value, 'map') || Object.hasOwn(value, 'list')) {
    for (const each of Object.values(value)) change(each, mark);
    if (Object.hasOwn(value, 'n')) (value as { n: number }).n += 100;
  }
};

export const bounded = (value: Value): Value => ({
  ...value,
  seen: value.seen.slice(-12),
  inner: { ...value.inner, map: new Map([...value.inner.map].slice(-6).map(([name, list]) => [name, list.slice(-4)])) },
});

/** How many objects are remembered. */
const hoardMax = 80;

/** Makes of an object what can't be stored any more, and has nothing in it that was there. */
const spoil = (value: unknown): void => {
  if (typeof value !== 'object' || value === null || value instanceof Error || Object.isFrozen(value)) return;
  if (value instanceof Map) {
    value.forEach(spoil);
    value.clear();
    value.set('spoilt', () => {});
  } else if (value instanceof Date) value.setTime(-1);
  else if (Array.isArray(value)) {
    value.forEach(spoil);
    value.splice(0, value.length, () => {});
  } else {
    Object.values(value).forEach(spoil);
    for (const name of Object.keys(value)) Reflect.set(value, name, () => {});
  }
};

/**
 * Objects that user code has had in its hands. They are spoilt when nothing is in hand any more: in a macrotask, and
 * those of turns also where the next record comes in.
 */
export class Hoard {
  #ofTurns: unknown[] = [];
  #ofBodies: unknown[] = [];
  #isDue = false;

  /** Of a turn, which gives back the first. */
  add<T>(value: T, ...others: readonly unknown[]): T {
    this.#ofTurns.push(value, ...others);
    this.#ask();
    return value;
  }

  /** Of an asynchronous body that is at its end. */
  addLast<T>(value: T, ...others: readonly unknown[]): T {
    this.#ofBodies.push(value, ...others);
    this.#ask();
    return value;
  }

  /** A record comes in: the turn of the one before it is over. */
  spoilTurns(): void {
    this.#ofTurns = this.#ofTurns.slice(-hoardMax);
    this.#ofTurns.forEach(spoil);
  }

  /** The same stream, whose values a listener changes and keeps, if there is one. */
  listen(stream: DataStream<Value>, isListening: boolean): DataStream<Value> {
    const values = stream.asObservable();
    if (!isListening) return stream;
    values.subscribe({
      next: (value) => {
        change(value, 'listener');
        this.add(value);
      },
      error: () => {}, // The job tells it too.
    });
    return stream;
  }

  #ask(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.spoilTurns();
      this.#ofBodies = this.#ofBodies.slice(-hoardMax);
      this.#ofBodies.forEach(spoil);
    });
  }
}
