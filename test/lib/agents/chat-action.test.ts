import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { StreamError } from '../../../lib/core/errors.ts';
import type { ChatMessage, ChatModelConnection, ChatOptions, ChatRequest } from '../../../lib/core/model.ts';
import { agent, type AgentBuilder } from '../../../lib/agents/agent.ts';
import type { ChatModelSetup } from '../../../lib/agents/contract.ts';
import { chatConfigOf } from '../../../lib/agents/chat-config.ts';
import {
  ChatErrorEvent,
  ChatRequestEvent,
  ChatResponseEvent,
  type ChatRequestOptions,
} from '../../../lib/agents/chat-events.ts';
import { InputEvent, OutputEvent } from '../../../lib/agents/event.ts';
import { drive, type DrivenRun, type TestJournal } from './drive.ts';

type Reply = Partial<ChatMessage> | Error;

/** Answers from a script, the last line again and again, and remembers what it was asked. */
class ScriptedModel implements ChatModelConnection {
  readonly requests: ChatRequest[] = [];
  readonly options: ChatOptions[] = [];
  readonly #script: readonly Reply[];

  constructor(...script: readonly Reply[]) {
    this.#script = script;
  }

  async chat(request: ChatRequest, options: ChatOptions): Promise<ChatMessage> {
    const reply = this.#script[Math.min(this.requests.length, this.#script.length - 1)] ?? {};
    this.requests.push(request);
    this.options.push(options);
    if (reply instanceof Error) throw reply;
    return { role: 'assistant', content: '', ...reply };
  }
}

const wants = (...names: readonly string[]): Reply => ({
  tool_calls: names.map((name, index) => ({ id: `c${index}`, function: { name, arguments: { n: index } } })),
});

const down = (): StreamError => new StreamError('MODEL_UNAVAILABLE', 'down');

interface Setup {
  readonly request?: Partial<ChatRequestOptions>;
  readonly setup?: Partial<ChatModelSetup>;
  readonly more?: (builder: AgentBuilder<string, unknown>) => AgentBuilder<string, unknown>;
}

const asking = (
  model: ChatModelConnection,
  { request = {}, setup = {}, more = (each) => each }: Setup = {},
): AgentBuilder<string, unknown> =>
  more(
    agent<string, unknown>('asker')
      .resource('chat_model_connection', 'link', model)
      .chatModel('m', { connection: 'link', ...setup })
      .on(
        InputEvent,
        (event, ctx) =>
          void ctx.sendEvent(new ChatRequestEvent({ model: 'm', messages: [{ role: 'user', content: event.input }], ...request })),
      )
      .on(
        ChatResponseEvent,
        (event, ctx) => void ctx.sendEvent(new OutputEvent(event.response.extra_args?.['structured_output'] ?? event.response.content)),
      ),
  );

const typesOf = ({ events }: DrivenRun): string[] => events.map(({ type }) => type.slice(1).replace('_event', ''));

