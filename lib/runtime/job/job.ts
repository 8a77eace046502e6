/**
 * A running job: starts a domain on the newest checkpoint, checkpoints it on an interval, stops it with a last checkpoint, and starts it
 * again after a failure when the restart strategy says so. After any failure the store is closed and opened anew (I15).
 */
import { BehaviorSubject, Subject, type Observable } from 'rxjs';
import { sleep, type Clock } from '../../core/clock.ts';
import { InvariantError, isMistake, messageOf, StreamError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { durationMs, type Duration } from '../../core/options.ts';
import type { OpenStorage, Storage } from '../../state/store.ts';
import type { CheckpointStats } from '../checkpoint/coordinator.ts';
import { Domain, type DomainSettings } from '../domain/domain.ts';
import type { StreamGraph } from '../edges/graph.ts';
import { JobMetrics } from './metrics.ts';
import { isOutside } from '../work/outside.ts';
import { Divergence } from '../recovery/replay.ts';
import type { RestartStrategy } from './restart.ts';
import type { Turn } from '../journal/turn.ts';

export type JobState = 'starting' | 'running' | 'restarting' | 'stopping' | 'finished' | 'stopped' | 'cancelled' | 'failed';

export interface JobStatus {
  readonly state: JobState;
  /** Starts after a failure so far. */
  readonly restarts: number;
  /** Why it failed or is being started again. */
  readonly error?: unknown;
}

export interface JobOptions {
  readonly name: string;
  readonly graph: StreamGraph;
  readonly settings: DomainSettings;
  readonly storage: Storage | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: JobMetrics;
  readonly restart: RestartStrategy;
  /** Between the end of one checkpoint and the start of the next, in milliseconds. Undefined: only on demand, on stop and at the end. */
  readonly intervalMs: number | undefined;
  readonly stopTimeoutMs: number;
  /** Runs before each start and is closed after it: the resources of the job's agents. */
  readonly resources?: { open(): Promise<void>; close(): Promise<void> } | undefined;
  readonly onTurn?: ((turn: Turn) => void) | undefined;
}

/** Restarts without any new durable record after which a failure of the pipeline's own code is taken for one that a restart does not mend. */
const fruitlessMax = 3;

export class Job {
  readonly name: string;
  /** Resolves when the job has finished or was stopped; rejects with why it failed. */
  readonly done: Promise<void>;
  readonly metrics: JobMetrics;
  readonly #options: JobOptions;
  readonly #status = new BehaviorSubject<JobStatus>({ state: 'starting', restarts: 0 });
  readonly #checkpoints = new Subject<CheckpointStats>();
  readonly #end = new AbortController();
  readonly #memoryId: string;
  #domain: Domain | undefined;
  #restarts = 0;
  #wanted: 'run' | 'stop' | 'cancel' = 'run';
  #stopTimeoutMs: number;
  /** Facts by which progress is told: checkpoints and what the journal holds behind the newest. */
  #progress = -1;
  /** Failures of the pipeline's own code since then. */
  #fruitless = 0;
  /** Turns of this life that the last checkpoint covers and that brought something. */
  #coveredMoves = 0;

  /** @internal */
  constructor(options: JobOptions) {
    this.#options = options;
    this.name = options.name;
    this.metrics = options.metrics;
    this.#memoryId = options.storage === undefined ? memoryId(options.clock) : '';
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

  /** Takes a checkpoint now; resolves when it is durable and its effects are committed. */
  async checkpoint(): Promise<void> {
    if (this.#domain === undefined || this.status.state !== 'running') {
      throw new TypeError(`Expected the job to be running, got \`${this.status.state}\``);
    }
    await this.#domain.checkpoint();
  }

  /** Stops with a checkpoint: waits `timeout` for started calls, journals them, and leaves. No final watermark. May be called twice. */
  async stop(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    if (options.timeout !== undefined) this.#stopTimeoutMs = durationMs('timeout', options.timeout);
    this.#leave('stop');
    await this.done;
  }

  /** Ends at once, without a checkpoint: a later start goes on from the last one. May be called twice. */
  async cancel(): Promise<void> {
    this.#leave('cancel');
    await this.done.catch(() => {}); // A failure on the way out does not matter any more.
  }

  #leave(how: 'stop' | 'cancel'): void {
    if (this.#wanted !== 'cancel') this.#wanted = how;
    this.#end.abort(new StreamError('WORK_ABORTED', `the job is to ${how}`));
    if (how === 'cancel') this.#domain?.kill();
    else this.#domain?.stopLoop();
  }

  async #run(): Promise<void> {
    const restarts = this.#options.restart.make(this.#options.clock);
    try {
      for (;;) {
        const failure = await this.#attempt();
        if (failure === undefined) return;
        const delayMs = this.#wanted === 'run' && this.#mayRestart(failure.error) ? restarts.onFailure() : undefined;
        if (delayMs === undefined) throw this.#final(failure.error);
        this.#options.logger.warn({ error: failure.error, delayMs }, `job "${this.name}" failed: ${messageOf(failure.error)}; starting again`);
        this.#set('restarting', failure.error);
        await sleep(this.#options.clock, delayMs, this.#end.signal).catch(() => {}); // Stopped while it waits: looked at below.
        if (this.#wanted !== 'run') {
          if (this.#options.storage === undefined || this.#wanted === 'cancel') throw failure.error;
          this.#set('stopped'); // The last checkpoint and the journal hold all that was done.
          return;
        }
        this.#restarts += 1;
      }
    } catch (error) {
      if (this.#wanted === 'cancel') this.#set('cancelled');
      else {
        this.#set('failed', error);
        throw error;
      }
    } finally {
      this.#options.graph.unlock();
      this.#status.complete();
      this.#checkpoints.complete();
      this.metrics.close();
    }
  }

  /** One life of the job, from opening the store to closing it. Resolves with why it failed. */
  async #attempt(divergence?: Divergence): Promise<{ readonly error: unknown } | undefined> {
    let storage: OpenStorage | undefined;
    let failure: { readonly error: unknown } | undefined;
    try {
      storage = await this.#options.storage?.open();
      await this.#options.resources?.open();
      const domain = await Domain.open({
        ...this.#options,
        storage,
        memoryId: this.#memoryId,
        divergence,
        metrics: this.metrics.root,
        onCheckpoint: (stats) => this.#onCheckpoint(stats),
        onFailure: () => {}, // `run` and `checkpoint` reject with it.
      });
      this.#domain = domain;
      await this.#live(domain);
    } catch (error) {
      failure = { error };
    } finally {
      await this.#closeAll(storage);
    }
    // Nothing has left the process yet; each time it is an earlier turn, so this ends.
    return failure?.error instanceof Divergence ? this.#attempt(failure.error) : failure;
  }

  /** What fails to close undoes nothing that was done, and keeps nothing else open. */
  async #closeAll(storage: OpenStorage | undefined): Promise<void> {
    const domain = this.#domain;
    this.#domain = undefined;
    for (const each of [domain, this.#options.resources, storage]) {
      await each?.close().catch((error: unknown) => this.#options.logger.warn({ error }, `job "${this.name}": closing failed: ${messageOf(error)}`));
    }
  }

  async #live(domain: Domain): Promise<void> {
    if (domain.finished) {
      const committed = await this.#inTime(domain.commitSealed());
      if (committed) await domain.refuseGrownInput();
      this.#leaveWith(committed ? 'finished' : 'stopped', committed);
      return;
    }
    this.#note(domain);
    if (!(await this.#inTime(domain.start()))) {
      // Nothing was done that the next start does not do again.
      this.#options.logger.warn({ job: this.name }, `job "${this.name}" was stopped before it had started`);
      this.#set('stopped');
      return;
    }
    this.#set('running');
    this.#checkpointOnInterval(domain);
    const ended = this.#wanted === 'run' && (await domain.run());
    if (ended) {
      let committed = await this.#seal(domain, { finished: true });
      // Says that everything is committed, so that a later start has no business with the outputs any more.
      if (committed && domain.hasCommitted) committed = await this.#seal(domain, { finished: true });
      this.#leaveWith(committed ? 'finished' : 'stopped', committed);
    } else if (this.#wanted === 'cancel') this.#set('cancelled');
    else {
      this.#set('stopping');
      await domain.quiesce(this.#stopTimeoutMs);
      this.#leaveWith('stopped', await this.#seal(domain));
    }
  }

  /** A last checkpoint. False: its effects are not committed, and a stop could not wait for them any longer. */
  async #seal(domain: Domain, options: { readonly finished?: boolean } = {}): Promise<boolean> {
    await domain.seal(options);
    return this.#inTime(domain.committed());
  }

  /** True when it has resolved; false when a stop was asked for and its timeout has passed since (I10). */
  #inTime(waited: Promise<void>): Promise<boolean> {
    const over = new AbortController();
    return new Promise((resolve, reject) => {
      const giveUp = (): void =>
        void sleep(this.#options.clock, this.#stopTimeoutMs, over.signal).then(
          () => resolve(false),
          () => {}, // It came in time.
        );
      if (this.#end.signal.aborted) giveUp();
      else this.#end.signal.addEventListener('abort', giveUp, { once: true, signal: over.signal });
      waited.then(() => resolve(true), reject).finally(() => over.abort());
    });
  }

  /** Ends a life of the job. What is not committed waits in the checkpoint; where there is none it would be lost, and that is a failure. */
  #leaveWith(state: JobState, committed: boolean): void {
    if (!committed) {
      const message = `job "${this.name}" was stopped before a sink had committed what it holds`;
      if (this.#options.storage === undefined) {
        throw new StreamError('SINK_FAILED', message, { hint: 'nothing keeps it without a place for state; see the log' });
      }
      this.#options.logger.warn({ job: this.name }, `${message}; the next start commits it`);
    }
    this.#set(state);
  }

  #checkpointOnInterval(domain: Domain): void {
    const { clock, intervalMs } = this.#options;
    if (intervalMs === undefined) return;
    const loop = async (): Promise<void> => {
      for (;;) {
        await sleep(clock, intervalMs, domain.signal);
        if (this.status.state === 'running') await domain.coordinator.trigger();
      }
    };
    loop().catch(() => {}); // The domain has ended, and knows why.
  }

  #onCheckpoint(stats: CheckpointStats): void {
    // An empty one, which only time has brought, is no progress.
    const moves = this.#domain?.turns.moves ?? 0;
    if (moves > this.#coveredMoves) this.#fruitless = 0;
    this.#coveredMoves = moves;
    this.metrics.onCheckpoint(stats);
    this.#checkpoints.next(stats);
    this.#options.logger.debug(stats, 'checkpoint');
  }

  /** Looks whether the life before left anything new in the store. */
  #note(domain: Domain): void {
    const { progress } = domain.recovery;
    this.#coveredMoves = 0;
    if (progress !== this.#progress) this.#fruitless = 0;
    this.#progress = progress;
  }

  /** What is outside may mend itself and is tried for ever; code that throws on the same input throws again. */
  #mayRestart(error: unknown): boolean {
    if (isTerminal(error)) return false;
    if (!isOwnCode(error)) return true;
    this.#fruitless += 1;
    return this.#fruitless <= fruitlessMax;
  }

  #final(error: unknown): unknown {
    if (this.#wanted !== 'run' || this.#restarts === 0 || isTerminal(error)) return error;
    const stuck = this.#fruitless > fruitlessMax;
    const what = stuck ? `made no progress in ${fruitlessMax} restarts` : `failed after ${this.#restarts} restarts`;
    const hint = stuck ? 'the same failure came back each time; see `cause`' : undefined;
    return new StreamError('RESTARTS_EXHAUSTED', `job "${this.name}" ${what}: ${messageOf(error)}`, { cause: error, hint });
  }

  #set(state: JobState, error?: unknown): void {
    this.#status.next({ state, restarts: this.#restarts, ...(error === undefined ? {} : { error }) });
  }
}

/** For a job that keeps nothing: the same over its restarts in this process, and no other run has it. */
const memoryId = (clock: Clock): string => `memory-${[clock.random(), clock.random()].map((each) => each.toString(36).slice(2, 10)).join('')}`;

/** Whether a restart can not help. */
const isTerminal = (error: unknown): boolean =>
  error instanceof StreamError ? !error.retryable : error instanceof InvariantError || isMistake(error);

/** Whether it is code of the pipeline that failed, and not something outside. */
const isOwnCode = (error: unknown): boolean => {
  if (isOutside(error)) return false;
  if (!(error instanceof StreamError)) return true;
  return error.code === 'OPERATOR_FAILED' || (error.code === 'ACTION_FAILED' && !(error.cause instanceof StreamError));
};
