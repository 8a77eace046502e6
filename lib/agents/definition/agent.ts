/**
 * Agents as users define them: a class with decorated members, or the same from a builder. Both end in an
 * `AgentDefinition`, the common form that the plan is compiled from. An agent holds no mutable fields, because actions
 * of many keys run at once.
 */
import type * as z from 'zod';
import type { ChatMessage } from '../../core/model.ts';
import { refusal } from '../../core/options.ts';
import type {
  ActionDefinition,
  ActionHandler,
  ActionOptions,
  AgentDefinition,
  AgentOptions,
  ChatModelSetup,
  ErrorHandling,
  ResourceDefinition,
  ResourceType,
  RetrySettings,
  Trigger,
} from '../contract.ts';
import type { ChatResponseEvent } from '../events/chat-events.ts';
import type { Event, EventClass, InputEvent, OutputEvent } from '../events/event.ts';
import type { JsonSchema } from '../schemas/json-schema.ts';
import {
  checkActionOptions,
  checkAgentOptions,
  checkRetrySettings,
  checkSetup,
  invalidAgent,
} from './option-checks.ts';
import { Prompt } from '../prompt.ts';
import { FunctionTool, type ToolDefinition } from './tool.ts';

/**
 * The base of an agent. `I` and `O` are the types of its inputs and outputs.
 *
 * @example
 * class Greeter extends Agent<string, string> {
 *   @Action(InputEvent)
 *   greet({ input }: InputEvent<string>, ctx: RunnerContext<string>) {
 *     ctx.output(`hello ${input}`);
 *   }
 * }
 * const greetings = env.fromCollection(['ann']).keyBy((name) => name).applyAgent(Greeter);
 * console.log(await greetings.executeAndCollect()); // prints [ 'hello ann' ]
 */
export abstract class Agent<I, O> {
  /** Name in plans and traces. @defaultValue the name of the class */
  static readonly agentName?: string;
  static readonly options?: AgentOptions;
  /**
   * Carry the types only; never present at run time. An agent takes its inputs and gives its outputs: one that asks for
   * less of an input may stand where one that asks for more does.
   */
  declare protected readonly inputType: (input: I) => void;
  declare protected readonly outputType: O;
}

/** A class of agents; its constructor may take services, injected by explicit tokens. */
export type AgentClass<I, O> = (new (...parameters: never[]) => Agent<I, O>) & {
  readonly agentName?: string | undefined;
  readonly options?: AgentOptions | undefined;
};

/**
 * What a trigger brings, to an agent with inputs `I` whose chat models answer with `A`. A type string says nothing of
 * the event's class.
 */
export type EventOf<T, I, A> = T extends typeof InputEvent
  ? InputEvent<I>
  : T extends typeof ChatResponseEvent
    ? ChatResponseEvent<[A] extends [never] ? unknown : A>
    : T extends typeof OutputEvent
      ? OutputEvent
      : T extends EventClass<infer E>
        ? E
        : Event;

/** What a handler is given: with type strings alone it may say itself of which class `E` the events are. */
type HandledBy<T, I, A, E> = T extends string | readonly string[] ? E : EventOf<One<T>, I, A>;

type One<T> = T extends readonly (infer E)[] ? E : T;

/** The type of what a schema gives. */
export type OutputOf<S> = S extends z.ZodType ? z.output<S> : unknown;

/**
 * Starts an agent without decorators: `AgentBuilder` says what it is made of. `name` is its name in plans, metrics and
 * traces.
 *
 * @example
 * const greeter = agent<string, string>('greeter').on(InputEvent, ({ input }, ctx) => ctx.output(`hello ${input}`));
 * const harness = await AgentHarness.open(greeter);
 * console.log((await harness.run('ann')).outputs); // prints [ 'hello ann' ]
 */
export const agent = <I, O>(name: string, ...rest: readonly never[]): AgentBuilder<I, O> => {
  if (rest.length > 0)
    throw refusal(
      'agent',
      'called with a name alone: actions, resources and options are added by its methods',
      rest[0],
    );
  return new AgentBuilder<I, O>(name);
};

