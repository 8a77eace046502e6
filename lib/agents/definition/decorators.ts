/**
 * Decorators that say what the members of an agent class are. They work in both modes: legacy
 * (`experimentalDecorators`, kept with reflect-metadata) and TC39 (`context.metadata`). They only note; nothing is read
 * from emitted types (`design:*`), because not every toolchain emits them: schemas come from zod and services by
 * explicit tokens. Members are noted per class; a subclass sees those of its parents and replaces those of the same
 * name.
 */
import type * as z from 'zod';
import type { ChatMessage } from '../../core/model.ts';
import { refusal } from '../../core/options.ts';
import type { CallContext } from '../../core/call.ts';
import { AgentBuilder, type Agent, type AgentClass, type EventOf, type OutputOf } from './agent.ts';
import type {
  ActionDefinition,
  ActionOptions,
  AgentDefinition,
  ResourceDefinition,
  ResourceType,
  RunnerContext,
  Trigger,
} from '../contract.ts';
import { note, ownNote } from './class-notes.ts';
import type { EventClass } from '../events/event.ts';
import type { JsonSchema } from '../schemas/json-schema.ts';
import { checkActionOptions, invalidAgent, isAsyncFunction, isEventClass } from './option-checks.ts';
import { Prompt as PromptResource, type PromptLike } from '../prompt.ts';
import { checkToolOptions, FunctionTool, type ToolArguments, type ToolOptions } from './tool.ts';

interface Member {
  readonly name: string;
  readonly action?: ActionOptions & { readonly triggers: readonly Trigger[] };
  readonly resource?: ResourceType;
  readonly tool?: ToolOptions;
}

/**
 * Node 20 has no `Symbol.metadata`; compilers of TC39 decorators fall back to the same registered symbol, or make no
 * metadata without it.
 */
const metadataSymbol: symbol = (Symbol as { metadata?: symbol }).metadata ?? Symbol.for('Symbol.metadata');
if (!('metadata' in Symbol)) Object.defineProperty(Symbol, 'metadata', { value: metadataSymbol });

const membersKey = Symbol.for('millrace:members');

/**
 * What else the second and the third parameter of a decorator must be, so that the method fits `H`. A standard one is
 * given the method and a context, a legacy one the prototype, a name and a descriptor. They share one signature, since
 * of overloads the compiler tells why the last one does not fit, which need not be the one in hand.
 */
type MethodPlace<V, P, D, H> =
  P extends ClassMethodDecoratorContext<infer C>
    ? V extends H
      ? unknown
      : { readonly access: { get(object: C): H } }
    : D extends undefined
      ? ClassMethodDecoratorContext // That of a field has come, or a field's name alone.
      : unknown;

type MethodDescriptor<D, H> =
  D extends TypedPropertyDescriptor<infer V> ? (V extends H ? unknown : TypedPropertyDescriptor<H>) : unknown;

/** The class whose method is decorated. */
type ClassOf<V, P> = P extends ClassMethodDecoratorContext<infer C> ? C : V;

interface ToolDecorator<A> {
  <V, P, D = undefined>(
    value: V,
    place: P & MethodPlace<V, P, D, ToolFunction<A>>,
    descriptor?: D & MethodDescriptor<D, ToolFunction<A>>,
  ): void;
}

type ToolFunction<A> = (args: A, call: CallContext) => unknown;

interface FieldDecorator {
  (target: object, name: string | symbol): void;
  (value: undefined, context: ClassFieldDecoratorContext): void;
}

/** What the chat models of a class of agents answer with: of those fields that declare an `outputSchema`. */
type AnswersOf<C> = {
  [F in keyof C]: C[F] extends { readonly connection: string; readonly outputSchema: infer S } ? OutputOf<S> : never;
}[keyof C];

/** A type string says nothing of the event's class, so it leaves the handler free to say. */
type TriggeredBy<T, C> = T extends EventClass
  ? C extends Agent<infer I, unknown>
    ? EventOf<T, I, AnswersOf<C>>
    : never
  : never;

