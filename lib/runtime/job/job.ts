/**
 * A running job: starts a domain on the newest checkpoint, checkpoints it on an interval, stops it with a last
 * checkpoint, and starts it again after a failure when the restart strategy says so. After any failure the store is
 * closed and opened anew (I15).
 */
import { BehaviorSubject, firstValueFrom, skipWhile, Subject, type Observable } from 'rxjs';
import { sleep } from '../../core/clock.ts';
import { messageOf, StreamError } from '../../core/errors.ts';
import { durationMs, knownOptions } from '../../core/options.ts';
import type { CheckpointStats } from '../checkpoint/coordinator.ts';
import type { Header } from '../checkpoint/header.ts';
import type { DomainOptions } from '../domain/assemble.ts';
import { Domain } from '../domain/domain.ts';
import { operatorFailure } from '../edges/operator-failure.ts';
import { askForCheckpoint, waitFor } from '../hosts/waited-code.ts';
import type { OpenStorage } from '../../state/store.ts';
import { closeOpened, type Life, type Opened } from './closing.ts';
import { JobLog } from './job-log.ts';
import type { JobOptions } from './job-options.ts';
import type { JobMetrics } from './metrics.ts';
import { isTerminal, Progress } from './progress.ts';
import { memoryId, once, openStorage } from './opening.ts';
import { tellLostWork } from './lost-work.ts';
import { beginRestarts, nextStart } from './restart.ts';
import { Divergence } from '../recovery/replay.ts';
import { stopOptionNames, type StopOptions } from './stop-options.ts';
import type { Declared } from '../recovery/savepoint.ts';
import { Savepoints } from './savepoints.ts';
import { WayOut } from './way-out.ts';

export type JobState =
  'starting' | 'running' | 'restarting' | 'stopping' | 'finished' | 'stopped' | 'cancelled' | 'failed';

export interface JobStatus {
  readonly state: JobState;
  /** Starts after a failure so far. */
  readonly restarts: number;
  /** Why it failed or is being started again. */
  readonly error?: unknown;
}

/** The last checkpoint of a stop gets this long at any rate, unless the stop itself has less, in milliseconds. */
const lastCommitMs = 5_000;

/**
 * A running job, as `executeAsync` gives it: its status and metrics, and how to take a checkpoint, to stop it and to
 * cancel it.
 *
 * @example
 * import { firstValueFrom, skipWhile } from 'rxjs';
 * env.generate({ generate: (index) => index, perSecond: 100 }).sinkTo(callbackSink(() => {}));
 * const job = await env.executeAsync('ticks');
 * await firstValueFrom(job.status$.pipe(skipWhile(({ state }) => state === 'starting')));
 * console.log(job.status); // prints { state: 'running', restarts: 0 }
 * await job.stop({ timeout: '5s' });
 * console.log(job.status.state); // prints stopped
 */
export class Job {
  readonly name: string;
  /** Resolves when the job has finished or was stopped; rejects with why it failed. */
  readonly done: Promise<void>;
  readonly metrics: JobMetrics;
  readonly #options: JobOptions;
  readonly #status = new BehaviorSubject<JobStatus>({ state: 'starting', restarts: 0 });
  readonly #checkpoints = new Subject<CheckpointStats>();
  readonly #wayOut: WayOut;
  /** That of the place for state, once it is open. */
  #id: string;
  #domain: Domain | undefined;
  #restarts = 0;
  #stopTimeoutMs: number;
  readonly #savepoints: Savepoints;
  readonly #progress = new Progress();
  readonly #log: JobLog;

