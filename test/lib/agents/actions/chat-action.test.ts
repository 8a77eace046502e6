/** The chat action: a request and its answer, structured output, and what is done about errors. */
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { StreamError } from '../../../../lib/core/errors.ts';
import type { AgentBuilder } from '../../../../lib/agents/definition/agent.ts';
import { chatConfigOf } from '../../../../lib/agents/actions/chat-config.ts';
import { ChatErrorEvent } from '../../../../lib/agents/events/chat-events.ts';
import { drive, type TestJournal } from '../drive.ts';
import { ScriptedModel, down, asking, typesOf } from '../chat-fixture.ts';

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
      asking(model, {
        setup: { model: 'big', args: { temperature: 0 } },
        request: { outputSchema: { type: 'object' } },
      }),
    );
    await run('hi');
    expect(model.options[0]).toMatchObject({
      key: 'k',
      callId: expect.stringMatching(/\.0$/),
      idempotencyKey: expect.stringMatching(/^job\./),
    });
    expect(model.options[0]?.signal.aborted).toBe(false);
    expect(model.requests[0]).toMatchObject({
      model: 'big',
      args: { temperature: 0 },
      outputSchema: { type: 'object' },
    });
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
    const { run } = await drive(
      asking(model, { setup: { prompt: 'p' }, request: { promptArgs: { who: 'kind', n: 3 }, messages }, more }),
    );
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
    [
      'So: ```json\n{"score":2,"reasons":["use ```x```"]}\n``` done',
      { score: 2, reasons: ['use ```x```'] },
      '{"score":2,"reasons":["use ```x```"]}',
    ],
    [
      '{"score":2,"reasons":["```no``` fence"]}',
      { score: 2, reasons: ['```no``` fence'] },
      '{"score":2,"reasons":["```no``` fence"]}',
    ],
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
    const { run, journal } = await drive(
      asking(model, { request: { outputSchema }, more: (each) => each.onError('retry') }),
    );
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
    const { run, metrics, warnings } = await drive(
      asking(new ScriptedModel(down()), { more: (each) => each.onError('ignore') }),
    );
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
      each
        .onError('ignore')
        .on(ChatErrorEvent, ({ problemCategory, requestId, model: name }, ctx) =>
          ctx.output([problemCategory, requestId, name]),
        );
    const done = await (
      await drive(asking(model, { request: { outputSchema: z.object({ n: z.number() }) }, more }))
    ).run('hi');
    expect(done.outputs).toEqual([['model_output_parse_error', done.events[0]?.id, 'm']]);
  });

  it("ignore: an error about the job is not the model's", async () => {
    const { run } = await drive(
      asking(new ScriptedModel({}), { request: { model: 'other' }, more: (each) => each.onError('ignore') }),
    );
    await expect(run('hi')).rejects.toMatchObject({ cause: { code: 'RESOURCE_NOT_FOUND' } });
  });

  it('a request that says nothing is refused and not sent', async () => {
    const model = new ScriptedModel({ content: 'x' });
    const { run, journal } = await drive(
      asking(model, { request: { messages: [{ role: 'user', content: '' }] }, more: (each) => each.onError('retry') }),
    );
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
    expect(
      chatConfigOf({ 'error-handling-strategy': 'ignore', 'max-retries': 1, 'retry-wait-interval': 2 }),
    ).toMatchObject({
      errorHandling: 'ignore',
      maxRetries: 1,
      retryWaitMs: 2000,
    });
    expect(
      chatConfigOf({ errorHandling: 'retry', 'error-handling-strategy': 'fail', retryWaitInterval: '5s' }),
    ).toMatchObject({
      errorHandling: 'retry',
      retryWaitMs: 5000,
    });
    for (const bad of [
      { errorHandling: 7 },
      { maxRetries: -1 },
      { retryWaitInterval: 'soon' },
      { 'retry-wait-interval': 'x' },
    ]) {
      expect(() => chatConfigOf(bad)).toThrow(TypeError);
    }
  });
});
