/**
 * How long code keeps the event loop, and giving it back (I20). Whatever takes a time that grows with its input asks
 * now and then whether its slice is over, and awaits `giveBack` when it is.
 */
import type { Clock } from './clock.ts';

/**
 * How long a slice lasts, in milliseconds. Giving back takes some microseconds; a user's timer is late by half a slice
 * in the middle, and one that repeats adds that up.
 */
const sliceMs = 0.5;

export class LoopSlice {
  readonly #clock: Clock;
  #start: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#start = clock.elapsed();
  }

  /** How long it has lasted. */
  get lastedMs(): number {
    return this.#clock.elapsed() - this.#start;
  }

  get isOver(): boolean {
    return this.lastedMs > sliceMs;
  }

  /** Lets others run, and begins the next slice. */
  async giveBack(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.defer(resolve));
    this.#start = this.#clock.elapsed();
  }
}
