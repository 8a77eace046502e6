/**
 * The checkpoint coordinator. A checkpoint is the state between two turns: at the instant it only raises the epoch,
 * swaps the heads of the dirty lists and notes positions; then the frozen entries are serialised in short slices while
 * the job works on, and everything becomes durable in one synced batch. Keeps I4, I5 and I7; a failed write is fatal to
 * the store (I15).
 */
import type { Clock } from '../../core/clock.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { StateCut } from '../../state/keyed-state.ts';
import { digestedBatch, pruneChain, writeCheckpoint, type CheckpointLink } from '../../state/checkpoint.ts';
import type { Store } from '../../state/store.ts';
import type { SealedEpoch } from '../hosts/sink-host.ts';

/** What a job does at the instant of a checkpoint, and after. */
export interface CheckpointParticipant {
  /** The instant: synchronous, between two turns. */
  cut(epoch: number): OpenCheckpoint;
}

export interface OpenCheckpoint {
  readonly state: readonly StateCut[];
  readonly seals: readonly Promise<SealedEpoch | undefined>[];
  /** The header's body, once the sinks have sealed. */
  body(sealed: readonly (SealedEpoch | undefined)[]): Promise<unknown>;
  /** The checkpoint is durable: commit, prune, tell sources. */
  durable(sealed: readonly (SealedEpoch | undefined)[]): Promise<void>;
}

/** Facts of one checkpoint, for metrics and listeners. */
export interface CheckpointStats {
  readonly id: number;
  /** From the instant to durable, in milliseconds. */
  readonly durationMs: number;
  /** Keys and values written. */
  readonly bytes: number;
  readonly entries: number;
  /** Longest time that the loop stood still for a slice, in milliseconds. */
  readonly longestSliceMs: number;
}

export interface CoordinatorOptions {
  readonly clock: Clock;
  /** Undefined: nothing is stored; a checkpoint only seals and commits. */
  readonly store: Store | undefined;
  readonly previous: CheckpointLink | undefined;
  readonly participant: CheckpointParticipant;
  readonly signal: AbortSignal;
  readonly onStats: (stats: CheckpointStats) => void;
  readonly onFailure: (error: unknown) => void;
}

export class CheckpointCoordinator {
  readonly #options: CoordinatorOptions;
  #previous: CheckpointLink | undefined;
  #running: Promise<void> | undefined;
  /** The checkpoint behind the running one, when somebody waits for it. */
  #next: Promise<void> | undefined;
  #commits: Promise<void> = Promise.resolve();

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#previous = options.previous;
  }

  /** Number of the epoch in progress: that of the next checkpoint. */
  get epoch(): number {
    return (this.#previous?.id ?? 0) + 1;
  }

  /** True while a checkpoint is being written. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Starts a checkpoint unless one is being written; a failure fails the job. Resolves when it is durable. */
  trigger(): Promise<void> {
    if (this.#running !== undefined) return this.#running;
    const running = this.#checkpoint().finally(() => {
      this.#running = undefined;
    });
    this.#running = running;
    running.catch((error: unknown) => this.#options.onFailure(error));
    return running;
  }

  /** A checkpoint whose instant is after this call. Calls while one is being written share the next. */
  triggerNext(): Promise<void> {
    if (this.#running === undefined) return this.trigger();
    this.#next ??= this.#running
      .catch(() => {}) // Its failure has been reported.
      .then(() => {
        this.#next = undefined;
        return this.trigger();
      });
    return this.#next;
  }

  /** Resolves when the effects of all checkpoints so far are committed. */
  get committed(): Promise<void> {
    return this.#commits;
  }

  async #checkpoint(): Promise<void> {
    const { clock, store, participant, signal, onStats, onFailure } = this.#options;
    if (signal.aborted) return; // It waited behind one with which the job has failed.
    const start = clock.elapsed();
    const id = this.epoch;
    const open = participant.cut(id);
    const sealing = Promise.all(open.seals);
    sealing.catch(() => {}); // Awaited below; a sink may fail before, while the slices are written.
    const batch = store === undefined ? undefined : digestedBatch(store.batch());
    let longestSliceMs = clock.elapsed() - start;
    const inSlices = async (work: readonly (() => Iterator<void>)[]): Promise<void> => {
      longestSliceMs = Math.max(longestSliceMs, await longestOf(work, clock, signal));
    };
    if (batch !== undefined) await inSlices(open.state.map((cut) => () => cut.write(batch)));
    const sealed = await sealing;
    if (signal.aborted) return;
    const { length: entries = 0, bytes = 0 } = batch ?? {};
    if (batch !== undefined) {
      const body = await open.body(sealed);
      if (signal.aborted) return;
      this.#previous = writeCheckpoint(batch, { id, previous: this.#previous, body, rowsDigest: batch.rowsDigest });
      await batch.write();
    } else this.#previous = { id, digest: '' };
    if (signal.aborted) return;
    const durationMs = clock.elapsed() - start;
    const forgetting = batch === undefined ? [] : open.state.map((cut) => cut.durable());
    const committing = open.durable(sealed);
    committing.catch(onFailure);
    // Without its result, which would keep the one before for ever.
    this.#commits = Promise.all([this.#commits, committing]).then(() => {});
    this.#commits.catch(() => {}); // Reported above.
    await inSlices(forgetting.map((cut) => () => cut));
    if (signal.aborted) return;
    onStats({ id, durationMs, bytes, entries, longestSliceMs });
    if (store !== undefined) await pruneChain(store, id);
  }
}

/** Does one after the other in slices, and says how long the longest took. Ends early when the job does. */
const longestOf = async (
  work: readonly (() => Iterator<void>)[],
  clock: Clock,
  signal: AbortSignal,
): Promise<number> => {
  let longest = 0;
  const slice = new LoopSlice(clock);
  for (const begin of work) {
    const steps = begin();
    while (steps.next().done !== true) {
      if (!slice.isOver) continue;
      longest = Math.max(longest, slice.lastedMs);
      await slice.giveBack();
      if (signal.aborted) return longest;
    }
  }
  return Math.max(longest, slice.lastedMs);
};
