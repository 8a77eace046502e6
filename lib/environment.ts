/** The environment: where sources begin, what all agents share, and how the pipeline runs. */
import type { Observable } from 'rxjs';
import { systemClock, type Clock } from './core/clock.ts';
import type { Source } from './core/connector.ts';
import { StreamError } from './core/errors.ts';
import type { Operator } from './core/operator.ts';
import type { OutputTag } from './core/output-tag.ts';
import type { Logger } from './core/logger.ts';
import {
  callable,
  durationMs,
  flag,
  integer,
  knownOptions,
  refusal,
  withMethods,
  type Duration,
  type OptionNames,
} from './core/options.ts';
import { LevelStorage } from './state/level-store.ts';
import type { Storage } from './state/store.ts';
import type { DomainSettings } from './runtime/domain/assemble.ts';
import { StreamGraph } from './runtime/edges/graph.ts';
import { Job } from './runtime/job/job.ts';
import { makeLogger, type LogLevel } from './runtime/job/logging.ts';
import { JobMetrics } from './runtime/job/metrics.ts';
import { exponentialDelay, noRestart, type RestartStrategy } from './runtime/job/restart.ts';
import type { Turn } from './runtime/journal/turn.ts';
import { WatermarkStrategy } from './runtime/edges/watermarks.ts';
import { AgentBuilder, type Agent, type AgentClass } from './agents/agent.ts';
import type { ResourceType } from './agents/contract.ts';
import { checkAgent, JobResources, type OpenAgent } from './agents/resources.ts';
import type { ConfigureServices } from './agents/service-container.ts';
import { Warnings } from './agents/warnings.ts';
import { checkAgentOptions, type AgentOperatorOptions } from '../operators/agent-options.ts';
import type { DeadLetter } from '../operators/dead-letter.ts';
import { applyAgent } from '../operators/apply-agent.ts';
import { collectSink } from '../connectors/collect.ts';
import { collection } from '../connectors/collection.ts';
import { generator, type GeneratorOptions } from '../connectors/generator.ts';
import { observableSource, type ObservableSourceOptions } from '../connectors/observable.ts';
import { DataStream, type AgentNode } from './data-stream.ts';

export interface CheckpointOptions {
  /** Where state is kept. The job goes on from there when it is started again. What is made there is open to its owner alone. */
  readonly directory: string;
  /** From the end of one checkpoint to the start of the next. @defaultValue '10s' */
  readonly interval?: Duration | undefined;
}

export interface EnvironmentOptions {
  /** @defaultValue none: state is in memory and sinks commit at the end */
  readonly checkpoint?: CheckpointOptions | undefined;
  /**
   * Another place for state than a directory: a `LevelStorage` with options, a `MemoryStorage`, or one of your own.
   * @defaultValue the directory of `checkpoint`, else none
   */
  readonly storage?: Storage | undefined;
  /** Number of key groups, 1 to 32768; fixed for the life of the state. @defaultValue 128 */
  readonly maxParallelism?: number | undefined;
  /** @defaultValue `exponentialDelay()` with a place for state, else `noRestart()` */
  readonly restart?: RestartStrategy | undefined;
  /**
   * How long a stop takes at most: calls that have started, the last checkpoint, commits, closing. Also how long a failed job waits for its
   * parts to close before it starts again. @defaultValue '30s'
   */
  readonly stopTimeout?: Duration | undefined;
  /** Fail when replay meets other inputs or code than were recorded, instead of going on in a new branch. @defaultValue false */
  readonly strictReplay?: boolean | undefined;
  /** Drop state that no operator claims, instead of refusing to start. @defaultValue false */
  readonly allowUnclaimedState?: boolean | undefined;
  /** Entries of state kept in memory; more are read from the store again. @defaultValue 1000000 */
  readonly stateCacheMax?: number | undefined;
  /** Changed entries that start a checkpoint early. @defaultValue 500000 */
  readonly dirtyMax?: number | undefined;
  /**
   * Timers and windows that fire in one turn at most. What is left when more are due at once is done in turns of its own, between which the
   * event loop is given back, while the watermark is held and sources wait. @defaultValue 128
   */
  readonly timersPerTurn?: number | undefined;
  /** Encode and decode every record at keyed edges, as between processes: a test mode. @defaultValue false */
  readonly serialiseEdges?: boolean | undefined;
  /** Freeze values that state hands out: a test mode that finds who changes them. @defaultValue false */
  readonly freezeState?: boolean | undefined;
  /**
   * Freeze all that user code is given: state, events, inputs, results of durable calls, records with several readers. A test mode that finds
   * who changes what. @defaultValue false
   */
  readonly freeze?: boolean | undefined;
  /** A pino logger, or the level of one that writes to standard error. @defaultValue 'warn' */
  readonly logger?: Logger | LogLevel | undefined;
  /** What the job takes time, delays and randomness from. @defaultValue `systemClock` */
  readonly clock?: Clock | undefined;
  /** Sees every live turn; for tests. @defaultValue none */
  readonly onTurn?: ((turn: Turn) => void) | undefined;
}

