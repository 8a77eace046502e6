/**
 * The plan of an agent: its actions as data, with their triggers, kinds and configuration. It routes events, is written
 * as JSON in the form of Flink Agents, and has a hash, so that a run that is still open after a change of the agent is
 * noticed.
 *
 * An action's kind is fixed here: a synchronous one is part of its turn, an asynchronous one is work. The built-in
 * actions come first.
 */
import { messageOf } from '../../core/errors.ts';
import { deepFreeze, ownCopy } from '../../core/own-copy.ts';
import { plainJson } from '../../core/plain-json.ts';
import { digest, encodeText } from '../../core/serde.ts';
import type { Agent } from '../definition/agent.ts';
import { chatAction } from '../actions/chat-action.ts';
import { chatConfigOf } from '../actions/chat-config.ts';
import type {
  ActionDefinition,
  ActionHandler,
  AgentDefinition,
  AgentOptions,
  ChatModelSetup,
  Config,
  PlannedAction,
  ResourceDefinition,
  Trigger,
} from '../contract.ts';
import { definitionOf } from '../definition/decorators.ts';
import { builtInClasses } from '../events/event-classes.ts';
import { EventType, type EventClass } from '../events/event.ts';
import { outputSchemaOf } from '../schemas/json-schema.ts';
import { checkAgentOptions, checkSetup, invalidAgent, isAsyncFunction } from '../definition/option-checks.ts';
import { readPlan, type PlanJson, type PlannedActionJson } from './plan-json.ts';
import { Prompt } from '../prompt.ts';
import { isFactory } from './resource-factory.ts';
import { FunctionTool } from '../definition/tool.ts';
import { toolAction } from '../actions/tool-action.ts';

/** An agent ready to run: the plan and the functions that stand behind it. */
export interface CompiledAgent {
  readonly plan: AgentPlan;
  readonly handlers: ReadonlyMap<string, ActionHandler<never>>;
  readonly resources: readonly ResourceDefinition[];
  /** Classes of events by type, the user's own and ours, so that an event arrives as what it was sent as. */
  readonly eventClasses: ReadonlyMap<string, EventClass>;
}

interface PlanParts {
  readonly agentName: string;
  readonly version: string | undefined;
  readonly actions: readonly PlannedAction[];
  readonly resources: PlanJson['resource_providers'];
  readonly config: Config;
}

/**
 * An agent as data, in the JSON of Flink Agents: its actions with their triggers, its resources and its settings.
 *
 * @example
 * const greeter = agent<string, string>('greeter').on(InputEvent, ({ input }, ctx) => ctx.output(`hello ${input}`));
 * const { plan } = AgentPlan.compile(greeter);
 * console.log(plan.actionsFor({ type: EventType.InputEvent }).map(({ name }) => name)); // prints [ 'on_input_event' ]
 * console.log(AgentPlan.fromJSON(plan.toJSON()).hash === plan.hash); // prints true
 */
export class AgentPlan {
  readonly agentName: string;
  readonly version: string | undefined;
  /** In the order in which they are tried. */
  readonly actions: ReadonlyMap<string, PlannedAction>;
  readonly resources: PlanJson['resource_providers'];
  /** Settings of the agent. */
  readonly config: Config;
  /** Changes with the names, triggers, kinds and configuration of the actions, the settings and the version. */
  readonly hash: string;
  readonly #byType = new Map<string, PlannedAction[]>();

  /** @internal */
  constructor({ agentName, version, actions, resources, config }: PlanParts) {
    this.agentName = agentName;
    this.version = version;
    this.actions = new Map(actions.map((action) => [action.name, action]));
    this.resources = resources;
    this.config = config;
    for (const action of actions) {
      for (const type of new Set(action.triggers)) this.#byType.set(type, [...(this.#byType.get(type) ?? []), action]);
    }
    const facts = actions.map(({ name, kind, triggers, config }) => [name, kind, triggers, sorted(config)]);
    this.hash = digest(encodeText([version ?? null, sorted(config), facts]));
  }

  /** Compiles an agent's actions and resources. Throws `AGENT_INVALID`. */
  static compile<I, O>(agent: Agent<I, O>): CompiledAgent {
    return compile(definitionOf(agent));
  }

