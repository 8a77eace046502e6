/**
 * Replays recorded turns on the state of a checkpoint. Calls nobody: a source hands over exactly the recorded number of records, an item
 * of work its recorded outcome, the clock its recorded time (I6, I8).
 */
import type { Domain } from './domain.ts';
import type { SourceHost, Split } from './source-host.ts';
import { unreachable } from '../core/errors.ts';
import type { Turn } from './turn.ts';

/** Runs the turns in order. Resolves with what diverged, or undefined when the state is that after the last turn. */
export const replay = async (domain: Domain, turns: readonly Turn[]): Promise<string | undefined> => {
  for (const turn of turns) {
    const diverged = (await replayOne(domain, turn)) ?? contradiction(domain);
    if (diverged !== undefined) return diverged;
  }
  return undefined;
};

const contradiction = (domain: Domain): string | undefined => {
  const item = domain.work.contradiction;
  if (item === undefined) return undefined;
  const { operator, number } = item.id;
  return `work ${number} of operator \`${domain.operator(operator)?.uid ?? operator}\`, key ${JSON.stringify(item.key)}, was recorded with other input`;
};

const replayOne = async (domain: Domain, turn: Turn): Promise<string | undefined> => {
  switch (turn.kind) {
    case 'records':
      return replayRecords(domain, turn);
    case 'input':
      return atSplit(domain, turn, (host, split) => domain.turns.replay(turn.now, () => host.pushRecorded(split, turn.input)));
    case 'end':
      return atSplit(domain, turn, (host, split) => domain.turns.replay(turn.now, () => host.end(split)));
    case 'split': {
      const host = domain.topology.sources.find(({ number }) => number === turn.source);
      if (host === undefined) return `a recorded turn names source ${turn.source}, which the pipeline does not have`;
      domain.turns.replay(undefined, () => void host.addSplit(turn.split));
      if (host.source.replayable) await domain.openSplit(host, turn.split);
      return undefined;
    }
    case 'work':
      return replayWork(domain, turn);
    case 'tick':
      domain.turns.replay(turn.now, () => domain.tickHosts(turn.now));
      return undefined;
    case 'start':
      domain.turns.replay(undefined, () => domain.restartCountdowns());
      return undefined;
    default:
      return unreachable(turn);
  }
};

const replayRecords = async (domain: Domain, turn: Turn & { kind: 'records' }): Promise<string | undefined> => {
  const host = domain.topology.sources.find(({ number }) => number === turn.source);
  const split = host?.splits.get(turn.split);
  if (host === undefined || split === undefined) return noSplit(turn);
  let pushed = 0;
  for (let left = turn.count; left > 0; left -= pushed) {
    if (!split.hasRecords) {
      split.batch = await split.reader?.read(domain.signal);
      split.cursor = 0;
      if (split.batch === undefined) return `split ${turn.split} of source \`${host.uid}\` has ended ${left} records before a recorded turn`;
    }
    const most = left;
    domain.turns.replay(turn.now, () => {
      pushed = host.push(split, most, true);
    });
  }
  return undefined;
};

const replayWork = (domain: Domain, turn: Turn & { kind: 'work' }): string | undefined => {
  const { work } = turn;
  const host = domain.operator(work.operator);
  const item = host?.workQueue?.find(work);
  if (host === undefined || item === undefined) return `a recorded turn ends work ${work.number} of operator ${host?.uid ?? work.operator}, which was not submitted`;
  const done = domain.recovery.doneOf(item);
  if (done === undefined) return `the outcome of work ${work.number} of operator \`${host.uid}\` is not in the journal`;
  if (done.digest !== item.digest()) {
    return `work ${work.number} of operator \`${host.uid}\`, key ${JSON.stringify(item.key)}, was recorded with other input (digest ${done.digest}, now ${item.digest()})`;
  }
  domain.turns.replay(turn.now, () => host.workQueue?.apply(item, done.outcome));
  domain.recovery.applied(item);
  return undefined;
};

const atSplit = (
  domain: Domain,
  turn: Turn & { kind: 'input' | 'end' },
  then: (host: SourceHost<unknown>, split: Split<unknown>) => void,
): string | undefined => {
  const host = domain.topology.sources.find(({ number }) => number === turn.source);
  const split = host?.splits.get(turn.split);
  if (host === undefined || split === undefined) return noSplit(turn);
  then(host, split);
  return undefined;
};

const noSplit = ({ source, split }: { source: number; split: string }): string =>
  `a recorded turn names split ${split} of source ${source}, which the pipeline does not have`;