export type ApplyAgentOptions = AgentOperatorOptions;

const optionNames = {
  checkpoint: true,
  storage: true,
  maxParallelism: true,
  restart: true,
  stopTimeout: true,
  strictReplay: true,
  allowUnclaimedState: true,
  stateCacheMax: true,
  dirtyMax: true,
  timersPerTurn: true,
  serialiseEdges: true,
  freezeState: true,
  freeze: true,
  logger: true,
  clock: true,
  onTurn: true,
} as const satisfies OptionNames<EnvironmentOptions>;

/** Bytes of changed entries that start a checkpoint early. */
const dirtyBytesMax = 64 * 2 ** 20;
const tickMs = 200;

/** How long `executeAsync` waits for sources to be open, in milliseconds: a start that hangs can be cancelled then. */
const startMaxMs = 30_000;

/** An agent of the pipeline; open while a job runs. */
interface AgentSlot {
  readonly make: () => Promise<OpenAgent>;
  open: OpenAgent | undefined;
}

interface EnvironmentSettings {
  readonly domain: DomainSettings;
  readonly storage: Storage | undefined;
  readonly intervalMs: number | undefined;
  readonly stopTimeoutMs: number;
  readonly restart: RestartStrategy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onTurn: ((turn: Turn) => void) | undefined;
}

/**
 * Where a pipeline begins: it has the sources, holds what its agents share, and runs the pipeline as a job, one at a
 * time. With a place for state (`checkpoint` or `storage`) a job that is started again goes on from its last checkpoint
 * and journal.
 *
 * @example
 * const env = StreamExecutionEnvironment.create({ checkpoint: { directory: '.millrace/words', interval: '10s' } });
 * env.fromCollection(['to', 'be']).map((word) => word.length).print();
 * await env.execute('words');
 * // prints 2
 * // prints 2
 */
export class StreamExecutionEnvironment {
  /** @internal */
  readonly graph = new StreamGraph();
  readonly #settings: EnvironmentSettings;
  readonly #resources = new JobResources();
  readonly #agents: AgentSlot[] = [];
  /** How often they were. */
  #agentsClosed = 0;
  readonly #onEnd = new Set<(error: unknown) => void>();
  /** How the last job ended; undefined before the first one and while one runs. */
  #ended: { readonly error: unknown } | undefined;

  private constructor(settings: EnvironmentSettings) {
    this.#settings = settings;
  }

  /**
   * Makes an environment. Throws a `TypeError` that names the option, the rule and the value.
   *
   * @example
   * const env = StreamExecutionEnvironment.create({ checkpoint: { directory: '.millrace/reviews' }, logger: 'info' });
   */
  static create(options: EnvironmentOptions = {}): StreamExecutionEnvironment {
    return new StreamExecutionEnvironment(settingsOf(options));
  }

  // ---------- sources

  /**
   * The values of a source. `strategy` says where timestamps come from (default: there are none but those of the
   * source, and no watermark but the final one); `name` is that of the source in messages, metrics and, unless it is
   * pinned, its uid.
   *
   * @example
   * const strategy = WatermarkStrategy.monotonous().withTimestamps((visit: { ts: number }) => visit.ts);
   * const source = generator({ count: 3, generate: (index) => ({ ts: index * 1000 }) });
   * const visits = env.fromSource(source, strategy, 'visits');
   * console.log((await visits.executeAndCollect()).length); // prints 3
   */
  fromSource<T>(source: Source<T>, strategy: WatermarkStrategy<NoInfer<T>> = WatermarkStrategy.none(), name: string = source.name): DataStream<T> {
    if (!(strategy instanceof WatermarkStrategy)) throw refusal('strategy', 'a WatermarkStrategy', strategy);
    return this.#stream(name, source, strategy);
  }

