/**
 * The keys that have a timer of one time and namespace, and which of them are not in the store yet. Where an operator
 * registers each timer once they are a list, to which a key is added and nothing else; else a set of few or many.
 */
import type { MapKey } from '../core/key.ts';
import type { Toggled } from './stored-timers.ts';

export interface TimerKeys {
  readonly namespace: number;
  /** False when it has one already. */
  add(key: MapKey): boolean;
  /** False when it has none. */
  delete(key: MapKey): boolean;
  /** What a chunk of the store says of a key. */
  toggle(key: MapKey): void;
  /** A copy, of which nobody else knows, in no particular order. */
  copy(): MapKey[];
  /** What has changed since this was asked last, or all. What it gives is never changed. */
  takeChanges(all: boolean): Toggled;
}

/** Each key is added once. */
export class ListedKeys implements TimerKeys {
  readonly namespace: number;
  readonly #keys: MapKey[] = [];
  readonly #read: MapKey[] = [];
  #from = 0;

  constructor(namespace: number) {
    this.namespace = namespace;
  }

  add(key: MapKey): boolean {
    this.#keys.push(key);
    return true;
  }

  /** Nobody can. */
  delete(): boolean {
    return false;
  }

  toggle(key: MapKey): void {
    this.#read.push(key);
  }

  copy(): MapKey[] {
    return this.#read.length === 0 ? this.#keys.slice() : this.#read.concat(this.#keys);
  }

  takeChanges(): Toggled {
    const { namespace } = this;
    const [keys, from, to] = [this.#keys, this.#from, this.#keys.length];
    this.#from = to;
    return { namespace, keys, from, to };
  }
}

/** Each key is there once. */
export class UniqueKeys implements TimerKeys {
  readonly namespace: number;
  readonly #keys = new KeySet();
  /** Whether the store knows of keys; and those that it says something else of. */
  #isStored: boolean;
  #changed: KeySet | undefined;

  constructor(namespace: number, isStored: boolean) {
    this.namespace = namespace;
    this.#isStored = isStored;
  }

  add(key: MapKey): boolean {
    if (!this.#keys.add(key)) return false;
    this.#change(key);
    return true;
  }

  delete(key: MapKey): boolean {
    if (!this.#keys.delete(key)) return false;
    this.#change(key);
    return true;
  }

  toggle(key: MapKey): void {
    this.#keys.toggle(key);
  }

  copy(): MapKey[] {
    return this.#keys.copy();
  }

  takeChanges(all: boolean): Toggled {
    const keys = (all || !this.#isStored ? this.#keys : this.#changed)?.copy() ?? [];
    this.#isStored = true;
    this.#changed = undefined;
    return { namespace: this.namespace, keys, from: 0, to: keys.length };
  }

  #change(key: MapKey): void {
    if (this.#isStored) (this.#changed ??= new KeySet()).toggle(key);
  }
}

/** So many are looked through. */
const fewMax = 8;

/** A set that takes little room while it holds few. */
class KeySet {
  #few: MapKey[] = [];
  #many: Set<MapKey> | undefined;

  /** False when it is there. */
  add(key: MapKey): boolean {
    if (this.#many !== undefined) {
      const { size } = this.#many;
      return this.#many.add(key).size > size;
    }
    if (this.#few.includes(key)) return false;
    this.#few.push(key);
    if (this.#few.length > fewMax) this.#many = new Set(this.#few);
    return true;
  }

  /** False when it is not there. */
  delete(key: MapKey): boolean {
    if (this.#many !== undefined) return this.#many.delete(key);
    const at = this.#few.indexOf(key);
    if (at >= 0) this.#few.splice(at, 1);
    return at >= 0;
  }

  toggle(key: MapKey): void {
    if (!this.add(key)) this.delete(key);
  }

  copy(): MapKey[] {
    return this.#many === undefined ? this.#few.slice() : [...this.#many];
  }
}
