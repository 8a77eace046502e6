/**
 * One life of a pipeline, driven by hand: the parts are put together as the domain does it and stand on a real store,
 * but no loop runs, so that a test says which turn comes next. It is also the job that a replay restores.
 */
import { MemoryStorage, StreamExecutionEnvironment, systemClock } from '../../../lib/index.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import type { Clock } from '../../../lib/core/clock.ts';
import { untilAborted } from '../../../lib/core/waits.ts';
import { settingsOf } from '../../../lib/environment-options.ts';
import { emptyHeader, type Header } from '../../../lib/runtime/checkpoint/header.ts';
import { assemble, queuesOf, type AssembledFor, type DomainParts } from '../../../lib/runtime/domain/assemble.ts';
import { sliceAgain } from '../../../lib/runtime/domain/slices.ts';
import { tickAgain } from '../../../lib/runtime/domain/ticks.ts';
import type { Turns } from '../../../lib/runtime/domain/turns.ts';
import type { Pushed, SourceHost } from '../../../lib/runtime/hosts/source-host.ts';
import type { Split } from '../../../lib/runtime/hosts/split.ts';
import type { Topology } from '../../../lib/runtime/hosts/topology.ts';
import { makeLogger } from '../../../lib/runtime/job/logging.ts';
import { MetricTree } from '../../../lib/runtime/job/metric-group.ts';
import { markOfPosition, type TickTurn, type Turn } from '../../../lib/runtime/journal/turn.ts';
import { openNewSplits } from '../../../lib/runtime/recovery/open-splits.ts';
import { Recovery } from '../../../lib/runtime/recovery/recovery.ts';
import type { Replayed } from '../../../lib/runtime/recovery/replayed.ts';
import type { OpenStorage, Storage } from '../../../lib/state/store.ts';
import type { WorkItem } from '../../../lib/runtime/work/work-item.ts';
import type { WorkQueue } from '../../../lib/runtime/work/work.ts';

export interface LifeOptions {
  /** @defaultValue a new one */
  readonly storage?: Storage | undefined;
  /** What the checkpoint says that the life begins at. @defaultValue that of a fresh job */
  readonly header?: Header | undefined;
  readonly clock?: Clock | undefined;
  /** Timers that fire in one turn. @defaultValue 128 */
  readonly timersPerTurn?: number | undefined;
}

export class Life implements Replayed, AssembledFor {
  branch: number;
  readonly recovery: Recovery;
  readonly parts: DomainParts;
  readonly header: Header;
  /** Live turns, as they were noted. */
  readonly seen: Turn[] = [];
  readonly failures: unknown[] = [];
  readonly lines: string[] = [];
  readonly metrics = new MetricTree({ job: 'life', clock: systemClock });
  readonly #abort = makeAbort();
  readonly #clock: Clock;
  readonly #storage: OpenStorage;

  private constructor(
    build: (env: StreamExecutionEnvironment) => void,
    { header, recovery, storage, clock, timersPerTurn }: Found,
  ) {
    this.header = header;
    this.recovery = recovery;
    this.branch = header.branch;
    this.#clock = clock;
    this.#storage = storage;
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    build(env);
    this.parts = assemble(
      {
        name: 'job',
        graph: env.graph,
        settings: settingsOf({ timersPerTurn }).domain,
        storage,
        memoryId: 'life',
        clock,
        logger: makeLogger('silent'),
        metrics: this.metrics.root,
        onCheckpoint: () => {},
        onFailure: () => {},
        onTurn: (turn) => this.seen.push(turn),
      },
      { header, recovery, newest: undefined },
      this,
    );
  }

  /** A pipeline on what a storage holds. Nothing is open yet. */
  static async on(build: (env: StreamExecutionEnvironment) => void, options: LifeOptions = {}): Promise<Life> {
    const { storage = new MemoryStorage(), header = emptyHeader(128), clock = systemClock, timersPerTurn } = options;
    const opened = await storage.open();
    const recovery = await Recovery.load(opened.journal, header);
    const life = new Life(build, { header, recovery, storage: opened, clock, timersPerTurn });
    for (const operator of life.topology.operators) await operator.open();
    for (const sink of life.topology.sinks) await sink.open(undefined, 0);
    return life;
  }

  /** The same, whose splits are there and open. */
  static async begun(build: (env: StreamExecutionEnvironment) => void, options: LifeOptions = {}): Promise<Life> {
    const life = await Life.on(build, options);
    life.parts.work.resume([]);
    await openNewSplits(life, options.clock ?? systemClock);
    return life;
  }

