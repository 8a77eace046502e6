/**
 * Resources of agents: models, connections, prompts, tools, stores and users' own services, by type and name. A scope
 * per job with a child per agent: what the agent itself defines wins over what the environment has. Everything is
 * resolved when the job starts, by explicit tokens and never by emitted metadata, and closed when the last agent of the
 * job closes.
 *
 * There is a container only where services or an agent with parameters ask for one: who has neither needs no inversify.
 */
import { messageOf, StreamError } from '../../core/errors.ts';
import { namedAsync } from '../../core/failures.ts';
import type { ChatModelConnection } from '../../core/model.ts';
import { nearestFirst } from '../../core/nearest.ts';
import { refusal } from '../../core/options.ts';
import { Agent, AgentBuilder, type AgentClass } from '../definition/agent.ts';
import type { ChatModelSetup, ResourceDefinition, ResourceType } from '../contract.ts';
import { callLimits, CallLimits } from '../actions/call-limits.ts';
import { noteKeys } from '../definition/class-notes.ts';
import { checkConnection, checkSetup } from '../definition/option-checks.ts';
import { AgentPlan, type CompiledAgent } from './plan.ts';
import { Prompt, type PromptLike } from '../prompt.ts';
import { isFactory } from './resource-factory.ts';
import { checkOf } from '../schemas/schema-check.ts';
import { makeContainer, type ConfigureServices, type OwnContainer } from './service-container.ts';
import { FunctionTool, type ToolDefinition } from '../definition/tool.ts';

/**
 * Gives the token of a resource, for `@inject(resourceToken('tool', 'search'))` and `container.bind(...)`.
 *
 * @example
 * import { inject } from 'inversify';
 * class Greeter extends Agent<string, string> {
 *   constructor(@inject(resourceToken('greeting', 'formal')) private readonly greeting: string) {
 *     super();
 *   }
 *   @Action(InputEvent)
 *   greet({ input }: InputEvent<string>, ctx: RunnerContext<string>) {
 *     ctx.output(`${this.greeting}, ${input}`);
 *   }
 * }
 * const harness = await AgentHarness.open(Greeter, { resources: { greeting: { formal: 'Good morning' } } });
 * console.log((await harness.run('ann')).outputs); // prints [ 'Good morning, ann' ]
 */
export const resourceToken = (type: ResourceType, name: string): symbol => tokenOf(idOf(type, name));

const idOf = (type: ResourceType, name: string): string => `${type}:${name}`;

const tokenOf = (id: string): symbol => Symbol.for(`millrace:${id}`);

/** An agent whose resources are there. */
export interface OpenAgent extends CompiledAgent {
  readonly open: AgentResources;
  /** Closes the agent's resources, and the job's with the last agent. May be called twice. */
  close(): Promise<void>;
}

/** What the environment gives to all agents of a job. */
export class JobResources {
  readonly #definitions = new Map<string, ResourceDefinition>();
  readonly #configure: ConfigureServices[] = [];
  #scope: Promise<Scope> | undefined;
  #agentsOpen = 0;

  /**
   * `{ factory: () => ... }` is asked for the resource each time the job starts; what it made is closed with the job.
   */
  add(type: ResourceType, name: string, value: unknown): this {
    if (typeof type !== 'string' || type === '') throw refusal('type', 'a type of resources', type);
    if (typeof name !== 'string' || name === '') throw refusal('name', 'a non-empty string', name);
    // Flink Agents has the name first. With types of one's own both orders would pass, and the agent would find
    // nothing.
    if (builtInTypes.has(name) && !builtInTypes.has(type)) {
      throw refusal('type', `a type of resources, as \`${name}\` is: the type comes first`, type);
    }
    const id = idOf(type, name);
    if (this.#definitions.has(id)) {
      throw new TypeError(`Expected resources of type '${type}' to have different names, got '${name}' twice`);
    }
    this.#definitions.set(id, { type, name, value });
    return this;
  }

