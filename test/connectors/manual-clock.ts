/** A clock that stands still until a test moves it. */
import type { Cancel, Clock } from '../../lib/core/clock.ts';

export class StepClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly at: number; readonly fn: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  elapsed(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fn: () => void): Cancel {
    const timer = { at: this.#nowMs + delayMs, fn };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }

  random(): number {
    return 0.5;
  }

  get waiting(): number {
    return this.#timers.size;
  }

  /** Moves to the next timer after letting promises settle; gives how far it went. */
  async step(): Promise<number> {
    await new Promise((resolve) => setImmediate(resolve));
    const next = [...this.#timers].sort((a, b) => a.at - b.at)[0];
    if (next === undefined) return 0;
    const movedMs = next.at - this.#nowMs;
    this.advance(movedMs);
    return movedMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) {
      if (timer.at <= this.#nowMs && this.#timers.delete(timer)) timer.fn();
    }
  }
}
