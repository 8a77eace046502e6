/**
 * The domain: one loop with its turns, journal, state and checkpoints; the unit that lives between a start and a crash.
 * It is opened on a checkpoint and the recorded turns behind it, replays them calling nobody, and then runs live (I4,
 * I6, I8, I13). What it waits for on its way in ends with it (I18).
 */
import { makeAbort } from '../../core/abort.ts';
import { invariant, StreamError } from '../../core/errors.ts';
import { untilAborted } from '../../core/waits.ts';
import { readNewestCheckpoint } from '../../state/checkpoint.ts';
import type { OpenCheckpoint } from '../checkpoint/coordinator.ts';
import {
  checkHeader,
  checkStates,
  emptyHeader,
  headerFormat,
  type Header,
  type StateFacts,
} from '../checkpoint/header.ts';
import { cutTopology } from '../checkpoint/topology-cut.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { Topology } from '../hosts/topology.ts';
import type { TickTurn, Turn } from '../journal/turn.ts';
import { beginBranch, leftOverAtCut } from '../recovery/branch.ts';
import { openKnownSplits, openNewSplits } from '../recovery/open-splits.ts';
import { Recovery, type Recorded } from '../recovery/recovery.ts';
import { replay } from '../recovery/replay.ts';
import type { Replayed } from '../recovery/replayed.ts';
import type { WorkQueue } from '../work/work.ts';
import { assemble, queuesOf, type AssembledFor, type DomainOptions, type DomainParts, type Found } from './assemble.ts';
import { refuseGrown } from './grown-input.ts';
import { sliceAgain } from './slices.ts';
import { tickAgain } from './ticks.ts';
import type { Turns } from './turns.ts';

export interface Resumed extends Recorded {
  /** Undefined when none was taken before the process died. */
  readonly checkpoint: number | undefined;
  /** The name that the job had then, where it is known and was another. */
  readonly formerName?: string | undefined;
}

export class Domain implements Replayed, AssembledFor {
  readonly parts: DomainParts;
  readonly recovery: Recovery;
  readonly topology: Topology;
  readonly turns: Turns;
  /** What it goes on from; undefined in a fresh place. */
  readonly resumed: Resumed | undefined;
  readonly #options: DomainOptions;
  readonly #header: Header;
  /** Every wait of the job listens to it. */
  readonly #abort = makeAbort();
  #branch: number;
  #finished = false;
  #failure: { readonly error: unknown } | undefined;
  #sealedLast = false;
  /** The recorded turns are done. */
  #replayed = false;
  #checkpointWanted = false;

  /** Opens the domain on what the storage holds. Nothing runs yet. */
  static async open(options: DomainOptions): Promise<Domain> {
    const { storage, settings, graph } = options;
    const newest = storage === undefined ? undefined : await readNewestCheckpoint(storage.state);
    // The digest of the checkpoint has been verified, so its body is what this engine wrote; checkHeader looks at its
    // format.
    const header = (newest?.body as Header | undefined) ?? emptyHeader(settings.maxParallelism);
    const uids = new Set(graph.nodes.map(({ uid }) => uid));
    checkHeader(header, { ...settings, uids });
    const recovery = storage === undefined ? Recovery.empty(header) : await Recovery.load(storage.journal, header);
    return new Domain(options, { header, recovery, newest });
  }

  /** What the operators of a graph declare, by uid, beside a checkpoint that is in no storage of theirs yet. */
  static declared(options: DomainOptions, header: Header): ReadonlyMap<string, readonly StateFacts[]> {
    const domain = new Domain(options, { header, recovery: Recovery.empty(header), newest: undefined });
    const { dictionary, workingSet } = domain.parts;
    const { operators } = domain.topology;
    domain.kill(); // It was made to be looked at.
    return new Map(operators.map(({ uid }) => [uid, dictionary.statesOf(uid, workingSet)]));
  }

