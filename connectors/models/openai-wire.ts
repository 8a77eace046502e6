/**
 * Chat completions as they stand on the wire: the body of a request, and the message in an answer, in the shapes that
 * servers really send. What a server put beside text and tool calls is kept as `provider_fields` and sent back.
 */
import { StreamError } from '../../lib/core/errors.ts';
import type { ChatMessage, ChatRequest, ToolCall } from '../../lib/core/model.ts';
import { wellFormed } from '../../lib/core/ordered-bytes.ts';
import { failureIn200, failureOf, type Failure } from '../http/failure.ts';
import type { HttpDoor } from '../http/door.ts';

export type ResponseFormat = 'json_schema' | 'json_object' | 'none';

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

// ---------- request

export interface BodyOptions {
  /** The model when the request names none. */
  readonly model: string;
  readonly responseFormat: ResponseFormat;
  readonly sendBack: boolean;
}

/** Name of the model that a request asks. */
export const modelOf = ({ model, args }: ChatRequest, otherwise: string): string => {
  const named = model ?? args?.['model'];
  return typeof named === 'string' ? named : otherwise;
};

/**
 * The body of a request, as JSON. What the user gives in `args` wins over what is made of the request, but for the
 * model that the request names; its tools stand beside the agent's own. Throws `MODEL_REQUEST` for what it can't say.
 */
export const chatBody = (request: ChatRequest, { model: otherwise, responseFormat, sendBack }: BodyOptions): string => {
  const { messages, tools = [], args = {}, outputSchema } = request;
  if (args['stream'] === true) throw refusedArg('stream', 'ask for a stream, which is not read');
  if ('messages' in args) throw refusedArg('messages', 'hold messages, beside those of the request');
  const more: readonly unknown[] = Array.isArray(args['tools']) ? args['tools'] : [];
  const offered = [
    ...tools.map(({ name, description, inputSchema: parameters }) => asFunction({ name, description, parameters })),
    ...more,
  ];
  const body = {
    ...(outputSchema === undefined ? {} : formatOf(outputSchema, responseFormat)),
    ...args,
    model: modelOf(request, otherwise),
    messages: messages.map((message) => wireMessage(message, sendBack)),
    ...(offered.length === 0 ? {} : { tools: offered }),
  };
  return jsonOf(body);
};

const refusedArg = (name: string, what: string): StreamError =>
  new StreamError('MODEL_REQUEST', `\`args\` ${what}`, { hint: `leave \`${name}\` out of \`args\`` });

const asFunction = (called: Fields): Fields => ({ type: 'function', function: called });

const formatOf = (schema: Fields, format: ResponseFormat): Fields => {
  if (format === 'none') return {};
  if (format === 'json_object') return { response_format: { type: 'json_object' } };
  return { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } } };
};

const wireMessage = (
  { role, content, tool_calls: calls = [], extra_args: extra = {} }: ChatMessage,
  sendBack: boolean,
): Fields => {
  if (role === 'tool') return { role, content, tool_call_id: extra['externalId'] ?? '' };
  const kept = sendBack && isObject(extra['provider_fields']) ? extra['provider_fields'] : {};
  if (calls.length === 0) return { content, ...kept, role };
  const wireCalls = calls.map(({ id, function: { name, arguments: args }, provider_fields: beside = {} }) => {
    const { function: around, ...rest } = sendBack ? beside : {};
    const called = { ...(isObject(around) ? around : {}), name, arguments: jsonOf(args) };
    return { ...rest, id, type: 'function', function: called };
  });
  return { content: content === '' ? null : content, ...kept, role, tool_calls: wireCalls };
};

/**
 * As JSON without halves of characters, for which servers refuse the whole request; a text that was cut anywhere ends
 * in one.
 */
const jsonOf = (body: Fields): string => {
  const text = JSON.stringify(body);
  if (!/\\u[dD][89a-fA-F]/.test(text)) return text;
  return JSON.stringify(body, (_name, value: unknown) => {
    if (typeof value === 'string') return wellFormed(value);
    return isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([name, member]) => [wellFormed(name), member]))
      : value;
  });
};

// ---------- answer

interface Answering {
  /** Who answered, for messages. */
  readonly place: string;
  readonly door: HttpDoor;
  readonly allowCutOff: boolean;
}

/** What servers call the end of an answer that is none, and the error of a request that is refused for what it says. */
const cutOff: ReadonlySet<string> = new Set(['length', 'max_tokens', 'model_length']);
const filtered: ReadonlySet<string> = new Set([
  'content_filter',
  'safety',
  'recitation',
  'refusal',
  'sensitive',
  'content_policy_violation',
]);

/** An error that is a refusal, and so has the code of one. */
export const refusalCode = ({ code }: Failure): 'MODEL_REFUSED' | undefined =>
  filtered.has(String(code)) ? 'MODEL_REFUSED' : undefined;

