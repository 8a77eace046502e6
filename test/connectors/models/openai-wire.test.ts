/** What servers with OpenAI's protocol really send and take, and what no server should send. */
import { describe, expect, test } from 'vitest';
import { openAIChatModel, type OpenAIChatModelOptions } from '../../../connectors/models/openai-chat-model.ts';
import { StreamError } from '../../../lib/core/errors.ts';
import type { ChatMessage, ChatRequest } from '../../../lib/core/model.ts';
import { reply, serve, type TestServer } from '../http/server.ts';

const apiKey = 'sk-secret-0123456789';
const hello: ChatRequest = { messages: [{ role: 'user', content: 'hello' }] };
const schema = { type: 'object', properties: { a: { type: 'string' } } };

const chat = (base: string, request: ChatRequest, more: Partial<OpenAIChatModelOptions> = {}): Promise<ChatMessage> =>
  openAIChatModel({ baseUrl: base, model: 'm', apiKey, ...more }).chat(request, {
    signal: new AbortController().signal,
    callId: 'c',
    key: 'k',
    idempotencyKey: '1.2.3.4',
  });

/** What the connection makes of this body of a 200. */
const answer = async (body: unknown, more: Partial<OpenAIChatModelOptions> = {}): Promise<ChatMessage> => {
  const { base } = await serve(reply(200, typeof body === 'string' ? body : JSON.stringify(body)));
  return chat(base, hello, more);
};

const failure = async (answered: Promise<unknown>): Promise<StreamError> => {
  const error: unknown = await answered.then(
    (value) => value,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StreamError);
  const { message, details, cause, hint } = error as StreamError;
  expect(JSON.stringify([message, details, hint, String(cause)])).not.toContain(apiKey);
  return error as StreamError;
};

const message = (said: object, choice: object = {}): object => ({
  model: 'mm',
  choices: [{ index: 0, finish_reason: 'stop', message: said, ...choice }],
});
const call = (called: unknown): object => message({ content: null, tool_calls: [called] });
const withArguments = (args: unknown): object =>
  call({ id: 'a', type: 'function', function: { name: 'f', arguments: args } });
const argumentsOf = async (args: unknown): Promise<unknown> =>
  (await answer(withArguments(args))).tool_calls?.[0]?.function.arguments;

/** What the server gets of this request. */
const sent = async (
  request: ChatRequest,
  more: Partial<OpenAIChatModelOptions> = {},
): Promise<Record<string, unknown>> => {
  const server: TestServer = await serve(reply(200, JSON.stringify(message({ content: 'ok' }))));
  await chat(server.base, request, more);
  return JSON.parse(server.seen[0]?.body ?? '') as Record<string, unknown>;
};

describe('tool calls', () => {
  test.each([[null], [undefined], ['null'], [''], ['  '], ['{}'], [{}], ['"{}"'], ['""'], ['"null"']])(
    'no arguments: %j',
    async (args) => {
      expect(await argumentsOf(args)).toEqual({});
    },
  );

  test.each([[{ x: 1 }], ['{"x":1}'], ['"{\\"x\\":1}"']])('arguments: %j', async (args) => {
    expect(await argumentsOf(args)).toEqual({ x: 1 });
  });

  test.each([['[1]'], [[1]], ['7'], [7], ['true'], [false], ['"x"'], ['{"a":'], ['{a:1}'], ['undefined']])(
    'arguments that are none: %j',
    async (args) => {
      expect(await failure(answer(withArguments(args)))).toMatchObject({
        code: 'MODEL_RESPONSE',
        retryable: true,
        message: expect.stringMatching(/arguments of tool "f" that are no (JSON|object)$/),
      });
    },
  );

  test.each([
    ['c1', 'c1'],
    ['', ''],
    [null, ''],
    [undefined, ''],
    [7, '7'],
    [{}, ''],
    ['__proto__', '__proto__'],
  ])('id %j', async (id, read) => {
    expect((await answer(call({ id, function: { name: 'f' } }))).tool_calls?.[0]?.id).toBe(read);
  });

  test.each([
    [null],
    ['f'],
    [{}],
    [{ id: 'a' }],
    [{ id: 'a', function: null }],
    [{ id: 'a', function: { name: '' } }],
    [{ function: { name: 7 } }],
  ])('a call of nothing: %j', async (called) => {
    expect(await failure(answer(call(called)))).toMatchObject({
      code: 'MODEL_RESPONSE',
      message: expect.stringContaining('without a name'),
    });
  });

  test('none', async () => {
    for (const calls of [null, undefined, [], {}, 'x']) {
      expect(await answer(message({ content: 'hi', tool_calls: calls }))).not.toHaveProperty('tool_calls');
    }
  });
});