  // ---------- live turns

  /** A split hands over so many records, those of each batch in a turn. What can't be read again is accepted first. */
  async records(count: number, split = this.onlySplit, source = this.onlySource): Promise<void> {
    const host = this.source(source);
    const from = host.split(split);
    for (let left = count; left > 0;) {
      if (!from.hasRecords) await this.#read(host, from);
      await this.parts.slices.finish();
      let pushed: Pushed = { count: 0 };
      this.turns.run(
        () => (pushed = host.push(from, left)),
        () => ({ kind: 'records', source: host.number, split, ...pushed, ...markOfPosition(from.position) }),
      );
      this.#throwFailure();
      left -= pushed.count;
    }
  }

  async #read(host: SourceHost<unknown>, from: Split<unknown>): Promise<void> {
    const batch = await from.read(this.signal);
    if (batch === undefined) throw new Error(`split ${from.name} has ended`);
    if (host.source.replayable) {
      from.take(batch);
      return;
    }
    const input = host.acceptable(from, batch);
    this.turns.run(
      () => from.accept(input),
      () => ({ kind: 'input', source: host.number, split: from.name, input }),
    );
    from.release();
  }

  end(split = this.onlySplit, source = this.onlySource): void {
    const host = this.source(source);
    this.turns.run(
      () => host.end(host.split(split)),
      () => ({ kind: 'end', source: host.number, split }),
    );
    this.#throwFailure();
  }

  /** Resolves when all turns so far are in the journal, and work has done what it can without anything from outside. */
  async quiet(): Promise<void> {
    const { journal } = this.parts;
    for (let still = 0; still < 8; still += 1) {
      const before = `${this.turns.moves} ${journal.backlog} ${journal.state.lsn} ${this.openItems().size}`;
      await this.durable();
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#throwFailure();
      if (before !== `${this.turns.moves} ${journal.backlog} ${journal.state.lsn} ${this.openItems().size}`) still = 0;
    }
  }

  /** Resolves when all turns so far are in the journal, or when the life is over. */
  durable(): Promise<void> {
    const durable = new Promise<void>((resolve) => this.parts.journal.flush(resolve));
    return untilAborted(durable, this.signal).catch(() => {});
  }

  /** Lets so many macrotasks pass. */
  async macrotasks(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** The life is over: nothing that is open takes effect any more. */
  kill(reason: unknown = new Error('the process died')): void {
    this.parts.journal.kill();
    this.#abort.abort(reason);
  }

  /** It is over, and another may begin on the same storage. */
  async die(): Promise<void> {
    this.kill();
    await this.#storage.close();
  }

  source(uid: string): SourceHost<unknown> {
    const host = this.topology.sources.find((each) => each.uid === uid);
    if (host === undefined) throw new Error(`no source ${uid}`);
    return host;
  }

  get onlySource(): string {
    return this.topology.sources[0]?.uid ?? 'none';
  }

  get onlySplit(): string {
    return [...(this.topology.sources[0]?.splits.keys() ?? [])][0] ?? 'none';
  }

  get items(): readonly WorkItem[] {
    return this.queues().flatMap((queue) => [...queue.items()]);
  }

  #throwFailure(): void {
    if (this.failures.length > 0) throw this.failures[0];
  }

  // ---------- what replay needs

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get topology(): Topology {
    return this.parts.topology;
  }

  get turns(): Turns {
    return this.parts.turns;
  }

  queues(): WorkQueue[] {
    return queuesOf(this.topology);
  }

  openItems(): ReadonlySet<string> {
    return new Set(this.items.map(({ name }) => name));
  }

  openSplit(source: SourceHost<unknown>, name: string): Promise<void> {
    return source.openSplit(name, this.signal, this.#clock);
  }

  async turn(body: () => void, turn: () => Turn): Promise<void> {
    await this.parts.slices.turn(body, turn);
    this.#throwFailure();
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

  // ---------- what the parts ask of their domain

  checkpointSoon(): void {}

  cut(): never {
    throw new Error('no checkpoint is taken in this life');
  }

  fail(error: unknown): void {
    this.failures.push(error);
    this.kill(error);
  }
}

interface Found extends Pick<LifeOptions, 'timersPerTurn'> {
  readonly header: Header;
  readonly recovery: Recovery;
  readonly storage: OpenStorage;
  readonly clock: Clock;
}
