/** The OpenAI-compatible connection against a local server that speaks the protocol. */
import type { ChatMessage, ChatRequest } from '../../../lib/core/model.ts';
import { LLMock } from '@copilotkit/aimock';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openAIChatModel } from '../../../connectors/models/openai-chat-model.ts';
import { StreamError } from '../../../lib/core/errors.ts';

const apiKey = 'sk-secret-0123456789';
const options = { signal: new AbortController().signal, callId: 'c', key: 'k', idempotencyKey: '1.2.3.4' };
const hello: ChatRequest = { messages: [{ role: 'user', content: 'hello' }] };
const mock = new LLMock({ port: 0 });
let baseUrl = '';

beforeAll(async () => {
  await mock.start();
  baseUrl = `${mock.url}/v1`;
});
beforeEach(() => {
  mock.clearFixtures();
  mock.clearRequests();
  mock.clearChaos();
});
afterAll(() => mock.stop());

const ask = (request = hello, more: Partial<Parameters<typeof openAIChatModel>[0]> = {}): Promise<ChatMessage> =>
  openAIChatModel({ baseUrl, model: 'test-model', apiKey, ...more }).chat(request, options);

const failure = async (answer: Promise<unknown>): Promise<StreamError> => {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StreamError);
  expect(
    JSON.stringify([
      (error as StreamError).message,
      (error as StreamError).details,
      String((error as StreamError).cause),
    ]),
  ).not.toContain(apiKey);
  return error as StreamError;
};

describe('on the wire', () => {
  test('text and usage', async () => {
    mock.onMessage('hello', { content: 'Hi there', usage: { prompt_tokens: 7, completion_tokens: 3 } });
    expect(await ask()).toMatchObject({
      role: 'assistant',
      content: 'Hi there',
      extra_args: { promptTokens: 7, completionTokens: 3, finish_reason: 'stop' },
    });
  });

  test('messages, arguments, schema, tools and headers', async () => {
    mock.onMessage(/.*/, { content: '{}' });
    const messages: ChatMessage[] = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'ship it' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 't1', function: { name: 'notify', arguments: { id: 'P-1' } } }],
      },
      { role: 'tool', content: 'done', extra_args: { externalId: 't1' } },
      { role: 'user', content: 'and now?' },
    ];
    const inputSchema = { type: 'object', properties: { id: { type: 'string' } } };
    const outputSchema = { type: 'object', properties: { ok: { type: 'boolean' } } };
    const tools = [{ name: 'notify', description: 'Tells the manager', inputSchema }];
    await ask(
      { model: 'other-model', messages, tools, args: { temperature: 0.1, model: 'not this one' }, outputSchema },
      { headers: { 'x-team': 'blue' } },
    );
    const request = mock.getLastRequest();
    expect(request?.headers).toMatchObject({ 'x-team': 'blue', 'idempotency-key': '1.2.3.4' });
    expect(request?.body).toMatchObject({
      model: 'other-model',
      temperature: 0.1,
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'ship it' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 't1', type: 'function', function: { name: 'notify', arguments: '{"id":"P-1"}' } }],
        },
        { role: 'tool', content: 'done', tool_call_id: 't1' },
        { role: 'user', content: 'and now?' },
      ],
      tools: [
        { type: 'function', function: { name: 'notify', description: 'Tells the manager', parameters: inputSchema } },
      ],
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: outputSchema } },
    });
  });

  test('tool calls, arguments parsed', async () => {
    mock.onMessage('hello', {
      toolCalls: [
        { name: 'notify', arguments: '{"id":"P-1","n":[1]}' },
        { name: 'stop', arguments: '{}' },
      ],
    });
    const { tool_calls: calls, content } = await ask();
    expect(content).toBe('');
    expect(calls).toMatchObject([
      { id: expect.any(String), type: 'function', function: { name: 'notify', arguments: { id: 'P-1', n: [1] } } },
      { function: { name: 'stop', arguments: {} } },
    ]);
  });

  test.each([
    [500, 'MODEL_UNAVAILABLE', true],
    [503, 'MODEL_UNAVAILABLE', true],
    [429, 'MODEL_UNAVAILABLE', true],
    [408, 'MODEL_UNAVAILABLE', true],
    [409, 'MODEL_UNAVAILABLE', true],
    [400, 'MODEL_REQUEST', false],
    [401, 'MODEL_REQUEST', false],
    [404, 'MODEL_REQUEST', false],
  ])('status %i is %s', async (status, code, retryable) => {
    mock.nextRequestError(status, { message: `key ${apiKey} is no good`, type: 'some_error' });
    const error = await failure(ask());
    expect(error).toMatchObject({ code, retryable, details: { status } });
    expect(error.message).toBe(`model "test-model" at ${new URL(baseUrl).host} answered ${status}: key *** is no good`);
  });

  test('a rate limit says how long to wait', async () => {
    mock.setChaos({ rateLimitRate: 1 });
    const error = await failure(ask());
    expect(error).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      details: { status: 429, retryAfterMs: expect.any(Number) },
    });
  });

  test('malformed JSON', async () => {
    mock.onMessage('hello', { content: 'x' });
    mock.setChaos({ malformedRate: 1 });
    expect(await failure(ask())).toMatchObject({ code: 'MODEL_RESPONSE', retryable: true });
  });

  test('a connection that breaks', async () => {
    mock.onMessage('hello', { content: 'x' });
    mock.setChaos({ disconnectRate: 1 });
    expect(await failure(ask())).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: true });
  });

  test('nobody at the address', async () => {
    const closed = new LLMock({ port: 0 });
    await closed.start();
    const { url } = closed;
    await closed.stop();
    expect(await failure(ask(hello, { baseUrl: `${url}/v1` }))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
    });
  });

  test('a timeout is the provider\u2019s fault, an abort is not', async () => {
    mock.onMessage('hello', { content: 'x' });
    mock.setChaos({ latencyMs: 2000 });
    expect(await failure(ask(hello, { timeout: 30 }))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      message: expect.stringContaining('within 30 ms'),
    });
    const controller = new AbortController();
    const answer = openAIChatModel({ baseUrl, model: 'm' }).chat(hello, { ...options, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('stop')), 20);
    await expect(answer).rejects.toThrow('stop');
  });
});

test('options that make no sense are refused, without the key in the message', () => {
  expect(() => openAIChatModel({ baseUrl: 'localhost:11434', model: 'm' })).toThrow(
    'Expected `baseUrl` to be an http or https URL',
  );
  expect(() => openAIChatModel({ baseUrl: `http://user:${apiKey}@x/v1`, model: 'm' })).toThrow(
    /^Expected `baseUrl` to be without a user name and password: give `apiKey`, or `headers` with `authorization`$/,
  );
  expect(() => openAIChatModel({ baseUrl: 'http://x', model: '' })).toThrow('model');
  expect(() => openAIChatModel({ baseUrl: 'http://x', model: 'm', timeout: 0 })).toThrow('timeout');
  expect(() => openAIChatModel({ baseUrl: 'http://x', model: 'm', apiKey: `${apiKey}\n` })).toThrow(
    /^Expected `apiKey` to be a text that a header can hold, not empty and without white space$/,
  );
  expect(() => openAIChatModel({ baseUrl: 'http://x', model: 'm', responseFormat: 'json' as never })).toThrow(
    '`responseFormat`',
  );
  expect(() => openAIChatModel({ baseUrl: 'http://x', model: 'm', allowCutOff: 1 as never })).toThrow('`allowCutOff`');
  expect(() => openAIChatModel({ baseUrl: 'http://x', model: 'm', retries: 3 } as never)).toThrow('`retries`');
});
