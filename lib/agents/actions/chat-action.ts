/**
 * The built-in action that asks the chat model (`chat-request.ts`) and reads its answers; the tools that the model
 * wants are called by `tool-action.ts`. Reading stands outside the durable calls, so each paid answer is journaled, one
 * that does not fit too, and attempts are counted over crashes (I8). The loop over tool calls is kept in sensory memory
 * between the two actions; all loops are bounded (I10).
 */
import * as z from 'zod';
import { backOffMs } from '../../core/back-off.ts';
import { errorFacts } from '../../core/error-facts.ts';
import { messageOf, StreamError } from '../../core/errors.ts';
import type { ChatMessage } from '../../core/model.ts';
import { takesFailure } from '../../core/own-failure.ts';
import { forgetSchema, schemaOf } from '../schemas/asked-schemas.ts';
import { chatConfigOf, type ChatConfig } from './chat-config.ts';
import { backOffOf, requestAnswer } from './chat-request.ts';
import type { ActionDefinition, ChatModelSetup, RunnerContext } from '../contract.ts';
import { ChatErrorEvent, ChatRequestEvent, ChatResponseEvent } from '../events/chat-events.ts';
import { ToolRequestEvent, ToolResponseEvent, type RequestedToolCall } from '../events/tool-events.ts';
import { isZod, outputSchemaOf, saysMore, type JsonSchema } from '../schemas/json-schema.ts';
import { promptText } from '../prompt.ts';
import type { ActionContext } from '../runs/runner-context.ts';
import { checkOf, type Check } from '../schemas/schema-check.ts';
import { readAnswer, unfitAnswer, type ReadAnswer } from '../schemas/structured-output.ts';

export const chatActionName = 'chat_model_action';

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

// Paths in sensory memory. An event id becomes one name of a path.
const nameOf = (id: string): string => id.replaceAll('.', '-');
const historyPath = (requestId: string): string => `_TOOL_CALL_CONTEXT.${nameOf(requestId)}`;
const conversationPath = (toolRequestId: string): string => `_TOOL_REQUEST_EVENT_CONTEXT.${nameOf(toolRequestId)}`;

const chat = async (event: ChatRequestEvent | ToolResponseEvent, context: RunnerContext): Promise<void> => {
  if (event instanceof ToolResponseEvent) {
    await goOn(event, context as ActionContext); // the runtime makes every context
    return;
  }
  const { id = '', model, messages, promptArgs } = event;
  const ours = context as ActionContext; // likewise
  const outputSchema = event.outputSchema ?? declaredSchemaOf(model, ours);
  const schema = outputSchema === undefined ? {} : { output_schema: outputSchema };
  const counts = { rounds: 0, retry_count: 0, total_retry_wait_sec: 0 };
  await ask({ initialRequestId: id, model, prompt_args: promptArgs, ...schema, ...counts }, messages, ours);
};

/** The schema of a request that names none: its model's. */
const declaredSchemaOf = (model: string, context: ActionContext): JsonSchema | undefined => {
  const { outputSchema } = context.getResource<ChatModelSetup>('chat_model', model);
  return outputSchema === undefined ? undefined : outputSchemaOf(outputSchema);
};

/** Takes what the tools returned back to the model. */
const goOn = async (event: ToolResponseEvent, context: ActionContext): Promise<void> => {
  const path = conversationPath(event.requestId);
  const conversation = context.sensoryMemory.get<Conversation>(path);
  if (conversation === undefined) return; // Some other action asked for these tools.
  context.sensoryMemory.delete(path);
  const history = context.sensoryMemory.get<ChatMessage[]>(historyPath(conversation.initialRequestId)) ?? [];
  const results = (history.at(-1)?.tool_calls ?? []).map(({ id }): ChatMessage => {
    return {
      role: 'tool',
      content: promptText(event.responses[id]),
      extra_args: { externalId: event.externalIds[id] ?? id },
    };
  });
  await ask(conversation, [...history, ...results], context);
};

