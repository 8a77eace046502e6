/**
 * Replays recorded turns on the state of a checkpoint. Calls nobody: a source hands over exactly the recorded number of
 * records, an item of work its recorded outcome, the clock its recorded time (I6, I8). Where something else comes than
 * was recorded the branches part: then nothing of the old one is done again but that accepted records, which nobody can
 * read again, are handed over.
 */
import type { Clock } from '../../core/clock.ts';
import { unreachable } from '../../core/errors.ts';
import { encodeText } from '../../core/serde.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { Replayed } from './replayed.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { Split } from '../hosts/split.ts';
import { markOfPosition, type RecordedInput, type Turn } from '../journal/turn.ts';
import type { WorkItem } from '../work/work-item.ts';

/**
 * The branches part: thrown by a start that has met it, so that the next one does the turns before it, and no more of
 * them.
 */
export class Divergence extends Error {
  override readonly name = 'Divergence';
  /** How many turns behind the checkpoint are done again as they were. */
  readonly turns: number;

  constructor(turns: number, what: string) {
    super(what);
    this.turns = turns;
  }
}

/** Records that are handed over before it is looked whether to pause. */
const turnRecordsMax = 512;

/**
 * Runs the first `count` turns in order. Resolves with where they diverged, or undefined when the state is that after
 * the last of them.
 */
export const replay = async (
  job: Replayed,
  turns: readonly Turn[],
  count: number,
  clock: Clock,
): Promise<Divergence | undefined> => {
  const pause = pauses(job, clock);
  for (let at = 0; at < count; at += 1) {
    await pause();
    const turn = turns[at] as Turn; // Inside the bounds.
    const diverged = await replayOne(job, turn, pause);
    // Where so much was done in one turn there was no slice, and what it submits is that turn's.
    if (job.isHeld && (turns[at + 1] ?? slice).kind !== 'slice') job.turns.replay(undefined, () => finish(job));
    const submitted = job.turns.takeSubmitted();
    const what = diverged ?? otherWork(job, turn, submitted);
    if (what !== undefined) return new Divergence(at, what);
  }
  return undefined;
};

/**
 * Of turns that are not done again: takes what sources have accepted that can not read it again. Returns how many
 * records nobody takes.
 */
export const acceptAgain = (job: Replayed, turns: readonly Turn[]): number => {
  let lost = 0;
  for (const turn of turns) {
    if (turn.kind !== 'input' && turn.kind !== 'end' && turn.kind !== 'split') continue;
    const host = job.topology.source(turn.source);
    if (host === undefined || host.source.replayable) {
      if (turn.kind === 'input') lost += turn.input.values.length;
      continue;
    }
    job.turns.replay(undefined, () => {
      const split = host.splits.get(turn.split) ?? host.addSplit(turn.split);
      if (turn.kind === 'input') accept(split, turn.input);
      else if (turn.kind === 'end') split.noteEnd();
    });
  }
  return lost;
};

/** Takes in hand what the journal holds: it is durable. */
const accept = (split: Split<unknown>, input: RecordedInput): void => {
  split.accept(input);
  split.release();
};

/** Lets others run now and then: a signal to stop must be heard. Rejects when the domain has ended meanwhile. */
const pauses = ({ signal }: Replayed, clock: Clock): (() => Promise<void> | undefined) => {
  const slice = new LoopSlice(clock);
  const pause = async (): Promise<void> => {
    await slice.giveBack();
    signal.throwIfAborted();
  };
  return () => {
    signal.throwIfAborted();
    return slice.isOver ? pause() : undefined;
  };
};

/** What says that a turn has submitted other work than it did when it was recorded. */
const otherWork = (job: Replayed, turn: Turn, submitted: readonly WorkItem[]): string | undefined => {
  const recorded = ('submitted' in turn ? turn.submitted : undefined) ?? [];
  for (const [index, item] of submitted.entries()) {
    if (item.fingerprint === recorded[index]) continue;
    const where = `operator \`${uidOf(job, item.id.operator)}\`, key ${JSON.stringify(item.key)}`;
    return `${where}: work ${item.id.number} was recorded ${index < recorded.length ? 'with other input' : 'nowhere'}`;
  }
  if (submitted.length === recorded.length) return undefined;
  return `${causeOf(job, turn)} has started ${submitted.length} items of work, recorded were ${recorded.length}`;
};