/** A handler of the class `C`: its event is what the trigger brings there, and its outputs are those of the class. */
type Handles<T, C> =
  C extends Agent<never, infer O> ? (event: TriggeredBy<T, C>, context: RunnerContext<O>) => unknown : never;

interface ActionDecorator<T> {
  <V, P, D = undefined>(
    value: V,
    place: P & MethodPlace<V, P, D, Handles<T, ClassOf<V, P>>>,
    descriptor?: D & MethodDescriptor<D, Handles<T, V>>,
  ): void;
}

/**
 * Makes a method an action, for one or several types of events. An async method is an asynchronous action.
 *
 * @example
 * class Doubler extends Agent<number, number> {
 *   @Action(InputEvent)
 *   double({ input }: InputEvent<number>, ctx: RunnerContext<number>) {
 *     ctx.output(input * 2);
 *   }
 * }
 * console.log((await (await AgentHarness.open(Doubler)).run(21)).outputs); // prints [ 42 ]
 */
export const Action = <T extends readonly (Trigger | ActionOptions)[]>(
  ...parameters: T
): ActionDecorator<T[number]> => {
  const last = parameters.at(-1);
  const options = typeof last === 'object' && last !== null ? last : undefined;
  // each is checked below
  const triggers = (options === undefined ? parameters : parameters.slice(0, -1)) as readonly Trigger[];
  if (options !== undefined) checkActionOptions('Action', options as ActionOptions); // That is what is checked.
  if (triggers.length === 0) throw refusal('triggers', 'at least one event type or event class', triggers);
  for (const trigger of triggers)
    if (!isTrigger(trigger)) throw refusal('trigger', 'an event type or an event class', trigger);
  // Checked above.
  return noting((name) => ({ name, action: { ...(options as ActionOptions | undefined), triggers } }));
};

/**
 * Makes a method a tool that the agent's models may ask for, if their `tools` name it. It is given the arguments as the
 * schema reads them; what it returns, or the message of what it throws, is told to the model.
 *
 * @example
 * import * as z from 'zod';
 * class Clerk extends Agent<string, string> {
 *   @ChatModel() model = { connection: 'default', tools: ['stock'] };
 *   @Tool({ description: 'Pieces left of an article', parameters: z.object({ article: z.string() }) })
 *   stock({ article }: { article: string }) {
 *     return article === 'mug' ? 3 : 0;
 *   }
 *   @Action(InputEvent)
 *   ask({ input }: InputEvent<string>, ctx: RunnerContext<string>) {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', messages: [{ role: 'user', content: input }] }));
 *   }
 *   @Action(ChatResponseEvent)
 *   answer({ response }: ChatResponseEvent, ctx: RunnerContext<string>) {
 *     ctx.output(response.content);
 *   }
 * }
 * const call = { id: '1', function: { name: 'stock', arguments: { article: 'mug' } } };
 * const model = scriptedChatModel([{ role: 'assistant', content: '', tool_calls: [call] }, 'Three mugs are left.']);
 * const harness = await AgentHarness.open(Clerk, { models: { default: model } });
 * console.log((await harness.run('Are there mugs?')).outputs); // prints [ 'Three mugs are left.' ]
 */
export const Tool = <P extends z.ZodType | JsonSchema>(options: ToolOptions<P>): ToolDecorator<ToolArguments<P>> => {
  checkToolOptions(options);
  return noting((name) => ({ name, resource: 'tool', tool: options }));
};

/**
 * Makes a field a resource of a type of its own, which actions find by `ctx.getResource(type, name)`; the name is that
 * of the field.
 *
 * @example
 * class Greeter extends Agent<string, string> {
 *   @Resource('greeting') formal = 'Good morning';
 *   @Action(InputEvent)
 *   greet({ input }: InputEvent<string>, ctx: RunnerContext<string>) {
 *     ctx.output(`${ctx.getResource<string>('greeting', 'formal')}, ${input}`);
 *   }
 * }
 * console.log((await (await AgentHarness.open(Greeter)).run('ann')).outputs); // prints [ 'Good morning, ann' ]
 */
