/**
 * Puts the parts of a domain together: what each needs of the others, and nothing else. No part runs yet. An arrow that
 * must run back (from a part to what is made after it, or to the domain itself) goes through `AssembledFor`.
 */
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { TimersAtEnd } from '../../core/timers-at-end.ts';
import type { MetricGroup } from '../../core/metric.ts';
import type { CheckpointLink } from '../../state/checkpoint.ts';
import { WorkingSet } from '../../state/keyed-state.ts';
import { emptyStore, type OpenStorage } from '../../state/store.ts';
import { CheckpointCoordinator, type CheckpointStats, type OpenCheckpoint } from '../checkpoint/coordinator.ts';
import { EarlyCheckpoints } from '../checkpoint/early-checkpoints.ts';
import type { Header } from '../checkpoint/header.ts';
import { UidDictionary } from '../checkpoint/uid-dictionary.ts';
import type { StreamGraph } from '../edges/graph.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { Later } from '../edges/later.ts';
import { Places } from '../edges/places.ts';
import { compile, type Topology } from '../hosts/topology.ts';
import { Journal } from '../journal/journal.ts';
import type { Turn } from '../journal/turn.ts';
import type { Recovery } from '../recovery/recovery.ts';
import type { Divergence } from '../recovery/replay.ts';
import type { WorkQueue } from '../work/work.ts';
import { OpenWork } from './open-work.ts';
import { Slices } from './slices.ts';
import { TaskLoop } from './task-loop.ts';
import { Ticks, type TicksOptions } from './ticks.ts';
import { Turns } from './turns.ts';
import { Watchdog } from './watchdog.ts';
import { WatermarkHolders } from './watermark-holders.ts';

export interface DomainSettings {
  readonly maxParallelism: number;
  readonly serialiseEdges: boolean;
  /** What becomes of processing-time timers at the end of input. */
  readonly timersAtEnd: TimersAtEnd;
  readonly strictReplay: boolean;
  readonly allowUnclaimedState: boolean;
  /** Dirty entries and bytes that start a checkpoint early. */
  readonly dirtyMax: number;
  readonly dirtyBytesMax: number;
  readonly cacheMax: number;
  /** Timers of an operator that fire in one turn, from when the job goes live. */
  readonly timersPerTurn: number;
  /** At least this often watermarks of quiet sources and processing-time timers are looked at, in milliseconds. */
  readonly tickMs: number;
  /** Freeze values that state hands out, so that a test finds who changes them. */
  readonly freezeState: boolean;
  /** Freeze all that user code is given. */
  readonly freeze: boolean;
}

export interface DomainOptions {
  /** Of the job. */
  readonly name: string;
  readonly graph: StreamGraph;
  readonly settings: DomainSettings;
  /** Undefined: state is in memory and nothing survives. */
  readonly storage: OpenStorage | undefined;
  /** Names the job where nothing is stored: its ids must not be those of another run. */
  readonly memoryId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricGroup;
  readonly onCheckpoint: (stats: CheckpointStats) => void;
  readonly onFailure: (error: unknown) => void;
  /** Where an earlier start has found that the branches part. */
  readonly divergence?: Divergence | undefined;
  /** Every live turn, for tests that keep the history. */
  readonly onTurn?: ((turn: Turn) => void) | undefined;
}

/** What the storage holds of the job. */
export interface Found {
  readonly header: Header;
  readonly recovery: Recovery;
  /** Undefined in a fresh job. */
  readonly newest: CheckpointLink | undefined;
}

/** The domain that the parts are put together for. */
export interface AssembledFor {
  /** Aborted when the domain has ended. */
  readonly signal: AbortSignal;
  readonly branch: number;
  /** A sink asks for a checkpoint. */
  checkpointSoon(): void;
  /** The instant of a checkpoint. */
  cut(epoch: number): OpenCheckpoint;
  fail(error: unknown): void;
}

export interface DomainParts {
  readonly places: Places;
  readonly journal: Journal;
  readonly turns: Turns;
  readonly work: OpenWork;
  readonly workingSet: WorkingSet;
  readonly topology: Topology;
  readonly coordinator: CheckpointCoordinator;
  readonly dictionary: UidDictionary;
  readonly loop: TaskLoop;
  readonly slices: Slices;
  /** What turns have left for slices. */
  readonly later: Later;
  readonly ticks: Ticks;
  readonly holders: WatermarkHolders;
  /** Undefined where nothing is stored. */
  readonly early: EarlyCheckpoints | undefined;
}

/** The queues of the operators that have work. */
export const queuesOf = ({ operators }: Pick<Topology, 'operators'>): WorkQueue[] =>
  operators.flatMap(({ workQueue }) => (workQueue === undefined ? [] : [workQueue]));

