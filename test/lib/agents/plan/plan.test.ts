import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { agent, type AgentBuilder } from '../../../../lib/agents/definition/agent.ts';
import { ChatResponseEvent } from '../../../../lib/agents/events/chat-events.ts';
import { Event, InputEvent, OutputEvent } from '../../../../lib/agents/events/event.ts';
import { Action, Tool } from '../../../../lib/agents/definition/decorators.ts';
import { AgentPlan } from '../../../../lib/agents/plan/plan.ts';

const nothing = (): void => {};
const simple = (): AgentBuilder<number, number> => agent<number, number>('a').on(InputEvent, 'first', nothing);
const compile = (builder: AgentBuilder<number, number>): AgentPlan => AgentPlan.compile(builder).plan;

const refused = (fn: () => unknown): { code: string; message: string; details: Record<string, unknown> } => {
  try {
    fn();
  } catch (error) {
    return error as { code: string; message: string; details: Record<string, unknown> };
  }
  throw new Error('nothing was refused');
};

describe('routing', () => {
  class Paid extends Event {
    static override readonly type = 'paid';
  }

  it('puts the built-in actions first and keeps the order of the rest', () => {
    const plan = compile(simple().on('x', 'second', nothing));
    expect([...plan.actions.keys()]).toEqual(['chat_model_action', 'tool_call_action', 'first', 'second']);
  });

  it('selects by exact type, each action once, in plan order', () => {
    const plan = compile(
      simple().on(['order-created', Paid], 'second', nothing).on([Paid, 'paid', "'paid'"], 'third', nothing),
    );
    const names = (type: string): string[] => plan.actionsFor({ type }).map(({ name }) => name);
    expect(names('paid')).toEqual(['second', 'third']);
    expect(names('order-created')).toEqual(['second']);
    expect(names('_input_event')).toEqual(['first']);
    expect(names('_chat_response_event')).toEqual([]);
    expect(names('_tool_response_event')).toEqual(['chat_model_action']);
    expect(names('toString')).toEqual([]);
  });

  it('takes the kind from the function or the option', () => {
    const plan = compile(
      simple()
        .on('x', 'a', async () => {})
        .on('x', 'b', () => Promise.resolve(), { async: true })
        .on('x', 'c', async () => {}, { async: false }),
    );
    expect([...plan.actions.values()].map(({ kind }) => kind)).toEqual([
      'async',
      'async',
      'sync',
      'async',
      'async',
      'sync',
    ]);
  });

  it('names actions after their triggers, never after what their function is called', () => {
    const plan = compile(
      agent<number, number>('a')
        .on(InputEvent, () => {})
        .on(InputEvent, () => {})
        .on('x', function handle() {})
        .on(['y', ChatResponseEvent], nothing),
    );
    expect([...plan.actions.keys()].slice(2)).toEqual([
      'on_input_event',
      'on_input_event_2',
      'on_x',
      'on_y_and_chat_response_event',
    ]);
  });
});