describe('content', () => {
  test.each([
    ['hello', 'hello'],
    [null, ''],
    [undefined, ''],
    ['', ''],
    [[], ''],
    [
      [
        { type: 'text', text: 'hel' },
        { type: 'text', text: 'lo' },
      ],
      'hello',
    ],
    [['hel', 'lo'], 'hello'],
    [
      [
        { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
        { type: 'text', text: 'hello' },
      ],
      'hello',
    ],
  ])('%j', async (content, text) => {
    expect((await answer(message({ content }))).content).toBe(text);
  });

  test.each([[7], [true], [{}], [{ text: 'x' }], [[7]], [[null]]])('no text: %j', async (content) => {
    expect(await failure(answer(message({ content })))).toMatchObject({
      code: 'MODEL_RESPONSE',
      message: expect.stringContaining('no text'),
    });
  });

  test('halves of characters come through, and are not sent on', async () => {
    const { content } = await answer('{"choices":[{"message":{"content":"cut \\ud83d"}}]}');
    expect(content).toBe('cut \ud83d');
    const args = { '\udc00': ['\ud800', '\\ud800', '\u{1f600}'] };
    const { messages } = (await sent({
      messages: [
        { role: 'assistant', content, tool_calls: [{ id: 'a', function: { name: 'f', arguments: args } }] },
        { role: 'user', content: '\\ud83d' },
      ],
    })) as { messages: [{ content: string; tool_calls: [{ function: { arguments: string } }] }, { content: string }] };
    expect(messages[0].content).toBe('cut \ufffd');
    expect(JSON.parse(messages[0].tool_calls[0].function.arguments)).toEqual({
      '\ufffd': ['\ufffd', '\\ud800', '\u{1f600}'],
    });
    expect(messages[1].content).toBe('\\ud83d');
  });
});

describe('what is no answer', () => {
  test.each([
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '7'],
    ['a list', '[]'],
    ['no choices', '{}'],
    ['choices that are none', '{"choices":{}}'],
    ['an empty list of choices', '{"choices":[]}'],
    ['a choice that is none', '{"choices":[null]}'],
    ['a choice without message', '{"choices":[{}]}'],
    ['a message that is none', '{"choices":[{"message":"hi"}]}'],
    ['JSON that is cut', '{"choices":[{"message":{"content":"hel'],
    ['a page of a proxy', `<html><title>Log in</title>${apiKey}</html>`],
  ])('%s', async (_what, body) => {
    expect(await failure(answer(body))).toMatchObject({ code: 'MODEL_RESPONSE', retryable: true });
  });

  test('says what came, and that nobody asked for a stream', async () => {
    expect((await failure(answer(`<html> ${apiKey}\n </html>`))).message).toMatch(
      /answered something that is no JSON: <html> \*\*\* <\/html>$/,
    );
    expect((await failure(answer('')))?.message).toMatch(/answered nothing$/);
    expect((await failure(answer('data: {"choices":[]}\n\n'))).hint).toContain('streams');
    for (const args of [{ stream: true }, { messages: [] }])
      expect(await failure(chat('http://localhost:1', { ...hello, args }))).toMatchObject({
        code: 'MODEL_REQUEST',
        retryable: false,
        hint: `leave \`${Object.keys(args).join()}\` out of \`args\``,
      });
  });

  test.each([
    ['a rate limit', { error: { code: 429, message: ' Rate limit exceeded\n' } }, true, 429],
    ['the same as a text', { error: { code: '429', message: 'Rate limit exceeded' } }, true, '429'],
    ['beside an empty list', { choices: [], error: { code: 502, message: 'Rate limit exceeded' } }, true, 502],
    [
      'in the first choice',
      { choices: [{ finish_reason: 'error', error: { code: 502, message: 'Rate limit exceeded' } }] },
      true,
      502,
    ],
    [
      'beside a draft',
      message({ content: 'Hel' }, { finish_reason: 'error', error: { code: 502, message: 'Rate limit exceeded' } }),
      true,
      502,
    ],
    ['without a code', { error: { message: 'Rate limit exceeded' } }, true, undefined],
    ['as a text', { error: 'Rate limit exceeded' }, true, undefined],
    [
      'as vLLM says it',
      { object: 'error', message: 'Rate limit exceeded', type: 'BadRequestError', code: 400 },
      false,
      400,
    ],
    ['a bad key', { error: { code: 401, message: 'Rate limit exceeded' } }, false, 401],
    [
      'a bad request in words',
      { error: { type: 'invalid_request_error', message: 'Rate limit exceeded' } },
      false,
      undefined,
    ],
    [
      'no money',
      { error: { code: 'insufficient_quota', message: 'Rate limit exceeded' } },
      false,
      'insufficient_quota',
    ],
  ])('a 200 with an error: %s', async (_what, body, retryable, providerCode) => {
    const error = await failure(answer(body));
    expect(error).toMatchObject({ code: retryable ? 'MODEL_UNAVAILABLE' : 'MODEL_REQUEST', retryable });
    expect(error.message).toMatch(/answered with an error: Rate limit exceeded$/);
    expect(error.details['providerCode']).toBe(providerCode);
  });

  test.each([[null], [undefined], [false], ['']])('an error that is none: %j', async (error) => {
    expect((await answer({ error, ...message({ content: 'hi' }, { error }) })).content).toBe('hi');
  });

  test('an error without a word, by its end alone', async () => {
    expect(await failure(answer(message({ content: 'Hel' }, { finish_reason: 'error' })))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
    });
  });
});

