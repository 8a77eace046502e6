/**
 * What turns leave for slices (I20): timers that are due, and results that waited, too many for one turn or behind a
 * watermark that has left timers. While any of it is open a place is full, so that sources are not pulled, and other
 * turns wait.
 */
import type { Place } from '../../core/operator.ts';

export class Later {
  /**
   * How many timers of an operator fire, or results leave it, in one turn. It changes between two turns only, and is
   * recorded, since it follows from it what a turn leaves.
   */
  perTurn: number;
  readonly #place: Place;
  #opened = 0;

  constructor(place: Place, perTurn: number) {
    this.#place = place;
    this.perTurn = perTurn;
  }

  get isOpen(): boolean {
    return this.#place.count > 0;
  }

  /** How often something was left so far: seen before and after a call it says whether that has left anything. */
  get opened(): number {
    return this.#opened;
  }

  open(): void {
    this.#opened += 1;
    this.#place.add(1);
  }

  over(): void {
    this.#place.add(-1);
  }
}

/** One part of what is left. */
export interface Unfinished {
  /** Whether it can go on at once. */
  readonly isReady: boolean;
  /** One step towards `isReady`, outside a turn. */
  prepare(): void;
  /**
   * Fires or sends at most `max` while `mayGoOn` says yes, and nothing in front of which something else was left. Runs
   * in a turn. Returns how many: given as `max` that number does the same again.
   */
  goOn(max: number, mayGoOn?: () => boolean): number;
}
