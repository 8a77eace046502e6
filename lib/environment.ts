/** The environment: where sources begin, what all agents share, and how the pipeline runs. */
import type { Observable } from 'rxjs';
import type { Source } from './core/connector.ts';
import { StreamError } from './core/errors.ts';
import { refusal, withMethods } from './core/options.ts';
import { StreamGraph } from './runtime/edges/graph.ts';
import { sideOutputNotes } from './runtime/edges/side-output-notes.ts';
import { WatermarkStrategy } from './runtime/edges/watermark-strategy.ts';
import { Job } from './runtime/job/job.ts';
import { JobMetrics } from './runtime/job/metrics.ts';
import type { Agent, AgentClass } from './agents/definition/agent.ts';
import type { ResourceType } from './agents/contract.ts';
import type { ConfigureServices } from './agents/plan/service-container.ts';
import type { AgentOperatorOptions } from '../operators/agent-options.ts';
import { collection } from '../connectors/collection.ts';
import { generator, type GeneratorOptions } from '../connectors/generator.ts';
import { observableSource, type ObservableSourceOptions } from '../connectors/observable.ts';
import { DataStream } from './streams/data-stream.ts';
import { settingsOf, type EnvironmentOptions, type EnvironmentSettings } from './environment-options.ts';
import { PipelineAgents, type AgentNode } from './pipeline-agents.ts';
import { Origin } from './streams/origin.ts';
import { streamKinds } from './streams/stream-kinds.ts';

export type ApplyAgentOptions = AgentOperatorOptions;

/** How long `executeAsync` waits for sources to be open, in milliseconds: a start that hangs can be cancelled then. */
const startMaxMs = 30_000;

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
  /** @internal */
  readonly kinds = streamKinds;
  readonly #settings: EnvironmentSettings;
  readonly #agents: PipelineAgents;
  readonly #onEnd = new Set<(error: unknown) => void>();
  /** How the last job ended; undefined before the first one and while one runs. */
  #ended: { readonly error: unknown } | undefined;

  private constructor(settings: EnvironmentSettings) {
    this.#settings = settings;
    this.#agents = new PipelineAgents(this.graph, settings.logger);
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
  fromSource<T>(
    source: Source<T>,
    strategy: WatermarkStrategy<NoInfer<T>> = WatermarkStrategy.none(),
    name?: string,
  ): DataStream<T> {
    withMethods('source', source, 'a Source; `fromCollection` takes an array', ['splits', 'open']);
    if (!(strategy instanceof WatermarkStrategy)) {
      throw refusal('strategy', 'a WatermarkStrategy; `WatermarkStrategy.monotonous()` is one', strategy);
    }
    return this.#stream(name ?? source.name, source, strategy);
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
  fromObservable<T>(
    observable: Observable<T>,
    options: ObservableSourceOptions = {},
    strategy?: WatermarkStrategy<NoInfer<T>>,
  ): DataStream<T> {
    return this.fromSource(observableSource(observable, options), strategy, 'observable');
  }

  /**
   * The values that a function makes of 0, 1, 2 ... Beside a strategy that takes timestamps write `(index: number)`, so
   * that the compiler knows the values by then.
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
    this.#agents.resources.add(type, name, value);
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
    this.#agents.resources.services(configure);
    return this;
  }

  /** @internal The operator that runs an agent. Its resources are resolved when the job starts. */
  agentOperator<I, O>(agent: Agent<I, O> | AgentClass<I, O>, options: ApplyAgentOptions): AgentNode {
    return this.#agents.operatorOf(agent, options);
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
      resources: this.#agents,
    });
    for (const { facts, message } of sideOutputNotes(this.graph)) this.#settings.logger.warn(facts, message);
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

  /** Ends what sources keep over restarts, and says what is left of it. */
  #closeSources(): void {
    const { logger } = this.#settings;
    for (const { uid, source } of this.#sources()) {
      const dropped = droppedOf(source);
      // At once, as far as it closes at once: what it has left is told below.
      const closed = (async () => source.close?.())();
      closed.catch((error: unknown) => logger.warn({ error, source: uid }, `source \`${uid}\` failed to close`));
      const left = droppedOf(source) - dropped;
      if (left > 0)
        logger.warn(
          { source: uid, left },
          `the job is over, and ${left} values of source \`${uid}\` that had come may be lost`,
        );
    }
  }

  /**
   * Runs to the end of the input and gives what a stream brought. Meant for tests and small data.
   *
   * @example
   * console.log(await env.executeAndCollect(orders.map(({ euros }) => euros))); // prints [ 25, 5, 40 ]
   */
  async executeAndCollect<T>(stream: DataStream<T>, name?: string): Promise<T[]> {
    withMethods('stream', stream, 'a DataStream', ['executeAndCollect']);
    if (stream.origin.environment !== this)
      throw new TypeError('Expected `stream` to be of this environment, got one of another');
    return stream.executeAndCollect(name);
  }

  /**
   * @internal Calls the listener once, when the job is over: at once if it is. Gives a function that takes the listener
   * away.
   */
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
    const node = this.graph.add(name, { kind: 'source', source, strategy }, []);
    return new DataStream<T>(new Origin({ environment: this, node }));
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
}

/** None where the source can't say it. */
const droppedOf = (source: Source<unknown>): number => {
  try {
    return source.dropped ?? 0;
  } catch {
    return 0;
  }
};
