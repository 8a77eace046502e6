/** The connection in a job: what is told when it fails, how long it waits, and what comes of tool calls. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import {
  agent,
  ChatRequestEvent,
  ChatResponseEvent,
  defineSink,
  InputEvent,
  outputTag,
  StreamExecutionEnvironment,
  type DeadLetter,
  type EnvironmentOptions,
} from '../../../lib/index.ts';
import { openAIChatModel, type OpenAIChatModelOptions } from '../../../connectors/models/openai-chat-model.ts';
import { reply, serve } from '../http/server.ts';

const failed = outputTag<DeadLetter<string>>('failed');
const asker = (maxRetries: number) =>
  agent<string, string>('asker')
    .options({ errorHandling: 'retry', retryWaitInterval: '1ms', maxRetries })
    .chatModel('m', { connection: 'c', tools: ['now'] })
    .tool('now', { description: 'the time', parameters: { type: 'object', properties: {} }, execute: () => 'noon' })
    .on(InputEvent, ({ input }, ctx) => {
      ctx.sendEvent(new ChatRequestEvent({ model: 'm', messages: [{ role: 'user', content: input }] }));
    })
    .on(ChatResponseEvent, ({ response }, ctx) => void ctx.output(response.content));

/** One question; gives the answers and the dead letters. */
const ask = async (
  connection: OpenAIChatModelOptions,
  options: { readonly maxRetries: number; readonly env?: EnvironmentOptions },
): Promise<{ readonly answers: unknown[]; readonly letters: DeadLetter<string>[] }> => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent', ...options.env });
  env.addResource('chat_model_connection', 'c', openAIChatModel(connection));
  const letters: DeadLetter<string>[] = [];
  const answered = env
    .fromCollection(['q'])
    .keyBy((text) => text)
    .applyAgent(asker(options.maxRetries), { deadLetters: failed });
  answered.sideOutput(failed).sinkTo(defineSink({ write: (values) => void letters.push(...values) }));
  return { answers: await answered.executeAndCollect(), letters };
};

const message = (said: object): string => JSON.stringify({ choices: [{ finish_reason: 'stop', message: said }] });

test('nothing of a key, a header or a query is in the log, the state, the journal or a dead letter, though the server repeats all', async () => {
  const secrets = ['sk-KEY-0123456789', 'HEADER-0123456789', 'QUERY-0123456789', 'BASIC-0123456789'];
  const directory = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const lines: string[] = [];
  const { base } = await serve((response, { url, headers }) => {
    reply(
      429,
      JSON.stringify({
        error: { message: `${url} ${JSON.stringify(headers)} ${secrets.join(' ')}`, code: secrets[0] },
      }),
    )(response);
  });
  const { letters } = await ask(
    {
      baseUrl: `${base}?key=${secrets[2]}`,
      model: 'm',
      apiKey: secrets[0],
      headers: {
        'x-key': secrets[1] ?? '',
        'proxy-authorization': `Basic ${Buffer.from(`me:${secrets[3]}`).toString('base64')}`,
      },
    },
    {
      maxRetries: 2,
      env: {
        checkpoint: { directory, interval: '10ms' },
        logger: pino({ level: 'trace' }, { write: (line) => void lines.push(line) }),
      },
    },
  );
  expect(letters).toMatchObject([{ input: 'q', error: { message: expect.stringContaining('***') } }]);
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const stored = files.map((file) => readFileSync(join(file.parentPath, file.name), 'latin1')).join('\n');
  expect(stored).toContain('***'); // The error was stored.
  for (const told of [JSON.stringify(letters), lines.join('\n'), stored])
    expect(secrets.filter((secret) => told.includes(secret))).toEqual([]);
});

test.each(['86400', 'Thu, 01 Jan 2099 00:00:00 GMT', '1e999', '601'])(
  'a request that is asked to wait too long fails at once: %s',
  async (value) => {
    const { base, seen } = await serve(reply(429, 'later', { 'retry-after': value }));
    const { letters } = await ask({ baseUrl: base, model: 'm' }, { maxRetries: 5 });
    expect(seen).toHaveLength(1);
    expect(letters).toMatchObject([
      { error: { message: expect.stringMatching(/asks to wait (\d+|Infinity) s.*retryAfterMax/) } },
    ]);
  },
);

test('the wait that the connection allows is the one that counts', async () => {
  let asked = 0;
  const answer = [reply(429, 'later', { 'retry-after-ms': '40' }), reply(200, message({ content: 'ok' }))];
  const server = await serve((response) => answer[Math.min(asked++, 1)]?.(response));
  expect((await ask({ baseUrl: server.base, model: 'm', retryAfterMax: 40 }, { maxRetries: 1 })).answers).toEqual([
    'ok',
  ]);
  asked = 0;
  expect((await ask({ baseUrl: server.base, model: 'm', retryAfterMax: 39 }, { maxRetries: 1 })).answers).toEqual([]);
});

test.each([[null], [7], [''], ['__proto__'], ['constructor'], ['c1']])(
  'a tool call with id %j gets its result',
  async (id) => {
    const called = { id, function: { name: 'now', arguments: 'null', signature: 'S' }, extra: { of: 'it' } };
    const answers = [
      message({ content: null, reasoning: 'R', tool_calls: [called, { ...called }] }),
      message({ content: 'ok' }),
    ];
    let asked = 0;
    const { base, seen } = await serve((response) => reply(200, answers[Math.min(asked++, 1)] ?? '')(response));
    expect((await ask({ baseUrl: base, model: 'm' }, { maxRetries: 0 })).answers).toEqual(['ok']);
    const { messages } = JSON.parse(seen[1]?.body ?? '') as {
      messages: [object, { tool_calls: { id: string }[] }, object, object];
    };
    const [first, second] = messages[1].tool_calls;
    expect(first?.id).not.toBe(second?.id);
    expect(messages[1]).toMatchObject({
      reasoning: 'R',
      tool_calls: [{ extra: { of: 'it' }, function: { signature: 'S' } }, {}],
    });
    expect(messages.slice(2)).toEqual([
      { role: 'tool', content: 'noon', tool_call_id: first?.id },
      { role: 'tool', content: 'noon', tool_call_id: second?.id },
    ]);
  },
);