const ask = async (
  conversation: Conversation,
  messages: readonly ChatMessage[],
  context: ActionContext,
): Promise<void> => {
  const { initialRequestId: requestId } = conversation;
  const config = chatConfigOf({ ...context.agentConfig, ...context.actionConfig });
  const setup = context.getResource<ChatModelSetup>('chat_model', conversation.model);
  const check = await answerCheckOf(conversation, setup, context);
  try {
    const { message, history, retries, waitMs } = await answerOf(
      { conversation, messages, setup, config, check },
      context,
    );
    const after = counted(conversation, { retries, waitMs }, setup, context);
    if (asksTools(message)) {
      askTools(after, [...history, message], config, context);
      return;
    }
    const { retry_count: retryCount, total_retry_wait_sec: totalRetryWaitSec } = after;
    forget(conversation, context);
    context.sendEvent(new ChatResponseEvent({ requestId, response: message, retryCount, totalRetryWaitSec }));
  } catch (error) {
    if (config.errorHandling !== 'ignore' || !takesFailure('ignore', error, config.onAccessError)) throw error;
    forget(conversation, context);
    ignore(error, conversation, setup, context);
  }
};

const asksTools = ({ tool_calls: calls }: ChatMessage): boolean => (calls?.length ?? 0) > 0;

interface Question {
  readonly conversation: Conversation;
  readonly messages: readonly ChatMessage[];
  readonly setup: ChatModelSetup;
  readonly config: ChatConfig;
  readonly check: Check | undefined;
}

interface Answered extends Retries {
  readonly message: ChatMessage;
  /** What the model was told, corrections included. */
  readonly history: readonly ChatMessage[];
}

interface Retries {
  readonly retries: number;
  /** What was planned: the time that passed is not part of an outcome. */
  readonly waitMs: number;
}

/** Asks until an answer fits or no attempt is left. The model is told why an answer did not fit. */
const answerOf = async (
  { conversation, messages, setup, config, check }: Question,
  context: ActionContext,
): Promise<Answered> => {
  const { model, prompt_args: promptArgs, output_schema: schema } = conversation;
  const attemptsMax = config.errorHandling === 'retry' ? config.maxRetries + 1 : 1;
  let history = messages;
  let waitMs = 0;
  for (let taken = 0; ;) {
    const asked = { model, setup, messages: history, promptArgs, schema, config, attempts: attemptsMax - taken };
    const { message, attempts } = await requestAnswer(asked, context);
    taken += attempts;
    for (let failures = 1; failures < attempts; failures += 1) waitMs += backOffMs(backOffOf(config), failures);
    if (check === undefined || asksTools(message)) return { message, history, retries: taken - 1, waitMs };
    const read = readBy(check, message, model);
    if (read.ok) return { message: read.message, history, retries: taken - 1, waitMs };
    context.actionMetricGroup.getSubGroup('model', setup.connection).getCounter('unfitAnswers').inc();
    if (config.onUnfitAnswer === 'fail' || taken >= attemptsMax) throw unfitAnswer(model, read);
    history = [
      ...history,
      ...(message.content === '' ? [] : [message]),
      { role: 'user', content: correctionOf(read.reason) },
    ];
  }
};

/** Characters of a reason that the model is told. */
const reasonMax = 1000;

const correctionOf = (reason: string): string =>
  `Your answer does not fit what was asked for:\n${reason.slice(0, reasonMax)}\nAnswer again, with JSON that fits and nothing else.`;

/** What a refinement or a transform throws is a mistake in code and says nothing of the answer. */
const readBy = (check: Check, message: ChatMessage, model: string): ReadAnswer => {
  try {
    return readAnswer(message, check);
  } catch (cause) {
    const isAsync = cause instanceof z.core.$ZodAsyncError;
    const what = isAsync
      ? 'has an asynchronous refinement or transform'
      : `threw while it checked an answer: ${messageOf(cause)}`;
    throw new StreamError('AGENT_INVALID', `the output schema for model '${model}' ${what}`, {
      cause,
      hint: isAsync
        ? 'check in the action that takes the answer: what waits may say something else after a crash'
        : 'mend the schema; the answer is journaled',
      details: { model },
    });
  }
};