export const assemble = (options: DomainOptions, found: Found, domain: AssembledFor): DomainParts => {
  const { graph, settings, storage, clock, logger, metrics } = options;
  const { signal } = domain;
  const fail = (error: unknown): void => domain.fail(error);
  const { freeze } = settings;
  const jobId = storage?.jobId ?? options.memoryId;
  const branch = (): number => domain.branch;
  const places = new Places();
  const perTurn = found.header.timersPerTurn ?? settings.timersPerTurn;
  const later = new Later(places.make({ name: 'timers', max: 1 }), perTurn);
  const dictionary = new UidDictionary(found.header);
  const journal = makeJournal(options, found, { hasWork: () => queuesOf(topology).length > 0, fail });
  const onTurn = (turn: Turn): void => {
    ticks.moved();
    options.onTurn?.(ownCopy(turn)); // The log writes it later (I21).
  };
  const turns = new Turns({ clock, journal, signal, fail, onTurn, isHeld: () => later.isOpen });
  const work = new OpenWork({
    ...{ jobId, clock, journal, turns, signal, logger, branch, freeze, fail, recovery: found.recovery },
    strictReplay: settings.strictReplay,
    uidOf: (number) => topology.operator(number)?.uid ?? `${number}`,
    onApplied: () => loop.wake(),
  });
  const workingSet = makeWorkingSet(options, found);
  const topology = compile(graph, {
    ...{ later, workingSet, places, journal, clock, jobId, signal, work, branch, freeze, logger, fail },
    maxParallelism: settings.maxParallelism,
    serialiseEdges: settings.serialiseEdges,
    timersAtEnd: settings.timersAtEnd,
    metrics: (uid) => metrics.getSubGroup('operator', uid),
    now: () => turns.now(),
    numberOf: (uid) => dictionary.numberOf(uid),
    stateNumbersOf: (uid) => dictionary.stateNumbersOf(uid),
    nextStateOf: (uid) => dictionary.nextStateOf(uid),
    checkpointSoon: () => domain.checkpointSoon(),
  });
  const coordinator = makeCoordinator(options, found, domain);
  const parts = { places, topology, workingSet, journal, coordinator };
  const early = storage === undefined ? undefined : makeEarly(options, found, parts);
  const slices = new Slices({
    ...{ clock, signal, turns, operators: topology.operators },
    perSliceMax: settings.timersPerTurn,
  });
  const loop = new TaskLoop({
    ...{ clock, places, signal, slices, fail, sources: topology.sources },
    turn: (body, turn) => turns.run(body, turn),
    workOpen: () => isWorkOpen(topology),
    between: () => early?.look(),
    journals: journal.keeps,
    whenDurable: (then) => journal.flush(then),
  });
  const holders = new WatermarkHolders({ topology, clock, logger });
  const ticks = makeTicks(options, { places, topology, holders, turns, loop, fail });
  return {
    places,
    journal,
    turns,
    work,
    workingSet,
    topology,
    coordinator,
    dictionary,
    loop,
    slices,
    later,
    ticks,
    holders,
    early,
  };
};

const isWorkOpen = (topology: Topology): boolean =>
  queuesOf(topology).some(({ open }) => open > 0) || topology.operators.some(({ waitsForClock }) => waitsForClock);

const makeTicks = (
  { clock, logger, settings: { tickMs } }: DomainOptions,
  parts: Pick<TicksOptions, 'places' | 'topology' | 'holders' | 'turns' | 'loop' | 'fail'>,
): Ticks => {
  const { places, topology, turns } = parts;
  const watchdog = new Watchdog({ places, operators: topology.operators, logger, moves: () => turns.moves });
  return new Ticks({ ...parts, clock, tickMs, watchdog });
};

const makeWorkingSet = ({ storage, settings }: DomainOptions, { newest }: Found): WorkingSet =>
  new WorkingSet({
    store: storage?.state ?? emptyStore,
    maxParallelism: settings.maxParallelism,
    restored: newest !== undefined,
    cacheMax: storage === undefined ? Number.MAX_SAFE_INTEGER : settings.cacheMax,
    freeze: settings.freezeState || settings.freeze,
  });

const makeCoordinator = (options: DomainOptions, { newest }: Found, domain: AssembledFor): CheckpointCoordinator =>
  new CheckpointCoordinator({
    clock: options.clock,
    signal: domain.signal,
    store: options.storage?.state,
    previous: newest,
    participant: { cut: (epoch) => domain.cut(epoch) },
    onStats: options.onCheckpoint,
    onFailure: (error) => domain.fail(error),
  });

const makeJournal = (
  { storage, clock, graph, metrics }: DomainOptions,
  { recovery }: Found,
  { hasWork, fail }: { readonly hasWork: () => boolean; readonly fail: (error: unknown) => void },
): Journal => {
  const ack = metrics.getHistogram('journalAckMs');
  return new Journal({
    store: storage?.journal,
    clock,
    recordTurns: () => storage !== undefined && (graph.needsTurnLog || hasWork()),
    from: recovery.state,
    onFailure: fail,
    onWritten: (ms) => ack.update(ms),
  });
};

const makeEarly = (
  { settings }: DomainOptions,
  { header }: Found,
  { places, topology, ...parts }: Pick<DomainParts, 'places' | 'topology' | 'workingSet' | 'journal' | 'coordinator'>,
): EarlyCheckpoints => {
  const { dirtyMax, dirtyBytesMax } = settings;
  const place = places.make({ name: 'dirty', max: 1 });
  return new EarlyCheckpoints({
    ...parts,
    operators: topology.operators,
    place,
    dirtyMax,
    dirtyBytesMax,
    coveredTurns: header.journal.turns,
  });
};
