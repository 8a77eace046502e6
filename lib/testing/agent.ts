/**
 * Runs an agent by hand, one input at a time, in the operator harness: what it sends out, which events it goes through
 * and what it remembers can be looked at after each run. Models, tools and services come from the test.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import type { Key } from '../core/key.ts';
import type { ChatModelConnection } from '../core/model.ts';
import { mapState } from '../core/state-descriptor.ts';
import { knownOptions, type Duration } from '../core/options.ts';
import type { Agent, AgentClass } from '../agents/definition/agent.ts';
import type { Event } from '../agents/events/event.ts';
import { MemoryView } from '../agents/memory/memory.ts';
import { JobResources, type OpenAgent } from '../agents/plan/resources.ts';
import type { ConfigureServices } from '../agents/plan/service-container.ts';
import { Warnings } from '../agents/warnings.ts';
import { checkAgentOptions, type AgentOperatorOptions } from '../../operators/agent-options.ts';
import type { DeadLetter } from '../../operators/dead-letter.ts';
import { applyAgent } from '../../operators/apply-agent.ts';
import type { ManualClock } from './clock.ts';
import { OperatorHarness } from './harness.ts';
import type { HarnessOutput } from './harness-outputs.ts';

export interface AgentHarnessOptions {
  /** Chat model connections by name. @defaultValue none */
  readonly models?: Readonly<Record<string, ChatModelConnection>> | undefined;
  /** Other resources of the environment, by type and name: `{ tool: { search: ... } }`. @defaultValue none */
  readonly resources?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
  /** Binds services of your own, which the agent gets by its constructor. @defaultValue none */
  readonly services?: ConfigureServices | undefined;
  /** As for `applyAgent`. @defaultValue its defaults */
  readonly options?: AgentOperatorOptions | undefined;
  /** Share it with a scripted model, say. @defaultValue one that stands at 0 */
  readonly clock?: ManualClock | undefined;
}

/** What one input has brought about. */
export interface AgentRun<O> {
  readonly outputs: readonly O[];
  /** Every event in the order of its turn, from the input event to those of the outputs. */
  readonly events: readonly Event[];
  /** The key's short-term memory behind the run. */
  readonly memory: Readonly<Record<string, unknown>>;
  /** With `options.deadLetters`: the input, if its run failed. */
  readonly deadLetters: readonly DeadLetter[];
}

const shortTermMemory = mapState<string, unknown>('short-term-memory');

/**
 * Runs one agent by hand, one input at a time: its outputs, its events and its memory can be looked at after each.
 *
 * @example
 * const greeter = agent<string, string>('greeter').on(InputEvent, async ({ input }, ctx) => {
 *   const name = await ctx.durableExecute('look-up', () => input.toUpperCase());
 *   ctx.shortTermMemory.set('last', name);
 *   ctx.output(`hello ${name}`);
 * });
 * const harness = await AgentHarness.open(greeter);
 * const { outputs, memory } = await harness.run('ann', 'key');
 * console.log(outputs, memory); // prints [ 'hello ANN' ] { last: 'ANN' }
 */