  /** Reads `toJSON`'s form. Throws `AGENT_INVALID`. */
  static fromJSON(json: unknown): AgentPlan {
    return planOf(json);
  }

  /** The actions that an event of this type triggers, each once, in the order of the plan. */
  actionsFor(event: { readonly type: string }): readonly PlannedAction[] {
    return this.#byType.get(event.type) ?? none;
  }

  toJSON(): PlanJson {
    const actions: Record<string, PlannedActionJson> = {};
    for (const { name, kind, triggers, config } of this.actions.values()) {
      const exec = {
        func_type: 'TypeScriptFunction',
        qualname: `${this.agentName}.${name}`,
        async: kind === 'async',
      } as const;
      actions[name] = {
        name,
        exec,
        trigger_conditions: triggers.map(quote),
        config: Object.keys(config).length === 0 ? null : config,
      };
    }
    const version = this.version === undefined ? {} : { version: this.version };
    return {
      agent_name: this.agentName,
      actions,
      resource_providers: this.resources,
      config: { conf_data: this.config },
      ...version,
    };
  }
}

const none: readonly PlannedAction[] = [];

const compile = (definition: AgentDefinition): CompiledAgent => {
  const { name: agent, options } = definition;
  const definitions: ActionDefinition[] = [chatAction, toolAction]; // They stand first in every plan.
  for (const action of definition.actions) {
    if (definitions.some((each) => each.name === action.name)) {
      throw invalidAgent({
        agent,
        action: action.name,
        rule: 'actions of one agent have different names, and built-in names are taken',
        value: action.name,
      });
    }
    definitions.push(action);
  }
  const planned = definitions.map((action) => plannedAction(agent, action));
  const config = settings(agent, options);
  if (!planned.some(({ triggers }) => triggers.includes(EventType.InputEvent)))
    throw invalidAgent({
      agent,
      rule: 'an agent needs an action for InputEvent, which starts each run',
      value: definition.actions.map(({ name }) => name),
    });
  const eventClasses = eventClassesOf(definition);
  checkResources(agent, definition.resources);
  const plan = new AgentPlan({
    agentName: agent,
    version: options.version,
    actions: planned,
    resources: resourceProviders(definition.resources),
    config,
  });
  return {
    plan,
    handlers: new Map(definitions.map((each) => [each.name, each.handler])),
    resources: definition.resources,
    eventClasses,
  };
};

/** Classes of events by their types: those that actions name as triggers, and those that the option names. */
const eventClassesOf = ({ name: agent, actions, options }: AgentDefinition): ReadonlyMap<string, EventClass> => {
  const classes = new Map<string, EventClass>();
  const named = actions.flatMap(({ triggers }) => triggers).filter((each) => typeof each !== 'string');
  for (const each of [...named, ...(options.events ?? [])]) {
    if (typeof each.type !== 'string' || each.type.trim() === '')
      throw invalidAgent({ agent, rule: 'a class in `events` has a static `type`', value: each });
    const other = classes.get(each.type);
    if (other !== undefined && other !== each)
      throw invalidAgent({
        agent,
        rule: `events of type '${each.type}' are of one class, so that they arrive as one`,
        value: each,
      });
    classes.set(each.type, each);
  }
  return new Map([...builtInClasses, ...classes]);
};

const plannedAction = (
  agent: string,
  { name, triggers, handler, async, config = {} }: ActionDefinition,
): PlannedAction => {
  if (name === '') throw invalidAgent({ agent, rule: 'an action needs a name', value: name });
  if (typeof handler !== 'function')
    throw invalidAgent({ agent, action: name, rule: 'an action needs a handler function', value: handler });
  if (triggers.length === 0)
    throw invalidAgent({ agent, action: name, rule: 'an action needs at least one trigger', value: triggers });
  const types = triggers.map((trigger) => triggerType(agent, name, trigger));
  const kind = (async ?? isAsyncFunction(handler)) ? 'async' : 'sync';
  return { name, kind, triggers: [...new Set(types)], config: plainConfig(agent, name, config) };
};

/**
 * A name of parts joined by dots, or anything without blanks in quotes: the forms that stand for themselves; all others
 * are conditions.
 */