const causeOf = (job: Replayed, turn: Turn): string => {
  if (turn.kind === 'work') return `an outcome of operator \`${uidOf(job, turn.work.operator)}\``;
  if (turn.kind === 'tick' || turn.kind === 'start' || turn.kind === 'slice') return 'the clock';
  const source = job.topology.source(turn.source);
  return `split ${turn.split} of source \`${source?.uid ?? turn.source}\``;
};

const uidOf = (job: Replayed, operator: number): string => job.topology.operator(operator)?.uid ?? `${operator}`;

const replayOne = async (
  job: Replayed,
  turn: Turn,
  pause: () => Promise<void> | undefined,
): Promise<string | undefined> => {
  switch (turn.kind) {
    case 'records':
      return replayRecords(job, turn, pause);
    case 'input':
      return atSplit(job, turn, (_, split) => accept(split, turn.input));
    case 'end':
      return atSplit(job, turn, (host, split) => job.turns.replay(turn.now, () => host.end(split)));
    case 'split': {
      const host = job.topology.source(turn.source);
      if (host === undefined) return `a recorded turn names source ${turn.source}, which the pipeline does not have`;
      job.turns.replay(undefined, () => void host.addSplit(turn.split));
      if (host.source.replayable) await job.openSplit(host, turn.split);
      return undefined;
    }
    case 'work':
      return replayWork(job, turn);
    case 'slice':
      job.turns.replay(turn.now, () => job.slice(turn.count));
      return undefined;
    case 'tick':
      job.turns.replay(turn.now, () => job.tick(turn));
      return undefined;
    case 'start':
      job.turns.replay(undefined, () => job.restartCountdowns());
      return undefined;
    default:
      return unreachable(turn);
  }
};

/** May come behind the last turn. */
const slice = { kind: 'slice' } as const;

const finish = (job: Replayed): void => {
  while (job.isHeld) job.slice(Number.POSITIVE_INFINITY);
};

const replayRecords = async (
  job: Replayed,
  turn: Turn & { kind: 'records' },
  pause: () => Promise<void> | undefined,
): Promise<string | undefined> => {
  const host = job.topology.source(turn.source);
  const split = host?.splits.get(turn.split);
  if (host === undefined || split === undefined) return noSplit(turn);
  let pushed = 0;
  for (let left = turn.count; left > 0; left -= pushed) {
    await pause();
    pushed = 0;
    if (!split.hasRecords) {
      const batch = host.source.replayable ? await split.read(job.signal) : undefined;
      if (batch === undefined)
        return `split ${turn.split} of source \`${host.uid}\` has ended ${left} records before a recorded turn`;
      split.take(batch);
    }
    const records = Math.min(left, turnRecordsMax);
    job.turns.replay(turn.now, () => {
      pushed = host.push(split, records, { ignorePlaces: true });
    });
  }
  const { position } = markOfPosition(split.position);
  if (turn.position === undefined || turn.position === position) return undefined;
  return `split ${turn.split} of source \`${host.uid}\` is at ${encodeText(position)} behind the recorded records, which ended at ${encodeText(turn.position)}`;
};

const replayWork = (job: Replayed, turn: Turn & { kind: 'work' }): string | undefined => {
  const { work } = turn;
  const host = job.topology.operator(work.operator);
  const item = host?.workQueue?.find(work);
  if (host === undefined || item === undefined)
    return `a recorded turn ends work ${work.number} of operator ${host?.uid ?? work.operator}, which was not submitted`;
  const done = job.recovery.doneOf(item);
  if (done === undefined) return `the outcome of work ${work.number} of operator \`${host.uid}\` is not in the journal`;
  if (done.digest !== item.digest()) {
    return `work ${work.number} of operator \`${host.uid}\`, key ${JSON.stringify(item.key)}, was recorded with other input (digest ${done.digest}, now ${item.digest()})`;
  }
  job.recovery.applied(item);
  job.turns.replay(turn.now, () => host.workQueue?.apply(item, done.outcome));
  return undefined;
};

const atSplit = (
  job: Replayed,
  turn: Turn & { kind: 'input' | 'end' },
  then: (host: SourceHost<unknown>, split: Split<unknown>) => void,
): string | undefined => {
  const host = job.topology.source(turn.source);
  const split = host?.splits.get(turn.split);
  if (host === undefined || split === undefined) return noSplit(turn);
  then(host, split);
  return undefined;
};

const noSplit = ({ source, split }: { source: number; split: string }): string =>
  `a recorded turn names split ${split} of source ${source}, which the pipeline does not have`;