  /**
   * The values of an array, in order.
   *
   * @example
   * const doubled = env.fromCollection([1, 2, 3]).map((value) => value * 2);
   * console.log(await doubled.executeAndCollect()); // prints [ 2, 4, 6 ]
   */
  fromCollection<T>(values: readonly T[], strategy?: WatermarkStrategy<NoInfer<T>>): DataStream<T> {
    return this.fromSource(collection(values), strategy, 'collection');
  }

  /**
   * What an Observable emits while the job runs. It can't be replayed, so what was accepted is journaled. The job fails
   * with `INPUT_OVERFLOW` when more than `capacity` values wait, unless `overflow` says otherwise.
   *
   * @example
   * import { of } from 'rxjs';
   * env.fromObservable(of('a', 'b'), { capacity: 10_000 }).print();
   * // prints a
   * // prints b
   */
  fromObservable<T>(observable: Observable<T>, options: ObservableSourceOptions = {}, strategy?: WatermarkStrategy<NoInfer<T>>): DataStream<T> {
    return this.fromSource(observableSource(observable, options), strategy, 'observable');
  }

  /**
   * The values that a function makes of 0, 1, 2 ...
   *
   * @example
   * env.generate({ count: 3, generate: (index) => index * index, perSecond: 100 }).print();
   * // prints 0
   * // prints 1
   * // prints 4
   */
  generate<T>(options: GeneratorOptions<T>, strategy?: WatermarkStrategy<NoInfer<T>>): DataStream<T> {
    return this.fromSource(generator(options), strategy, 'generator');
  }

  // ---------- what agents share

  /**
   * Adds a resource that every agent finds by type and name; an agent's own of that name wins. `{ factory: () => ... }`
   * is asked for it each time the job starts, and what it made is closed with the job. Throws a `TypeError` for a name
   * that is taken.
   *
   * @example
   * import { offlineChatModel } from 'millrace/connectors/offline-chat-model';
   * env.addResource('chat_model_connection', 'default', offlineChatModel({ latencyMs: 5 }));
   */
  addResource(type: ResourceType, name: string, value: unknown): this {
    this.#resources.add(type, name, value);
    return this;
  }

  /**
   * Binds services of your own, which agents get by their constructors. Needs the package `inversify`; runs each time
   * the job starts.
   *
   * @example
   * class Bank {
   *   readonly rate = 2;
   * }
   * env.services((container) => container.bind(Bank).toSelf().inSingletonScope());
   */
  services(configure: ConfigureServices): this {
    this.#resources.services(configure);
    return this;
  }

