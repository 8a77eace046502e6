/**
 * The domain: one loop with its turns, journal, state and checkpoints; the unit that lives between a start and a crash. It is opened on
 * a checkpoint and the recorded turns behind it, replays them calling nobody, and then runs live (I4, I6, I8, I13).
 */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../../core/clock.ts';
import { invariant, StreamError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { MetricGroup } from '../../core/metric.ts';
import { readNewestCheckpoint } from '../../state/checkpoint.ts';
import { WorkingSet } from '../../state/keyed-state.ts';
import { emptyStore, type OpenStorage } from '../../state/store.ts';
import { beginBranch, leftOverAtCut } from '../recovery/branch.ts';
import { CheckpointCoordinator, type CheckpointStats, type OpenCheckpoint } from '../checkpoint/coordinator.ts';
import { EarlyCheckpoints } from '../checkpoint/early-checkpoints.ts';
import type { StreamGraph } from '../edges/graph.ts';
import { refuseGrown } from './grown-input.ts';
import { checkHeader, checkStates, emptyHeader, headerFormat, type Header } from '../checkpoint/header.ts';
import { Journal } from '../journal/journal.ts';
import { openKnownSplits, openNewSplits } from '../recovery/open-splits.ts';
import { OpenWork } from './open-work.ts';
import { Places } from '../edges/places.ts';
import { Recovery } from '../recovery/recovery.ts';
import { replay, type Divergence } from '../recovery/replay.ts';
import type { Replayed } from '../recovery/replayed.ts';
import { TaskLoop } from './task-loop.ts';
import { Ticks, tickTopology } from './ticks.ts';
import { cutTopology } from '../checkpoint/topology-cut.ts';
import { compile, type Topology, type TopologyServices } from '../hosts/topology.ts';
import { Turns } from './turns.ts';
import type { TickTurn, Turn } from '../journal/turn.ts';
import { UidDictionary } from '../checkpoint/uid-dictionary.ts';
import { untilAborted } from './until-aborted.ts';
import { Watchdog } from './watchdog.ts';
import type { WorkQueue } from '../work/work.ts';

export interface DomainSettings {
  readonly maxParallelism: number;
  readonly serialiseEdges: boolean;
  readonly strictReplay: boolean;
  readonly allowUnclaimedState: boolean;
  /** Dirty entries and bytes that start a checkpoint early. */
  readonly dirtyMax: number;
  readonly dirtyBytesMax: number;
  readonly cacheMax: number;
  /** At least this often watermarks of quiet sources and processing-time timers are looked at, in milliseconds. */
  readonly tickMs: number;
  /** Freeze values that state hands out, so that a test finds who changes them. */
  readonly freezeState: boolean;
  /** Freeze all that user code is given. */
  readonly freeze: boolean;
}

export interface DomainOptions {
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

export class Domain implements Replayed {
  readonly places = new Places();
  readonly journal: Journal;
  readonly topology: Topology;
  readonly coordinator: CheckpointCoordinator;
  readonly workingSet: WorkingSet;
  readonly recovery: Recovery;
  readonly turns: Turns;
  readonly work: OpenWork;
  readonly #options: DomainOptions;
  readonly #header: Header;
  readonly #abort = new AbortController();
  readonly #dictionary: UidDictionary;
  readonly #loop: TaskLoop;
  readonly #ticks: Ticks;
  /** Undefined where nothing is stored. */
  readonly #early: EarlyCheckpoints | undefined;
  #branch: number;
  #finished = false;
  #failure: { readonly error: unknown } | undefined;
  #sealedLast = false;
  /** The recorded turns are done. */
  #replayed = false;
  #sealWanted = false;

  /** Opens the domain on what the storage holds. Nothing runs yet. */
  static async open(options: DomainOptions): Promise<Domain> {
    const { storage, settings, graph } = options;
    const newest = storage === undefined ? undefined : await readNewestCheckpoint(storage.state);
    // The digest of the checkpoint has been verified, so its body is what this engine wrote; checkHeader looks at its format.
    const header = (newest?.body as Header | undefined) ?? emptyHeader(settings.maxParallelism);
    const uids = new Set(graph.nodes.map(({ uid }) => uid));
    checkHeader(header, { ...settings, uids });
    const recovery = storage === undefined ? Recovery.empty(header) : await Recovery.load(storage.journal, header);
    return new Domain(options, header, recovery, newest);
  }

  private constructor(options: DomainOptions, header: Header, recovery: Recovery, newest: { id: number; digest: string } | undefined) {
    const { graph, settings, storage, clock } = options;
    setMaxListeners(0, this.#abort.signal); // Every wait of the job listens to it.
    this.#options = options;
    this.#header = header;
    this.recovery = recovery;
    this.#branch = header.branch;
    this.#dictionary = new UidDictionary(header);
    this.journal = this.#makeJournal();
    this.turns = new Turns({
      clock,
      journal: this.journal,
      signal: this.signal,
      fail: (error) => this.fail(error),
      onTurn: (turn) => {
        this.#ticks.moved();
        options.onTurn?.(turn);
      },
    });
    this.work = this.#makeWork();
    this.workingSet = new WorkingSet({
      store: storage?.state ?? emptyStore,
      maxParallelism: settings.maxParallelism,
      restored: newest !== undefined,
      cacheMax: storage === undefined ? Number.MAX_SAFE_INTEGER : settings.cacheMax,
      freeze: settings.freezeState || settings.freeze,
    });
    this.topology = compile(graph, this.#services());
    this.coordinator = new CheckpointCoordinator({
      clock,
      store: storage?.state,
      previous: newest,
      participant: { cut: (epoch) => this.#cut(epoch) },
      signal: this.#abort.signal,
      onStats: options.onCheckpoint,
      onFailure: (error) => this.fail(error),
    });
    if (storage !== undefined) this.#early = this.#makeEarly();
    this.#loop = this.#makeLoop();
    const { places, topology } = this;
    const watchdog = new Watchdog({ places, operators: topology.operators, logger: options.logger, moves: () => this.turns.moves });
    this.#ticks = new Ticks({ clock, tickMs: settings.tickMs, places, topology, watchdog, turns: this.turns, loop: this.#loop });
  }

  get finished(): boolean {
    return this.#header.finished;
  }

  /** Whether the last checkpoint sealed anything that was committed since. */
  get hasCommitted(): boolean {
    return this.#sealedLast && this.#options.storage !== undefined;
  }

  get branch(): number {
    return this.#branch;
  }

  get longestTurnMs(): number {
    return this.turns.longestMs;
  }

  get workOpen(): number {
    return this.queues().reduce((sum, { open }) => sum + open, 0);
  }

  get workInFlight(): number {
    return this.queues().reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  /** Restores state, opens sources and sinks, replays the recorded turns and starts the work that is open. */
  async start(): Promise<void> {
    await this.#restore();
    for (const operator of this.topology.operators) await operator.open();
    for (const sink of this.topology.sinks) await sink.open(this.#header.nodes[sink.uid]?.sink, this.coordinator.epoch);
    await openKnownSplits(this, { replayable: true });
    for (const { lsn, last } of this.recovery.kept) this.journal.adopt(lsn, last);
    await this.#replay();
    // What replay hands over of a source that can't be read again comes from the journal; its readers go on behind that.
    await openKnownSplits(this, { replayable: false });
    this.#replayed = true;
    if (this.#branch !== this.#header.branch) await untilAborted(this.coordinator.trigger(), this.signal);
    else if (this.#sealWanted) this.#sealSoon();
    this.turns.run(
      () => this.restartCountdowns(),
      () => ({ kind: 'start' }),
    );
    await openNewSplits(this);
    this.#throwFailure();
    this.work.resume(this.queues());
  }

  /** Throws a `Divergence`, or `DIVERGED` where that is an error; told of one, it does the turns before that and begins a branch. */
  async #replay(): Promise<void> {
    const { divergence, settings, clock, logger } = this.#options;
    const turns = this.recovery.takeTurns();
    const found = await replay(this, turns, divergence?.turns ?? turns.length, clock);
    if (found !== undefined) throw settings.strictReplay ? new StreamError('DIVERGED', found.message) : found;
    if (divergence === undefined) {
      this.recovery.settle(this.openItems());
      return;
    }
    this.#branch += 1;
    beginBranch({ job: this, header: this.#header, divergence, turns: turns.slice(divergence.turns), logger });
  }

  /** Runs until the input has ended and all work is done (true), or until it is stopped (false). Rejects when the job failed. */
  async run(): Promise<boolean> {
    this.#ticks.start();
    const atEnd = await this.#loop.run();
    if (atEnd) this.#ticks.stop(); // A timer of the clock that fired now would start what nobody waits for.
    this.#throwFailure();
    return atEnd;
  }

  /** A checkpoint; with `finished` the last one of the job. Its effects are committed when it resolves. */
  async checkpoint(options: { readonly finished?: boolean } = {}): Promise<void> {
    await this.seal(options);
    await this.committed();
  }

  /** A checkpoint that is durable when this resolves; its effects may still be on their way. */
  async seal(options: { readonly finished?: boolean } = {}): Promise<void> {
    // Once the last one is asked for no other may take that back.
    if (options.finished === true) this.#finished = true;
    await untilAborted(this.coordinator.triggerNext(), this.signal);
    this.#throwFailure();
  }

  /** Resolves when the effects of all checkpoints so far are committed. */
  async committed(): Promise<void> {
    await untilAborted(this.coordinator.committed, this.signal);
    this.#throwFailure();
  }

  /** Stops pulling and starting; waits for started calls at most `timeoutMs`, so that their outcomes are journaled. */
  async quiesce(timeoutMs: number): Promise<void> {
    this.#loop.stop();
    await untilAborted(this.work.quiesce(timeoutMs), this.signal);
  }

  /** Ends `run` between two turns. */
  stopLoop(): void {
    this.#loop.stop();
  }

  /** A job that has finished commits what its last checkpoint sealed, in case it died before it had. */
  async commitSealed(): Promise<void> {
    for (const sink of this.topology.sinks) {
      const snapshot = this.#header.nodes[sink.uid]?.sink;
      if (snapshot !== undefined && snapshot.pending.length > 0) await sink.open(snapshot, this.coordinator.epoch);
    }
  }

  /** A job that has finished has nothing to do, unless its input has grown since: that is refused. */
  async refuseGrownInput(): Promise<void> {
    const { clock } = this.#options;
    for (const host of this.topology.sources) await refuseGrown(host, { known: this.#header.nodes[host.uid]?.source, clock, signal: this.signal });
  }

  /** Ends everything at once; nothing that is open takes effect any more. May be called twice. */
  kill(reason: unknown = new StreamError('WORK_ABORTED', 'the job stopped')): void {
    this.journal.kill();
    this.#abort.abort(reason);
    this.#ticks.stop();
    this.#loop.stop();
  }

  /** Closes readers, writers and operators after `kill`. */
  async close(): Promise<void> {
    this.kill();
    const { sources, operators, sinks } = this.topology;
    const closing = [...sources, ...operators, ...sinks].map((each) => each.close());
    for (const result of await Promise.allSettled(closing)) {
      if (result.status === 'rejected') this.#options.logger.warn({ error: result.reason as unknown }, 'closing failed');
    }
  }

  /** The first failure ends the domain. */
  fail(error: unknown): void {
    if (this.#failure !== undefined || this.#abort.signal.aborted) return;
    this.#failure = { error };
    this.kill(error);
    this.#options.onFailure(error);
  }

  // ---------- what replay needs

  /** Opens the reader of a split at its position. */
  async openSplit(source: Topology['sources'][number], name: string): Promise<void> {
    const split = source.split(name);
    if (!split.ended) split.open(await source.source.open(name, split.position, this.signal, this.#options.clock));
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  queues(): WorkQueue[] {
    return this.topology.operators.flatMap(({ workQueue }) => (workQueue === undefined ? [] : [workQueue]));
  }

  /** Names of the open items of work. */
  openItems(): ReadonlySet<string> {
    return new Set(this.queues().flatMap((queue) => [...queue.items()].map(({ name }) => name)));
  }

  tick(turn: TickTurn): void {
    tickTopology(this.topology, turn);
  }

  restartCountdowns(): void {
    for (const source of this.topology.sources) source.restartCountdown();
  }

  // ---------- start

  async #restore(): Promise<void> {
    const { allowUnclaimedState } = this.#options.settings;
    for (const [uid, node] of Object.entries(this.#header.nodes)) {
      const source = this.topology.sources.find((each) => each.uid === uid);
      if (source !== undefined && node.source !== undefined) source.restore(node.source);
      if (node.valve !== undefined) this.topology.valves.get(uid)?.restore(node.valve);
    }
    for (const operator of this.topology.operators) {
      const node = this.#header.nodes[operator.uid];
      if (node?.host === undefined) continue;
      checkStates({ uid: operator.uid, stored: node.states ?? [], declared: this.#dictionary.statesOf(operator.uid, this.workingSet), allowUnclaimedState });
      await operator.restore(node.host);
    }
  }

  // ---------- checkpoint

  /** A sink asks for a checkpoint. While turns are replayed the state is that of a middle the journal knows nothing of, so it waits. */
  #sealSoon(): void {
    this.#sealWanted = !this.#replayed;
    // Behind one that is being written: the sink filled up after its instant, so that one does not hold what fills it.
    if (this.#replayed) this.coordinator.triggerNext().catch(() => {}); // The coordinator reports it.
  }

  /** The instant. */
  #cut(epoch: number): OpenCheckpoint {
    invariant(this.#replayed, 'I4: a checkpoint covers all turns that the journal holds');
    invariant(!this.turns.running, 'I4: a checkpoint is the state between two turns');
    const journal = this.journal.cut();
    this.#early?.cut(journal.turns);
    const finished = this.#finished;
    const branch = this.#branch;
    const leftOver = leftOverAtCut(this, this.#options.logger, this.#options.metrics);
    const garbage = this.work.cutGarbage();
    const cut = cutTopology({
      topology: this.topology,
      workingSet: this.#options.storage === undefined ? undefined : this.workingSet,
      statesOf: (uid) => this.#dictionary.statesEver(uid, this.workingSet),
      numberOf: (uid) => this.#dictionary.numberOf(uid),
      epoch,
    });
    return {
      state: cut.state,
      seals: cut.seals,
      body: async (sealed): Promise<Header> => {
        const { storage, settings } = this.#options;
        const journalPosition = storage?.journal.reaches === undefined ? undefined : await storage.journal.getRecoveryMarker();
        return {
          format: headerFormat,
          maxParallelism: settings.maxParallelism,
          branch,
          journal,
          ...(journalPosition === undefined ? {} : { journalPosition }),
          ...(leftOver && { leftOver }),
          finished,
          nextNumber: this.#dictionary.nextNumber,
          nodes: cut.nodes(sealed),
        };
      },
      durable: async (sealed) => {
        this.#sealedLast = sealed.some((each) => each !== undefined);
        // At once, since the header of the next checkpoint must hold what is sealed and not committed yet.
        const commits = cut.commit(sealed);
        commits.catch(() => {}); // Awaited below.
        await this.journal.prune(journal.turns, garbage);
        await cut.acknowledge();
        await commits;
      },
    };
  }

  // ---------- services

  #services(): TopologyServices {
    const { settings, clock, metrics } = this.#options;
    return {
      workingSet: this.workingSet,
      places: this.places,
      maxParallelism: settings.maxParallelism,
      serialiseEdges: settings.serialiseEdges,
      freeze: settings.freeze,
      journal: this.journal,
      clock,
      jobId: this.#options.storage?.jobId ?? this.#options.memoryId,
      signal: this.signal,
      work: this.work,
      branch: () => this.#branch,
      metrics: (uid) => metrics.getSubGroup('operator', uid),
      now: () => this.turns.now(),
      numberOf: (uid) => this.#dictionary.numberOf(uid),
      stateNumbersOf: (uid) => this.#dictionary.stateNumbersOf(uid),
      nextStateOf: (uid) => this.#dictionary.nextStateOf(uid),
      logger: this.#options.logger,
      fail: (error) => this.fail(error),
      sealSoon: () => this.#sealSoon(),
    };
  }

  #makeWork(): OpenWork {
    const { clock, settings, logger } = this.#options;
    return new OpenWork({
      jobId: this.#options.storage?.jobId ?? this.#options.memoryId,
      clock,
      journal: this.journal,
      recovery: this.recovery,
      turns: this.turns,
      signal: this.signal,
      logger,
      strictReplay: settings.strictReplay,
      freeze: settings.freeze,
      branch: () => this.#branch,
      uidOf: (number) => this.topology.operator(number)?.uid ?? `${number}`,
      onApplied: () => this.#loop.wake(),
      fail: (error) => this.fail(error),
    });
  }

  #makeJournal(): Journal {
    const { storage, clock, graph, metrics } = this.#options;
    const ack = metrics.getHistogram('journalAckMs');
    return new Journal({
      store: storage?.journal,
      clock,
      recordTurns: () => storage !== undefined && (graph.needsTurnLog || this.queues().length > 0),
      from: this.recovery.state,
      onFailure: (error) => this.fail(error),
      onWritten: (ms) => ack.update(ms),
    });
  }

  #makeEarly(): EarlyCheckpoints {
    const { dirtyMax, dirtyBytesMax } = this.#options.settings;
    const place = this.places.make({ name: 'dirty', max: 1 });
    const { operators } = this.topology;
    const coveredTurns = this.#header.journal.turns;
    const { workingSet, journal, coordinator } = this;
    return new EarlyCheckpoints({ workingSet, operators, journal, coordinator, place, dirtyMax, dirtyBytesMax, coveredTurns });
  }

  #makeLoop(): TaskLoop {
    return new TaskLoop({
      clock: this.#options.clock,
      sources: this.topology.sources,
      places: this.places,
      signal: this.#abort.signal,
      turn: (body, turn) => this.turns.run(body, turn),
      workOpen: () => this.workOpen > 0,
      between: () => this.#early?.look(),
      journals: this.journal.keeps,
      whenDurable: (then) => this.journal.flush(then),
      fail: (error) => this.fail(error),
    });
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
