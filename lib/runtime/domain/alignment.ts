/**
 * Keeps sources of a group near each other in event time: a split that is further ahead of the slowest one than the
 * group allows is not pushed from. Which split comes next is the loop's choice and recorded with the turn, so a replay
 * needs none of this (I9). A split that is idle or has ended holds nobody.
 */
import { MAX_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { HostedSplit } from './ready-splits.ts';

type AlignedSource = Pick<SourceHost<unknown>, 'splits' | 'alignment'>;

export class Alignment {
  readonly #groups = new Map<string, AlignedSource[]>();

  constructor(sources: readonly AlignedSource[]) {
    for (const source of sources) {
      const { group } = source.alignment ?? {};
      if (group === undefined) continue;
      const others = this.#groups.get(group);
      if (others === undefined) this.#groups.set(group, [source]);
      else others.push(source);
    }
  }

  /** Whether any source belongs to a group. */
  get isUsed(): boolean {
    return this.#groups.size > 0;
  }

  /** Whether the split is too far ahead of its group by now. */
  holds({ host, split }: HostedSplit): boolean {
    const { alignment } = host;
    if (alignment === undefined) return false;
    return split.generator.current > this.#least(alignment.group) + alignment.maxDriftMs;
  }

  #least(group: string): Timestamp {
    let least = MAX_TIMESTAMP;
    for (const { splits } of this.#groups.get(group) ?? []) {
      for (const { ended, generator } of splits.values())
        if (!ended && !generator.idle && generator.current < least) least = generator.current;
    }
    return least;
  }
}
