/**
 * Talks to any server with OpenAI's chat completions: OpenAI itself, Ollama, vLLM, llama.cpp, gateways. Each request is
 * one attempt; the durable call retries, and the error says whether and when that can help. What is sent and read is in
 * `openai-wire.ts`; what every door keeps (I10, no secret in a message) in `http/`.
 */
import type { ChatModelConnection } from '../../lib/core/model.ts';
import { flag, knownOptions, oneOf, refusal, type OptionNames } from '../../lib/core/options.ts';
import { HttpDoor, type HttpOptions } from '../http/door.ts';
import { chatAnswer, chatBody, modelOf, refusalCode, type ResponseFormat } from './openai-wire.ts';

export interface OpenAIChatModelOptions extends HttpOptions {
  /**
   * Up to the version, without `/chat/completions`: `https://api.openai.com/v1`. A query in it (`?api-version=...`)
   * stays.
   */
  readonly baseUrl: string;
  /** The model when a request names none. */
  readonly model: string;
  /**
   * How a request with an output schema asks for it: by the schema, for any JSON object (the prompt then has to
   * describe it), or not at all. A `response_format` in `args` wins. @defaultValue 'json_schema'
   */
  readonly responseFormat?: ResponseFormat | undefined;
  /**
   * Take an answer that ended at the limit of its tokens, instead of failing with `MODEL_CUT_OFF`. @defaultValue false
   */
  readonly allowCutOff?: boolean | undefined;
  /**
   * Send back, in the later requests of a conversation, what the server put into its messages beside text and tool
   * calls (reasoning, signatures of thoughts): some servers need it, some refuse it. @defaultValue true
   */
  readonly sendBack?: boolean | undefined;
}

const names = {
  baseUrl: true,
  model: true,
  apiKey: true,
  headers: true,
  timeout: true,
  responseBytesMax: true,
  retryAfterMax: true,
  responseFormat: true,
  allowCutOff: true,
  sendBack: true,
  fetch: true,
} as const satisfies OptionNames<OpenAIChatModelOptions>;

const codes = {
  refused: 'MODEL_REQUEST',
  unavailable: 'MODEL_UNAVAILABLE',
  response: 'MODEL_RESPONSE',
  of: refusalCode,
} as const;

/**
 * A connection to an OpenAI-compatible server. Throws a `TypeError` that names the option for what makes no sense, such
 * as a password in `baseUrl`; the message quotes no secret.
 *
 * @example
 * const local = openAIChatModel({ baseUrl: 'http://localhost:11434/v1', model: 'qwen3:8b' });
 */
export const openAIChatModel = (options: OpenAIChatModelOptions): ChatModelConnection => {
  knownOptions('openAIChatModel', options, names);
  const { model, responseFormat = 'json_schema', allowCutOff = false, sendBack = true } = options;
  if (typeof model !== 'string' || model === '') throw refusal('model', 'the name of a model', model);
  oneOf('responseFormat', responseFormat, ['json_schema', 'json_object', 'none']);
  flag('allowCutOff', allowCutOff);
  flag('sendBack', sendBack);
  const door = new HttpDoor(options, codes);
  return {
    retryAfterMaxMs: door.retryAfterMaxMs,
    async chat(request, { signal, idempotencyKey }) {
      const body = chatBody(request, { model, responseFormat, sendBack });
      const place = `model "${modelOf(request, model)}" at ${door.host}`;
      const headers = { 'idempotency-key': idempotencyKey };
      const text = await door.post({ path: '/chat/completions', body, headers, place, signal });
      return chatAnswer(text, { place, door, allowCutOff });
    },
  };
};
