/** The chat action and tools: rounds, what goes back to the model, and requests for tools by other actions. */
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { ChatMessage } from '../../../../lib/core/model.ts';
import { agent, type AgentBuilder } from '../../../../lib/agents/definition/agent.ts';
import { ChatResponseEvent } from '../../../../lib/agents/events/chat-events.ts';
import { InputEvent, OutputEvent } from '../../../../lib/agents/events/event.ts';
import { drive } from '../drive.ts';
import { ScriptedModel, wants, down, asking, typesOf } from '../chat-fixture.ts';

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
    const model = new ScriptedModel(
      wants('shaky'),
      { tool_calls: [{ id: 'bad', function: { name: 'shaky', arguments: {} } }] },
      { content: 'done' },
    );
    const { run } = await drive(asking(model, { setup: { tools: ['shaky'] }, more }), {
      onCall: (options) => asked.push(options),
    });
    const done = await run('hi');
    expect(
      done.events.filter(({ type }) => type === '_tool_response_event').map(({ attributes }) => attributes['success']),
    ).toEqual([{ c0: true }, { bad: false }]);
    expect(tries).toBe(3);
    expect(asked).toContainEqual(expect.objectContaining({ timeout: 2000, retry: { attempts: 3 } }));
  });

  it('that fail, do not exist or get wrong arguments never fail the action', async () => {
    const bad = { id: 'c9', function: { name: 'fast', arguments: { n: 'text' } } };
    const calls = [...((wants('broken', 'missing') as ChatMessage).tool_calls ?? []), bad];
    const model = new ScriptedModel({ tool_calls: calls }, { content: 'sorry' });
    const { run } = await drive(asking(model, { setup, more: withTools }));
    const done = await run('hi');
    expect(done.events[2]?.attributes).toMatchObject({
      responses: {
        c0: 'Tool broken execute failed: the reason',
        c1: 'Tool missing does not exist.',
        c9: expect.stringMatching(/^Tool fast execute failed: .*n: .*expected number/),
      },
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

  it.each(['__proto__', 'constructor', 'toString', 'call_1_0', ''])(
    'bring results back whatever a call is named: %j',
    async (id) => {
      const called = (each: string) => ({ id: each, function: { name: 'fast', arguments: { n: 1 } } });
      const model = new ScriptedModel(
        { tool_calls: [called('call_1_0'), called(id), called(id)] },
        { content: 'done' },
      );
      const { run } = await drive(asking(model, { setup, more: withTools }));
      await run('hi');
      const asked = model.requests[1]?.messages ?? [];
      const ids = asked.find(({ role }) => role === 'assistant')?.tool_calls?.map((call) => call.id) ?? [];
      expect(new Set(ids).size).toBe(3);
      const results = asked.filter(({ role }) => role === 'tool');
      expect(results.map(({ extra_args: extra }) => extra?.['externalId'])).toEqual(ids);
      expect(new Set(results.map(({ content }) => content)).size).toBe(1);
      expect(results[0]?.content).not.toBe('');
    },
  );

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
    expect(model.requests.at(-1)?.messages.map(({ role }) => role)).toEqual([
      'user',
      'user',
      'assistant',
      'tool',
      'assistant',
      'tool',
    ]);
    expect(done.events.find(({ type }) => type === '_chat_response_event')?.attributes).toMatchObject({
      retry_count: 2,
      total_retry_wait_sec: 4,
    });
    expect(done.shortTerm.get('left')).toEqual([{}, {}]);
  });

  it('are bounded in rounds', async () => {
    const model = new ScriptedModel(wants('fast'));
    const { run } = await drive(
      asking(model, { setup, more: (each) => withTools(each).options({ maxToolRounds: 3 }) }),
    );
    await expect(run('hi')).rejects.toMatchObject({
      code: 'ACTION_FAILED',
      retryable: false,
      message: expect.stringContaining('more than 3 rounds'),
    });
    expect(model.requests).toHaveLength(4);
  });

  it('answer a request of some other action without asking a model', async () => {
    const { ToolRequestEvent, ToolResponseEvent } = await import('../../../../lib/agents/events/tool-events.ts');
    const model = new ScriptedModel({ content: 'never' });
    const builder = withTools(agent<string, unknown>('direct'))
      .on(
        InputEvent,
        (_event, ctx) =>
          void ctx.sendEvent(
            new ToolRequestEvent({
              model: '',
              toolCalls: [{ id: 'a', function: { name: 'fast', arguments: { n: 5 } } }],
            }),
          ),
      )
      .on(ToolResponseEvent, (event, ctx) => void ctx.sendEvent(new OutputEvent(event.responses['a'])));
    const { run } = await drive(builder);
    expect((await run('hi')).outputs).toEqual([{ fast: 5 }]);
    expect(model.requests).toEqual([]);
  });
});
