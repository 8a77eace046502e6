/** Opens the readers of splits: of those that a checkpoint or the log knows, and of those that have appeared since. */
import type { Domain } from './domain.ts';

/** Opens each known split at its position. */
export const openKnownSplits = async (domain: Domain, { replayable }: { readonly replayable: boolean }): Promise<void> => {
  for (const host of domain.topology.sources) {
    if (host.source.replayable !== replayable) continue;
    for (const name of host.splits.keys()) await domain.openSplit(host, name);
  }
};

/** Splits that have appeared since; each is a turn. */
export const openNewSplits = async (domain: Domain): Promise<void> => {
  for (const host of domain.topology.sources) {
    for (const name of await host.source.splits(domain.signal)) {
      if (host.splits.has(name)) continue;
      domain.turns.run(
        () => void host.addSplit(name),
        () => ({ kind: 'split', source: host.number, split: name }),
      );
      await domain.openSplit(host, name);
    }
  }
};