describe('one request', () => {
  it('is one durable call, answered with the id of the request', async () => {
    const model = new ScriptedModel({ content: 'hello' });
    const { run, journal } = await drive(asking(model));
    const done = await run('hi');
    expect(done.outputs).toEqual(['hello']);
    expect(typesOf(done)).toEqual(['chat_request', 'chat_response', 'output']);
    expect(done.events[1]?.attributes).toEqual({
      request_id: done.events[0]?.id,
      response: { role: 'assistant', content: 'hello' },
      retry_count: 0,
      total_retry_wait_sec: 0,
    });
    expect([...journal.values()].map(({ id }) => id)).toEqual(['chat']);
    expect([...journal.values()][0]?.args).toContain('"content":"hi"');
    expect(model.requests).toEqual([{ messages: [{ role: 'user', content: 'hi' }] }]);
  });

  it('is not sent again when its outcome is journaled', async () => {
    const journal: TestJournal = new Map();
    const first = await (await drive(asking(new ScriptedModel({ content: 'paid' })), { journal })).run('hi');
    const never = new ScriptedModel(new Error('paid twice'));
    const again = await (await drive(asking(never), { journal })).run('hi');
    expect(again.events).toEqual(first.events);
    expect(never.requests).toEqual([]);
  });

  it('tells the connection call, key and idempotency key, and passes model, args and schema on', async () => {
    const model = new ScriptedModel({ content: '{}' });
    const { run } = await drive(
      asking(model, { setup: { model: 'big', args: { temperature: 0 } }, request: { outputSchema: { type: 'object' } } }),
    );
    await run('hi');
    expect(model.options[0]).toMatchObject({
      key: 'k',
      callId: expect.stringMatching(/\.0$/),
      idempotencyKey: expect.stringMatching(/^job\./),
    });
    expect(model.options[0]?.signal.aborted).toBe(false);
    expect(model.requests[0]).toMatchObject({ model: 'big', args: { temperature: 0 }, outputSchema: { type: 'object' } });
  });

  it('puts the formatted prompt first and leaves empty messages out', async () => {
    const model = new ScriptedModel({ content: 'x' });
    const messages = [
      { role: 'user', content: '' },
      { role: 'assistant', content: '' },
      { role: 'user', content: '{who} stays' },
    ] as const;
    const more = (builder: AgentBuilder<string, unknown>): AgentBuilder<string, unknown> =>
      builder.prompt('p', [{ role: 'system', content: 'You are {who}, {n}.' }]);
    const { run } = await drive(asking(model, { setup: { prompt: 'p' }, request: { promptArgs: { who: 'kind', n: 3 }, messages }, more }));
    await run('hi');
    expect(model.requests[0]?.messages).toEqual([
      { role: 'system', content: 'You are kind, 3.' },
      { role: 'assistant', content: '' },
      { role: 'user', content: '{who} stays' },
    ]);
  });

  it('counts tokens when the model says them, of each answer', async () => {
    const facts = { model_name: 'big', promptTokens: 3, completionTokens: 4 };
    const { run, metrics } = await drive(
      asking(new ScriptedModel({ content: 'x', extra_args: facts }, { extra_args: { ...facts, completionTokens: 0 } })),
    );
    await run('a');
    await run('b');
    expect(Object.fromEntries(metrics.values)).toEqual({
      'action=chat_model_action.model=big.promptTokens': 6,
      'action=chat_model_action.model=big.completionTokens': 4,
    });
  });
});

