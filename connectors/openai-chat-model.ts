/**
 * Talks to any server with OpenAI's chat completions: OpenAI itself, Ollama, vLLM, llama.cpp, gateways. Plain fetch, no retries of its
 * own: the durable call retries, and the error says whether and when that can help. The API key never gets into a message.
 * Keeps I10 (every request has a limit and takes the signal).
 */
import type { ChatMessage, ChatModelConnection, ChatRequest, ToolCall } from '../lib/core/model.ts';
import { systemClock } from '../lib/core/clock.ts';
import { messageOf, StreamError } from '../lib/core/errors.ts';
import { integer, knownOptions, refusal } from '../lib/core/options.ts';

export interface OpenAIChatModelOptions {
  /** Up to the version, without `/chat/completions`: `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** The model when a request names none. */
  readonly model: string;
  /** Sent as a bearer token. @defaultValue none, as local servers want it */
  readonly apiKey?: string | undefined;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Limit of one request, in milliseconds, from 1. @defaultValue 60_000 */
  readonly timeoutMs?: number | undefined;
  /** @defaultValue the global one */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** Characters of a provider's message that go into ours. */
const messageMax = 300;

/**
 * A connection to an OpenAI-compatible server.
 *
 * @example
 * const local = openAIChatModel({ baseUrl: 'http://localhost:11434/v1', model: 'qwen3:8b' });
 */
export const openAIChatModel = (options: OpenAIChatModelOptions): ChatModelConnection => {
  knownOptions('openAIChatModel', options, ['baseUrl', 'model', 'apiKey', 'headers', 'timeoutMs', 'fetch']);
  const { baseUrl, model, apiKey, headers: ownHeaders = {}, timeoutMs = 60_000, fetch = globalThis.fetch } = options;
  if (!/^https?:\/\/./.test(baseUrl) || !URL.canParse(baseUrl)) throw refusal('baseUrl', 'an http or https URL', baseUrl);
  if (typeof model !== 'string' || model === '') throw refusal('model', 'the name of a model', model);
  integer('timeoutMs', timeoutMs, { min: 1, max: 2 ** 31 - 1 });
  const url = `${baseUrl.replace(/\/+$/, '')}/chat/completions`;
  const headers = headersOf(ownHeaders, apiKey);
  const hide = hider([apiKey ?? '', ...Object.values(ownHeaders)]);
  return {
    async chat(request, { signal, idempotencyKey }) {
      signal.throwIfAborted();
      const limit = AbortSignal.timeout(timeoutMs);
      const body = JSON.stringify(bodyOf(request, model));
      const place = `model "${request.model ?? model}" at ${new URL(url).host}`;
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { ...headers, 'idempotency-key': idempotencyKey },
          body,
          signal: AbortSignal.any([signal, limit]),
        });
        const text = await response.text();
        if (!response.ok) throw statusError(response, `${place} answered ${response.status}: ${hide(providerMessage(text))}`);
        return messageFrom(text, `${place} answered`);
      } catch (error) {
        if (error instanceof StreamError) throw error;
        // The job stopped or the call timed out: not a fault of the provider.
        if (signal.aborted) throw signal.reason;
        if (limit.aborted)
          throw new StreamError('MODEL_UNAVAILABLE', `${place} did not answer within ${timeoutMs} ms`, { details: { timeoutMs } });
        const reason = hide(
          error instanceof Error && error.cause !== undefined ? `${error.message}: ${messageOf(error.cause)}` : messageOf(error),
        );
        // The original is not kept as the cause: its texts may hold what `hide` took out.
        throw new StreamError('MODEL_UNAVAILABLE', `${place} can not be reached: ${reason}`);
      }
    },
  };
};

const headersOf = (own: Readonly<Record<string, string>>, apiKey: string | undefined): Record<string, string> => {
  for (const [name, value] of [...Object.entries(own), ...(apiKey === undefined ? [] : [['apiKey', apiKey] as const])]) {
    // The platform's own error would quote the value.
    if (typeof value !== 'string' || /[^\t\x20-\x7e]/.test(value))
      throw new TypeError(`Expected \`${name}\` to be a text that a header can hold`);
  }
  return { 'content-type': 'application/json', ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }), ...own };
};

/** Replaces secrets in a text. Short header values are no secrets, and hiding them would garble messages. */
const hider = (secrets: readonly string[]): ((text: string) => string) => {
  const long = secrets.map((secret) => secret.replace(/^bearer\s+/i, '')).filter((secret) => secret.length >= 6);
  return (text) => long.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text);
};

// ---------- request

const bodyOf = ({ model: named, messages, tools = [], args = {}, outputSchema }: ChatRequest, model: string): Record<string, unknown> => ({
  ...args,
  model: named ?? model,
  messages: messages.map(wireMessage),
  ...(tools.length === 0
    ? {}
    : {
        tools: tools.map(({ name, description, inputSchema }) => ({
          type: 'function',
          function: { name, description, parameters: inputSchema },
        })),
      }),
  ...(outputSchema === undefined
    ? {}
    : { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: outputSchema } } }),
});