  /** @internal */
  constructor(options: JobOptions) {
    this.#options = options;
    this.#savepoints = new Savepoints(options);
    this.#wayOut = new WayOut(options.clock);
    this.#log = new JobLog(options.logger, options.name);
    this.name = options.name;
    this.metrics = options.metrics;
    this.#id = options.storage === undefined ? memoryId(options.clock) : '';
    this.#stopTimeoutMs = options.stopTimeoutMs;
    options.graph.check();
    options.graph.lock(options.name);
    options.metrics.observe({ domain: () => this.#domain, restarts: () => this.#restarts });
    this.done = this.#run();
    this.done.catch(() => {}); // Whoever awaits `done` sees it; nobody has to.
  }

  get status(): JobStatus {
    return this.#status.value;
  }

  /** The status now and every later one; completes when the job is over. */
  get status$(): Observable<JobStatus> {
    return this.#status;
  }

  /** Each durable checkpoint. */
  get checkpoints$(): Observable<CheckpointStats> {
    return this.#checkpoints;
  }

  /**
   * Takes a checkpoint now, or as soon as the job runs; resolves when it is durable and its effects are committed.
   * Throws a `TypeError` when the job is on its way out or over. Code that it waits for (a sink's, or what opens) may
   * ask for one and not await it: that is refused with `WAITS_FOR_ITSELF`.
   *
   * @example
   * env.generate({ generate: (index) => index, perSecond: 100 }).sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('ticks');
   * await job.checkpoint();
   * await job.stop();
   */
  checkpoint(): Promise<void> {
    return askForCheckpoint(this.#id, () => this.#checkpoint());
  }

  async #checkpoint(): Promise<void> {
    // Also where somebody asks inside of a turn: what follows runs when that is over (I4).
    await firstValueFrom(this.#status.pipe(skipWhile(({ state }) => state === 'starting' || state === 'restarting')), {
      defaultValue: undefined,
    });
    if (this.#domain === undefined || this.status.state !== 'running') {
      throw new TypeError(`Expected the job to be running, got \`${this.status.state}\``);
    }
    await this.#domain.checkpoint();
  }

  /**
   * Takes a checkpoint and writes it to a file from which an empty place for state can be filled (`restoreFrom`), while
   * the job goes on. What stood there is replaced once the new file is whole and durable. Throws a `TypeError` when the
   * job has no place for state or is not running, `SAVEPOINT_FAILED` when the file can't be written.
   *
   * @example
   * const env = StreamExecutionEnvironment.create({ checkpoint: { directory: '.millrace/ticks' } });
   * env.generate({ generate: (index) => index, perSecond: 100 }).sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('ticks');
   * await job.savepoint('ticks.savepoint');
   * await job.stop();
   */
  async savepoint(path: string): Promise<void> {
    this.#savepoints.check(path);
    await this.checkpoint();
    await this.#savepoints.write(path);
  }

  /**
   * Stops with a checkpoint: waits `timeout` for started calls, journals them, and leaves. Without a place for state it
   * does in that time what an Observable has brought and all work that is open. No final watermark. Rejects with why
   * the job failed, if it does on the way; `done` says the same, so nobody has to wait for both. May be called twice.
   * With `savepoint` the last checkpoint is also written to that file, and the job fails when it can't be.
   * @defaultValue timeout the `stopTimeout` of the environment
   *
   * @example
   * env.generate({ generate: (index) => index, perSecond: 100 }).sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('ticks');
   * await job.stop({ timeout: '5s' });
   * console.log(job.status.state); // prints stopped
   */
  stop(options: StopOptions = {}): Promise<void> {
    try {
      this.#askToStop(options);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.done; // Itself: a promise made of it would end the process where nobody waits for that one.
  }

  #askToStop(options: StopOptions): void {
    knownOptions('stop', options, stopOptionNames);
    if (options.timeout !== undefined) this.#stopTimeoutMs = durationMs('timeout', options.timeout);
    this.#savepoints.askAtStop(options.savepoint);
    this.#wayOut.stop(this.#stopTimeoutMs);
    if (this.#options.storage === undefined) this.#domain?.drain(this.#stopTimeoutMs);
    else this.#domain?.stopLoop();
    if (this.status.state === 'running') this.#set('stopping');
  }

  /**
   * Ends at once, without a checkpoint: a later start goes on from the last one. May be called twice.
   *
   * @example
   * env.generate({ generate: (index) => index, perSecond: 100 }).sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('ticks');
   * await job.cancel();
   * console.log(job.status.state); // prints cancelled
   */
  async cancel(): Promise<void> {
    this.#wayOut.cancel();
    this.#domain?.kill(this.#wayOut.asked.reason);
    await this.done.catch(() => {}); // A failure on the way out does not matter any more.
  }

  async #run(): Promise<void> {
    try {
      await this.#lives();
    } catch (error) {
      if (this.#wayOut.wanted === 'cancel') this.#set('cancelled');
      else throw operatorFailure(undefined, error); // What fails on the way out has a code too.
    } finally {
      this.#options.graph.unlock();
      this.#log.over(this.status);
      this.#status.complete();
      this.#checkpoints.complete();
      this.metrics.close();
    }
  }

  /** Lives until one ends well. A failure is told before anything is closed: what hangs then must not keep it (I18). */
  async #lives(): Promise<void> {
    const { clock, logger, name, restart, stopTimeoutMs } = this.#options;
    const restarts = beginRestarts(restart, clock);
    let divergence: Divergence | undefined;
    for (;;) {
      const life = await this.#attempt(divergence);
      const { failure } = life;
      if (failure === undefined) return life.close(stopTimeoutMs);
      divergence = failure.error instanceof Divergence ? failure.error : undefined;
      if (divergence !== undefined) {
        // Nothing has left the process yet; each time it is an earlier turn, so this ends.
        await life.close(stopTimeoutMs);
        continue;
      }
      const mayRestart = this.#wayOut.wanted === 'run' && this.#progress.mayRestart(failure.error);
      const next = mayRestart ? nextStart(restarts, restart.name, failure.error) : { ...failure, delayMs: undefined };
      const { delayMs } = next;
      if (delayMs === undefined) {
        const error = this.#final(next.error);
        if (this.#wayOut.wanted !== 'cancel') this.#set('failed', error);
        await life.close(0);
        throw error;
      }
      logger.warn(
        { error: failure.error, delayMs },
        `job "${name}" failed: ${messageOf(failure.error)}; starting again`,
      );
      this.#set('restarting', failure.error);
      // Stopped while it waits: looked at below.
      const waited = sleep(clock, delayMs, this.#wayOut.asked).catch(() => {});
      await Promise.all([waited, life.close(stopTimeoutMs)]);
      if (this.#wayOut.wanted !== 'run') return this.#leaveBetween(failure.error);
      this.#restarts += 1;
    }
  }

  /** Asked to leave between two lives. */
  #leaveBetween(error: unknown): void {
    if (this.#wayOut.wanted === 'cancel') throw error;
    if (this.#options.storage === undefined) {
      this.#set('failed', error);
      throw error;
    }
    this.#savepoints.refuse();
    this.#set('stopped'); // The last checkpoint and the journal hold all that was done.
  }

  /**
   * One life of the job, from opening the store on. Resolves with why it failed, and with what closes what it has
   * opened.
   */
  async #attempt(divergence: Divergence | undefined): Promise<Life> {
    const opened: Opened = {};
    try {
      await this.#live(opened, divergence);
      return { failure: undefined, close: (limitMs) => this.#close(opened, limitMs) };
    } catch (error) {
      // Whatever it is, it leaves with a code.
      const told = error instanceof Divergence ? error : operatorFailure(undefined, error);
      return { failure: { error: told }, close: (limitMs) => this.#close(opened, limitMs) };
    }
  }

  async #live(opened: Opened, divergence: Divergence | undefined): Promise<void> {
    const openResources = once(() => {
      const code = { jobId: this.#id, what: 'the resources of the agents' };
      return waitFor(code, () => this.#options.resources?.open());
    });
    const declared = async (header: Header): Promise<Declared> => {
      await openResources(); // Agents are made with them.
      return Domain.declared(this.#domainOptions(undefined), header);
    };
    const opening = { ...this.#options, savepoints: this.#savepoints, wayOut: this.#wayOut, declared };
    if (!(await openStorage(opened, opening))) return this.#leaveEarly();
    this.#id = opened.storage?.jobId ?? this.#id;
    if (!(await this.#wayOut.inTime(openResources()))) return this.#leaveEarly();
    // Reads the newest checkpoint and the whole journal.
    const opens = Domain.open(this.#domainOptions(opened.storage, divergence));
    if (!(await this.#wayOut.inTime(opens))) return this.#leaveEarly();
    const domain = await opens;
    opened.domain = domain;
    this.#domain = domain;
    if (this.#wayOut.wanted === 'cancel') domain.kill();
    await (domain.finished ? this.#commitAgain(domain) : this.#work(domain));
  }

  #domainOptions(storage: OpenStorage | undefined, divergence?: Divergence): DomainOptions {
    return {
      ...this.#options,
      storage,
      memoryId: this.#id,
      divergence,
      metrics: this.metrics.root,
      onCheckpoint: (stats) => this.#onCheckpoint(stats),
      onFailure: () => {}, // `run` and `checkpoint` reject with it.
    };
  }

  /** A job that has finished before. */
  async #commitAgain(domain: Domain): Promise<void> {
    const committed = await this.#wayOut.inTime(domain.commitSealed());
    if (committed) await this.#wayOut.inTime(domain.refuseGrownInput());
    const { logger } = this.#options;
    logger.warn({ job: this.name }, `job "${this.name}" has finished before with this state: there is nothing to do`);
    this.#leaveWith(committed ? 'finished' : 'stopped', committed);
  }

  async #work(domain: Domain): Promise<void> {
    this.#progress.begin(domain.recovery.progress);
    this.#log.begins(domain);
    if (!(await this.#wayOut.inTime(domain.start()))) return this.#leaveEarly();
    this.#set('running');
    this.#checkpointOnInterval(domain);
    const ended = this.#wayOut.wanted === 'run' && (await domain.run());
    if (ended) {
      let committed = await this.#lastCheckpoint(domain, { finished: true });
      // Says that everything is committed, so that a later start has no business with the outputs any more.
      if (committed && domain.hasCommitted) committed = await this.#lastCheckpoint(domain, { finished: true });
      await this.#savepoints.writeAtStop(committed);
      this.#leaveWith(committed ? 'finished' : 'stopped', committed);
    } else if (this.#wayOut.wanted === 'cancel') this.#set('cancelled');
    else {
      // Without a place for state, whose calls had their time.
      const { storage, logger } = this.#options;
      const callsMs = storage === undefined ? 0 : this.#stopTimeoutMs;
      await this.#wayOut.inTime(domain.quiesce(callsMs), callsMs + this.#lastCommitMs);
      if (storage === undefined) tellLostWork(domain.topology.operators, this.name, logger);
      const committed = await this.#lastCheckpoint(domain);
      await this.#savepoints.writeAtStop(committed);
      this.#leaveWith('stopped', committed);
    }
  }

  /** Asked to leave before it had started: nothing was done that the next start does not do again. */
  #leaveEarly(): void {
    if (this.#wayOut.wanted !== 'cancel') this.#savepoints.refuse();
    if (this.#wayOut.wanted !== 'cancel')
      this.#options.logger.warn({ job: this.name }, `job "${this.name}" was stopped before it had started`);
    this.#set(this.#wayOut.wanted === 'cancel' ? 'cancelled' : 'stopped');
  }

  /**
   * A last checkpoint. False: it is not durable, or its effects are not committed, and a stop could not wait any
   * longer.
   */
  async #lastCheckpoint(domain: Domain, options: { readonly finished?: boolean } = {}): Promise<boolean> {
    // Calls may have used up the time; what is left of a stop is ours and the sinks'.
    const checkpoint = domain.durableCheckpoint(options).then(() => domain.committed());
    return this.#wayOut.inTime(checkpoint, this.#lastCommitMs);
  }

  get #lastCommitMs(): number {
    return Math.min(this.#stopTimeoutMs, lastCommitMs);
  }

  /**
   * Ends a life of the job. What is not committed waits in the checkpoint; where there is none it would be lost, and
   * that is a failure.
   */
  #leaveWith(state: JobState, committed: boolean): void {
    if (!committed && this.#wayOut.wanted === 'cancel') return this.#set('cancelled');
    if (!committed) {
      const message = `job "${this.name}" was stopped before a sink had written or committed what it holds`;
      if (this.#options.storage === undefined) {
        throw new StreamError('SINK_FAILED', message, {
          hint: 'nothing keeps it without a place for state; see the log',
        });
      }
      this.#options.logger.warn({ job: this.name }, `${message}; the next start does it`);
    }
    this.#set(state);
  }

  #close(opened: Opened, limitMs: number): Promise<void> {
    this.metrics.retire();
    if (this.#domain !== undefined) this.#log.count(this.#domain);
    this.#domain = undefined;
    this.#savepoints.end();
    const storeLimitMs = this.#stopTimeoutMs;
    return closeOpened(opened, { ...this.#options, wayOut: this.#wayOut, limitMs, storeLimitMs });
  }

  #checkpointOnInterval(domain: Domain): void {
    const { clock, intervalMs } = this.#options;
    if (intervalMs === undefined) return;
    const loop = async (): Promise<void> => {
      for (;;) {
        await sleep(clock, intervalMs, domain.signal);
        if (this.status.state === 'running') await domain.parts.coordinator.trigger();
      }
    };
    loop().catch(() => {}); // The domain has ended, and knows why.
  }

  #onCheckpoint(stats: CheckpointStats): void {
    this.#progress.onCheckpoint(this.#domain?.turns.moves ?? 0);
    this.metrics.onCheckpoint(stats);
    this.#checkpoints.next(stats);
    this.#options.logger.debug(stats, 'checkpoint');
  }

  #final(error: unknown): unknown {
    if (this.#wayOut.wanted !== 'run' || this.#restarts === 0 || isTerminal(error)) return error;
    return this.#progress.givenUp(this.name, this.#restarts, error);
  }

  #set(state: JobState, error?: unknown): void {
    this.#status.next(Object.freeze({ state, restarts: this.#restarts, ...(error === undefined ? {} : { error }) }));
  }
}