const exactType = /^(?:([A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)|(['"])([^\s'"\\\p{Cc}]+)\2)$/u;

const triggerType = (agent: string, action: string, trigger: Trigger): string => {
  const text = typeof trigger === 'string' ? trigger : trigger?.type;
  if (typeof text !== 'string' || text.trim() === '') {
    throw invalidAgent({
      agent,
      action,
      rule: 'a trigger is an event type or an event class with a static `type`',
      value: trigger,
    });
  }
  const type = typeOf(typeof trigger === 'string' ? text.trim() : quote(text));
  if (type === undefined)
    throw invalidAgent({
      agent,
      action,
      rule: 'a trigger is an exact event type; conditions come later',
      value: trigger,
    });
  return type;
};

const typeOf = (condition: string): string | undefined => {
  const [, bare, , quoted] = exactType.exec(condition) ?? [];
  const reserved = bare !== undefined && (bare.startsWith('EventType.') || ['true', 'false', 'null'].includes(bare));
  return reserved ? undefined : (bare ?? quoted);
};

/** A type as a trigger condition: in quotes when it would be read as something else. */
const quote = (type: string): string => (typeOf(type) === type ? type : `'${type}'`);

/** The agent's settings under one roof: its options and the keys of Flink Agents. */
const settings = (agent: string, options: AgentOptions): Config => {
  try {
    checkAgentOptions(options);
  } catch (error) {
    throw invalidAgent({ agent, rule: messageOf(error), value: Object.keys(options) }, error);
  }
  const { version: _version, events: _events, config = {}, ...rest } = options;
  const named = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const all = plainConfig(agent, undefined, { ...config, ...named });
  try {
    chatConfigOf(all);
  } catch (error) {
    throw invalidAgent({ agent, rule: messageOf(error), value: all }, error);
  }
  return all;
};

/** A copy that stays as it is: actions are given it, and it is the same in each life of the job (I21). */
const plainConfig = (agent: string, action: string | undefined, config: Config): Config => {
  try {
    if (typeof config !== 'object' || config === null) throw new TypeError('not an object');
    return deepFreeze(ownCopy(config));
  } catch (cause) {
    throw invalidAgent({ agent, action, rule: 'a configuration is plain data', value: String(config) }, cause);
  }
};

const checkResources = (agent: string, resources: readonly ResourceDefinition[]): void => {
  const known = new Set<string>();
  for (const { type, name, value } of resources) {
    if (known.has(`${type}:${name}`))
      throw invalidAgent({ agent, rule: `resources of type '${type}' have different names`, value: name });
    known.add(`${type}:${name}`);
    if (type !== 'chat_model' || isFactory(value)) continue;
    try {
      checkSetup(value as ChatModelSetup); // that is what is checked
    } catch (error) {
      throw invalidAgent({ agent, rule: `chat_model '${name}': ${messageOf(error)}`, value }, error);
    }
  }
};

const resourceProviders = (resources: readonly ResourceDefinition[]): PlanJson['resource_providers'] => {
  const providers: Record<string, Record<string, unknown>> = {};
  for (const { type, name, value } of resources) (providers[type] ??= {})[name] = resourceJson(type, value);
  return providers;
};

/** What can be said of a resource as data; a connection or a factory is named only. */
const resourceJson = (type: string, value: unknown): unknown => {
  if (value instanceof Prompt) return value.toJSON();
  if (value instanceof FunctionTool) return value.metadata;
  if (type !== 'chat_model' || typeof value !== 'object' || value === null || isFactory(value)) return {};
  const { outputSchema, ...setup } = value as ChatModelSetup; // that is what was checked
  return JSON.parse(
    plainJson(outputSchema === undefined ? setup : { ...setup, outputSchema: outputSchemaOf(outputSchema) }),
  ) as unknown;
};

const planOf = (json: unknown): AgentPlan => {
  const plan = readPlan(json);
  const actions = Object.entries(plan.actions).map(
    ([name, { trigger_conditions: conditions, exec, config }]): PlannedAction => {
      const triggers = conditions.map((each) => triggerType(plan.agent_name, name, each));
      return { name, kind: exec.async === true ? 'async' : 'sync', triggers, config: config ?? {} };
    },
  );
  const { agent_name: agentName, version, resource_providers: resources = {}, config } = plan;
  return new AgentPlan({
    agentName,
    version,
    actions,
    resources,
    config: settings(agentName, { config: config?.conf_data ?? {} }),
  });
};

const sorted = (config: Config): unknown => Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
