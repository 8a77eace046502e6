/**
 * Goes on with what turns have left for later: timers that were too many for one turn (`hosts/advances.ts` has the
 * rules), then the turns that had to wait for them. Each step is short, so that the event loop is given back between
 * two (I20).
 */
import type { Clock } from '../../core/clock.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { OperatorHost } from '../hosts/operator-host.ts';
import type { Turn } from '../journal/turn.ts';
import type { Turns } from './turns.ts';

export interface SlicesOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly turns: Turns;
  /** In the order of the pipeline. */
  readonly operators: readonly OperatorHost<never, unknown>[];
  /** Timers that fire in one slice at most. */
  readonly timersMax: number;
}

/** Timers between two looks at the clock. */
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
    const { signal, turns, timersMax } = this.#options;
    if (signal.aborted) return false;
    const advances = firstOpen(this.#options.operators)?.advances;
    if (advances === undefined) return turns.runWaiting();
    const slice = new LoopSlice(this.#options.clock);
    if (!advances.isReady) {
      do advances.prepare();
      while (!advances.isReady && !slice.isOver);
      return true;
    }
    let looks = 0;
    const mayGoOn = (): boolean => {
      looks += 1;
      return looks % lookEvery !== 0 || !slice.isOver;
    };
    let count = 0;
    return turns.slice(
      () => (count = advances.goOn(timersMax, mayGoOn)),
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

/** The operator whose timers go on: the first in the pipeline that has any left. */
const firstOpen = (operators: SlicesOptions['operators']): OperatorHost<never, unknown> | undefined =>
  operators.find(({ gate }) => gate.isClosed);

/** A recorded slice again: as many timers. */
export const sliceAgain = (operators: SlicesOptions['operators'], count: number): void => {
  firstOpen(operators)?.advances?.goOn(count);
};
