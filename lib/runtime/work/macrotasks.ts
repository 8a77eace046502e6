/**
 * Tells macrotasks apart: work bodies are resumed at most once in each (I8), and one deferred callback serves them all.
 */
import type { Clock } from '../../core/clock.ts';

export class Macrotasks {
  readonly #clock: Clock;
  #number = 0;
  #scheduled = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The number of the macrotask in hand. */
  current(): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#clock.defer(() => this.#next());
    }
    return this.#number;
  }

  /** Calls `fn` in the next one. */
  next(fn: () => void): void {
    this.current();
    this.#waiting.push(fn);
  }

  #next(): void {
    this.#scheduled = false;
    this.#number += 1;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const fn of waiting) fn();
  }
}
