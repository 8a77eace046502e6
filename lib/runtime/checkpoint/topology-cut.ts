/**
 * The instant of a checkpoint for everything that runs: positions, watermarks, holds and counters are noted, sinks end
 * their epoch, and the heads of the dirty lists are swapped. O(operators), never O(keys). Keeps I4.
 */
import type { StateCut, WorkingSet } from '../../state/keyed-state.ts';
import type { NodeSnapshot } from './header.ts';
import type { SealedEpoch } from '../hosts/sink-host.ts';
import type { Topology } from '../hosts/topology.ts';

export interface TopologyCut {
  readonly state: readonly StateCut[];
  readonly seals: readonly Promise<SealedEpoch | undefined>[];
  /** Everything of the header that belongs to a node, once the sinks have sealed. */
  nodes(sealed: readonly (SealedEpoch | undefined)[]): Readonly<Record<string, NodeSnapshot>>;
  /** Makes what was sealed visible. */
  commit(sealed: readonly (SealedEpoch | undefined)[]): Promise<void>;
  /** Tells sources which positions a durable checkpoint covers. */
  acknowledge(): Promise<void>;
}

export interface TopologyCutOptions {
  readonly topology: Topology;
  /** Undefined where nothing is stored: then state is not cut, and what a checkpoint does is to commit. */
  readonly workingSet: WorkingSet | undefined;
  readonly statesOf: (uid: string) => NonNullable<NodeSnapshot['states']>;
  readonly numberOf: (uid: string) => number;
  readonly epoch: number;
}

export const cutTopology = ({ topology, workingSet, statesOf, numberOf, epoch }: TopologyCutOptions): TopologyCut => {
  const { sources, operators, sinks, valves } = topology;
  const nodes: Record<string, NodeSnapshot> = {};
  for (const source of sources) nodes[source.uid] = { number: source.number, source: source.snapshot() };
  for (const host of operators)
    nodes[host.uid] = { number: host.number, states: statesOf(host.uid), host: host.snapshot() };
  for (const [uid, valve] of valves) nodes[uid] = { number: numberOf(uid), valve: valve.snapshot() };
  const records = sinks.map((sink) => sink.records);
  const seals = sinks.map((sink) => sink.seal(epoch));
  const positions = sources.flatMap((source) =>
    [...source.splits.values()].map((split) => ({ split, position: split.position })),
  );
  const timers = operators.flatMap(({ timerService }) => (timerService === undefined ? [] : [timerService]));
  const state = workingSet === undefined ? [] : [workingSet, ...timers].map((each) => each.cut());
  return {
    state,
    seals,
    nodes(sealed) {
      // One for each sink.
      sinks.forEach(
        (sink, i) => (nodes[sink.uid] = { number: sink.number, sink: sink.snapshot(records[i] as number, sealed[i]) }),
      );
      return nodes;
    },
    async commit(sealed) {
      await Promise.all(sinks.map((sink, i) => sealed[i] && sink.committed(sealed[i])));
    },
    async acknowledge() {
      for (const { split, position } of positions) await split.committed(position);
    },
  };
};
