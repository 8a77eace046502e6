/** Opens the readers of splits: of those that a checkpoint or the log knows, and of those that have appeared since. */
import type { Replayed } from './replayed.ts';

/** Opens each known split at its position. */
export const openKnownSplits = async (
  job: Replayed,
  { replayable }: { readonly replayable: boolean },
): Promise<void> => {
  for (const host of job.topology.sources) {
    if (host.source.replayable !== replayable) continue;
    for (const name of host.splits.keys()) {
      job.signal.throwIfAborted();
      await job.openSplit(host, name);
    }
  }
};

/** Splits that have appeared since; each is a turn. */
export const openNewSplits = async (job: Replayed): Promise<void> => {
  for (const host of job.topology.sources) {
    for (const name of await host.source.splits(job.signal)) {
      job.signal.throwIfAborted();
      if (host.splits.has(name)) continue;
      job.turns.run(
        () => void host.addSplit(name),
        () => ({ kind: 'split', source: host.number, split: name }),
      );
      await job.openSplit(host, name);
    }
  }
};
