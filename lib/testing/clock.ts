/**
 * Clocks for tests. `ManualClock` stands still until it is moved; `SimulatedClock` is the event queue of a simulated
 * world: whoever drives it runs one timer or deferred callback at a time, in an order that its seed decides, so that
 * one seed gives one history (I9). A `ProcessClock` is what one simulated process sees of that queue; when the process
 * dies, nothing of it happens any more.
 */
import { systemClock, type Cancel, type Clock } from '../core/clock.ts';
import { integer } from '../core/options.ts';

/**
 * Gives numbers from 0 (included) to 1 (excluded), the same for the same seed (mulberry32). `seed`: a whole number from
 * 0 to 2^32 - 1.
 *
 * @example
 * const random = seededRandom(7);
 * console.log(random() === seededRandom(7)()); // prints true
 */
export const seededRandom = (seed: number): (() => number) => {
  let state = integer('seed', seed, { max: 2 ** 32 - 1 });
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/**
 * Resolves when the promise jobs that are ready now, and those they bring about, have run.
 *
 * @example
 * const order: string[] = [];
 * void Promise.resolve().then(() => order.push('job'));
 * await settled();
 * console.log(order); // prints [ 'job' ]
 */
export const settled = (): Promise<void> => new Promise((resolve) => systemClock.defer(resolve));

interface Scheduled {
  readonly atMs: number;
  /** Of two with the same time the lower one is first. */
  readonly rank: number;
  readonly fn: () => void;
}

/**
 * A clock that a test moves by hand. Deferred callbacks run in macrotasks as usual; `seed` (default 1) decides what
 * `random` gives.
 *
 * @example
 * const clock = new ManualClock({ now: 1_000 });
 * clock.setTimer(500, () => console.log(clock.now())); // prints 1500
 * await clock.advance(2_000);
 * clock.jumpTo(9_000);
 * console.log(clock.elapsed(), clock.random() < 1); // prints 9000 true
 * clock.defer(() => console.log('soon'));
 * await settled(); // prints soon
 */
export class ManualClock implements Clock {
  #nowMs: number;
  #timers: Scheduled[] = [];
  #made = 0;
  readonly #random: () => number;

  constructor(options: { readonly now?: number | undefined; readonly seed?: number | undefined } = {}) {
    this.#nowMs = options.now ?? 0;
    this.#random = seededRandom(options.seed ?? 1);
  }

  now(): number {
    return this.#nowMs;
  }

  elapsed(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fn: () => void): Cancel {
    this.#made += 1;
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), rank: this.#made, fn };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((each) => each !== timer));
  }

  defer(fn: () => void): void {
    systemClock.defer(fn);
  }

  random(): number {
    return this.#random();
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Sets the time at once; timers that come due by it fire with the next `advance`. */
  jumpTo(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  /**
   * Moves time; timers that come due fire in their order, each at its own time and with its promise jobs run before the
   * next.
   */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settled();
    for (let next = this.#due(untilMs); next !== undefined; next = this.#due(untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fn();
      await settled();
    }
    this.#nowMs = untilMs;
  }

  /** Moves to the next timer and fires it; gives how far that was, undefined when none waits. */
  async step(): Promise<number | undefined> {
    await settled();
    const next = this.#timers.toSorted(byTime)[0];
    if (next === undefined) return undefined;
    const movedMs = Math.max(0, next.atMs - this.#nowMs);
    await this.advance(movedMs);
    return movedMs;
  }

  #due(untilMs: number): Scheduled | undefined {
    const next = this.#timers.toSorted(byTime)[0];
    if (next === undefined || next.atMs > untilMs) return undefined;
    this.#timers = this.#timers.filter((each) => each !== next);
    return next;
  }
}

export interface SimulatedClockOptions {
  /** Decides the order of events and what `random` gives. */
  readonly seed: number;
  /** Where the clock stands at the beginning, in milliseconds since the Unix epoch. @defaultValue 1_000_000 */
  readonly now?: number | undefined;
  /**
   * `seeded`: a timer may fire before callbacks that were deferred earlier, timers of one time fire in any order, and
   * running code takes time now and then. `fixed`: deferred callbacks first, timers in their order, and running code
   * takes no time. @defaultValue 'seeded'
   */
  readonly order?: 'seeded' | 'fixed' | undefined;
}

/** How often running code takes time, and how long, in milliseconds: long enough to end a slice of the task loop. */
const slow = { probability: 0.02, ms: 5 } as const;
const timerFirst = 0.15;

/**
 * The event queue of a simulated world. Nothing runs by itself.
 *
 * @example
 * const clock = new SimulatedClock({ seed: 7, now: 0, order: 'fixed' });
 * for (const ms of [20, 10]) clock.setTimer(ms, () => console.log(clock.now()));
 * while (clock.step()) await settled();
 * // prints 10
 * // prints 20
 */
export class SimulatedClock implements Clock {
  readonly #random: () => number;
  readonly #seeded: boolean;
  #nowMs: number;
  #made = 0;
  #deferred: Scheduled[] = [];
  #timers: Scheduled[] = [];

  constructor({ seed, now = 1_000_000, order = 'seeded' }: SimulatedClockOptions) {
    this.#random = seededRandom(seed);
    this.#seeded = order === 'seeded';
    this.#nowMs = now;
  }

  now(): number {
    return Math.floor(this.#nowMs);
  }

  elapsed(): number {
    if (this.#seeded && this.#random() < slow.probability) this.#nowMs += slow.ms;
    return this.#nowMs;
  }

  setTimer(delayMs: number, fn: () => void): Cancel {
    const timer = this.#scheduled(this.#nowMs + Math.max(0, delayMs), fn);
    let at = this.#timers.length;
    // inside the bounds by the condition
    while (at > 0 && byTime(this.#timers[at - 1] as Scheduled, timer) > 0) at -= 1;
    this.#timers.splice(at, 0, timer);
    return () => void (this.#timers = this.#timers.filter((each) => each !== timer));
  }

  defer(fn: () => void): void {
    this.#deferred.push(this.#scheduled(this.#nowMs, fn));
  }

  random(): number {
    return this.#random();
  }

  /** Timers and deferred callbacks that wait. */
  get waiting(): number {
    return this.#timers.length + this.#deferred.length;
  }

  /** What one process sees of this clock. */
  process(): ProcessClock {
    return new ProcessClock(this);
  }

  /** Runs the next event; false when there is none. Promise jobs it brings about have not run when it returns. */
  step(): boolean {
    const late = this.#seeded && this.#timers.length > 0 && this.#random() < timerFirst;
    const next = (late ? undefined : this.#deferred.shift()) ?? this.#timers.shift() ?? this.#deferred.shift();
    if (next === undefined) return false;
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.fn();
    return true;
  }

  #scheduled(atMs: number, fn: () => void): Scheduled {
    this.#made += 1;
    return { atMs, rank: this.#seeded ? this.#random() : this.#made, fn };
  }
}

/**
 * What one simulated process sees of a `SimulatedClock`: when it is killed, nothing of it happens any more.
 *
 * @example
 * const world = new SimulatedClock({ seed: 7 });
 * const clock = world.process();
 * clock.setTimer(10, () => console.log('never'));
 * clock.kill();
 * while (world.step()) await settled();
 */
export class ProcessClock implements Clock {
  readonly #world: SimulatedClock;
  #alive = true;

  constructor(world: SimulatedClock) {
    this.#world = world;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The process is dead: its timers and deferred callbacks are discarded, those it still asks for too. */
  kill(): void {
    this.#alive = false;
  }

  now(): number {
    return this.#world.now();
  }

  elapsed(): number {
    return this.#alive ? this.#world.elapsed() : this.#world.now();
  }

  setTimer(delayMs: number, fn: () => void): Cancel {
    return this.#alive ? this.#world.setTimer(delayMs, this.#whileAlive(fn)) : () => {};
  }

  defer(fn: () => void): void {
    if (this.#alive) this.#world.defer(this.#whileAlive(fn));
  }

  random(): number {
    return this.#alive ? this.#world.random() : 0;
  }

  #whileAlive(fn: () => void): () => void {
    return () => {
      if (this.#alive) fn();
    };
  }
}

const byTime = (a: Scheduled, b: Scheduled): number => a.atMs - b.atMs || a.rank - b.rank;
