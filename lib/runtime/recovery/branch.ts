/**
 * The branches of a job's history. Where replay meets something else than was recorded, the start ends; the next one
 * does the turns before that again and leaves the rest of the old branch behind. So whatever follows has names of the
 * new branch from the first run on, and no old id names a new input (I14).
 */
import { StreamError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { MetricGroup } from '../../core/metric.ts';
import type { Replayed } from './replayed.ts';
import type { Header, LeftOverSnapshot } from '../checkpoint/header.ts';
import { branchesMax } from '../journal/journal-format.ts';
import { tailOf, unrecordedOf } from './left-over.ts';
import { acceptAgain, type Divergence } from './replay.ts';
import type { Turn } from '../journal/turn.ts';

export interface NewBranch {
  readonly job: Replayed;
  /** The checkpoint that the recorded turns are behind. */
  readonly header: Header;
  readonly divergence: Divergence;
  /** The turns that are not done again. */
  readonly turns: readonly Turn[];
  readonly logger: Logger;
}

const branchHint =
  'code or input is another than before the restart; what was paid for is found again where a key is given the same input';

/**
 * After the turns before the divergence: sorts out what is left over, and takes again what sources have accepted that
 * can't be read again.
 */
export const beginBranch = ({ job, header, divergence, turns, logger }: NewBranch): void => {
  if (job.branch >= branchesMax) {
    const hint =
      'start with a new state directory: this one has been left by changed code or inputs as often as it can be';
    throw new StreamError('DIVERGED', `a history has ${branchesMax} branches at most: ${divergence.message}`, { hint });
  }
  logger.warn(
    { code: 'DIVERGED', hint: branchHint },
    `replay stopped: ${divergence.message}; going on in branch ${job.branch}`,
  );
  const open = job.openItems();
  const { leftOver, journal } = header;
  job.recovery.endReplay(open, {
    left: [...(leftOver?.left ?? []), [journal.turns + divergence.turns, job.recovery.state.turns]],
    kept: [...new Set([...(leftOver?.kept ?? []), ...open])],
    unrecorded: [...(leftOver?.unrecorded ?? []), ...unrecordedOf(turns, job.recovery.items)],
    tail: tailOf(job.topology.sources, turns, leftOver?.tail),
  });
  const lost = acceptAgain(job, turns);
  if (lost > 0)
    logger.warn(
      { records: lost },
      `${lost} accepted records belong to a source that the pipeline does not have any more; they are dropped`,
    );
};

/**
 * At the instant of a checkpoint: what it keeps of the branch before, as long as anything of that may still be claimed.
 */
export const leftOverAtCut = (job: Replayed, logger: Logger, metrics: MetricGroup): LeftOverSnapshot | undefined => {
  const { leftOver } = job.recovery;
  if (leftOver === undefined || !leftOver.expire(job.topology.sources, job.queues())) return leftOver?.snapshot;
  const { claimed, dropped } = leftOver;
  job.recovery.dropLeftOver();
  metrics.getCounter('leftOverClaimed').inc(claimed);
  metrics.getCounter('leftOverDropped').inc(dropped);
  const counts = `of the branch before, ${claimed} items of work were found again and ${dropped} dropped`;
  if (dropped > 0) logger.warn({ claimed, dropped }, counts);
  else logger.info({ claimed, dropped }, counts);
  return undefined;
};