export class AgentHarness<I, O> {
  /** The operator under it: for watermarks, snapshots, restarts, or inputs of many keys at once. */
  readonly operator: OperatorHarness<I, O>;
  readonly #agent: OpenAgent;
  readonly #warnings: readonly string[];
  readonly #seen: { events: Event[] };
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    operator: OperatorHarness<I, O>,
    parts: { agent: OpenAgent; warnings: readonly string[]; seen: { events: Event[] } },
  ) {
    this.operator = operator;
    this.#agent = parts.agent;
    this.#warnings = parts.warnings;
    this.#seen = parts.seen;
  }

  /** Makes the agent and its resources. Throws `AGENT_INVALID` or `RESOURCE_NOT_FOUND`. */
  static async open<I, O>(
    source: Agent<I, O> | AgentClass<I, O>,
    options: AgentHarnessOptions = {},
  ): Promise<AgentHarness<I, O>> {
    knownOptions('AgentHarness.open', options, {
      models: true,
      resources: true,
      services: true,
      options: true,
      clock: true,
    });
    const { models = {}, resources = {}, services, options: operatorOptions = {}, clock } = options;
    checkAgentOptions(operatorOptions);
    const shared = new JobResources();
    for (const [name, model] of Object.entries(models)) shared.add('chat_model_connection', name, model);
    for (const [type, named] of Object.entries(resources))
      for (const [name, value] of Object.entries(named)) shared.add(type, name, value);
    if (services !== undefined) shared.services(services);
    const agent = await shared.open(source);
    const told: string[] = [];
    const warnings = new Warnings((_facts, message) => void told.push(message));
    const seen = { events: new Array<Event>() };
    const operator = applyAgent<I, O>(
      { agent, resources: agent.open, warnings, onEvent: (event) => void seen.events.push(event) },
      operatorOptions,
    );
    const { deadLetters } = operatorOptions;
    const harness = await OperatorHarness.open(operator, {
      keyOf: () => 'key',
      clock,
      sides: deadLetters === undefined ? [] : [deadLetters],
    });
    return new AgentHarness(harness, { agent, warnings: told, seen });
  }

  /** What the agent has warned of so far. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /**
   * Runs one input to its end, after those before it. Waits before another attempt are skipped; what else waits for the
   * clock needs `advance` meanwhile. Rejects with what its run failed with,
   * after which the harness is of no more use than a failed job. `key` @defaultValue 'key'; `timestamp` @defaultValue
   * none
   */
  run(input: I, key: Key = 'key', timestamp: Timestamp = MIN_TIMESTAMP): Promise<AgentRun<O>> {
    const run = this.#last.then(() => this.#run(input, key, timestamp));
    this.#last = run.catch(() => {});
    return run;
  }

  /**
   * Moves the clock while a run waits for it: a model with a delay, say.
   *
   * @example
   * const asking = agent<string, string>('asking')
   *   .prompt('ask', 'Score this review from 1 to 5: {text}')
   *   .chatModel('model', { connection: 'default', prompt: 'ask' })
   *   .on(InputEvent, ({ input: text }, ctx) => {
   *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { text } }));
   *   })
   *   .on(ChatResponseEvent, ({ response }, ctx) => ctx.output(response.content));
   * const clock = new ManualClock();
   * const model = scriptedChatModel([{ after: '2s', answer: '4' }], { clock });
   * const harness = await AgentHarness.open(asking, { models: { default: model }, clock });
   * const run = harness.run('Works well.');
   * await harness.advance('2s');
   * console.log((await run).outputs); // prints [ '4' ]
   */
  async advance(duration: Duration): Promise<void> {
    await this.operator.move(duration);
  }

  /**
   * Gives the short-term memory of a key as an object.
   *
   * @example
   * const counter = agent<string, never>('counter').on(InputEvent, (_event, ctx) => {
   *   ctx.shortTermMemory.set('count', (ctx.shortTermMemory.get<number>('count') ?? 0) + 1);
   * });
   * const harness = await AgentHarness.open(counter);
   * await harness.run('a', 'ann');
   * console.log(harness.memory('ann'), harness.memory('bob')); // prints { count: 1 } {}
   * await harness.close();
   */
  memory(key: Key = 'key'): Readonly<Record<string, unknown>> {
    const base = this.operator.read(key, shortTermMemory, (state) => new Map(state.entries()));
    const view = new MemoryView({ type: 'SHORT_TERM', base });
    return Object.fromEntries(view.getFieldNames().map((name) => [name, view.get(name)]));
  }

  /** Closes the agent's resources. May be called twice. */
  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #run(input: I, key: Key, timestamp: Timestamp): Promise<AgentRun<O>> {
    this.#seen.events = [];
    const out: HarnessOutput<O>[] = [...this.operator.element(input, timestamp, key)];
    for (;;) {
      out.push(...(await this.operator.settled()));
      if (this.operator.workOpen === 0) break;
      if ((await this.operator.clock.step()) === undefined)
        throw new TypeError('Expected work that has not ended to wait for the clock');
    }
    return {
      outputs: out.flatMap((each) => (each.kind === 'record' ? [each.value] : [])),
      events: this.#seen.events,
      memory: this.memory(key),
      // Its only side output.
      deadLetters: out.flatMap((each) => (each.kind === 'side' ? [each.value as DeadLetter] : [])),
    };
  }
}
