/**
 * The built-in action that asks the chat model; the tools that the model wants are called by `tool-action.ts`. A model request is one
 * durable call with a digest over the request, retries and the reading of structured output included, so it is never paid twice (I8) and
 * back-off blocks nobody. The loop over tool calls is kept in sensory memory between the two actions and is bounded (I10).
 */
import { backOffMs, type BackOff } from '../core/back-off.ts';
import { messageOf, StreamError } from '../core/errors.ts';
import type { ChatMessage, ChatModelConnection, ChatOptions, ChatRequest, ToolCall } from '../core/model.ts';
import type { CallContext, CallLimit, RetryOptions } from '../core/operator.ts';
import { ownCopy } from '../core/own-copy.ts';
import { durationMs, integer, oneOf, type Duration } from '../core/options.ts';
import { isOwnFailure } from '../core/own-failure.ts';
import type { ActionDefinition, ChatModelSetup, ErrorHandling, RunnerContext } from './contract.ts';
import { callLimits, type CallLimits } from './call-limits.ts';
import {
  ChatErrorEvent,
  ChatRequestEvent,
  ChatResponseEvent,
  ToolRequestEvent,
  ToolResponseEvent,
  type RequestedToolCall,
} from './event.ts';
import { sentSchema, type JsonSchema } from './json-schema.ts';
import { Prompt, promptText } from './prompt.ts';
import type { ActionContext } from './runner-context.ts';
import { parseStructured } from './structured-output.ts';
import type { FunctionTool } from './tool.ts';

export const chatActionName = 'chat_model_action';

export interface ChatConfig {
  readonly errorHandling: ErrorHandling;
  readonly maxRetries: number;
  readonly retryWaitMs: number;
  readonly maxToolRounds: number;
}

/** Reads the settings by our names or by those of Flink Agents (`retry-wait-interval` in seconds). Throws a `TypeError` that names the setting. */
export const chatConfigOf = (config: Readonly<Record<string, unknown>>): ChatConfig => {
  const strategy = config['errorHandling'] ?? config['error-handling-strategy'] ?? 'fail';
  const word = (typeof strategy === 'string' ? strategy.toLowerCase() : strategy) as ErrorHandling; // checked by `oneOf`
  const waitSec = config['retry-wait-interval'];
  const wait = config['retryWaitInterval'] ?? (typeof waitSec === 'number' ? waitSec * 1000 : (waitSec ?? 1000));
  return {
    errorHandling: oneOf('errorHandling', word, ['fail', 'retry', 'ignore']),
    maxRetries: integer('maxRetries', (config['maxRetries'] ?? config['max-retries'] ?? 3) as number),
    retryWaitMs: durationMs('retryWaitInterval', wait as Duration),
    maxToolRounds: integer('maxToolRounds', (config['maxToolRounds'] ?? config['max-tool-rounds'] ?? 10) as number),
  };
};

/** One chat request on its way through the rounds of its tool calls; plain data. */
interface Conversation {
  /** Id of the `ChatRequestEvent`. */
  readonly initialRequestId: string;
  readonly model: string;
  readonly prompt_args: Readonly<Record<string, unknown>>;
  readonly output_schema?: JsonSchema;
  readonly rounds: number;
  readonly retry_count: number;
  readonly total_retry_wait_sec: number;
}

interface Answer {
  readonly message: ChatMessage;
  readonly attempts: number;
}

/** Longest wait between two attempts, in milliseconds. */
const retryWaitMaxMs = 60_000;

// Paths in sensory memory. An event id becomes one name of a path.
const nameOf = (id: string): string => id.replaceAll('.', '-');
const historyPath = (requestId: string): string => `_TOOL_CALL_CONTEXT.${nameOf(requestId)}`;
const conversationPath = (toolRequestId: string): string => `_TOOL_REQUEST_EVENT_CONTEXT.${nameOf(toolRequestId)}`;

const chat = async (event: ChatRequestEvent | ToolResponseEvent, context: RunnerContext): Promise<void> => {
  if (event instanceof ToolResponseEvent) {
    await goOn(event, context as ActionContext); // the runtime makes every context
    return;
  }
  const { id = '', model, messages, promptArgs, outputSchema } = event;
  const schema = outputSchema === undefined ? {} : { output_schema: outputSchema };
  const counts = { rounds: 0, retry_count: 0, total_retry_wait_sec: 0 };
  await ask({ initialRequestId: id, model, prompt_args: promptArgs, ...schema, ...counts }, messages, context as ActionContext);
};