describe('JSON', () => {
  const plannedX = { name: 'x', exec: { func_type: 'TypeScriptFunction', qualname: 'a.x' }, trigger_conditions: ['e'] };
  const full = simple()
    .on(['x', "'true'"], 'second', async () => {}, { config: { top: 3 } })
    .chatModel('m', { connection: 'c', prompt: 'p', tools: ['t'] })
    .prompt('p', 'say {it}')
    .tool('t', { description: 'does', parameters: z.object({ n: z.number() }), execute: nothing })
    .onError('retry', { maxRetries: 2, retryWaitInterval: '2s' })
    .options({ version: '7' });

  it('has the form of Flink Agents', () => {
    const json = JSON.parse(JSON.stringify(compile(full)));
    expect(json).toMatchObject({
      agent_name: 'a',
      actions: {
        chat_model_action: {
          name: 'chat_model_action',
          trigger_conditions: ['_chat_request_event', '_tool_response_event'],
          config: null,
        },
        tool_call_action: { trigger_conditions: ['_tool_request_event'] },
        second: {
          exec: { func_type: 'TypeScriptFunction', qualname: 'a.second', async: true },
          trigger_conditions: ['x', "'true'"],
          config: { top: 3 },
        },
      },
      resource_providers: {
        chat_model: { m: { connection: 'c', prompt: 'p', tools: ['t'] } },
        prompt: { p: { text: 'say {it}' } },
        tool: { t: { name: 't', description: 'does', inputSchema: { type: 'object', required: ['n'] } } },
      },
      config: { conf_data: { errorHandling: 'retry', maxRetries: 2, retryWaitInterval: '2s' } },
      version: '7',
    });
  });

  it('comes back as the same plan', () => {
    const plan = compile(full);
    const back = AgentPlan.fromJSON(JSON.parse(JSON.stringify(plan)));
    expect(back.hash).toBe(plan.hash);
    expect(back.toJSON()).toEqual(plan.toJSON());
    expect(back.actionsFor({ type: 'true' }).map(({ name }) => name)).toEqual(['second']);
  });

  it.each([
    [{}, 'actions: '],
    [null, 'expected object'],
    [{ agent_name: 'a', actions: { x: 7 } }, 'actions.x: '],
    [
      { agent_name: 'a', actions: { x: { ...plannedX, exec: { func_type: 'Nothing', qualname: 'y' } } } },
      'actions.x.exec.func_type: ',
    ],
    [{ agent_name: 'a', actions: { x: { ...plannedX, exec: undefined } } }, 'actions.x.exec: '],
    [{ agent_name: 'a', actions: { x: { ...plannedX, config: 'text' } } }, 'actions.x.config: '],
    [{ agent_name: 'a', actions: { y: plannedX } }, 'actions.y.name: '],
    [{ agent_name: 'a', actions: [] }, 'actions: '],
    [{ agent_name: 7, actions: { x: plannedX } }, 'agent_name: '],
    [{ agent_name: 'a', actions: { x: plannedX }, resource_providers: { tool: 1 } }, 'resource_providers.tool: '],
    [{ agent_name: 'a', actions: { x: plannedX }, config: { conf_data: { 'max-retries': -1 } } }, 'maxRetries'],
    [{ agent_name: 'a', actions: { x: { ...plannedX, listen_event_types: ['y'] } } }, 'trigger_conditions'],
    [{ agent_name: 'a', actions: { x: { ...plannedX, trigger_conditions: [] } } }, 'trigger_conditions'],
    [{ agent_name: 'a', actions: { x: { ...plannedX, trigger_conditions: ['a == 1'] } } }, 'conditions come later'],
  ])('refuses %j', (json, words) => {
    expect(refused(() => AgentPlan.fromJSON(json))).toMatchObject({
      code: 'AGENT_INVALID',
      message: expect.stringContaining(words),
    });
  });
});

describe('hash', () => {
  it('is that of the plan, not of the functions and prompts', () => {
    const base = compile(simple()).hash;
    expect(compile(agent<number, number>('a').on(InputEvent, 'first', () => undefined)).hash).toBe(base);
    expect(compile(simple().prompt('p', 'x')).hash).toBe(base);
    const others = [
      agent<number, number>('a').on(InputEvent, 'other', nothing),
      agent<number, number>('a').on([InputEvent, 'x'], 'first', nothing),
      agent<number, number>('a').on(InputEvent, 'first', nothing, { async: true }),
      agent<number, number>('a').on(InputEvent, 'first', nothing, { config: { n: 1 } }),
      simple().options({ version: '2' }),
      simple().onError('ignore'),
      simple().on('x', 'more', nothing),
    ].map((builder) => compile(builder).hash);
    expect(new Set([base, ...others]).size).toBe(8);
  });

  it('does not depend on the order of settings', () => {
    const one = simple().options({ config: { a: 1, b: 2 } });
    const two = simple().options({ config: { b: 2, a: 1 } });
    expect(compile(one).hash).toBe(compile(two).hash);
  });
});