const wireMessage = ({ role, content, tool_calls: calls = [], extra_args: extra = {} }: ChatMessage): Record<string, unknown> => {
  if (role === 'tool') return { role, content, tool_call_id: extra.externalId ?? '' };
  if (calls.length === 0) return { role, content };
  const wireCalls = calls.map(({ id, function: { name, arguments: args } }) => ({
    id,
    type: 'function',
    function: { name, arguments: JSON.stringify(args) },
  }));
  return { role, content: content === '' ? null : content, tool_calls: wireCalls };
};

// ---------- response

interface WireToolCall {
  readonly id?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown };
}

interface WireResponse {
  readonly model?: unknown;
  readonly choices?: readonly {
    readonly finish_reason?: unknown;
    readonly message?: { readonly content?: unknown; readonly refusal?: unknown; readonly tool_calls?: readonly WireToolCall[] | null };
  }[];
  readonly usage?: { readonly prompt_tokens?: unknown; readonly completion_tokens?: unknown } | null;
}

const messageFrom = (text: string, place: string): ChatMessage => {
  let response: WireResponse | null;
  try {
    response = JSON.parse(text) as WireResponse | null;
  } catch (error) {
    throw new StreamError('MODEL_RESPONSE', `${place} something that is no JSON: ${messageOf(error)}`, { cause: error });
  }
  const choice = Array.isArray(response?.choices) ? response.choices[0] : undefined;
  const { message } = choice ?? {};
  if (message === undefined || message === null) throw new StreamError('MODEL_RESPONSE', `${place} without a message in its first choice`);
  const content = message.content ?? '';
  if (typeof content !== 'string') throw new StreamError('MODEL_RESPONSE', `${place} with content that is no text`);
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.map((call: WireToolCall) => toolCallFrom(call, place)) : [];
  const extra = {
    model_name: response?.model,
    promptTokens: response?.usage?.prompt_tokens,
    completionTokens: response?.usage?.completion_tokens,
    finish_reason: choice?.finish_reason ?? undefined,
    refusal: message.refusal ?? undefined,
  };
  // Absent facts are left out, so that the message stays plain data.
  const extra_args = Object.fromEntries(Object.entries(extra).filter(([, value]) => value !== undefined));
  return { role: 'assistant', content, ...(calls.length === 0 ? {} : { tool_calls: calls }), extra_args };
};

const toolCallFrom = (call: WireToolCall, place: string): ToolCall => {
  const { id, function: called } = call;
  if (typeof id !== 'string' || typeof called?.name !== 'string')
    throw new StreamError('MODEL_RESPONSE', `${place} with a tool call without id or name`);
  let args: unknown = called.arguments;
  try {
    // Some servers send the object itself, and an empty text when there are no arguments.
    if (typeof args === 'string') args = args.trim() === '' ? {} : JSON.parse(args);
  } catch (error) {
    throw new StreamError('MODEL_RESPONSE', `${place} with arguments of tool "${called.name}" that are no JSON`, { cause: error });
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    throw new StreamError('MODEL_RESPONSE', `${place} with arguments of tool "${called.name}" that are no object`);
  }
  return { id, type: 'function', function: { name: called.name, arguments: args as Record<string, unknown> } };
};

// ---------- errors

/** Refusals that may be granted later: a timeout of the server, a conflict, a rate limit. */
const retryableStatus: ReadonlySet<number> = new Set([408, 409, 429]);

const statusError = (response: Response, message: string): StreamError => {
  const { status, headers } = response;
  const retryable = status < 400 || status >= 500 || retryableStatus.has(status);
  return new StreamError(retryable ? 'MODEL_UNAVAILABLE' : 'MODEL_REQUEST', message, { details: { status, ...retryAfter(headers) } });
};

const retryAfter = (headers: Headers): { readonly retryAfterMs?: number } => {
  const value = headers.get('retry-after');
  if (value === null) return {};
  const seconds = Number(value);
  const ms = Number.isNaN(seconds) ? Date.parse(value) - systemClock.now() : seconds * 1000;
  return Number.isNaN(ms) ? {} : { retryAfterMs: Math.max(0, Math.round(ms)) };
};

/** The message in a provider's error, which may be JSON of several shapes, a page, or nothing. */
const providerMessage = (text: string): string => {
  let message: unknown = text;
  try {
    const body: unknown = JSON.parse(text);
    const error: unknown = typeof body === 'object' && body !== null && 'error' in body ? body.error : body;
    message = typeof error === 'object' && error !== null && 'message' in error ? error.message : error;
  } catch {
    // No JSON: the text itself is the message.
  }
  const line = (typeof message === 'string' ? message : (JSON.stringify(message) ?? '')).replaceAll(/\s+/g, ' ').trim();
  return line.length <= messageMax ? line || 'nothing' : `${line.slice(0, messageMax)}...`;
};
