/**
 * Opens the readers of splits: of those that a checkpoint or the log knows, and of those that have appeared since.
 * There may be very many, and a source may open one at once, so the event loop is given back in between (I20).
 */
import type { Clock } from '../../core/clock.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { Replayed } from './replayed.ts';

/** Opens each known split at its position. */
export const openKnownSplits = async (
  job: Replayed,
  clock: Clock,
  { replayable }: { readonly replayable: boolean },
): Promise<void> => {
  const slice = new LoopSlice(clock);
  for (const host of job.topology.sources) {
    if (host.source.replayable !== replayable) continue;
    for (const name of host.splits.keys()) {
      job.signal.throwIfAborted();
      await job.openSplit(host, name);
      if (slice.isOver) await slice.giveBack();
    }
  }
};

/** Splits that have appeared since; each is a turn. */
export const openNewSplits = async (job: Replayed, clock: Clock): Promise<void> => {
  const slice = new LoopSlice(clock);
  for (const host of job.topology.sources) {
    for (const name of await host.source.splits(job.signal)) {
      job.signal.throwIfAborted();
      if (host.splits.has(name)) continue;
      await job.turn(
        () => void host.addSplit(name),
        () => ({ kind: 'split', source: host.number, split: name }),
      );
      await job.openSplit(host, name);
      if (slice.isOver) await slice.giveBack();
    }
  }
};