/** How the answers of a conversation are checked: by the schema that the user wrote, while there is one to be had. */
const answerCheckOf = async (
  conversation: Conversation,
  setup: ChatModelSetup,
  context: ActionContext,
): Promise<Check | undefined> => {
  const { initialRequestId: requestId, model, output_schema: json } = conversation;
  if (json === undefined) return undefined;
  const schema = schemaOf(context.jobId, requestId) ?? declaredAs(json, setup.outputSchema) ?? json;
  if (schema === json && saysMore(json)) {
    throw new StreamError(
      'AGENT_INVALID',
      `the output schema of a request to model '${model}' is not known after a restart, and its JSON does not say all`,
      {
        hint: 'give it to the chat model as `outputSchema`, where it is found again; the request goes on then',
        details: { agent: context.agentName, model },
      },
    );
  }
  try {
    return await checkOf(schema);
  } catch (cause) {
    throw new StreamError(
      'AGENT_INVALID',
      `the output schema of a request to model '${model}' is refused: ${messageOf(cause)}`,
      {
        cause,
        details: { agent: context.agentName, model },
      },
    );
  }
};

/** The schema that the agent declares for a model, when it is the one of which only the JSON is left. */
const declaredAs = (json: JsonSchema, declared: ChatModelSetup['outputSchema']): z.ZodType | undefined =>
  declared !== undefined && isZod(declared) && JSON.stringify(outputSchemaOf(declared)) === JSON.stringify(json)
    ? declared
    : undefined;

/** The schema, and the history of tool calls, where there is one. */
const forget = ({ rounds, initialRequestId }: Conversation, context: ActionContext): void => {
  forgetSchema(context.jobId, initialRequestId);
  if (rounds > 0) context.sensoryMemory.delete(historyPath(initialRequestId));
};

/**
 * The request gets no answer: the log hears of it once, the counter each time, and the agent by an event that it may
 * handle.
 */
const ignore = (error: unknown, conversation: Conversation, setup: ChatModelSetup, context: ActionContext): void => {
  const { initialRequestId: requestId, model } = conversation;
  context.actionMetricGroup.getSubGroup('model', setup.connection).getCounter('ignoredErrors').inc();
  const hint = `handle ChatErrorEvent (${ChatErrorEvent.type}) to see each of them`;
  const what = `chat model '${model}' failed and \`errorHandling\` is 'ignore': its request gets no answer`;
  context.warnOnce(`ignored ${model}`, { model, key: context.key, error, hint }, what);
  const { code: errorType, message: errorMessage, retryable, status, cause } = errorFacts(error);
  const problemCategory = errorType === 'MODEL_RESPONSE' ? 'model_output_parse_error' : 'model_call_failed';
  context.sendEvent(
    new ChatErrorEvent({
      requestId,
      model,
      problemCategory,
      errorType,
      errorMessage,
      retryable,
      status,
      causeCode: cause?.code,
    }),
  );
};

/** Adds the retries of one request. */
const counted = (
  conversation: Conversation,
  { retries, waitMs }: Retries,
  setup: ChatModelSetup,
  context: ActionContext,
): Conversation => {
  if (retries <= 0) return conversation;
  const group = context.actionMetricGroup.getSubGroup('model', setup.connection);
  group.getCounter('retryCount').inc(retries);
  group.getCounter('retryWaitSec').inc(waitMs / 1000);
  const { retry_count, total_retry_wait_sec } = conversation;
  return {
    ...conversation,
    retry_count: retry_count + retries,
    total_retry_wait_sec: total_retry_wait_sec + waitMs / 1000,
  };
};

const askTools = (
  conversation: Conversation,
  history: readonly ChatMessage[],
  config: ChatConfig,
  context: ActionContext,
): void => {
  const { initialRequestId, model, rounds } = conversation;
  if (rounds >= config.maxToolRounds) {
    throw new StreamError(
      'MODEL_RESPONSE',
      `model '${model}' asked for tools in more than ${config.maxToolRounds} rounds`,
      {
        retryable: false,
        hint: 'raise `maxToolRounds`, or look at why the model does not come to an end',
        details: { model, maxToolRounds: config.maxToolRounds },
      },
    );
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

export const chatAction: ActionDefinition = {
  name: chatActionName,
  triggers: [ChatRequestEvent, ToolResponseEvent],
  handler: chat,
  async: true,
};
