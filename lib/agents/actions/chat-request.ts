/**
 * One request to a chat model: one durable call with a digest over the request, its retries included, so that it is
 * never paid twice (I8) and back-off blocks nobody. What the model said is the call's outcome, whether it is of use or
 * not: who reads it comes later.
 */
import type { BackOff } from '../../core/back-off.ts';
import { StreamError } from '../../core/errors.ts';
import type { ChatMessage, ChatModelConnection, ChatOptions, ChatRequest, ToolCall } from '../../core/model.ts';
import type { CallContext, CallLimit, RetryOptions } from '../../core/call.ts';
import { durationMs } from '../../core/options.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { callLimits, type CallLimits } from './call-limits.ts';
import type { ChatConfig } from './chat-config.ts';
import type { ChatModelSetup } from '../contract.ts';
import { sentSchema, type JsonSchema } from '../schemas/json-schema.ts';
import type { Prompt } from '../prompt.ts';
import type { ActionContext } from '../runs/runner-context.ts';
import type { FunctionTool } from '../definition/tool.ts';

export interface Asked {
  /** Name of the chat model. */
  readonly model: string;
  readonly setup: ChatModelSetup;
  readonly messages: readonly ChatMessage[];
  readonly promptArgs: Readonly<Record<string, unknown>>;
  readonly schema: JsonSchema | undefined;
  readonly config: ChatConfig;
  /** Attempts that this request may take. */
  readonly attempts: number;
}

export interface Answer {
  readonly message: ChatMessage;
  readonly attempts: number;
}

/** Longest wait between two attempts, in milliseconds. */
const retryWaitMaxMs = 60_000;

/** Asks the model. What comes back is journaled and its tokens are counted. */
export const requestAnswer = async (asked: Asked, context: ActionContext): Promise<Answer> => {
  const { setup } = asked;
  const connection = context.getResource<ChatModelConnection>('chat_model_connection', setup.connection);
  const request = requestOf(asked, context);
  const send = async (call: CallContext): Promise<Answer> => {
    const message = withCallIds(await connection.chat(ownCopy(request), optionsOf(call, context)));
    return { message, attempts: call.attempt };
  };
  const timeoutMs = setup.timeout === undefined ? undefined : durationMs('timeout', setup.timeout, { min: 1 });
  const retry = retryOf(asked, connection);
  const answer = await context.callDurably('chat', send, {
    args: request,
    timeout: timeoutMs,
    retry,
    limit: limitOf(connection, setup, context),
  });
  countTokens(answer.message, context);
  return answer;
};

const limitOf = (
  connection: ChatModelConnection,
  { model = '', concurrency }: ChatModelSetup,
  context: ActionContext,
): CallLimit | undefined =>
  concurrency === undefined
    ? undefined
    : context.getResource<CallLimits>(callLimits.type, callLimits.name).of(connection, model, concurrency);

const retryOf = ({ config, attempts }: Asked, { retryAfterMaxMs }: ChatModelConnection): RetryOptions | undefined => {
  const { firstMs: initialIntervalMs, factor: backoffFactor, maxMs: maxIntervalMs } = backOffOf(config);
  const waits = { initialIntervalMs, backoffFactor, maxIntervalMs, jitter: 0, retryAfterMax: retryAfterMaxMs };
  return config.errorHandling === 'retry' ? { attempts, ...waits } : undefined;
};

export const backOffOf = ({ retryWaitMs }: ChatConfig): BackOff => ({
  firstMs: retryWaitMs,
  factor: 2,
  maxMs: Math.max(retryWaitMaxMs, retryWaitMs),
});

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
  { model, setup, messages, promptArgs: args, schema: outputSchema }: Asked,
  context: ActionContext,
): ChatRequest => {
  const prompt = typeof setup.prompt === 'string' ? context.getResource<Prompt>('prompt', setup.prompt) : setup.prompt;
  const prompted = prompt?.formatMessages('user', args) ?? [];
  const given = messages.filter(({ content, role }) => content !== '' || role === 'assistant' || role === 'tool');
  if (prompted.length + given.length === 0)
    throw new StreamError(
      'MODEL_REQUEST',
      `a chat request to model '${model}' has neither a prompt nor messages with content`,
      {
        hint: 'give the chat model a `prompt`, or the ChatRequestEvent `messages`',
      },
    );
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
 * Tool calls need ids that differ, to bring their results back, and that are no names which every object has. Where the
 * provider gave none such, the place in the list makes one.
 */
const withCallIds = (message: ChatMessage): ChatMessage => {
  if (message.tool_calls === undefined) return message;
  const taken = new Set<string>();
  const fits = (id: unknown): id is string =>
    typeof id === 'string' && id !== '' && !taken.has(id) && !(id in Object.prototype);
  const calls = message.tool_calls.map((call, index): ToolCall => {
    let { id } = call;
    for (let other = 0; !fits(id); other += 1) id = `call_${index}_${other}`;
    taken.add(id);
    return id === call.id ? call : { ...call, id };
  });
  return { ...message, tool_calls: calls };
};

const countTokens = ({ extra_args: facts = {} }: ChatMessage, context: ActionContext): void => {
  const { model_name: model, promptTokens, completionTokens } = facts;
  if (typeof model !== 'string' || typeof promptTokens !== 'number' || typeof completionTokens !== 'number') return;
  const group = context.actionMetricGroup.getSubGroup('model', model);
  if (promptTokens > 0) group.getCounter('promptTokens').inc(promptTokens);
  if (completionTokens > 0) group.getCounter('completionTokens').inc(completionTokens);
};
