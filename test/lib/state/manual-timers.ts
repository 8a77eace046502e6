/** A clock whose timers fire by themselves in the order of their times, as fast as the event loop turns. */
import type { Cancel, Clock } from '../../../lib/core/clock.ts';

export class ManualTimers implements Clock {
  #now = 0;
  #seed: number;
  readonly #timers: { at: number; fn: () => void }[] = [];
  #running = false;

  constructor(seed: number) {
    this.#seed = seed;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#now;
  }

  setTimer(delayMs: number, fn: () => void): Cancel {
    const timer = { at: this.#now + delayMs, fn };
    this.#timers.push(timer);
    this.#timers.sort((a, b) => a.at - b.at);
    if (!this.#running) setImmediate(() => this.#run());
    this.#running = true;
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }

  random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 2 ** 32;
  }

  #run(): void {
    const timer = this.#timers.shift();
    if (timer === undefined) {
      this.#running = false;
      return;
    }
    this.#now = timer.at;
    timer.fn();
    setImmediate(() => this.#run());
  }
}