  /**
   */
  services(configure: ConfigureServices): this {
    this.#configure.push(configure);
    return this;
  }

  /** Makes the agent, compiles its plan and resolves its resources. Throws `AGENT_INVALID` or `RESOURCE_NOT_FOUND`. */
  async open<I, O>(agent: Agent<I, O> | AgentClass<I, O>): Promise<OpenAgent> {
    refuseNoAgent(agent);
    const job = await this.#acquire();
    const release = once(() => this.#release());
    try {
      const own = new Scope(job);
      const compiled = AgentPlan.compile(await instanceOf(agent, own));
      const { agentName } = compiled.plan;
      await own.resolve(compiled.resources, agentName);
      const open = new AgentResources(agentName, own, job);
      const close = once(async () => closeAll([() => own.close(), release]));
      try {
        checkReferences(open, compiled.resources);
      } catch (error) {
        await close();
        throw error;
      }
      return { ...compiled, open, close };
    } catch (error) {
      await release();
      throw error;
    }
  }

  async #acquire(): Promise<Scope> {
    this.#agentsOpen += 1;
    this.#scope ??= this.#make();
    try {
      return await this.#scope;
    } catch (error) {
      this.#agentsOpen -= 1;
      if (this.#agentsOpen === 0) this.#scope = undefined;
      throw error;
    }
  }

  async #make(): Promise<Scope> {
    const scope = new Scope();
    const failing = { code: 'AGENT_INVALID', what: 'a function of `services` failed' } as const;
    for (const configure of this.#configure) {
      const services = await scope.services();
      await namedAsync(failing, () => configure(services));
    }
    await scope.resolve([...this.#definitions.values()], undefined);
    scope.put(limitsId, new CallLimits());
    return scope;
  }

  async #release(): Promise<void> {
    this.#agentsOpen -= 1;
    if (this.#agentsOpen > 0) return;
    const scope = await this.#scope;
    this.#scope = undefined;
    await scope?.close();
  }
}

/** The resources that one agent sees. */
export class AgentResources {
  readonly #agent: string;
  readonly #own: Scope;
  readonly #job: Scope;

  constructor(agent: string, own: Scope, job: Scope) {
    this.#agent = agent;
    this.#own = own;
    this.#job = job;
  }

  /** Throws `RESOURCE_NOT_FOUND`, naming what is known. */
  get(type: ResourceType, name: string): unknown {
    const id = idOf(type, name);
    const found = this.#own.get(id) ?? this.#job.get(id) ?? this.#own.bound(tokenOf(id));
    if (found !== undefined) return found;
    const known = this.names(type);
    const list =
      known.length === 0
        ? `none of that type is known${this.#others(id)}`
        : `known: ${nearestFirst(name, known).map(quoted).join(', ')}`;
    const isSwapped = this.names(name).includes(type);
    throw new StreamError('RESOURCE_NOT_FOUND', `agent '${this.#agent}' asks for ${type} '${name}'; ${list}`, {
      ...(isSwapped ? { hint: `the type comes first: \`getResource('${name}', '${type}')\`` } : {}),
      details: { agent: this.#agent, type, name, known },
    });
  }

  /** What is known of other types, the nearest first: the type may be mistyped where the resource was added. */
  #others(id: string): string {
    const ids = nearestFirst(
      id,
      [...new Set([...this.#own.ids(), ...this.#job.ids()])].filter((each) => each !== limitsId),
    );
    const named = ids.map((each) => each.split(':')).map(([type = '', ...name]) => `${type} ${quoted(name.join(':'))}`);
    const rest = named.length > othersMax ? ` and ${named.length - othersMax} more` : '';
    return named.length === 0 ? '' : `; of other types: ${named.slice(0, othersMax).join(', ')}${rest}`;
  }

  /** Names of the resources of a type, the agent's own first. */
  names(type: ResourceType): string[] {
    const prefix = idOf(type, '');
    const ids = [...this.#own.ids(), ...this.#job.ids()];
    return [...new Set(ids.filter((id) => id.startsWith(prefix)).map((id) => id.slice(prefix.length)))];
  }
}

/** Resources of other types that a message names. */
const othersMax = 10;

const limitsId = idOf(callLimits.type, callLimits.name);

const quoted = (name: string): string => `'${name}'`;

/** Checks at build time what can be checked without services: an agent that needs none is made and compiled. */
export const checkAgent = <I, O>(agent: Agent<I, O> | AgentClass<I, O>): AgentPlan | undefined => {
  refuseNoAgent(agent);
  if (typeof agent !== 'function') return AgentPlan.compile(agent).plan;
  return needsContainer(agent) ? undefined : AgentPlan.compile(new agent()).plan;
};

/** Throws a `TypeError` for what is neither an agent nor a class of agents. */
const refuseNoAgent = (agent: unknown): void => {
  const isClass = typeof agent === 'function';
  const made: unknown = isClass ? agent.prototype : agent;
  if (made instanceof Agent || made instanceof AgentBuilder) return;
  const rule = 'an agent, or a class that extends Agent';
  if (isClass)
    throw new TypeError(`Expected \`agent\` to be ${rule}, got \`${agent.name}\`, which does not extend Agent`);
  throw refusal('agent', rule, agent);
};

/** The types of Flink Agents. */
const builtInTypes: ReadonlySet<string> = new Set([
  'chat_model',
  'chat_model_connection',
  'embedding_model',
  'embedding_model_connection',
  'vector_store',
  'prompt',
  'tool',
  'mcp_server',
  'skills',
]);

/** What was resolved, and the services beside it once somebody has asked for them. */
class Scope {
  readonly #resolved = new Map<string, unknown>();
  readonly #parent: Scope | undefined;
  #services: Promise<OwnContainer> | undefined;
  #container: OwnContainer | undefined;

  constructor(parent?: Scope) {
    this.#parent = parent;
  }

  get(id: string): unknown {
    return this.#resolved.get(id);
  }

  ids(): Iterable<string> {
    return this.#resolved.keys();
  }

  put(id: string, resource: unknown): void {
    this.#resolved.set(id, resource);
    this.#container?.bind(tokenOf(id)).toConstantValue(resource);
  }

  /** What users have bound under a token, here or above; undefined when there is nothing. */
  bound(token: symbol): unknown {
    if (this.#container?.isBound(token) === true) return this.#container.get(token);
    return this.#parent?.bound(token);
  }

  /** The container, with every resource of this scope and of the one above. Made when it is asked for. */
  services(): Promise<OwnContainer> {
    return (this.#services ??= this.#makeServices());
  }

  async #makeServices(): Promise<OwnContainer> {
    const container = await makeContainer(await this.#parent?.services());
    for (const [id, resource] of this.#resolved) container.bind(tokenOf(id)).toConstantValue(resource);
    this.#container = container;
    return container;
  }

  /** A failure closes what was opened before it. */
  async resolve(definitions: readonly ResourceDefinition[], agent: string | undefined): Promise<void> {
    for (const { type, name, value } of definitions) {
      try {
        const made: unknown = isFactory(value) ? await value.factory() : value;
        const resource = normalised(type, name, made);
        await prepare(type, resource);
        this.put(idOf(type, name), resource);
      } catch (cause) {
        await this.close().catch(() => {}); // The first failure is the one to tell.
        const whose = agent === undefined ? 'of the environment' : `of agent '${agent}'`;
        throw new StreamError('AGENT_INVALID', `${type} '${name}' ${whose} could not be made: ${messageOf(cause)}`, {
          cause,
          details: { agent: agent ?? '', type, name },
        });
      }
    }
  }

  /** Closes what has a `close`, the newest first, and lets the container deactivate users' services. */
  async close(): Promise<void> {
    const resources = [...this.#resolved.values()].toReversed();
    this.#resolved.clear();
    const closes = resources.filter(isClosable).map((each) => async () => void (await each.close()));
    await closeAll([...closes, async () => this.#container?.unbindAllAsync()]);
  }
}

const normalised = (type: ResourceType, name: string, value: unknown): unknown => {
  if (value === undefined || value === null) throw new TypeError('there is no value');
  if (type === 'prompt') return Prompt.from(value as PromptLike); // It refuses what is none.
  if (type === 'chat_model') return checkSetup(value as ChatModelSetup); // that is what is checked
  if (type === 'chat_model_connection') return checkConnection(value as ChatModelConnection);
  // It refuses what is none.
  if (type === 'tool' && !(value instanceof FunctionTool)) return new FunctionTool(name, value as ToolDefinition);
  return value;
};

/** What a schema needs to be checked by is loaded and compiled, and a schema that can not be is refused. */
const prepare = async (type: ResourceType, resource: unknown): Promise<void> => {
  if (resource instanceof FunctionTool) await resource.prepare();
  if (type !== 'chat_model') return;
  const { outputSchema } = resource as ChatModelSetup; // that is what was checked
  if (outputSchema !== undefined) await checkOf(outputSchema);
};

const instanceOf = async <I, O>(agent: Agent<I, O> | AgentClass<I, O>, scope: Scope): Promise<Agent<I, O>> => {
  const made = typeof agent === 'function' ? await construct(agent, scope) : agent;
  // An agent of one's own may be written to by no action: actions of many keys run at once.
  if (process.env['NODE_ENV'] !== 'production' && !(made instanceof AgentBuilder)) Object.freeze(made);
  return made;
};

const construct = async <I, O>(agent: AgentClass<I, O>, scope: Scope): Promise<Agent<I, O>> => {
  if (!needsContainer(agent)) return new agent();
  const container = await scope.services();
  try {
    container.bind<Agent<I, O>>(agent).toSelf().inSingletonScope();
    return await container.getAsync<Agent<I, O>>(agent);
  } catch (cause) {
    throw new StreamError('AGENT_INVALID', `agent '${agent.name}' could not be made: ${messageOf(cause)}`, {
      cause,
      hint: 'bind its services with `env.services(...)` and mark each parameter of its constructor with `@inject(Token)`',
      details: { agent: agent.name },
    });
  }
};

/**
 * A class that takes parameters, or that inversify's decorators have touched: fields are injected too, and a parameter
 * with a default does not count. Its notes are known by their names, because the question is asked when an agent is
 * applied, by whoever has no inversify too: its own reader of them would have to be loaded first. Were the names others
 * one day, such a class would be made without its services, which the test of injected fields would show.
 */
const needsContainer = (agent: abstract new (...parameters: never[]) => unknown): boolean =>
  agent.length > 0 || noteKeys(agent).some((key) => String(key).startsWith('@inversifyjs'));

/** A model that names what is not there is refused when the job starts, not in the first run. */
const checkReferences = (resources: AgentResources, definitions: readonly ResourceDefinition[]): void => {
  for (const { type, name } of definitions) {
    if (type !== 'chat_model') continue;
    // Every chat model was checked to be one.
    const { connection, prompt, tools = [] } = resources.get(type, name) as ChatModelSetup;
    resources.get('chat_model_connection', connection);
    if (typeof prompt === 'string') resources.get('prompt', prompt);
    for (const tool of tools) resources.get('tool', tool);
  }
};

const isClosable = (value: unknown): value is { close(): unknown } =>
  typeof value === 'object' && value !== null && 'close' in value && typeof value.close === 'function';

/** Begins all of them in order, also when some fail or hang (I18), and throws the first failure. */
const closeAll = async (closes: readonly (() => Promise<void>)[]): Promise<void> => {
  const results = await Promise.allSettled(closes.map((close) => close()));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
};

const once = (fn: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined;
  return () => (done ??= fn());
};
