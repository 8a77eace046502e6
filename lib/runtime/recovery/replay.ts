/**
 * Replays recorded turns on the state of a checkpoint. Calls nobody: a source hands over exactly the recorded number of
 * records, an item of work its recorded outcome, the clock its recorded time (I6, I8). Where something else comes than
 * was recorded the branches part: then nothing of the old one is done again but that accepted records, which nobody can
 * read again, are handed over. What is done with each kind of turn is in `recorded-turns.ts`.
 */
import type { Clock } from '../../core/clock.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { Replayed } from './replayed.ts';
import type { Turn } from '../journal/turn.ts';
import type { WorkItem } from '../work/work-item.ts';
import { recordedTurn, uidOf, type Pause } from './recorded-turns.ts';

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
    const diverged = await recordedTurn(turn).again(job, turn, pause);
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
export const acceptAgain = (job: Replayed, turns: readonly Turn[]): number =>
  turns.reduce((lost, turn) => lost + (recordedTurn(turn).left?.(job, turn) ?? 0), 0);

/** Lets others run now and then: a signal to stop must be heard. Rejects when the domain has ended meanwhile. */
const pauses = ({ signal }: Replayed, clock: Clock): Pause => {
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
  return `${recordedTurn(turn).cause(job, turn)} has started ${submitted.length} items of work, recorded were ${recorded.length}`;
};

/** May come behind the last turn. */
const slice = { kind: 'slice' } as const;

const finish = (job: Replayed): void => {
  while (job.isHeld) job.slice(Number.POSITIVE_INFINITY);
};
