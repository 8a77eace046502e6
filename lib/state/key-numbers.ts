/**
 * Small numbers for the keys of one operator of which anything is in memory: what its states hold of a key stands in
 * lists, at the number of the key, so that one look-up serves all states of a record. A number is given anew when
 * nothing is left of its key, so that lists are no longer than the keys that there were at once.
 */
import { invariant } from '../core/errors.ts';
import type { MapKey } from '../core/key.ts';

export class KeyNumbers {
  readonly #numbers = new Map<MapKey, number>();
  #keys: MapKey[] = [];
  /** What is in memory of each number. */
  #cells: number[] = [];
  #free: number[] = [];

  /** All numbers are smaller. */
  get end(): number {
    return this.#keys.length;
  }

  /** Keys that have a number. */
  get size(): number {
    return this.#numbers.size;
  }

  /** The number of a key, -1 when nothing is in memory of it. */
  find(key: MapKey): number {
    return this.#numbers.get(key) ?? -1;
  }

  keyOf(number: number): MapKey {
    return this.#keys[number] as MapKey; // Numbers come from here.
  }

  /** One cell more of a key is in memory. Gives the key's number. */
  hold(key: MapKey): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) {
      this.#cells[known] = (this.#cells[known] ?? 0) + 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#keys.length;
    this.#numbers.set(key, number);
    this.#keys[number] = key;
    this.#cells[number] = 1;
    return number;
  }

  /** One cell less. True when that was the last, and the number is nobody's. */
  release(number: number): boolean {
    const left = (this.#cells[number] ?? 0) - 1;
    invariant(left >= 0, 'I2: a cell is let go of that is held');
    this.#cells[number] = left;
    if (left > 0) return false;
    this.#numbers.delete(this.keyOf(number));
    this.#free.push(number);
    if (this.#numbers.size === 0) [this.#keys, this.#cells, this.#free] = [[], [], []];
    return true;
  }
}