/** Takes what the tools returned back to the model. */
const goOn = async (event: ToolResponseEvent, context: ActionContext): Promise<void> => {
  const path = conversationPath(event.requestId);
  const conversation = context.sensoryMemory.get<Conversation>(path);
  if (conversation === undefined) return; // Some other action asked for these tools.
  context.sensoryMemory.delete(path);
  const history = context.sensoryMemory.get<ChatMessage[]>(historyPath(conversation.initialRequestId)) ?? [];
  const results = (history.at(-1)?.tool_calls ?? []).map(({ id }): ChatMessage => {
    return { role: 'tool', content: promptText(event.responses[id]), extra_args: { externalId: event.externalIds[id] ?? id } };
  });
  await ask(conversation, [...history, ...results], context);
};

const ask = async (conversation: Conversation, messages: readonly ChatMessage[], context: ActionContext): Promise<void> => {
  const { initialRequestId: requestId } = conversation;
  const config = chatConfigOf({ ...context.agentConfig, ...context.actionConfig });
  const setup = context.getResource<ChatModelSetup>('chat_model', conversation.model);
  try {
    const { message, attempts } = await request(conversation, messages, setup, config, context);
    const after = counted(conversation, attempts, setup, config, context);
    countTokens(message, context);
    if ((message.tool_calls?.length ?? 0) > 0) {
      askTools(after, [...messages, message], config, context);
      return;
    }
    const { retry_count: retryCount, total_retry_wait_sec: totalRetryWaitSec } = after;
    forget(conversation, context);
    context.sendEvent(new ChatResponseEvent({ requestId, response: message, retryCount, totalRetryWaitSec }));
  } catch (error) {
    if (config.errorHandling !== 'ignore' || !isOwnFailure(error)) throw error;
    forget(conversation, context);
    ignore(error, conversation, setup, context);
  }
};

/** The history of tool calls, where there is one. */
const forget = ({ rounds, initialRequestId }: Conversation, context: ActionContext): void => {
  if (rounds > 0) context.sensoryMemory.delete(historyPath(initialRequestId));
};

/** The request gets no answer: the log hears of it once, the counter each time, and the agent by an event that it may handle. */
const ignore = (error: unknown, conversation: Conversation, setup: ChatModelSetup, context: ActionContext): void => {
  const { initialRequestId: requestId, model } = conversation;
  context.actionMetricGroup.getSubGroup('model', setup.connection).getCounter('ignoredErrors').inc();
  const hint = `handle ${ChatErrorEvent.name} (${ChatErrorEvent.type}) to see each of them`;
  context.warnOnce(`ignored ${model}`, { model, key: context.key, error, hint }, `chat model '${model}' failed and \`errorHandling\` is 'ignore': its request gets no answer`);
  const errorType = error instanceof StreamError ? error.code : error instanceof Error ? error.name : typeof error;
  const problemCategory = errorType === 'MODEL_RESPONSE' ? 'model_output_parse_error' : 'model_call_failed';
  context.sendEvent(new ChatErrorEvent({ requestId, model, problemCategory, errorType, errorMessage: messageOf(error) }));
};

/** One durable call: the request, its retries and the reading of its answer. */
const request = (
  conversation: Conversation,
  messages: readonly ChatMessage[],
  setup: ChatModelSetup,
  config: ChatConfig,
  context: ActionContext,
): Promise<Answer> => {
  const connection = context.getResource<ChatModelConnection>('chat_model_connection', setup.connection);
  const asked = requestOf(conversation, messages, setup, context);
  const { output_schema: schema } = conversation;
  const send = async (call: CallContext): Promise<Answer> => {
    const answer = withCallIds(await connection.chat(ownCopy(asked), optionsOf(call, context)));
    const isFinal = (answer.tool_calls?.length ?? 0) === 0;
    return { message: schema !== undefined && isFinal ? parseStructured(answer, schema) : answer, attempts: call.attempt };
  };
  const timeoutMs = setup.timeout === undefined ? undefined : durationMs('timeout', setup.timeout, { min: 1 });
  return context.callDurably('chat', send, { args: asked, timeoutMs, retry: retryOf(config, connection), limit: limitOf(connection, setup, context) });
};

const limitOf = (connection: ChatModelConnection, { model = '', concurrency }: ChatModelSetup, context: ActionContext): CallLimit | undefined =>
  concurrency === undefined
    ? undefined
    : context.getResource<CallLimits>(callLimits.type, callLimits.name).of(connection, model, concurrency);

const retryOf = (config: ChatConfig, { retryAfterMaxMs }: ChatModelConnection): RetryOptions | undefined => {
  const { firstMs: initialIntervalMs, factor: backoffFactor, maxMs: maxIntervalMs } = backOffOf(config);
  const waits = { initialIntervalMs, backoffFactor, maxIntervalMs, jitter: 0, retryAfterMax: retryAfterMaxMs };
  return config.errorHandling === 'retry' ? { attempts: config.maxRetries + 1, ...waits } : undefined;
};

const backOffOf = ({ retryWaitMs }: ChatConfig): BackOff => ({ firstMs: retryWaitMs, factor: 2, maxMs: retryWaitMaxMs });

