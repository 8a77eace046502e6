/**
 * What recovery does with each kind of recorded turn, in one table: how it is done again, what of it is taken where it
 * is not, and who has caused it. The form it is recorded in is the other half of the table: `journal/turn.ts`.
 */
import { encodeText } from '../../core/serde.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { Split } from '../hosts/split.ts';
import { markOfPosition, type RecordedInput, type Turn } from '../journal/turn.ts';
import type { Replayed } from './replayed.ts';

/** Gives the event loop back when it is time to. */
export type Pause = () => Promise<void> | undefined;

interface RecordedTurn<T extends Turn> {
  /** Does it again. Gives what says that this is not the job that has recorded it. */
  again(job: Replayed, turn: T, pause: Pause): string | undefined | Promise<string | undefined>;
  /** It is not done again: what nobody can bring again is taken all the same. Gives how many records nobody takes. */
  left?(job: Replayed, turn: T): number;
  /** Whose turn it was, for a message. */
  cause(job: Replayed, turn: T): string;
}

/** Records that are handed over before it is looked whether to pause. */
const turnRecordsMax = 512;

type OfSplit = Extract<Turn, { readonly source: number }>;

const ofSplit = (job: Replayed, { source, split }: OfSplit): string =>
  `split ${split} of source \`${job.topology.source(source)?.uid ?? source}\``;

const ofClock = (): string => 'the clock';

const kinds: { readonly [K in Turn['kind']]: RecordedTurn<Extract<Turn, { readonly kind: K }>> } = {
  records: {
    async again(job, turn, pause) {
      const found = splitOf(job, turn);
      if (typeof found === 'string') return found;
      const { host, split } = found;
      let pushed = 0;
      for (let left = turn.count; left > 0; left -= pushed) {
        await pause();
        pushed = 0;
        if (!split.hasRecords) {
          const batch = host.source.replayable ? await split.read(job.signal) : undefined;
          if (batch === undefined) return `${ofSplit(job, turn)} has ended ${left} records before a recorded turn`;
          split.take(batch);
        }
        const records = Math.min(left, turnRecordsMax);
        job.turns.replay(turn.now, () => {
          pushed = host.push(split, records, { ignorePlaces: true }).count;
        });
      }
      if (turn.emits === true) job.turns.replay(turn.now, () => host.emitInFront(split));
      const { position } = markOfPosition(split.position);
      if (turn.position === undefined || turn.position === position) return undefined;
      const [now, then] = [encodeText(position), encodeText(turn.position)];
      return `${ofSplit(job, turn)} is at ${now} behind the recorded records, which ended at ${then}`;
    },
    cause: ofSplit,
  },
  input: {
    again(job, turn) {
      const found = splitOf(job, turn);
      if (typeof found === 'string') return found;
      accept(found.split, turn.input);
      return undefined;
    },
    left(job, turn) {
      if (acceptingSplit(job, turn, (split) => accept(split, turn.input))) return 0;
      return turn.input.values.length;
    },
    cause: ofSplit,
  },
  split: {
    async again(job, turn) {
      const host = job.topology.source(turn.source);
      if (host === undefined) return `a recorded turn names source ${turn.source}, which the pipeline does not have`;
      job.turns.replay(undefined, () => void host.addSplit(turn.split));
      if (host.source.replayable) await job.openSplit(host, turn.split);
      return undefined;
    },
    left(job, turn) {
      acceptingSplit(job, turn, () => {});
      return 0;
    },
    cause: ofSplit,
  },
  end: {
    again(job, turn) {
      const found = splitOf(job, turn);
      if (typeof found === 'string') return found;
      job.turns.replay(turn.now, () => found.host.end(found.split));
      return undefined;
    },
    left(job, turn) {
      acceptingSplit(job, turn, (split) => split.noteEnd());
      return 0;
    },
    cause: ofSplit,
  },
  work: {
    again(job, { work, now }) {
      const host = job.topology.operator(work.operator);
      const item = host?.workQueue?.find(work);
      if (host === undefined || item === undefined)
        return `a recorded turn ends work ${work.number} of operator ${host?.uid ?? work.operator}, which was not submitted`;
      const done = job.recovery.doneOf(item);
      if (done === undefined)
        return `the outcome of work ${work.number} of operator \`${host.uid}\` is not in the journal`;
      if (done.digest !== item.digest()) {
        return `work ${work.number} of operator \`${host.uid}\`, key ${JSON.stringify(item.key)}, was recorded with other input (digest ${done.digest}, now ${item.digest()})`;
      }
      job.recovery.applied(item);
      job.turns.replay(now, () => host.workQueue?.apply(item, done.outcome));
      return undefined;
    },
    cause: (job, { work }) => `an outcome of operator \`${uidOf(job, work.operator)}\``,
  },
  slice: {
    again(job, turn) {
      job.turns.replay(turn.now, () => job.slice(turn.count));
      return undefined;
    },
    cause: ofClock,
  },
  tick: {
    again(job, turn) {
      job.turns.replay(turn.now, () => job.tick(turn));
      return undefined;
    },
    cause: ofClock,
  },
  start: {
    again(job, { timersPerTurn }) {
      job.turns.replay(undefined, () => job.goLive(timersPerTurn));
      return undefined;
    },
    cause: ofClock,
  },
};

/** The row of a turn: what it is given is a turn of its kind. */
export const recordedTurn = (turn: Turn): RecordedTurn<Turn> => kinds[turn.kind] as unknown as RecordedTurn<Turn>;

export const uidOf = (job: Replayed, operator: number): string => job.topology.operator(operator)?.uid ?? `${operator}`;

interface HostedSplit {
  readonly host: SourceHost<unknown>;
  readonly split: Split<unknown>;
}

/** The split that a turn names, or that there is none. */
const splitOf = (job: Replayed, turn: OfSplit): HostedSplit | string => {
  const host = job.topology.source(turn.source);
  const split = host?.splits.get(turn.split);
  if (host !== undefined && split !== undefined) return { host, split };
  return `a recorded turn names split ${turn.split} of source ${turn.source}, which the pipeline does not have`;
};

/** Takes in hand what the journal holds: it is durable. */
const accept = (split: Split<unknown>, input: RecordedInput): void => {
  split.accept(input);
  split.release();
};

/**
 * Looks at the split of a source that can't be read again, in a turn; it appears if it has not. False when the pipeline
 * has no such source.
 */
const acceptingSplit = (job: Replayed, turn: OfSplit, then: (split: Split<unknown>) => void): boolean => {
  const host = job.topology.source(turn.source);
  if (host === undefined || host.source.replayable) return false;
  job.turns.replay(undefined, () => then(host.splits.get(turn.split) ?? host.addSplit(turn.split)));
  return true;
};