describe('refused and cut off', () => {
  const words = 'I can not help with that';

  test.each([
    ['in a field', { content: null, refusal: words }, 'stop'],
    ['beside something', { content: '{"a":', refusal: words }, 'stop'],
    ['as a part', { content: [{ type: 'refusal', refusal: words }] }, 'stop'],
    ['by the filter', { content: 'I ca', refusal: words }, 'content_filter'],
  ])('a refusal %s', async (_where, said, reason) => {
    const body = { ...message(said, { finish_reason: reason }), usage: { prompt_tokens: 9, completion_tokens: 4 } };
    const error = await failure(answer(body));
    expect(error).toMatchObject({
      code: 'MODEL_REFUSED',
      retryable: false,
      message: expect.stringContaining(`refuses to answer: ${words}`),
    });
    expect(error.details).toMatchObject({ refusal: words, model_name: 'mm', promptTokens: 9, completionTokens: 4 });
  });

  test.each(['content_filter', 'SAFETY', 'recitation'])(
    'the filter of a provider without words: %s',
    async (reason) => {
      expect(await failure(answer(message({ content: 'Well' }, { finish_reason: reason })))).toMatchObject({
        code: 'MODEL_REFUSED',
        retryable: false,
      });
    },
  );

  test('long words are kept whole', async () => {
    const refusal = words.repeat(100);
    const error = await failure(answer(message({ refusal })));
    expect(error.details['refusal']).toBe(refusal);
    expect(error.message.length).toBeLessThan(450);
  });

  test('a request that the filter refuses', async () => {
    const { base } = await serve(reply(400, '{"error":{"code":"content_filter","message":"The prompt was filtered"}}'));
    expect(await failure(chat(base, hello))).toMatchObject({
      code: 'MODEL_REFUSED',
      retryable: false,
      details: { status: 400 },
    });
  });

  test.each(['length', 'max_tokens', 'MAX_TOKENS', 'model_length'])('cut off: %s', async (reason) => {
    const body = { ...message({ content: '{"a": "lo' }, { finish_reason: reason }), usage: { completion_tokens: 4 } };
    const error = await failure(answer(body));
    expect(error).toMatchObject({ code: 'MODEL_CUT_OFF', retryable: false, details: { completionTokens: 4 } });
    expect(error.hint).toContain('max_tokens');
    expect((await answer(body, { allowCutOff: true })).content).toBe('{"a": "lo');
  });

  test('a tool call that is cut off is named so, and not as broken JSON', async () => {
    const body = message(
      { tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{"a":' } }] },
      { finish_reason: 'length' },
    );
    expect(await failure(answer(body))).toMatchObject({ code: 'MODEL_CUT_OFF' });
    expect(await failure(answer(body, { allowCutOff: true }))).toMatchObject({ code: 'MODEL_RESPONSE' });
  });

  test.each([[''], [null], [undefined]])('a refusal that is none: %j', async (refusal) => {
    expect((await answer(message({ content: 'hi', refusal }))).content).toBe('hi');
  });
});

describe('what a server put beside it comes back to it', () => {
  const thinking = [
    { type: 'thinking', thinking: 'hm' },
    { type: 'text', text: 'hello' },
  ];
  const extra_content = { google: { thought_signature: 'SIG' } };
  const cases = [
    ['reasoning', { content: 'hi', reasoning_content: 'R' }],
    ['details of it', { content: 'hi', reasoning_details: [{ type: 'encrypted', data: 'x' }] }],
    ['parts', { content: thinking }],
    ['an empty text', { content: 'hi', reasoning_content: '' }],
    [
      'of a call',
      {
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' }, extra_content }],
      },
    ],
    [
      'in a call',
      {
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}', signature: 's' } }],
      },
    ],
    [
      'of both',
      {
        content: null,
        reasoning: 'R',
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' }, extra_content }],
      },
    ],
  ] as const;

  test.each(cases)('%s', async (_what, said) => {
    const answered = await answer(message({ role: 'assistant', ...said }));
    expect(JSON.parse(JSON.stringify(answered))).toEqual(answered); // Plain data.
    expect((await sent({ messages: [answered] }))['messages']).toEqual([{ role: 'assistant', ...said }]);
  });

  test('or not, by an option', async () => {
    const answered = await answer(message(cases[6][1]));
    expect((await sent({ messages: [answered] }, { sendBack: false }))['messages']).toEqual([
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
    ]);
  });

  test('what says nothing does not', async () => {
    const answered = await answer(
      message({ role: 'assistant', content: 'hi', refusal: null, annotations: [], audio: null, function_call: null }),
    );
    expect(answered).toEqual({
      role: 'assistant',
      content: 'hi',
      extra_args: { model_name: 'mm', finish_reason: 'stop' },
    });
  });

  test('it replaces neither role nor calls', async () => {
    const kept = { role: 'system', tool_calls: 7, x: 1 };
    const messages: ChatMessage[] = [{ role: 'assistant', content: 'hi', extra_args: { provider_fields: kept } }];
    expect((await sent({ messages }))['messages']).toEqual([{ role: 'assistant', content: 'hi', tool_calls: 7, x: 1 }]);
  });
});

describe('the request', () => {
  const ask = { ...hello, outputSchema: schema };
  const whole = { type: 'json_schema', json_schema: { name: 'answer', schema } };

  test('the form of an answer is asked for as the connection can', async () => {
    expect((await sent(ask))['response_format']).toEqual(whole);
    expect((await sent(ask, { responseFormat: 'json_object' }))['response_format']).toEqual({ type: 'json_object' });
    expect(await sent(ask, { responseFormat: 'none' })).not.toHaveProperty('response_format');
    expect(await sent(hello)).not.toHaveProperty('response_format');
  });

  test('what the user gives in `args` wins', async () => {
    expect((await sent({ ...ask, args: { response_format: { type: 'text' } } }))['response_format']).toEqual({
      type: 'text',
    });
    expect(await sent({ ...ask, args: { response_format: undefined } })).not.toHaveProperty('response_format');
    expect((await sent({ ...hello, args: { model: 'own', n: 1 } }))['model']).toBe('own');
    expect((await sent({ ...hello, model: 'named', args: { model: 'own' } }))['model']).toBe('named');
  });

  test('tools in `args` stand beside those of the agent', async () => {
    const tools = [{ name: 'f', description: 'd', inputSchema: { type: 'object' } }];
    const search = { type: 'web_search' };
    const f = { type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } };
    expect((await sent({ ...hello, tools, args: { tools: [search] } }))['tools']).toEqual([f, search]);
    expect((await sent({ ...hello, args: { tools: [search] } }))['tools']).toEqual([search]);
    expect((await sent({ ...hello, tools }))['tools']).toEqual([f]);
  });

  test('the query of an address stays', async () => {
    const { base, seen } = await serve(reply(200, JSON.stringify(message({ content: 'ok' }))));
    await chat(`${base}?api-version=2024-10-21`, hello);
    expect(seen[0]?.url).toBe('/v1/chat/completions?api-version=2024-10-21');
  });
});
