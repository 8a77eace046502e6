/**
 * Small numbers for the keys of one operator of which anything is in memory: what its states hold of a key stands in
 * lists, at the number of the key, so that one look-up serves all states of a record. A number is given anew when
 * nothing is left of its key, so that lists are no longer than the keys that there were at once.
 *
 * Keys that are whole numbers and lie close together are found in a list, which is much smaller than the table of a
 * `Map`: of 100,000 keys it stays in the processor's cache.
 */
import { invariant } from '../core/errors.ts';
import type { MapKey } from '../core/key.ts';

/** Places of that list at first, and for each such key at most. */
const placesMin = 64;
const placesPerKey = 8;

export class KeyNumbers {
  /** Numbers of keys. Those that `#places` has are not in here. */
  readonly #numbers = new Map<MapKey, number>();
  /** By a key that is a whole number: its number and one, 0 where it has none. */
  #places = new Int32Array(placesMin);
  /** Keys that are whole numbers from 0. */
  #whole = 0;
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
    return this.#keys.length - this.#free.length;
  }

  /** The number of a key, -1 when nothing is in memory of it. */
  find(key: MapKey): number {
    if (this.#hasPlace(key)) return (this.#places[key] ?? 0) - 1;
    return this.#numbers.get(key) ?? -1;
  }

  keyOf(number: number): MapKey {
    return this.#keys[number] as MapKey; // Numbers come from here.
  }

  /** One cell more of a key is in memory. Gives the key's number. */
  hold(key: MapKey): number {
    const known = this.find(key);
    if (known >= 0) {
      this.#cells[known] = (this.#cells[known] ?? 0) + 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#keys.length;
    this.#keys[number] = key;
    this.#cells[number] = 1;
    this.#note(key, number);
    return number;
  }

  /** One cell less. True when that was the last, and the number is nobody's. */
  release(number: number): boolean {
    const left = (this.#cells[number] ?? 0) - 1;
    invariant(left >= 0, 'I2: a cell is let go of that is held');
    this.#cells[number] = left;
    if (left > 0) return false;
    const key = this.keyOf(number);
    if (isWhole(key)) this.#whole -= 1;
    if (this.#hasPlace(key)) this.#places[key] = 0;
    else this.#numbers.delete(key);
    if (typeof key === 'string') this.#keys[number] = ''; // Texts may be long; a list of numbers stays one.
    this.#free.push(number);
    if (this.size === 0) {
      [this.#keys, this.#cells, this.#free] = [[], [], []];
      if (this.#places.length > placesMin) this.#places = new Int32Array(placesMin);
    }
    return true;
  }

  #note(key: MapKey, number: number): void {
    if (isWhole(key)) {
      this.#whole += 1;
      if (!this.#hasPlace(key) && key < this.#whole * placesPerKey) this.#grow(key);
    }
    if (this.#hasPlace(key)) this.#places[key] = number + 1;
    else this.#numbers.set(key, number);
  }

  #hasPlace(key: MapKey): key is number {
    return isWhole(key) && key < this.#places.length;
  }

  /** Makes a place for `key`, and takes in what has one then. */
  #grow(key: number): void {
    const places = new Int32Array(Math.max(this.#places.length * 2, key + 1));
    places.set(this.#places);
    this.#places = places;
    for (const [each, number] of this.#numbers) {
      if (!this.#hasPlace(each)) continue;
      places[each] = number + 1;
      this.#numbers.delete(each);
    }
  }
}

const isWhole = (key: MapKey): key is number => typeof key === 'number' && (key | 0) === key && key >= 0;