export const Resource = (type: ResourceType): FieldDecorator => noting((name) => ({ name, resource: type }));

/**
 * Makes a field (a `ChatModelSetup`) a chat model, which a `ChatRequestEvent` names by the name of the field.
 *
 * @example
 * class Scorer extends Agent<string, string> {
 *   @ChatModel() model = { connection: 'default', prompt: 'ask', args: { temperature: 0 }, timeout: '30s' };
 *   @Prompt() ask = 'Score this review from 1 to 5: {text}';
 *   @Action(InputEvent)
 *   begin({ input }: InputEvent<string>, ctx: RunnerContext<string>) {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { text: input } }));
 *   }
 *   @Action(ChatResponseEvent)
 *   end({ response }: ChatResponseEvent, ctx: RunnerContext<string>) {
 *     ctx.output(response.content);
 *   }
 * }
 * const harness = await AgentHarness.open(Scorer, { models: { default: scriptedChatModel(['4']) } });
 * console.log((await harness.run('Works well.')).outputs); // prints [ '4' ]
 */
export const ChatModel = (): FieldDecorator => Resource('chat_model');

/**
 * Makes a field a connection of chat models, for this agent alone; `env.addResource` adds one for all. The contract
 * that a connection of your own implements has another name: `implements ChatModelConnectionContract`.
 *
 * @example
 * import { openAIChatModel } from 'millrace/connectors/openai-chat-model';
 * class Scorer extends Agent<string, string> {
 *   @ChatModelConnection() local = openAIChatModel({ baseUrl: 'http://localhost:11434/v1', model: 'qwen3:8b' });
 *   @ChatModel() model = { connection: 'local' };
 *   @Action(InputEvent)
 *   begin({ input }: InputEvent<string>, ctx: RunnerContext<string>) {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', messages: [{ role: 'user', content: input }] }));
 *   }
 * }
 * await (await AgentHarness.open(Scorer)).close();
 */
export const ChatModelConnection = (): FieldDecorator => Resource('chat_model_connection');

/**
 * Makes a field (text, messages or a prompt) a prompt. Also the place of `Prompt.fromText` and `Prompt.fromMessages`,
 * so that one name serves both.
 *
 * @example
 * class Scorer extends Agent<string, number> {
 *   @Prompt() score = 'Score this from 1 to 5: {text}';
 *   @Prompt() strict = Prompt.fromMessages([{ role: 'system', content: 'Be strict.' }]);
 * }
 * console.log(new Scorer().strict.formatMessages()); // prints [ { role: 'system', content: 'Be strict.' } ]
 */
export const Prompt = Object.assign((): FieldDecorator => Resource('prompt'), {
  fromText: (text: string): PromptResource => PromptResource.fromText(text),
  fromMessages: (messages: readonly ChatMessage[]): PromptResource => PromptResource.fromMessages(messages),
});
export type Prompt = PromptResource;

/** The definition of an agent: what its builder gathered, or what its class notes and its instance holds. */
export const definitionOf = <I, O>(agent: Agent<I, O>): AgentDefinition => {
  if (agent instanceof AgentBuilder) return agent.definition();
  const type = agent.constructor as unknown as AgentClass<I, O>; // the constructor of an Agent is a class of agents
  const name = type.agentName ?? type.name;
  const actions: ActionDefinition[] = [];
  const resources: ResourceDefinition[] = [];
  for (const member of membersOf(type)) {
    const value: unknown = Reflect.get(agent, member.name);
    if (member.action !== undefined) actions.push(actionOf(name, agent, member.name, member.action));
    if (member.resource !== undefined) resources.push(resourceOf(name, member, agent, value));
  }
  return { name, actions, resources, options: type.options ?? {} };
};