describe('structured output', () => {
  const outputSchema = z.object({ score: z.int().min(1).max(5), reasons: z.array(z.string()).default([]) });

  it.each([
    ['{"score":4}', { score: 4, reasons: [] }, '{"score":4}'],
    ['```json\n{"score":4,"reasons":["x"]}\n```', { score: 4, reasons: ['x'] }, '{"score":4,"reasons":["x"]}'],
    ['  ```\n{"score":1}```  ', { score: 1, reasons: [] }, '{"score":1}'],
    ['Here it is:\n```json\n{"score":2}\n```\nAnything else?', { score: 2, reasons: [] }, '{"score":2}'],
    ['```\n{"score":2}\n```\nno, rather\n```\n{"score":3}\n```', { score: 3, reasons: [] }, '{"score":3}'],
    ['<think>```json\n{"score":1}\n```</think>{"score":4}', { score: 4, reasons: [] }, '{"score":4}'],
    ['{"score":4} (not {"score":9})', { score: 4, reasons: [] }, '{"score":4}'],
    ['So: ```json\n{"score":2,"reasons":["use ```x```"]}\n``` done', { score: 2, reasons: ['use ```x```'] }, '{"score":2,"reasons":["use ```x```"]}'],
    ['{"score":2,"reasons":["```no``` fence"]}', { score: 2, reasons: ['```no``` fence'] }, '{"score":2,"reasons":["```no``` fence"]}'],
    ['```json\n{"score":5}', { score: 5, reasons: [] }, '{"score":5}'],
  ])('reads %j', async (content, expected, json) => {
    const { run } = await drive(asking(new ScriptedModel({ content }), { request: { outputSchema } }));
    const done = await run('hi');
    expect(done.outputs).toEqual([expected]);
    expect(done.events[1]?.attributes['response']).toMatchObject({ content: json });
  });

  it('sends a schema without other keys, and its note to nobody', async () => {
    const model = new ScriptedModel({ content: '{"score":4}' });
    await (await drive(asking(model, { request: { outputSchema } }))).run('hi');
    expect(model.requests[0]?.outputSchema).toMatchObject({ type: 'object', additionalProperties: false });
    expect(JSON.stringify(model.requests[0])).not.toContain('$comment');
  });

  it.each([
    ['not json', /does not fit.*not JSON/],
    ['{"score":9}', /does not fit.*score/s],
    ['', /does not fit.*empty/],
    ['[]', /does not fit/],
  ])('refuses %j', async (content, words) => {
    const { run } = await drive(asking(new ScriptedModel({ content }), { request: { outputSchema } }));
    await expect(run('hi')).rejects.toMatchObject({
      code: 'ACTION_FAILED',
      retryable: false, // the answer is journaled
      cause: { code: 'MODEL_RESPONSE', message: expect.stringMatching(words) },
    });
  });

  it('asks again for an answer that does not fit', async () => {
    const model = new ScriptedModel({ content: 'Sorry' }, { content: '{"score":2}' });
    const { run, journal } = await drive(asking(model, { request: { outputSchema }, more: (each) => each.onError('retry') }));
    const done = await run('hi');
    expect(done.outputs).toEqual([{ score: 2, reasons: [] }]);
    expect(done.events[1]?.attributes).toMatchObject({ retry_count: 1, total_retry_wait_sec: 0 });
    expect(journal.size).toBe(2); // Both answers are paid.
    const [first, second] = model.requests;
    expect(second?.messages.slice(0, -2)).toEqual(first?.messages);
    expect(second?.messages.slice(-2)).toEqual([
      { role: 'assistant', content: 'Sorry' },
      { role: 'user', content: expect.stringMatching(/does not fit.*the answer is not JSON/s) },
    ]);
  });
});

