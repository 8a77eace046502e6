/**
 * Bounds what only a checkpoint lets go of: changed entries, timers and the journal's tail. At the bound a checkpoint
 * starts early; when that is not enough and the next one is full too, sources are not pulled until it is written (I10).
 */
import type { Place } from '../../core/operator.ts';
import type { WorkingSet } from '../../state/keyed-state.ts';
import type { CheckpointCoordinator } from './coordinator.ts';
import type { OperatorHost } from '../hosts/operator-host.ts';
import type { Journal } from '../journal/journal.ts';

export interface EarlyCheckpointsOptions {
  readonly workingSet: WorkingSet;
  readonly operators: readonly OperatorHost<never, unknown>[];
  readonly journal: Journal;
  readonly coordinator: CheckpointCoordinator;
  /** Full while sources must wait. */
  readonly place: Place;
  readonly dirtyMax: number;
  readonly dirtyBytesMax: number;
  /** Turns that the checkpoint covers which the job was opened on. */
  readonly coveredTurns: number;
}

/** Turns behind the last checkpoint that start one early: replaying them is what a restart costs. */
const tailMax = 200_000;

/**
 * While a checkpoint is written sources go on until this many times the bound is reached: keys that come again add
 * nothing.
 */
const stopAt = 2;

export class EarlyCheckpoints {
  readonly #options: EarlyCheckpointsOptions;
  /** Turns that the last cut covers. */
  #coveredTurns: number;

  constructor(options: EarlyCheckpointsOptions) {
    this.#options = options;
    this.#coveredTurns = options.coveredTurns;
  }

  /** The instant of a checkpoint that covers this many turns. */
  cut(turns: number): void {
    this.#coveredTurns = turns;
  }

  /** Looks between two turns. */
  look(): void {
    const fill = this.#fill();
    if (fill < 1) return;
    const { coordinator, place } = this.#options;
    const { busy } = coordinator;
    // Asking again each turn while one is written would only add to who waits for it.
    if (busy && (fill < stopAt || place.count > 0)) return;
    const written = coordinator.trigger();
    const room = (): void => {
      if (place.count > 0) place.add(-1);
    };
    if (busy) {
      place.add(1);
      written.then(room, room);
    } else written.catch(() => {}); // The coordinator reports it.
  }

  /** The fullest of the bounded things; 1 is at its bound. */
  #fill(): number {
    const { workingSet, operators, journal, dirtyMax, dirtyBytesMax } = this.#options;
    let timers = 0;
    for (const { timerService } of operators) timers += timerService?.dirtyEntries ?? 0;
    const tail = journal.state.turns - this.#coveredTurns;
    return Math.max(
      (workingSet.dirtyEntries + timers) / dirtyMax,
      workingSet.dirtyBytes / dirtyBytesMax,
      tail / tailMax,
    );
  }
}