  /** @internal The operator that runs an agent. Its resources are resolved when the job starts. */
  agentOperator<I, O>(agent: Agent<I, O> | AgentClass<I, O>, options: ApplyAgentOptions): AgentNode {
    checkAgentOptions(options);
    this.graph.refuseWhileRunning(); // Else the agent would be opened, though nothing runs it.
    const name = checkAgent(agent)?.agentName ?? labelOf(agent);
    const slot: AgentSlot = { make: () => this.#resources.open(agent), open: undefined };
    this.#agents.push(slot);
    const warnings = new Warnings((facts, message) => this.#settings.logger.warn(facts, message));
    const operator: Operator<I, O> = (context) => {
      if (slot.open === undefined) throw new TypeError(`Expected agent "${name}" to be open`);
      const unread = this.#unreadTag(context.uid, options.deadLetters);
      if (unread !== undefined) {
        const message = `nobody reads the dead letters of agent '${name}': read side output '${unread}', or they are lost`;
        warnings.once('unread dead letters', { agent: name, operator: context.uid }, message);
      }
      return applyAgent<I, O>({ agent: slot.open, resources: slot.open.open, warnings }, options)(context);
    };
    // The keyed stream ties the agent's types to those of its input and output.
    return { name: kebab(declaredNameOf(agent) ?? 'agent'), label: kebab(name), operator: operator as Operator<never, unknown> };
  }

  /** The id of a side output that the operator writes to and nobody reads. */
  #unreadTag(uid: string, tag: OutputTag<DeadLetter> | undefined): string | undefined {
    const node = this.graph.nodes.find((each) => each.uid === uid);
    return tag === undefined || node === undefined || this.graph.tags(node.id).includes(tag.id) ? undefined : tag.id;
  }

  // ---------- running

  /**
   * Runs to the end of the input, or until the job is stopped. Rejects with why it failed: a `StreamError`, when it is
   * the pipeline or its surroundings that did.
   *
   * @example
   * orders.map(({ id }) => id).sinkTo(jsonLinesSink('ids.jsonl'));
   * await env.execute('ids');
   */
  async execute(name = 'job'): Promise<void> {
    const job = await this.executeAsync(name);
    await job.done;
  }

  /**
   * Starts the job and gives it while it runs, one at a time. With a source that can't be read again, such as an
   * Observable, it is given when its sources are open, so that what is pushed from then on is taken; or when the start
   * has failed, or takes longer than 30 s. Throws `UID_CLASH` or `GRAPH_INVALID`.
   *
   * @example
   * orders.print({ write: () => {} });
   * const job = await env.executeAsync('orders');
   * await job.done;
   * console.log(job.status.state); // prints finished
   */
  async executeAsync(name = 'job'): Promise<Job> {
    const { domain, ...rest } = this.#settings;
    if (typeof name !== 'string' || name === '') throw refusal('name', 'a text', name);
    this.#checkPipes();
    const job = new Job({
      ...rest,
      name,
      graph: this.graph,
      settings: domain,
      metrics: new JobMetrics({ job: name, clock: rest.clock }),
      resources: { open: () => this.#openAgents(), close: () => this.#closeAgents() },
    });
    this.#ended = undefined;
    job.done.then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error),
    );
    if (this.#sources().some(({ source }) => !source.replayable)) await this.#started(job);
    return job;
  }

  /** Resolves when the first start of the job has come to something, or takes too long. */
  #started(job: Job): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#settings.clock.setTimer(startMaxMs, resolve);
      const over = (): void => {
        cancel();
        resolve();
      };
      job.status$.subscribe({ next: ({ state }) => state !== 'starting' && over(), complete: over });
    });
  }

  #sources(): readonly { readonly uid: string; readonly source: Source<unknown> }[] {
    return this.graph.nodes.flatMap(({ uid, body }) => (body.kind === 'source' ? [{ uid, source: body.source }] : []));
  }

  /** Ends what sources keep over restarts, and says what nobody has read. */
  #closeSources(): void {
    const { logger } = this.#settings;
    for (const { uid, source } of this.#sources()) {
      const { dropped = 0 } = source;
      const closed = source.close?.() ?? Promise.resolve();
      closed.catch((error: unknown) => logger.warn({ error, source: uid }, `source \`${uid}\` failed to close`));
      const left = (source.dropped ?? 0) - dropped;
      if (left > 0) logger.warn({ source: uid, left }, `the job is over, and ${left} values of source \`${uid}\` that had come were not read`);
    }
  }

  /**
   * Runs to the end of the input and gives what a stream brought. Meant for tests and small data.
   *
   * @example
   * console.log(await env.executeAndCollect(orders.map(({ euros }) => euros))); // prints [ 25, 5, 40 ]
   */
  async executeAndCollect<T>(stream: DataStream<T>, name?: string): Promise<T[]> {
    if (!stream.belongsTo(this)) throw new TypeError('Expected `stream` to be of this environment, got one of another');
    const values: T[] = [];
    stream.sinkTo(collectSink(values));
    await this.execute(name);
    return values;
  }

  /** @internal Calls the listener once, when the job is over: at once if it is. Gives a function that takes the listener away. */
  onEnd(listener: (error: unknown) => void): () => void {
    if (this.#ended === undefined) this.#onEnd.add(listener);
    else listener(this.#ended.error);
    return () => void this.#onEnd.delete(listener);
  }

  #end(error: unknown): void {
    this.#ended = { error };
    this.#closeSources();
    const listeners = [...this.#onEnd];
    this.#onEnd.clear();
    for (const listener of listeners) listener(error);
  }

  #stream<T>(name: string, source: Source<T>, strategy: WatermarkStrategy<T>): DataStream<T> {
    // Only records of this source meet this strategy, so the node may forget their type.
    const node = this.graph.add(name, { kind: 'source', source, strategy: strategy as WatermarkStrategy<never> }, []);
    return new DataStream<T>({ environment: this, node });
  }

  #checkPipes(): void {
    if (this.#settings.storage === undefined) return;
    for (const { body, uid } of this.graph.nodes) {
      if (body.kind === 'pipe' && !body.stateless) {
        throw new StreamError('GRAPH_INVALID', `the RxJS operator of "${uid}" may hold state that no checkpoint sees`, {
          hint: 'declare it with `.pipe(operator, { stateless: true })`, or keep state in `process`',
        });
      }
    }
  }

  async #openAgents(): Promise<void> {
    const closings = this.#agentsClosed;
    for (const slot of this.#agents) {
      const open = await slot.make();
      // One that took longer than the job would wait for it.
      if (closings !== this.#agentsClosed) return open.close();
      slot.open = open;
    }
  }

  async #closeAgents(): Promise<void> {
    this.#agentsClosed += 1;
    const closing = this.#agents.map(async (slot) => slot.open?.close());
    for (const slot of this.#agents) slot.open = undefined;
    await Promise.all(closing);
  }
}