describe('error strategies', () => {
  it('fail: the action fails at the first error', async () => {
    const model = new ScriptedModel(down());
    const { run } = await drive(asking(model));
    await expect(run('hi')).rejects.toMatchObject({ code: 'ACTION_FAILED', cause: { code: 'MODEL_UNAVAILABLE' } });
    expect(model.requests).toHaveLength(1);
  });

  it('retry: tries again and says how often; then fails', async () => {
    const model = new ScriptedModel(down(), down(), { content: 'x' });
    const config = { 'error-handling-strategy': 'RETRY', 'max-retries': 2, 'retry-wait-interval': 3 };
    const { run, metrics } = await drive(asking(model, { more: (each) => each.options({ config }) }));
    const done = await run('hi');
    expect(done.events[1]?.attributes).toMatchObject({ retry_count: 2, total_retry_wait_sec: 9 });
    expect(metrics.values.get('action=chat_model_action.model=link.retryCount')).toBe(2);
    expect(metrics.values.get('action=chat_model_action.model=link.retryWaitSec')).toBe(9);

    const never = new ScriptedModel(down());
    const failing = await drive(asking(never, { more: (each) => each.onError('retry', { maxRetries: 1 }) }));
    await expect(failing.run('hi')).rejects.toMatchObject({ cause: { code: 'MODEL_UNAVAILABLE' } });
    expect(never.requests).toHaveLength(2);
  });

  it('retry: does not repeat what the provider refused for good', async () => {
    const model = new ScriptedModel(new StreamError('MODEL_REQUEST', 'bad key'));
    const { run } = await drive(asking(model, { more: (each) => each.onError('retry') }));
    await expect(run('hi')).rejects.toMatchObject({ cause: { code: 'MODEL_REQUEST' } });
    expect(model.requests).toHaveLength(1);
  });

  it('ignore: the request gets no answer, and the agent and whoever runs the job are told so', async () => {
    const { run, metrics, warnings } = await drive(asking(new ScriptedModel(down()), { more: (each) => each.onError('ignore') }));
    const done = await run('hi');
    expect(typesOf(done)).toEqual(['chat_request', 'chat_error']);
    expect(done.events[1]?.attributes).toEqual({
      request_id: done.events[0]?.id,
      model: 'm',
      problemCategory: 'model_call_failed',
      errorType: 'MODEL_UNAVAILABLE',
      errorMessage: 'down',
      retryable: true,
    });
    await run('again');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/'m' failed.*gets no answer/);
    expect(metrics.values.get('action=chat_model_action.model=link.ignoredErrors')).toBe(2);
  });

  it('ignore: an action may handle the failed request', async () => {
    const model = new ScriptedModel({ content: 'no json' });
    const more = (each: AgentBuilder<string, unknown>): AgentBuilder<string, unknown> =>
      each.onError('ignore').on(ChatErrorEvent, ({ problemCategory, requestId, model: name }, ctx) => ctx.output([problemCategory, requestId, name]));
    const done = await (await drive(asking(model, { request: { outputSchema: z.object({ n: z.number() }) }, more }))).run('hi');
    expect(done.outputs).toEqual([['model_output_parse_error', done.events[0]?.id, 'm']]);
  });

  it('ignore: an error about the job is not the model\'s', async () => {
    const { run } = await drive(asking(new ScriptedModel({}), { request: { model: 'other' }, more: (each) => each.onError('ignore') }));
    await expect(run('hi')).rejects.toMatchObject({ cause: { code: 'RESOURCE_NOT_FOUND' } });
  });

  it('a request that says nothing is refused and not sent', async () => {
    const model = new ScriptedModel({ content: 'x' });
    const { run, journal } = await drive(asking(model, { request: { messages: [{ role: 'user', content: '' }] }, more: (each) => each.onError('retry') }));
    await expect(run('hi')).rejects.toMatchObject({
      retryable: false,
      cause: { code: 'MODEL_REQUEST', message: expect.stringContaining("'m' has neither a prompt nor messages") },
    });
    expect([model.requests, journal.size]).toEqual([[], 0]);
  });

  it('ignore: a job that stops is no failure of the model', async () => {
    const { run } = await drive(
      asking(new ScriptedModel(new StreamError('WORK_ABORTED', 'stop')), { more: (each) => each.onError('ignore') }),
    );
    await expect(run('hi')).rejects.toMatchObject({ code: 'WORK_ABORTED' });
  });

  it('reads the settings by both names and refuses nonsense', () => {
    expect(chatConfigOf({})).toEqual({
      errorHandling: 'fail',
      maxRetries: 3,
      retryWaitMs: 1000,
      maxToolRounds: 10,
      onUnfitAnswer: 'retry',
      onAccessError: 'fail-job',
    });
    expect(chatConfigOf({ 'error-handling-strategy': 'ignore', 'max-retries': 1, 'retry-wait-interval': 2 })).toMatchObject({
      errorHandling: 'ignore',
      maxRetries: 1,
      retryWaitMs: 2000,
    });
    expect(chatConfigOf({ errorHandling: 'retry', 'error-handling-strategy': 'fail', retryWaitInterval: '5s' })).toMatchObject({
      errorHandling: 'retry',
      retryWaitMs: 5000,
    });
    for (const bad of [{ errorHandling: 7 }, { maxRetries: -1 }, { retryWaitInterval: 'soon' }, { 'retry-wait-interval': 'x' }]) {
      expect(() => chatConfigOf(bad)).toThrow(TypeError);
    }
  });
});