/**
 * An agent put together by calls; each returns the builder. `A` is what its chat models answer with, by the schemas
 * they declare.
 *
 * @example
 * const scorer = agent<string, string>('scorer')
 *   .chatModel('model', { connection: 'default', prompt: 'ask', timeout: '30s' })
 *   .prompt('ask', 'Score this review from 1 to 5: {text}')
 *   .on(InputEvent, ({ input: text }, ctx) => {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { text } }));
 *   })
 *   .on(ChatResponseEvent, ({ response }, ctx) => ctx.output(response.content))
 *   .onError('retry', { maxRetries: 5 });
 * const harness = await AgentHarness.open(scorer, { models: { default: scriptedChatModel(['4']) } });
 * console.log((await harness.run('Works well.')).outputs); // prints [ '4' ]
 */
export class AgentBuilder<I, O, A = never> extends Agent<I, O> {
  readonly name: string;
  readonly #actions = new Map<string, ActionDefinition>();
  readonly #resources = new Map<string, ResourceDefinition>();
  #options: AgentOptions = {};

  constructor(name: string) {
    super();
    if (typeof name !== 'string' || name === '')
      throw invalidAgent({ agent: String(name), rule: 'an agent needs a name', value: name });
    this.name = name;
  }

  /**
   * Adds an action for one or several types of events. Without a name it is called after them: `on_input_event`. Throws
   * `AGENT_INVALID` for a name that is taken.
   *
   * @example
   * const shop = agent<Order, string>('shop')
   *   .on(InputEvent, ({ input }, ctx) => ctx.sendEvent(new Event('created', { id: input.id })))
   *   .on('created', 'announce', async ({ attributes }, ctx) => ctx.output(`order ${String(attributes['id'])}`));
   * const announced = orders.keyBy(({ id }) => id).applyAgent(shop, { outputOrder: 'arrival' });
   * console.log(await announced.executeAndCollect()); // prints [ 'order 1', 'order 2', 'order 3' ]
   */
  on<T extends Trigger | readonly Trigger[], E extends Event = Event>(
    trigger: T,
    name: string,
    handler: ActionHandler<HandledBy<T, I, A, E>, O>,
    options?: ActionOptions,
  ): this;
  on<T extends Trigger | readonly Trigger[], E extends Event = Event>(
    trigger: T,
    handler: ActionHandler<HandledBy<T, I, A, E>, O>,
    options?: ActionOptions,
  ): this;
  on(trigger: Trigger | readonly Trigger[], ...rest: readonly unknown[]): this {
    // `isArray` does not tell a readonly list from one trigger.
    const triggers = Array.isArray(trigger) ? (trigger as readonly Trigger[]) : [trigger as Trigger];
    const [given, handler, options = {}] = typeof rest[0] === 'string' ? rest : [undefined, ...rest];
    // A string, or there is none: looked at in the line before.
    const name = (given as string | undefined) ?? this.#freeName(triggers);
    if (this.#actions.has(name))
      throw invalidAgent({
        agent: this.name,
        action: name,
        rule: 'actions of one agent have different names',
        value: name,
      });
    checkActionOptions('on', options as ActionOptions); // That is what is checked.
    // The overloads tie the handler to the triggers; the plan calls it with events of those types only.
    this.#actions.set(name, {
      ...(options as ActionOptions),
      name,
      triggers,
      handler: handler as ActionHandler<never>,
    });
    return this;
  }

  /**
   * Adds a chat model: a connection, by its name, and what is sent over it. Its `outputSchema` gives `event.output` its
   * type in what follows in the chain: on a builder that was kept in a variable before, `event.output` stays `unknown`.
   *
   * @example
   * import * as z from 'zod';
   * const outputSchema = z.object({ score: z.int().min(1).max(5) });
   * const scorer = agent<string, number>('scorer')
   *   .chatModel('model', { connection: 'default', prompt: 'ask', outputSchema, timeout: '30s', concurrency: 8 })
   *   .on(ChatResponseEvent, ({ output }, ctx) => ctx.output(output.score));
   */
  chatModel<S extends z.ZodType | JsonSchema = never>(
    name: string,
    setup: ChatModelSetup & { readonly outputSchema?: S | undefined },
  ): AgentBuilder<I, O, A | ([S] extends [never] ? never : OutputOf<S>)> {
    return this.#checked(`chat_model '${name}'`, () => this.resource('chat_model', name, checkSetup(setup)));
  }

  /**
   * Adds a prompt, which chat models name. `{name}` is replaced by `promptArgs.name`; a placeholder that nobody fills
   * stays.
   *
   * @example
   * agent<string, string>('scorer')
   *   .prompt('ask', 'Score this review of {product} from 1 to 5: {text}')
   *   .prompt('strict', [{ role: 'system', content: 'Be strict.' }]);
   */
  prompt(name: string, content: string | readonly ChatMessage[] | Prompt): this {
    return this.resource('prompt', name, Prompt.from(content));
  }

  /**
   * Adds a tool that chat models may ask for, if their `tools` name it. It is given the arguments as the schema reads
   * them; what it returns, or the message of what it throws, is told to the model.
   *
   * @example
   * import * as z from 'zod';
   * const clerk = agent<string, string>('clerk')
   *   .chatModel('model', { connection: 'default', tools: ['stock'] })
   *   .tool('stock', {
   *     description: 'Pieces left of an article',
   *     parameters: z.object({ article: z.string() }),
   *     execute: ({ article }) => (article === 'mug' ? 3 : 0),
   *   });
   */
  tool<P extends z.ZodType | JsonSchema>(name: string, definition: ToolDefinition<P>): this {
    // The tool checks arguments by P before it passes them.
    return this.#checked(`tool '${name}'`, () =>
      this.resource('tool', name, new FunctionTool(name, definition as unknown as ToolDefinition)),
    );
  }

  /**
   * Adds a resource of any type, which actions find by `ctx.getResource(type, name)`. `{ factory: () => ... }` is asked
   * for it each time the job starts.
   *
   * @example
   * const greeter = agent<string, string>('greeter')
   *   .resource('greeting', 'formal', 'Good morning')
   *   .on(InputEvent, ({ input }, ctx) => ctx.output(`${ctx.getResource<string>('greeting', 'formal')}, ${input}`));
   * console.log((await (await AgentHarness.open(greeter)).run('ann')).outputs); // prints [ 'Good morning, ann' ]
   */
  resource(type: ResourceType, name: string, value: unknown): this {
    const id = `${type}:${name}`;
    if (this.#resources.has(id))
      throw invalidAgent({ agent: this.name, rule: `resources of type '${type}' have different names`, value: name });
    this.#resources.set(id, { type, name, value });
    return this;
  }

  /**
   * What the built-in chat action does when the model fails: fail the action, retry and then fail, or send a
   * `ChatErrorEvent` and go on.
   *
   * @example
   * agent<string, string>('scorer').onError('retry', { maxRetries: 5, retryWaitInterval: '2s' });
   */
  onError(errorHandling: ErrorHandling, settings: RetrySettings = {}): this {
    return this.options({ errorHandling, ...checkRetrySettings(settings) });
  }

  /**
   * Sets options of the agent; those that were set before and are not named stay.
   *
   * @example
   * agent<string, string>('scorer').options({ version: '2', maxToolRounds: 3 });
   */
  options(options: AgentOptions): this {
    this.#options = { ...this.#options, ...checkAgentOptions(options) };
    return this;
  }

  /**
   * Gives what was put together so far, as the plan is compiled from it.
   *
   * @example
   * const { name, options } = agent<string, string>('scorer').options({ version: '2' }).definition();
   * console.log(name, options); // prints scorer { version: '2' }
   */
  definition(): AgentDefinition {
    return {
      name: this.name,
      actions: [...this.#actions.values()],
      resources: [...this.#resources.values()],
      options: this.#options,
    };
  }

  /** Says of what is refused where it stands. */
  #checked<R>(what: string, make: () => R): R {
    try {
      return make();
    } catch (error) {
      if (error instanceof TypeError) throw new TypeError(`agent '${this.name}', ${what}: ${error.message}`);
      throw error;
    }
  }

  /** Called after the triggers: the name of a function is code, which a minifier changes (I19). */
  #freeName(triggers: readonly Trigger[]): string {
    const types = triggers.map((each) => (typeof each === 'string' ? each : (each?.type ?? '')).replace(/^_+/, ''));
    const base = `on_${types.join('_and_')}`;
    let name = base;
    for (let number = 2; this.#actions.has(name); number += 1) name = `${base}_${number}`;
    return name;
  }
}
