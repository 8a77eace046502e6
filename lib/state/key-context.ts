/**
 * The current key of one operator: its edge enters and leaves it, and handles see by `version` whether what they hold
 * still belongs to the key in hand. Keeps I2: outside a turn there is no key.
 */
import type { Key, MapKey } from '../core/key.ts';
import { keyGroupOf, mapKeyOf } from '../core/key.ts';
import { KeyNumbers } from './key-numbers.ts';

export class KeyContext {
  /** Changes at each `enter` and `leave`, and never takes a value again. */
  version = 0;
  /** Whether a key is current. Written by `enter` and `leave` only. */
  active = false;
  /** Whether state may only be read. Written by `reading` only. */
  readOnly = false;
  /** The canonical form of the current key; meaningless while none is current. */
  mapKey: MapKey = '';
  /** Of the keys of which anything is in memory in columns. */
  readonly numbers = new KeyNumbers();
  #key: Key = '';
  #number = -1;
  #numberVersion = -1;
  #group = 0;
  #groupVersion = -1;

  /** The current key. Throws a `TypeError` when none is current (I2). */
  get key(): Key {
    if (!this.active) throw outsideTurn();
    return this.#key;
  }

  /**
   * Makes `key` current, which must be an own one (`ownKey`): the door that it came in by has checked and copied it.
   */
  enter(key: Key): void {
    this.mapKey = mapKeyOf(key);
    this.#key = key;
    this.active = true;
    this.version += 1;
  }

  leave(): void {
    this.active = false;
    this.version += 1;
  }

  /** The number of the current key, -1 when it has none. */
  get number(): number {
    if (this.#numberVersion !== this.version) {
      this.#number = this.numbers.find(this.mapKey);
      this.#numberVersion = this.version;
    }
    return this.#number;
  }

  /** One cell more of the current key is in memory. Gives its number. */
  hold(): number {
    this.#number = this.numbers.hold(this.mapKey);
    this.#numberVersion = this.version;
    return this.#number;
  }

  /** One cell less of some key. */
  release(number: number): void {
    if (this.numbers.release(number)) this.#numberVersion = -1;
  }

  /** Runs `body` under `key`, then makes the key current again that was current before. */
  within(key: Key, body: () => void): void {
    const before = this.#key;
    const wasActive = this.active;
    if (wasActive && before === key) {
      body();
      return;
    }
    this.enter(key);
    try {
      body();
    } finally {
      if (wasActive) this.enter(before);
      else this.leave();
    }
  }

  /** Runs `body` under `key` while nothing may be changed: outside a turn, where a change would be in no record. */
  reading(key: Key, body: () => void): void {
    const before = this.readOnly;
    this.readOnly = true;
    try {
      this.within(key, body);
    } finally {
      this.readOnly = before;
    }
  }

  /**
   * Key group of the current key, worked out when first asked for. Throws a `TypeError` when no key is current (I2).
   */
  group(maxParallelism: number): number {
    if (this.#groupVersion !== this.version) {
      this.#group = keyGroupOf(this.key, maxParallelism);
      this.#groupVersion = this.version;
    }
    return this.#group;
  }
}

/** The refusal of everything that needs a current key while there is none. */
export const outsideTurn = (): TypeError =>
  new TypeError(
    'Expected a current key: state and timers are reached only while a record, timer or work of that key is in hand',
  );

/** The refusal of a change while state may only be read. */
export const readOnlyState = (): TypeError =>
  new TypeError('Expected state to be changed in a turn only: `read` of a work body may look at it and nothing more');