describe('tools', () => {
  const parameters = z.object({ n: z.number() });
  const withTools = (builder: AgentBuilder<string, unknown>): AgentBuilder<string, unknown> =>
    builder
      .tool('slow', {
        description: 'slow',
        parameters,
        execute: async ({ n }) => new Promise((resolve) => setImmediate(() => resolve(`slow ${n}`))),
      })
      .tool('fast', { description: 'fast', parameters, execute: ({ n }) => ({ fast: n }) })
      .tool('nothing', { description: 'nothing', parameters, execute: () => undefined })
      .tool('broken', {
        description: 'broken',
        parameters,
        execute: () => {
          throw new Error('the reason');
        },
      });
  const setup = { tools: ['slow', 'fast', 'nothing', 'broken'] };

  it('are described to the model, called in parallel, and answered in the order that was asked for', async () => {
    const model = new ScriptedModel(wants('slow', 'fast', 'nothing'), { content: 'done' });
    const { run, journal } = await drive(asking(model, { setup, more: withTools }));
    const done = await run('hi');
    expect(typesOf(done)).toEqual(['chat_request', 'tool_request', 'tool_response', 'chat_response', 'output']);
    expect(model.requests[0]?.tools?.map(({ name }) => name)).toEqual(setup.tools);
    expect(model.requests[1]?.messages.slice(1)).toEqual([
      expect.objectContaining({ role: 'assistant', tool_calls: expect.anything() }),
      { role: 'tool', content: 'slow 0', extra_args: { externalId: 'c0' } },
      { role: 'tool', content: '{"fast":1}', extra_args: { externalId: 'c1' } },
      { role: 'tool', content: '', extra_args: { externalId: 'c2' } },
    ]);
    expect(done.events[2]?.attributes).toEqual({
      request_id: done.events[1]?.id,
      responses: { c0: 'slow 0', c1: { fast: 1 }, c2: null },
      success: { c0: true, c1: true, c2: true },
      error: {},
      external_ids: { c0: 'c0', c1: 'c1', c2: 'c2' },
    });
    expect(done.events[3]?.attributes['request_id']).toBe(done.events[0]?.id);
    expect([...journal].map(([name, { id }]) => `${name.split('.').at(-1)} ${id}`).sort()).toEqual([
      '0 chat',
      '0 chat',
      '0 tool-call',
      '1 tool-call',
      '2 tool-call',
    ]);
  });

  it('pass their time limit and retries on; arguments that do not fit are not tried again', async () => {
    const asked: unknown[] = [];
    let tries = 0;
    const more = (each: AgentBuilder<string, unknown>): AgentBuilder<string, unknown> =>
      each.tool('shaky', {
        description: 'shaky',
        parameters,
        timeout: '2s',
        retry: { attempts: 3 },
        execute: () => {
          tries += 1;
          if (tries < 3) throw new Error('not yet');
          return 'at last';
        },
      });
    const model = new ScriptedModel(wants('shaky'), { tool_calls: [{ id: 'bad', function: { name: 'shaky', arguments: {} } }] }, { content: 'done' });
    const { run } = await drive(asking(model, { setup: { tools: ['shaky'] }, more }), { onCall: (options) => asked.push(options) });
    const done = await run('hi');
    expect(done.events.filter(({ type }) => type === '_tool_response_event').map(({ attributes }) => attributes['success'])).toEqual([
      { c0: true },
      { bad: false },
    ]);
    expect(tries).toBe(3);
    expect(asked).toContainEqual(expect.objectContaining({ timeoutMs: 2000, retry: { attempts: 3 } }));
  });

  it('that fail, do not exist or get wrong arguments never fail the action', async () => {
    const bad = { id: 'c9', function: { name: 'fast', arguments: { n: 'text' } } };
    const calls = [...((wants('broken', 'missing') as ChatMessage).tool_calls ?? []), bad];
    const model = new ScriptedModel({ tool_calls: calls }, { content: 'sorry' });
    const { run } = await drive(asking(model, { setup, more: withTools }));
    const done = await run('hi');
    expect(done.events[2]?.attributes).toMatchObject({
      responses: { c0: 'Tool broken execute failed: the reason', c1: 'Tool missing does not exist.', c9: expect.stringMatching(/^Tool fast execute failed: .*n: .*expected number/) },
      success: { c0: false, c1: false, c9: false },
      error: { c0: 'the reason', c1: 'Tool missing does not exist.', c9: expect.stringContaining('do not fit') },
    });
    expect(model.requests[1]?.messages.at(-3)?.content).toBe('Tool broken execute failed: the reason'); // No stack.
  });

  it('keep calls apart whose ids are missing or the same', async () => {
    const same = (id: string) => ({ id, function: { name: 'fast', arguments: { n: 1 } } });
    const model = new ScriptedModel({ tool_calls: [same('x'), same('x'), same('')] }, { content: 'done' });
    const { run } = await drive(asking(model, { setup, more: withTools }));
    const done = await run('hi');
    expect(Object.keys(done.events[2]?.attributes['responses'] as object)).toHaveLength(3);
    expect(model.requests[1]?.messages.filter(({ role }) => role === 'tool')).toHaveLength(3);
  });

  it.each(['__proto__', 'constructor', 'toString', 'call_1_0', ''])('bring results back whatever a call is named: %j', async (id) => {
    const called = (each: string) => ({ id: each, function: { name: 'fast', arguments: { n: 1 } } });
    const model = new ScriptedModel({ tool_calls: [called('call_1_0'), called(id), called(id)] }, { content: 'done' });
    const { run } = await drive(asking(model, { setup, more: withTools }));
    await run('hi');
    const asked = model.requests[1]?.messages ?? [];
    const ids = asked.find(({ role }) => role === 'assistant')?.tool_calls?.map((call) => call.id) ?? [];
    expect(new Set(ids).size).toBe(3);
    const results = asked.filter(({ role }) => role === 'tool');
    expect(results.map(({ extra_args: extra }) => extra?.['externalId'])).toEqual(ids);
    expect(new Set(results.map(({ content }) => content)).size).toBe(1);
    expect(results[0]?.content).not.toBe('');
  });

  it('loop until the model answers, with prompt arguments, schema and retries kept, and leave no history behind', async () => {
    const model = new ScriptedModel(wants('fast'), down(), wants('fast'), down(), { content: '{"n":1}' });
    const more = (each: AgentBuilder<string, unknown>): AgentBuilder<string, unknown> =>
      withTools(each)
        .prompt('p', 'Task {t}')
        .onError('retry', { retryWaitInterval: '2s' })
        .on(OutputEvent, 'look', () => {})
        .on(ChatResponseEvent, 'check', (_event, ctx) => {
          ctx.shortTermMemory.set(
            'left',
            ctx.sensoryMemory.getFieldNames().map((name) => ctx.sensoryMemory.get(name)),
          );
        });
    const { run } = await drive(
      asking(model, {
        setup: { ...setup, prompt: 'p' },
        request: { promptArgs: { t: 7 }, outputSchema: z.object({ n: z.number() }) },
        more,
      }),
    );
    const done = await run('hi');
    expect(done.outputs).toEqual([{ n: 1 }]);
    expect(model.requests.every(({ messages }) => messages[0]?.content === 'Task 7')).toBe(true);
    expect(model.requests.at(-1)?.messages.map(({ role }) => role)).toEqual(['user', 'user', 'assistant', 'tool', 'assistant', 'tool']);
    expect(done.events.find(({ type }) => type === '_chat_response_event')?.attributes).toMatchObject({
      retry_count: 2,
      total_retry_wait_sec: 4,
    });
    expect(done.shortTerm.get('left')).toEqual([{}, {}]);
  });

  it('are bounded in rounds', async () => {
    const model = new ScriptedModel(wants('fast'));
    const { run } = await drive(asking(model, { setup, more: (each) => withTools(each).options({ maxToolRounds: 3 }) }));
    await expect(run('hi')).rejects.toMatchObject({
      code: 'ACTION_FAILED',
      retryable: false,
      message: expect.stringContaining('more than 3 rounds'),
    });
    expect(model.requests).toHaveLength(4);
  });

  it('answer a request of some other action without asking a model', async () => {
    const { ToolRequestEvent, ToolResponseEvent } = await import('../../../lib/agents/tool-events.ts');
    const model = new ScriptedModel({ content: 'never' });
    const builder = withTools(agent<string, unknown>('direct'))
      .on(
        InputEvent,
        (_event, ctx) =>
          void ctx.sendEvent(
            new ToolRequestEvent({ model: '', toolCalls: [{ id: 'a', function: { name: 'fast', arguments: { n: 5 } } }] }),
          ),
      )
      .on(ToolResponseEvent, (event, ctx) => void ctx.sendEvent(new OutputEvent(event.responses['a'])));
    const { run } = await drive(builder);
    expect((await run('hi')).outputs).toEqual([{ fast: 5 }]);
    expect(model.requests).toEqual([]);
  });
});
