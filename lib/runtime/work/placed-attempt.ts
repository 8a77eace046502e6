/**
 * An attempt that has a place among those in flight (I10). While all its calls wait before their next attempt it has
 * nothing to do, and another has its place. A class to extend, since there is one object for each item of work.
 */
import { Attempt } from '../../core/attempt.ts';

/** Bounds how many are in flight. */
export interface PlaceOwner {
  /** The body has nothing to do but wait for its next attempt: another may have its place. */
  leave(): void;
  /** Runs `then` when there is a place again. */
  enter(then: () => void): void;
}

export abstract class PlacedAttempt<O extends PlaceOwner> extends Attempt {
  protected readonly owner: O;
  /** Live calls that are not settled, and how many of them wait before their next attempt. */
  #open = 0;
  #backingOff = 0;
  /** False while all its calls wait before their next attempt: meanwhile another body has its place. */
  #placed: boolean;
  /** What waits until the body has its place again. */
  #unplaced: (() => void)[] | undefined;

  constructor(owner: O, placed: boolean) {
    super();
    this.owner = owner;
    this.#placed = placed;
  }

  protected get isPlaced(): boolean {
    return this.#placed;
  }

  protected callBegins(): void {
    this.#open += 1;
  }

  protected callEnded(): void {
    this.#open -= 1;
    this.#leaveIdle();
  }

  /** A call waits before its next attempt. */
  backOff(): void {
    this.#backingOff += 1;
    this.#leaveIdle();
  }

  /** It has waited: runs `then` while the body has its place. */
  backOn(then: () => void): void {
    this.#backingOff -= 1;
    this.inPlace(then);
  }

  /** Runs `then` while the body has its place among those in flight; all that wait for it share one. */
  protected inPlace(then: () => void): void {
    if (this.#placed) {
      then();
      return;
    }
    if (this.#unplaced !== undefined) {
      this.#unplaced.push(then);
      return;
    }
    const waiting = [then];
    this.#unplaced = waiting;
    this.owner.enter(() => {
      this.#placed = true;
      this.#unplaced = undefined;
      for (const each of waiting) each();
      if (this.isOver) this.leave();
    });
  }

  /** What its code does with an outcome until it calls again needs no place. */
  #leaveIdle(): void {
    if (this.#open > 0 && this.#backingOff === this.#open && this.#placed) this.leave();
  }

  protected leave(): void {
    this.#placed = false;
    this.owner.leave();
  }
}