describe('refusals name agent, action, rule and value', () => {
  it.each([
    ['amount > 3', 'conditions come later'],
    ['EventType.InputEvent', 'conditions come later'],
    ['true', 'conditions come later'],
    ['order created', 'conditions come later'],
    ['', 'event type'],
    [undefined, 'event type'],
  ])('trigger %j', (trigger, words) => {
    const error = refused(() => compile(simple().on(trigger as string, 'bad', nothing)));
    expect(error.code).toBe('AGENT_INVALID');
    expect(error.message).toContain(words);
    expect(error.details).toMatchObject({ agent: 'a', action: 'bad', value: String(trigger) });
  });

  it('no trigger, no handler, a second of one name, a built-in name', () => {
    expect(refused(() => compile(simple().on([], 'bad', nothing))).message).toContain('at least one trigger');
    expect(refused(() => compile(simple().on('x', 'bad', undefined as never))).message).toContain('handler');
    expect(refused(() => simple().on('x', 'first', nothing)).message).toContain('different names');
    expect(refused(() => compile(simple().on('x', 'chat_model_action', nothing))).message).toContain('built-in names');
    expect(refused(() => simple().prompt('p', 'x').prompt('p', 'y')).message).toContain('different names');
    expect(refused(() => agent('')).message).toContain('needs a name');
  });

  it('an agent that no input can start', () => {
    expect(refused(() => compile(agent<number, number>('a').on('x', 'first', nothing)))).toMatchObject({
      code: 'AGENT_INVALID',
      message: expect.stringContaining("agent 'a': an agent needs an action for InputEvent"),
    });
    expect(compile(agent<number, number>('a').on('_input_event', 'first', nothing)).actions.has('first')).toBe(true);
  });

  it('two classes of events for one type', () => {
    class One extends Event {
      static override readonly type = 'same';
    }
    class Two extends Event {
      static override readonly type = 'same';
    }
    expect(
      refused(() =>
        compile(
          simple()
            .on(One, 'one', nothing)
            .options({ events: [Two] }),
        ),
      ).message,
    ).toContain("type 'same' are of one class");
    const { eventClasses } = AgentPlan.compile(
      simple()
        .on('same', 'one', nothing)
        .options({ events: [Two] }),
    );
    expect(eventClasses.get('same')).toBe(Two);
    expect(refused(() => compile(simple().options({ events: [class extends Event {}] }))).message).toContain(
      'static `type`',
    );
  });

  it.each([
    ['setup', () => simple().chatModel('m', { connection: 'c', promt: 'p' } as never), /`chatModel`.*`promt`/],
    ['connection', () => simple().chatModel('m', {} as never), /`connection`/],
    ['tools', () => simple().chatModel('m', { connection: 'c', tools: 'search' as never }), /`tools`/],
    ['timeout', () => simple().chatModel('m', { connection: 'c', timeout: 'soon' as never }), /`timeout`/],
    [
      'messages in args',
      () => simple().chatModel('m', { connection: 'c', args: { messages: [] } }),
      /`args.messages`.*left out/,
    ],
    [
      'concurrency',
      () => simple().chatModel('m', { connection: 'c', concurrency: 0 }),
      /`concurrency` to be an integer from 1 up, got `0`/,
    ],
    ['action', () => simple().on('x', 'more', nothing, { asinc: true } as never), /`on`.*`asinc`/],
    ['async', () => simple().on('x', 'more', nothing, { async: 'yes' as never }), /`async`/],
    ['agent', () => simple().options({ maxRetires: 3 } as never), /`agent`.*`maxRetires`/],
    ['events', () => simple().options({ events: ['paid'] as never }), /`events`/],
    ['onError', () => simple().onError('retry', { attempts: 3 } as never), /`onError`.*`attempts`/],
    [
      'tool',
      () => simple().tool('t', { description: 'd', parameters: {}, execute: nothing, timeOut: '1s' } as never),
      /`tool`.*`timeOut`/,
    ],
    [
      'tool timeout',
      () => simple().tool('t', { description: 'd', parameters: {}, execute: nothing, timeout: 0 }),
      /`timeout`/,
    ],
    [
      'tool retry',
      () => simple().tool('t', { description: 'd', parameters: {}, execute: nothing, retry: { attempts: 0 } }),
      /`retry.attempts`/,
    ],
    ['tool parameters', () => simple().tool('t', { description: 'd', execute: nothing } as never), /`parameters`/],
    ['@Action', () => Action(InputEvent, { asynch: true } as never), /`Action`.*`asynch`/],
    ['@Tool', () => Tool({ description: 'd', parameters: {}, retries: 3 } as never), /`tool`.*`retries`/],
  ])('an option that does not exist or has a wrong value: %s', (_what, attempt, words) => {
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(words);
  });

  it('configuration that is no plain data, and nonsense in the settings', () => {
    expect(refused(() => compile(simple().on('x', 'bad', nothing, { config: { fn: nothing } }))).details).toMatchObject(
      { action: 'bad' },
    );
    expect(refused(() => compile(simple().onError('panic' as never))).message).toContain('errorHandling');
    expect(refused(() => compile(simple().options({ maxToolRounds: -1 }))).message).toContain('maxToolRounds');
    expect(refused(() => compile(simple().options({ config: { 'max-retries': 'x' } }))).message).toContain(
      'maxRetries',
    );
  });
});

// Types infer from the triggers; this must compile.
agent<{ n: number }, number>('typed')
  .on(InputEvent, (event, ctx) => ctx.sendEvent(new OutputEvent(event.input.n)))
  .chatModel('m', { connection: 'c', outputSchema: z.object({ score: z.number() }) })
  .on(ChatResponseEvent, (event) => void event.output.score)
  .on('plain', (event) => void event.attributes)
  .tool('t', { description: 'd', parameters: z.object({ id: z.string() }), execute: ({ id }) => id.length });