const actionOf = (
  agentName: string,
  agent: object,
  name: string,
  action: NonNullable<Member['action']>,
): ActionDefinition => {
  const method: unknown = Reflect.get(agent, name);
  if (typeof method !== 'function')
    throw invalidAgent({ agent: agentName, action: name, rule: 'an action is a method', value: method });
  const async = action.async ?? isAsyncFunction(method); // Binding hides it.
  // `@Action` checked the handler's type.
  return { ...action, async, name, handler: method.bind(agent) as ActionDefinition['handler'] };
};

const resourceOf = (agentName: string, member: Member, agent: object, value: unknown): ResourceDefinition => {
  const { name, resource: type = '', tool } = member;
  const refuse = (rule: string, cause?: unknown): never => {
    throw invalidAgent({ agent: agentName, rule: `${type} '${name}': ${rule}`, value }, cause);
  };
  try {
    if (tool !== undefined) {
      return typeof value === 'function'
        ? { type, name, value: new FunctionTool(name, { ...tool, execute: value.bind(agent) }) }
        : refuse('a tool is a method');
    }
    if (value === undefined) return refuse('the field has no value');
    // `Prompt.from` refuses what is none.
    if (type === 'prompt') return { type, name, value: PromptResource.from(value as PromptLike) };
    return { type, name, value };
  } catch (error) {
    if (error instanceof TypeError) return refuse(error.message, error);
    throw error;
  }
};

const isTrigger = (value: unknown): value is Trigger => typeof value === 'string' || isEventClass(value);

const noting = (member: (name: string) => Member) => {
  return (target: unknown, second: unknown): void => {
    const context =
      typeof second === 'object' && second !== null && 'kind' in second
        ? // A name is no object: this is the context of standard decorators.
          (second as ClassMethodDecoratorContext | ClassFieldDecoratorContext)
        : undefined;
    const name = context === undefined ? second : context.name;
    if (typeof name !== 'string')
      throw refusal('name', 'a string: a decorated member can not be a symbol', String(name));
    if (context?.private === true || context?.static === true)
      throw new TypeError(`Expected \`${name}\` to be a public instance member`);
    if (context !== undefined) noteIn(context.metadata, member(name));
    else noteAt((target as object).constructor, member(name)); // Legacy decorators are given the prototype.
  };
};

const noteIn = (metadata: DecoratorMetadataObject | undefined, member: Member): void => {
  if (metadata === undefined)
    throw new TypeError(
      'Expected decorators to get metadata: import millrace before the class is defined, or use legacy decorators',
    );
  const holder = metadata as Record<symbol, Member[] | undefined>; // Nobody else has the symbol.
  if (!Object.hasOwn(holder, membersKey)) holder[membersKey] = [];
  holder[membersKey]?.push(member);
};

const noteAt = (type: object, member: Member): void => {
  const own = (ownNote(membersKey, type) as Member[] | undefined) ?? []; // As it is noted below.
  note(membersKey, type, [...own, member]);
};

/**
 * Members of a class and its parents, parents first; one that is noted again below keeps its place and changes its
 * meaning.
 */
const membersOf = (type: object): Member[] => {
  const members = new Map<string, Member>();
  const lineage: object[] = [];
  for (let each: unknown = type; typeof each === 'function'; each = Object.getPrototypeOf(each)) lineage.unshift(each);
  for (const each of lineage) {
    const legacy = ownNote(membersKey, each) as readonly Member[] | undefined; // As `noteAt` notes them.
    // As `noteIn` notes them.
    const metadata = Object.getOwnPropertyDescriptor(each, metadataSymbol)?.value as
      Record<symbol, readonly Member[]> | undefined;
    const modern = metadata !== undefined && Object.hasOwn(metadata, membersKey) ? metadata[membersKey] : undefined;
    const own = new Map<string, Member>();
    for (const member of [...(legacy ?? []), ...(modern ?? [])])
      own.set(member.name, { ...own.get(member.name), ...member });
    for (const [name, member] of own) members.set(name, member);
  }
  return [...members.values()];
};