  private constructor(options: DomainOptions, found: Found) {
    this.#options = options;
    this.#header = found.header;
    this.recovery = found.recovery;
    this.#branch = found.header.branch;
    const { recorded } = found.recovery;
    const { job: formerName = options.name } = found.header;
    if (found.newest !== undefined || recorded.turns > 0 || recorded.outcomes > 0) {
      const facts = { checkpoint: found.newest?.id, ...recorded };
      this.resumed = formerName === options.name ? facts : { ...facts, formerName };
    }
    this.parts = assemble(options, found, this);
    this.topology = this.parts.topology;
    this.turns = this.parts.turns;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
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

  // ---------- its life

  /** Restores state, opens sources and sinks, replays the recorded turns and starts the work that is open. */
  async start(): Promise<void> {
    const { coordinator, work, journal } = this.parts;
    const { clock } = this.#options;
    await this.#restore();
    await this.#openHosts();
    await this.#inLife(openKnownSplits(this, clock, { replayable: true }));
    for (const { lsn, last } of this.recovery.kept) journal.adopt(lsn, last);
    await this.#replay();
    // What replay hands over of a source that can't be read again comes from the journal; its readers go on behind
    // that.
    await this.#inLife(openKnownSplits(this, clock, { replayable: false }));
    this.#replayed = true;
    if (this.#branch !== this.#header.branch) await this.#inLife(coordinator.trigger());
    else if (this.#checkpointWanted) this.checkpointSoon();
    // Before slices go on: what those submit is then work like any other.
    work.resume(this.queues());
    const { timersPerTurn } = this.#options.settings;
    await this.turn(
      () => this.goLive(timersPerTurn),
      () => ({ kind: 'start', timersPerTurn }),
    );
    await this.#inLife(openNewSplits(this, clock));
  }

  /**
   * Runs until the input has ended and all work is done (true), or until it is stopped (false). Rejects when the job
   * failed.
   */
  async run(): Promise<boolean> {
    const { ticks, loop } = this.parts;
    ticks.start();
    const atEnd = await loop.run();
    if (atEnd) ticks.stop(); // A timer of the clock that fired now would start what nobody waits for.
    this.#throwFailure();
    return atEnd;
  }

  /** A checkpoint; with `finished` the last one of the job. Its effects are committed when it resolves. */
  async checkpoint(options: { readonly finished?: boolean } = {}): Promise<void> {
    await this.durableCheckpoint(options);
    await this.committed();
  }

  /** A checkpoint that is durable when this resolves; its effects may still be on their way. */
  async durableCheckpoint(options: { readonly finished?: boolean } = {}): Promise<void> {
    // Once the last one is asked for no other may take that back.
    if (options.finished === true) this.#finished = true;
    await this.#inLife(this.parts.coordinator.triggerNext());
  }

  /** Resolves when the effects of all checkpoints so far are committed. */
  async committed(): Promise<void> {
    await this.#inLife(this.parts.coordinator.committed);
  }

  /** Stops pulling and starting; waits for started calls at most `timeoutMs`, so that their outcomes are journaled. */
  async quiesce(timeoutMs: number): Promise<void> {
    this.stopLoop();
    await untilAborted(this.parts.work.quiesce(timeoutMs), this.signal);
  }

  /** Ends `run` when what has come and would be lost is done, or after this time. */
  drain(timeoutMs: number): void {
    this.parts.loop.drain();
    const cancel = this.#options.clock.setTimer(timeoutMs, () => this.stopLoop());
    if (this.signal.aborted) cancel();
    else this.signal.addEventListener('abort', cancel, { once: true });
  }

  /** Ends `run` between two turns. */
  stopLoop(): void {
    this.parts.loop.stop();
  }

  /** A job that has finished commits what its last checkpoint sealed, in case it died before it had. */
  async commitSealed(): Promise<void> {
    for (const sink of this.topology.sinks) {
      const snapshot = this.#header.nodes[sink.uid]?.sink;
      if (snapshot !== undefined && snapshot.pending.length > 0)
        await this.#inLife(sink.open(snapshot, this.parts.coordinator.epoch));
    }
  }

  /** A job that has finished has nothing to do, unless its input has grown since: that is refused. */
  async refuseGrownInput(): Promise<void> {
    const { clock } = this.#options;
    for (const host of this.topology.sources) {
      await this.#inLife(
        refuseGrown(host, { known: this.#header.nodes[host.uid]?.source, clock, signal: this.signal }),
      );
    }
  }

  /** Ends everything at once; nothing that is open takes effect any more. May be called twice. */
  kill(reason: unknown = new StreamError('WORK_ABORTED', 'the job stopped')): void {
    this.parts.journal.kill();
    this.#abort.abort(reason);
    this.parts.ticks.stop();
    this.stopLoop();
  }

  /**
   * Ends everything, and begins to close readers, writers and operators: by name, so that one that does not come to an
   * end can be told.
   */
  close(): readonly { readonly what: string; readonly closed: Promise<void> }[] {
    this.kill();
    const { sources, operators, sinks } = this.topology;
    return [
      ...sources.map((source) => ({ what: `source \`${source.uid}\``, closed: source.close() })),
      ...operators.map((operator) => ({ what: `operator \`${operator.uid}\``, closed: operator.close() })),
      ...sinks.map((sink) => ({ what: `sink \`${sink.uid}\``, closed: sink.close() })),
    ];
  }

  /** The first failure ends the domain. */
  fail(error: unknown): void {
    if (this.signal.aborted) return;
    this.#failure = { error };
    this.kill(error);
    this.#options.onFailure(error);
  }

  /**
   * What is waited for while the domain lives: a part that has failed or that hangs must not keep the failure of
   * another back.
   */
  async #inLife<T>(waited: Promise<T>): Promise<T> {
    const result = await untilAborted(waited, this.signal);
    this.#throwFailure();
    return result;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  // ---------- start

  async #restore(): Promise<void> {
    const { dictionary, workingSet } = this.parts;
    const { allowUnclaimedState } = this.#options.settings;
    for (const [uid, node] of Object.entries(this.#header.nodes)) {
      const source = this.topology.sources.find((each) => each.uid === uid);
      if (source !== undefined && node.source !== undefined) source.restore(node.source);
      if (node.valve !== undefined) this.topology.valves.get(uid)?.restore(node.valve);
    }
    for (const operator of this.topology.operators) {
      const node = this.#header.nodes[operator.uid];
      if (node?.host === undefined) continue;
      const declared = dictionary.statesOf(operator.uid, workingSet);
      checkStates({ uid: operator.uid, stored: node.states ?? [], declared, allowUnclaimedState });
      await this.#inLife(operator.restore(node.host));
    }
  }

  async #openHosts(): Promise<void> {
    const { operators, sinks } = this.topology;
    for (const operator of operators) await this.#inLife(operator.open());
    for (const sink of sinks)
      await this.#inLife(sink.open(this.#header.nodes[sink.uid]?.sink, this.parts.coordinator.epoch));
  }

  /**
   * Throws a `Divergence`, or `DIVERGED` where that is an error; told of one, it does the turns before that and begins
   * a branch.
   */
  async #replay(): Promise<void> {
    const { divergence, settings, clock, logger } = this.#options;
    const turns = this.recovery.takeTurns();
    const found = await this.#inLife(replay(this, turns, divergence?.turns ?? turns.length, clock));
    if (found !== undefined) throw settings.strictReplay ? new StreamError('DIVERGED', found.message) : found;
    if (divergence === undefined) {
      this.recovery.endReplay(this.openItems());
      return;
    }
    this.#branch += 1;
    beginBranch({ job: this, header: this.#header, divergence, turns: turns.slice(divergence.turns), logger });
  }

  // ---------- what replay needs

  /** Opens the reader of a split at its position. */
  async openSplit(source: SourceHost<unknown>, name: string): Promise<void> {
    await source.openSplit(name, this.signal, this.#options.clock);
  }

  queues(): WorkQueue[] {
    return queuesOf(this.topology);
  }

  /** Names of the open items of work. */
  openItems(): ReadonlySet<string> {
    return new Set(this.queues().flatMap((queue) => [...queue.items()].map(({ name }) => name)));
  }

  async turn(body: () => void, turn: () => Turn): Promise<void> {
    await this.#inLife(this.parts.slices.turn(body, turn));
  }

  tick(turn: TickTurn): void {
    tickAgain(this.topology, turn);
  }

  get isHeld(): boolean {
    return this.parts.later.isOpen;
  }

  slice(count: number): void {
    sliceAgain(this.topology.operators, count);
  }

  goLive(timersPerTurn = this.parts.later.perTurn): void {
    this.parts.later.perTurn = timersPerTurn;
    for (const source of this.topology.sources) source.restartCountdown();
  }

  // ---------- checkpoint

  /**
   * A sink asks for a checkpoint. While turns are replayed the state is that of a middle the journal knows nothing of,
   * so it waits.
   */
  checkpointSoon(): void {
    this.#checkpointWanted = !this.#replayed;
    // Behind one that is being written: the sink filled up after its instant, so that one does not hold what fills it.
    if (this.#replayed) this.parts.coordinator.triggerNext().catch(() => {}); // The coordinator reports it.
  }

  /** The instant. */
  cut(epoch: number): OpenCheckpoint {
    invariant(this.#replayed, 'I4: a checkpoint covers all turns that the journal holds');
    invariant(!this.turns.running, 'I4: a checkpoint is the state between two turns');
    const { dictionary, workingSet, work, later } = this.parts;
    const journal = this.parts.journal.cut();
    this.parts.early?.cut(journal.turns);
    const finished = this.#finished;
    const branch = this.#branch;
    const timersPerTurn = later.perTurn;
    const leftOver = leftOverAtCut(this, this.#options.logger, this.#options.metrics);
    const garbage = work.cutGarbage();
    const cut = cutTopology({
      topology: this.topology,
      workingSet: this.#options.storage === undefined ? undefined : workingSet,
      statesOf: (uid) => dictionary.statesEver(uid, workingSet),
      numberOf: (uid) => dictionary.numberOf(uid),
      epoch,
    });
    return {
      state: cut.state,
      seals: cut.seals,
      body: async (sealed): Promise<Header> => {
        const { name, storage, settings } = this.#options;
        const journalPosition =
          storage?.journal.reaches === undefined ? undefined : await storage.journal.getRecoveryMarker();
        return {
          format: headerFormat,
          maxParallelism: settings.maxParallelism,
          job: name,
          branch,
          journal,
          ...(journalPosition === undefined ? {} : { journalPosition }),
          ...(leftOver && { leftOver }),
          timersPerTurn,
          finished,
          nextNumber: dictionary.nextNumber,
          nodes: cut.nodes(sealed),
        };
      },
      durable: async (sealed) => {
        this.#sealedLast = sealed.some((each) => each !== undefined);
        // At once, since the header of the next checkpoint must hold what is sealed and not committed yet.
        const commits = cut.commit(sealed);
        commits.catch(() => {}); // Awaited below.
        await this.parts.journal.prune(journal.turns, garbage);
        await cut.acknowledge();
        await commits;
      },
    };
  }
}
