/**
 * What recovery sees of the job it restores: its turns, its hosts by the numbers that recorded turns name, and the
 * items of work that are open. The domain implements it; a test of a replay gives a small one.
 */
import type { Timestamp } from '../../core/element.ts';
import type { TickTurn, Turn } from '../journal/turn.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { Topology } from '../hosts/topology.ts';
import type { WorkItem } from '../work/work-item.ts';
import type { WorkQueue } from '../work/work.ts';
import type { Recovery } from './recovery.ts';

export interface Replayed {
  /** The branch that what runs now belongs to. */
  readonly branch: number;
  /** Aborted when the job has ended meanwhile. */
  readonly signal: AbortSignal;
  readonly recovery: Recovery;
  readonly turns: ReplayedTurns;
  readonly topology: Pick<Topology, 'sources' | 'source' | 'operator'>;
  queues(): readonly WorkQueue[];
  /** Names of the open items of work. */
  openItems(): ReadonlySet<string>;
  /** Opens the reader of a split at its position. */
  openSplit(source: SourceHost<unknown>, name: string): Promise<void>;
  /** Runs a live turn, behind what is left of those before it. Rejects when the job is over. */
  turn(body: () => void, turn: () => Turn): Promise<void>;
  tick(turn: TickTurn): void;
  /** Timers are left of an earlier turn. */
  readonly isHeld: boolean;
  /** So many of them fire. */
  slice(count: number): void;
  /** What a process does when it goes live, with this number from then on; without one it stays. */
  goLive(timersPerTurn?: number): void;
}

export interface ReplayedTurns {
  /** Runs a recorded turn again, or a part of it, at its recorded time. */
  replay(now: Timestamp | undefined, body: () => void): void;
  /** What replayed turns have submitted since this was asked last. */
  takeSubmitted(): readonly WorkItem[];
}
