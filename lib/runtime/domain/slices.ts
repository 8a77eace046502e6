/**
 * Goes on with what turns have left for later: timers that were too many for one turn (`hosts/advances.ts` has the
 * rules) and results that waited behind those (`edges/holds.ts`), then the turns that had to wait for them. Each step
 * is short, so that the event loop is given back between two (I20).
 */
import type { Clock } from '../../core/clock.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { Unfinished } from '../edges/later.ts';
import type { OperatorHost } from '../hosts/operator-host.ts';
import type { Turn } from '../journal/turn.ts';
import type { Turns } from './turns.ts';

export interface SlicesOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly turns: Turns;
  /** In the order of the pipeline. */
  readonly operators: readonly OperatorHost<never, unknown>[];
  /** Timers that fire, or results that leave, in one slice at most. */
  readonly perSliceMax: number;
}

/** Timers or results between two looks at the clock. */
const lookEvery = 16;

export class Slices {
  readonly #options: SlicesOptions;

  constructor(options: SlicesOptions) {
    this.#options = options;
  }

  /** Whether anything is left. */
  get isOpen(): boolean {
    return this.#options.turns.isHeld;
  }

  /** Does the next piece. False when it failed, and the job is over. */
  step(): boolean {
    const { signal, turns, perSliceMax } = this.#options;
    if (signal.aborted) return false;
    const unfinished = lastUnfinished(this.#options.operators);
    if (unfinished === undefined) return turns.runWaiting();
    const slice = new LoopSlice(this.#options.clock);
    if (!unfinished.isReady) {
      do unfinished.prepare();
      while (!unfinished.isReady && !slice.isOver);
      return true;
    }
    let looks = 0;
    const mayGoOn = (): boolean => {
      looks += 1;
      return looks % lookEvery !== 0 || !slice.isOver;
    };
    let count = 0;
    return turns.slice(
      () => (count = unfinished.goOn(perSliceMax, mayGoOn)),
      () => ({ kind: 'slice', count }),
    );
  }

  /** Does all of it. False when it failed, and the job is over. */
  async finish(): Promise<boolean> {
    const slice = new LoopSlice(this.#options.clock);
    while (this.isOpen) {
      if (!this.step()) return false;
      if (slice.isOver) await slice.giveBack();
    }
    return true;
  }

  /**
   * Runs a turn whose effect the caller counts on: what is left of those before it goes first. False when one failed,
   * and the job is over.
   */
  async turn(body: () => void, turn: () => Turn): Promise<boolean> {
    // Looked at again without a pause before it: a turn may have come meanwhile that leaves something.
    while (this.isOpen) if (!(await this.finish())) return false;
    return this.#options.turns.run(body, turn) === 'ran';
  }
}

/** What goes on: the last in the pipeline, so that what goes on in front of it meets nothing unfinished. */
const lastUnfinished = (operators: SlicesOptions['operators']): Unfinished | undefined => {
  for (let at = operators.length - 1; at >= 0; at -= 1) {
    const unfinished = operators[at]?.unfinished;
    if (unfinished !== undefined) return unfinished;
  }
  return undefined;
};

/** A recorded slice again: as many timers or results. */
export const sliceAgain = (operators: SlicesOptions['operators'], count: number): void => {
  lastUnfinished(operators)?.goOn(count);
};