/** The signal is made only for a connection that reads it. */
const optionsOf = (call: CallContext, context: ActionContext): ChatOptions => ({
  get signal() {
    return call.signal;
  },
  callId: call.id,
  key: context.key,
  idempotencyKey: call.idempotencyKey,
});

const requestOf = (
  conversation: Conversation,
  messages: readonly ChatMessage[],
  setup: ChatModelSetup,
  context: ActionContext,
): ChatRequest => {
  const { prompt_args: args, output_schema: outputSchema } = conversation;
  const prompt = typeof setup.prompt === 'string' ? context.getResource<Prompt>('prompt', setup.prompt) : setup.prompt;
  const prompted = prompt?.formatMessages('user', args) ?? [];
  const given = messages.filter(({ content, role }) => content !== '' || role === 'assistant' || role === 'tool');
  if (prompted.length + given.length === 0)
    throw new StreamError('MODEL_REQUEST', `a chat request to model '${conversation.model}' has neither a prompt nor messages with content`, {
      hint: 'give the chat model a `prompt`, or the ChatRequestEvent `messages`',
    });
  const tools = (setup.tools ?? []).map((name) => context.getResource<FunctionTool>('tool', name).metadata);
  return {
    ...(setup.model === undefined ? {} : { model: setup.model }),
    messages: [...prompted, ...given],
    ...(tools.length === 0 ? {} : { tools }),
    ...(setup.args === undefined ? {} : { args: setup.args }),
    ...(outputSchema === undefined ? {} : { outputSchema: sentSchema(outputSchema) }),
  };
};

/**
 * Tool calls need ids that differ, to bring their results back, and that are no names which every object has. Where the provider gave none
 * such, the place in the list makes one.
 */
const withCallIds = (message: ChatMessage): ChatMessage => {
  if (message.tool_calls === undefined) return message;
  const taken = new Set<string>();
  const fits = (id: unknown): id is string => typeof id === 'string' && id !== '' && !taken.has(id) && !(id in Object.prototype);
  const calls = message.tool_calls.map((call, index): ToolCall => {
    let { id } = call;
    for (let other = 0; !fits(id); other += 1) id = `call_${index}_${other}`;
    taken.add(id);
    return id === call.id ? call : { ...call, id };
  });
  return { ...message, tool_calls: calls };
};

/** Adds the retries of one request. The wait is what was planned, since the time that passed is not part of the outcome. */
const counted = (
  conversation: Conversation,
  attempts: number,
  setup: ChatModelSetup,
  config: ChatConfig,
  context: ActionContext,
): Conversation => {
  const retries = attempts - 1;
  if (retries <= 0) return conversation;
  let waitMs = 0;
  for (let each = 1; each <= retries; each += 1) waitMs += backOffMs(backOffOf(config), each);
  const group = context.actionMetricGroup.getSubGroup('model', setup.connection);
  group.getCounter('retryCount').inc(retries);
  group.getCounter('retryWaitSec').inc(waitMs / 1000);
  const { retry_count, total_retry_wait_sec } = conversation;
  return { ...conversation, retry_count: retry_count + retries, total_retry_wait_sec: total_retry_wait_sec + waitMs / 1000 };
};

const countTokens = ({ extra_args: facts = {} }: ChatMessage, context: ActionContext): void => {
  const { model_name: model, promptTokens, completionTokens } = facts;
  if (typeof model !== 'string' || typeof promptTokens !== 'number' || typeof completionTokens !== 'number') return;
  if (promptTokens <= 0 || completionTokens <= 0) return;
  const group = context.actionMetricGroup.getSubGroup('model', model);
  group.getCounter('promptTokens').inc(promptTokens);
  group.getCounter('completionTokens').inc(completionTokens);
};

const askTools = (conversation: Conversation, history: readonly ChatMessage[], config: ChatConfig, context: ActionContext): void => {
  const { initialRequestId, model, rounds } = conversation;
  if (rounds >= config.maxToolRounds) {
    throw new StreamError('MODEL_RESPONSE', `model '${model}' asked for tools in more than ${config.maxToolRounds} rounds`, {
      retryable: false,
      hint: 'raise `maxToolRounds`, or look at why the model does not come to an end',
      details: { model, maxToolRounds: config.maxToolRounds },
    });
  }
  const toolCalls = (history.at(-1)?.tool_calls ?? []).map(({ id, function: fn }): RequestedToolCall => ({
    id,
    type: 'function',
    function: fn,
    original_id: id,
  }));
  const { id = '' } = context.sendEvent(new ToolRequestEvent({ model, toolCalls }));
  context.sensoryMemory.set(historyPath(initialRequestId), history);
  context.sensoryMemory.set(conversationPath(id), { ...conversation, rounds: rounds + 1 });
};

export const chatAction: ActionDefinition = { name: chatActionName, triggers: [ChatRequestEvent, ToolResponseEvent], handler: chat, async: true };