/** The message in an answer. Throws a `StreamError` with one of the codes of models. */
export const chatAnswer = (text: string, answering: Answering): ChatMessage => {
  const { place, door } = answering;
  const response = parsed(text, answering);
  const { choices, model, usage } = isObject(response) ? response : {};
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const failure = failureIn200(response) ?? failureIn200(choice);
  if (failure !== undefined) throw door.failed(failure, { text: `${place} answered with an error` });
  const { message, finish_reason: reason } = isObject(choice) ? choice : {};
  if (reason === 'error') throw door.failed(failureOf(choice), { text: `${place} answered with an error` });
  if (!isObject(message))
    throw unreadable(`${place} answered without a message in its first choice: ${door.show(text)}`);
  const { content, refusal, kept } = partsOf(message, place);
  const facts = present({
    model_name: model,
    ...usageOf(usage),
    finish_reason: reason,
  });
  refuseEnd(reason, refusal, facts, answering);
  const calls = message['tool_calls'];
  const toolCalls = Array.isArray(calls) ? calls.map((call: unknown) => toolCallOf(call, place)) : [];
  const extra_args = isEmpty(kept) ? facts : { ...facts, provider_fields: kept };
  return { role: 'assistant', content, ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }), extra_args };
};

const parsed = (text: string, { place, door }: Answering): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // The error of the parser would quote the text as it is.
    const isStream = /^\s*(data|event):/.test(text);
    const told = text.trim() === '' ? 'nothing' : `something that is no JSON: ${door.show(text)}`;
    throw unreadable(
      `${place} answered ${told}`,
      isStream ? 'the server streams its answer, which was not asked for' : undefined,
    );
  }
};

const unreadable = (message: string, hint?: string): StreamError =>
  new StreamError('MODEL_RESPONSE', message, { hint });

/** Absent facts are left out, so that a message stays plain data and nothing is sent back that says nothing. */
const present = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => !isAbsent(value)));

const isAbsent = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0);

const isEmpty = (fields: Fields): boolean => Object.keys(fields).length === 0;

const usageOf = (usage: unknown): Fields =>
  isObject(usage) ? { promptTokens: usage['prompt_tokens'], completionTokens: usage['completion_tokens'] } : {};

interface MessageParts {
  readonly content: string;
  /** In the words of the model, empty when it does not refuse. */
  readonly refusal: string;
  /** What is not ours to understand. */
  readonly kept: Fields;
}

const partsOf = (message: Fields, place: string): MessageParts => {
  const { role: _role, tool_calls: _calls, content: said, refusal: refused, ...beside } = message;
  const list: readonly unknown[] = Array.isArray(said) ? said : [said ?? ''];
  let content = '';
  let refusal = typeof refused === 'string' ? refused : '';
  let isText = true;
  for (const part of list) {
    if (typeof part === 'string') content += part;
    else if (!isObject(part) || !Array.isArray(said))
      throw unreadable(`${place} answered with content that is no text`);
    else if (typeof part['refusal'] === 'string') refusal += part['refusal'];
    else if (part['type'] === 'text' && typeof part['text'] === 'string') content += part['text'];
    else isText = false;
  }
  // Parts that are no text (thoughts, pictures) can not be told from the text alone, so the list goes back as it came.
  return { content, refusal, kept: { ...present(beside), ...(isText ? {} : { content: list }) } };
};

/** An answer that was refused or cut off was paid, so its facts are told; it is no answer. */
const refuseEnd = (reason: unknown, refusal: string, facts: Fields, { place, door, allowCutOff }: Answering): void => {
  const end = typeof reason === 'string' ? reason.toLowerCase() : '';
  if (refusal !== '' || filtered.has(end)) {
    const words = refusal === '' ? `(${end})` : `: ${door.show(refusal)}`;
    throw new StreamError('MODEL_REFUSED', `${place} refuses to answer${words}`, {
      details: { ...facts, refusal: door.hide(refusal) },
    });
  }
  if (cutOff.has(end) && !allowCutOff) {
    throw new StreamError('MODEL_CUT_OFF', `${place} was cut off at the limit of its tokens (finish_reason ${end})`, {
      details: facts,
    });
  }
};

/** A tool call. Without an id, or with one that is no text, its id is empty: who brings results back gives it one. */
const toolCallOf = (call: unknown, place: string): ToolCall => {
  const { id, type: _type, index: _index, function: called, ...beside } = isObject(call) ? call : {};
  const { name, arguments: args, ...around } = isObject(called) ? called : {};
  if (typeof name !== 'string' || name === '') throw unreadable(`${place} answered with a tool call without a name`);
  const inside = present(around);
  const kept = present({ ...beside, ...(isEmpty(inside) ? {} : { function: inside }) });
  return {
    id: typeof id === 'string' ? id : typeof id === 'number' ? String(id) : '',
    type: 'function',
    function: { name, arguments: argumentsOf(args, `${place} answered with arguments of tool "${name}"`) },
    ...(isEmpty(kept) ? {} : { provider_fields: kept }),
  };
};

/**
 * Servers send JSON in a text, the object itself, JSON in a text in a text, and for no arguments an empty text, `null`,
 * or nothing.
 */
const argumentsOf = (sent: unknown, place: string): Fields => {
  let args = sent;
  for (let texts = 0; texts < 2 && typeof args === 'string'; texts += 1) {
    if (args.trim() === '') return {};
    try {
      args = JSON.parse(args);
    } catch {
      throw unreadable(`${place} that are no JSON`);
    }
  }
  if (args === undefined || args === null) return {};
  if (!isObject(args)) throw unreadable(`${place} that are no object`);
  return args;
};
