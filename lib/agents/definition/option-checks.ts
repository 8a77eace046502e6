/**
 * Checks of what users write about an agent: an option is refused by a `TypeError` that names the option, the rule and
 * the value, a whole agent by `AGENT_INVALID`.
 */
import { StreamError } from '../../core/errors.ts';
import { durationMs, flag, integer, knownOptions, refusal, withMethods, type OptionNames } from '../../core/options.ts';
import type { ChatModelConnection } from '../../core/model.ts';
import type { ActionOptions, AgentOptions, ChatModelSetup, RetrySettings } from '../contract.ts';
import { Event } from '../events/event.ts';
import { jsonSchemaOf } from '../schemas/json-schema.ts';
import { Prompt } from '../prompt.ts';

const setupNames = {
  connection: true,
  model: true,
  prompt: true,
  tools: true,
  args: true,
  timeout: true,
  concurrency: true,
  outputSchema: true,
} as const satisfies OptionNames<ChatModelSetup>;

export const checkSetup = (setup: ChatModelSetup): ChatModelSetup => {
  knownOptions('chatModel', setup, setupNames);
  const { connection, model, prompt, tools, args, timeout, concurrency, outputSchema } = setup;
  if (!isName(connection)) throw refusal('connection', 'the name of a chat_model_connection', connection);
  if (model !== undefined && !isName(model)) throw refusal('model', 'the name of a model at the provider', model);
  if (prompt !== undefined && !isName(prompt) && !(prompt instanceof Prompt))
    throw refusal('prompt', 'a Prompt or the name of one', prompt);
  if (tools !== undefined && !(Array.isArray(tools) && tools.every(isName)))
    throw refusal('tools', 'a list of names of tools', tools);
  if (args !== undefined && (typeof args !== 'object' || args === null)) throw refusal('args', 'an object', args);
  if (args !== undefined && 'messages' in args)
    throw refusal('args.messages', 'left out: name a `prompt`, or send `messages` with the request', args['messages']);
  if (timeout !== undefined) durationMs('timeout', timeout, { min: 1 });
  if (concurrency !== undefined) integer('concurrency', concurrency, { min: 1 });
  if (outputSchema !== undefined) jsonSchemaOf(outputSchema, 'outputSchema');
  return setup;
};

const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';

export const checkConnection = (connection: ChatModelConnection): ChatModelConnection =>
  withMethods(
    'connection',
    connection,
    'an object with `chat`; one that makes it is given as `{ factory: () => ... }`',
    ['chat'],
  );

const actionNames = { async: true, config: true } as const satisfies OptionNames<ActionOptions>;

export const checkActionOptions = (owner: string, options: ActionOptions): ActionOptions => {
  knownOptions(owner, options, actionNames);
  if (options.async !== undefined) flag('async', options.async);
  return options;
};

const agentNames = {
  version: true,
  errorHandling: true,
  maxRetries: true,
  retryWaitInterval: true,
  maxToolRounds: true,
  onUnfitAnswer: true,
  onAccessError: true,
  config: true,
  events: true,
} as const satisfies OptionNames<AgentOptions>;

/** The values of what the chat action reads are checked with the plan. */
export const checkAgentOptions = (options: AgentOptions): AgentOptions => {
  knownOptions('agent', options, agentNames);
  const { version, events } = options;
  if (version !== undefined && !isName(version)) throw refusal('version', 'a non-empty string', version);
  if (events !== undefined && !(Array.isArray(events) && events.every(isEventClass)))
    throw refusal('events', 'a list of classes of events', events);
  return options;
};

const retryNames = { maxRetries: true, retryWaitInterval: true } as const satisfies OptionNames<RetrySettings>;

export const checkRetrySettings = (settings: RetrySettings): RetrySettings => {
  knownOptions('onError', settings, retryNames);
  return settings;
};

/** A class with a type of its own, or `Event`. */
export const isEventClass = (value: unknown): boolean =>
  typeof value === 'function' && (value === Event || value.prototype instanceof Event);

export const isAsyncFunction = (value: unknown): boolean =>
  typeof value === 'function' && Object.prototype.toString.call(value) === '[object AsyncFunction]';

export interface InvalidAgent {
  readonly agent: string;
  readonly action?: string | undefined;
  readonly rule: string;
  readonly value: unknown;
}

/** The refusal of an agent as defined: says which agent and action, the rule, and what was found. */
export const invalidAgent = ({ agent, action, rule, value }: InvalidAgent, cause?: unknown): StreamError => {
  const where = action === undefined ? `agent '${agent}'` : `action '${action}' of agent '${agent}'`;
  const found =
    typeof value === 'string'
      ? value
      : typeof value === 'function'
        ? `function ${value.name}`
        : (JSON.stringify(value) ?? String(value));
  const details = { agent, ...(action === undefined ? {} : { action }), rule, value: found };
  return new StreamError('AGENT_INVALID', `${where}: ${rule}, got \`${found}\``, {
    details,
    ...(cause === undefined ? {} : { cause }),
  });
};