const settingsOf = (options: EnvironmentOptions): EnvironmentSettings => {
  knownOptions('StreamExecutionEnvironment.create', options, optionNames);
  const { checkpoint, clock = systemClock, stopTimeout = '30s', maxParallelism = 128, stateCacheMax = 1_000_000, dirtyMax = 500_000 } = options;
  const { timersPerTurn = 128, strictReplay = false, allowUnclaimedState = false, serialiseEdges = false, freezeState = false, freeze = false, onTurn } = options;
  if (checkpoint !== undefined) knownOptions('checkpoint', checkpoint, { directory: true, interval: true });
  if (checkpoint !== undefined && (typeof checkpoint.directory !== 'string' || checkpoint.directory === '')) {
    throw refusal('checkpoint.directory', 'a path', checkpoint.directory);
  }
  if (options.storage !== undefined) withMethods('storage', options.storage, 'a Storage', ['open']);
  if (options.restart !== undefined) withMethods('restart', options.restart, 'a RestartStrategy', ['make']);
  if (onTurn !== undefined) callable('onTurn', onTurn);
  const storage = options.storage ?? (checkpoint === undefined ? undefined : new LevelStorage(checkpoint.directory));
  return {
    domain: {
      maxParallelism: integer('maxParallelism', maxParallelism, { min: 1, max: 32_768 }),
      serialiseEdges: flag('serialiseEdges', serialiseEdges),
      strictReplay: flag('strictReplay', strictReplay),
      allowUnclaimedState: flag('allowUnclaimedState', allowUnclaimedState),
      dirtyMax: integer('dirtyMax', dirtyMax, { min: 1 }),
      dirtyBytesMax,
      timersPerTurn: integer('timersPerTurn', timersPerTurn, { min: 1 }),
      cacheMax: integer('stateCacheMax', stateCacheMax, { min: 1 }),
      tickMs,
      freezeState: flag('freezeState', freezeState),
      freeze: flag('freeze', freeze),
    },
    storage,
    intervalMs: storage === undefined ? undefined : durationMs('checkpoint.interval', checkpoint?.interval ?? '10s', { min: 1 }),
    stopTimeoutMs: durationMs('stopTimeout', stopTimeout),
    restart: options.restart ?? (storage === undefined ? noRestart() : exponentialDelay()),
    clock: withMethods('clock', clock, 'a Clock', ['now', 'elapsed', 'setTimer', 'defer', 'random']),
    logger: makeLogger(options.logger),
    onTurn,
  };
};


/** The name of an agent as far as somebody has declared it. That of a class is code, which a minifier changes (I19). */
const declaredNameOf = <I, O>(agent: Agent<I, O> | AgentClass<I, O>): string | undefined => {
  if (agent instanceof AgentBuilder) return agent.name;
  return (typeof agent === 'function' ? agent : (agent.constructor as AgentClass<I, O>)).agentName; // the class of an agent is one of agents
};

const labelOf = <I, O>(agent: Agent<I, O> | AgentClass<I, O>): string =>
  declaredNameOf(agent) ?? (typeof agent === 'function' ? agent : agent.constructor).name;

const kebab = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .toLowerCase();
