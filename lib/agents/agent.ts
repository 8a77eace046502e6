/**
 * Agents as users define them: a class with decorated members, or the same from a builder. Both end in an `AgentDefinition`, the
 * common form that the plan is compiled from. An agent holds no mutable fields, because actions of many keys run at once.
 */
import type * as z from 'zod';
import type { ChatMessage } from '../core/model.ts';
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
} from './contract.ts';
import type { Event, EventClass, InputEvent } from './event.ts';
import type { JsonSchema } from './json-schema.ts';
import { checkActionOptions, checkAgentOptions, checkRetrySettings, checkSetup, invalidAgent } from './option-checks.ts';
import { Prompt, type PromptLike } from './prompt.ts';
import { FunctionTool, type ToolDefinition } from './tool.ts';

/**
 * The base of an agent. `I` and `O` are the types of its inputs and outputs.
 *
 * @example
 * class Greeter extends Agent<string, string> {
 *   @Action(InputEvent)
 *   greet(event: InputEvent<string>, ctx: RunnerContext) { ctx.sendEvent(new OutputEvent(`hello ${event.input}`)); }
 * }
 */
export abstract class Agent<I, O> {
  /** Name in plans and traces. @defaultValue the name of the class */
  static readonly agentName?: string;
  static readonly options?: AgentOptions;
  /** Carry the types only; never present at run time. */
  declare protected readonly inputType: I;
  declare protected readonly outputType: O;
}

/** A class of agents; its constructor may take services, injected by explicit tokens. */
export type AgentClass<I, O> = (new (...parameters: never[]) => Agent<I, O>) & {
  readonly agentName?: string | undefined;
  readonly options?: AgentOptions | undefined;
};

/** What a trigger of an agent with inputs `I` brings. A type string says nothing of the event's class. */
type EventOf<T, I> = T extends typeof InputEvent ? InputEvent<I> : T extends EventClass<infer E> ? E : Event;

/** Starts an agent without decorators. */
export const agent = <I, O>(name: string): AgentBuilder<I, O> => new AgentBuilder<I, O>(name);

/** An agent put together by calls; each returns the builder. */
export class AgentBuilder<I, O> extends Agent<I, O> {
  readonly name: string;
  readonly #actions = new Map<string, ActionDefinition>();
  readonly #resources = new Map<string, ResourceDefinition>();
  #options: AgentOptions = {};

  constructor(name: string) {
    super();
    if (typeof name !== 'string' || name === '') throw invalidAgent({ agent: String(name), rule: 'an agent needs a name', value: name });
    this.name = name;
  }

  /** Adds an action for one or several types of events. Without a name it is called after the first of them. */
  on(trigger: typeof InputEvent, handler: ActionHandler<InputEvent<I>, O>, options?: ActionOptions): this;
  on(trigger: typeof InputEvent, name: string, handler: ActionHandler<InputEvent<I>, O>, options?: ActionOptions): this;
  on<T extends readonly Trigger[]>(triggers: T, handler: ActionHandler<EventOf<T[number], I>, O>, options?: ActionOptions): this;
  on<T extends readonly Trigger[]>(triggers: T, name: string, handler: ActionHandler<EventOf<T[number], I>, O>, options?: ActionOptions): this;
  on<E extends Event>(trigger: Trigger<E> | readonly Trigger<E>[], handler: ActionHandler<E, O>, options?: ActionOptions): this;
  on<E extends Event>(trigger: Trigger<E> | readonly Trigger<E>[], name: string, handler: ActionHandler<E, O>, options?: ActionOptions): this;
  on(trigger: Trigger | readonly Trigger[], ...rest: readonly unknown[]): this {
    const triggers = Array.isArray(trigger) ? (trigger as readonly Trigger[]) : [trigger as Trigger];
    const [given, handler, options = {}] = typeof rest[0] === 'string' ? rest : [undefined, ...rest];
    const name = (given as string | undefined) ?? this.#freeName(triggers[0], handler);
    if (this.#actions.has(name))
      throw invalidAgent({ agent: this.name, action: name, rule: 'actions of one agent have different names', value: name });
    checkActionOptions('on', options as ActionOptions);
    // The overloads tie the handler to the triggers; the plan calls it with events of those types only.
    this.#actions.set(name, { ...(options as ActionOptions), name, triggers, handler: handler as ActionHandler<never> });
    return this;
  }

  chatModel(name: string, setup: ChatModelSetup): this {
    return this.resource('chat_model', name, checkSetup(setup));
  }

  prompt(name: string, content: string | readonly ChatMessage[] | Prompt): this {
    return this.resource('prompt', name, Prompt.from(content as PromptLike));
  }

  tool<P extends z.ZodType | JsonSchema>(name: string, definition: ToolDefinition<P>): this {
    return this.resource('tool', name, new FunctionTool(name, definition as unknown as ToolDefinition)); // the tool checks arguments by P before it passes them
  }

  /** Adds a resource of any type. `{ factory: () => ... }` is asked for it each time the job starts. */
  resource(type: ResourceType, name: string, value: unknown): this {
    const id = `${type}:${name}`;
    if (this.#resources.has(id))
      throw invalidAgent({ agent: this.name, rule: `resources of type '${type}' have different names`, value: name });
    this.#resources.set(id, { type, name, value });
    return this;
  }

  /** What the built-in chat action does when the model fails: fail the action, retry and then fail, or send a `ChatErrorEvent` and go on. */
  onError(errorHandling: ErrorHandling, settings: RetrySettings = {}): this {
    return this.options({ errorHandling, ...checkRetrySettings(settings) });
  }

  options(options: AgentOptions): this {
    this.#options = { ...this.#options, ...checkAgentOptions(options) };
    return this;
  }

  definition(): AgentDefinition {
    return { name: this.name, actions: [...this.#actions.values()], resources: [...this.#resources.values()], options: this.#options };
  }

  #freeName(trigger: Trigger | undefined, handler: unknown): string {
    const own = typeof handler === 'function' ? handler.name : '';
    const base = own !== '' ? own : `on${typeof trigger === 'string' ? trigger : (trigger?.type ?? '')}`;
    let name = base;
    for (let number = 2; this.#actions.has(name); number += 1) name = `${base}_${number}`;
    return name;
  }
}
