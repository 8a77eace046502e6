import { describe, expect, it } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { agent, Agent } from '../../../../lib/agents/definition/agent.ts';
import type { ActionHandler, ActionHost, ActionOptions, RunnerContext } from '../../../../lib/agents/contract.ts';
import { Action } from '../../../../lib/agents/definition/decorators.ts';
import { InputEvent, OutputEvent, stampEvent } from '../../../../lib/agents/events/event.ts';
import { AgentPlan, type CompiledAgent } from '../../../../lib/agents/plan/plan.ts';
import { runSyncAction } from '../../../../lib/agents/plan/run-action.ts';
import { Warnings } from '../../../../lib/agents/warnings.ts';
import { drive, host, runAsyncAction, TestMetrics, TestWork } from '../drive.ts';

const compiled = (handler: ActionHandler<InputEvent<number>>, options?: ActionOptions): CompiledAgent =>
  AgentPlan.compile(agent<number, number>('a').on(InputEvent, 'act', handler, options));

const hostOf = ({ plan }: CompiledAgent, work?: TestWork): ActionHost => {
  const action = plan.actions.get('act');
  if (action === undefined) throw new Error('no action');
  return host({ action, event: stampEvent(new InputEvent(1), { id: 'e' }), ...(work === undefined ? {} : { work }) });
};

const errorOf = async (fn: () => unknown): Promise<StreamError> => {
  try {
    await fn();
  } catch (error) {
    return error as StreamError;
  }
  throw new Error('nothing was thrown');
};

describe('synchronous actions', () => {
  it('return what they want to happen', () => {
    const each = compiled((event, ctx) => void ctx.sendEvent(new OutputEvent(event.input + 1)));
    expect(runSyncAction(each, hostOf(each)).events).toMatchObject([{ attributes: { output: 2 } }]);
  });

  it('may not return a promise, whose rejection is then nobody else’s', async () => {
    const each = compiled(() => Promise.reject(new Error('late')));
    expect(await errorOf(() => runSyncAction(each, hostOf(each)))).toMatchObject({
      code: 'ASYNC_IN_TURN',
      hint: expect.stringContaining('async: true'),
    });
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('that throw fail with agent, action and cause', async () => {
    const cause = new Error('broken');
    const each = compiled(() => {
      throw cause;
    });
    const error = await errorOf(() => runSyncAction(each, hostOf(each)));
    expect(error).toMatchObject({
      code: 'ACTION_FAILED',
      message: "action 'act' of agent 'a' failed: broken",
      details: { agent: 'a', action: 'act', key: 'k', eventId: 'e' },
    });
    expect(error.cause).toBe(cause);
  });

  it.each([
    ['a TypeError', new TypeError('x is undefined'), false],
    ['a ReferenceError', new ReferenceError('nope is not defined'), false],
    [
      'what `fetch` rejects with when nobody answers',
      new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }),
      true,
    ],
    ['any other error', new Error('broken'), true],
  ])('that throw %s: whether a retry can help', async (_what, cause, retryable) => {
    const sync = compiled(() => {
      throw cause;
    });
    expect(await errorOf(() => runSyncAction(sync, hostOf(sync)))).toMatchObject({ code: 'ACTION_FAILED', retryable });
    const async = compiled(() => Promise.reject(cause), { async: true });
    expect(await errorOf(() => runAsyncAction(async, hostOf(async, new TestWork('w'))))).toMatchObject({
      code: 'ACTION_FAILED',
      retryable,
    });
  });

  it.each(['STORE_FORMAT', 'STORE_DAMAGED', 'VALUE_DAMAGED', 'STORE_FAILED', 'STATE_INCOMPATIBLE'] as const)(
    'that read what the store refuses with %s are innocent of it',
    async (code) => {
      const cause = new StreamError(code, 'the row can not be read');
      const sync = compiled(() => {
        throw cause;
      });
      expect(await errorOf(() => runSyncAction(sync, hostOf(sync)))).toBe(cause);
      const async = compiled(() => Promise.reject(cause), { async: true });
      expect(await errorOf(() => runAsyncAction(async, hostOf(async, new TestWork('w'))))).toBe(cause);
    },
  );

  it('leave a context that refuses late use, also after a failure', async () => {
    let kept: RunnerContext | undefined;
    const each = compiled((_event, ctx) => {
      kept = ctx;
      throw new Error('broken');
    });
    await errorOf(() => runSyncAction(each, hostOf(each)));
    expect(() => kept?.sendEvent(new OutputEvent(1))).toThrow(/ended/);
  });
});

describe('asynchronous actions', () => {
  it('promise what they want to happen, events sent before an await included', async () => {
    const each = compiled(async (event, ctx) => {
      ctx.sendEvent(new OutputEvent('before'));
      const [two, three] = await Promise.all([
        ctx.durableExecute('a', () => event.input + 1),
        ctx.durableExecute('b', () => event.input + 2),
      ]);
      ctx.sendEvent(new OutputEvent(two + three));
    });
    const { events } = await runAsyncAction(each, hostOf(each, new TestWork('w')));
    expect(events.map(({ attributes }) => attributes['output'])).toEqual(['before', 5]);
  });

  it('that reject fail, and hand on whether a retry can help', async () => {
    const each = compiled(async () => {
      throw new StreamError('MODEL_UNAVAILABLE', 'down');
    });
    expect(await errorOf(() => runAsyncAction(each, hostOf(each, new TestWork('w'))))).toMatchObject({
      code: 'ACTION_FAILED',
      retryable: true,
      cause: { code: 'MODEL_UNAVAILABLE' },
    });
  });

  it('that do not await what they start find the context closed', async () => {
    let late: Promise<unknown> | undefined;
    const each = compiled(async (_event, ctx) => {
      late = new Promise((resolve) => setImmediate(resolve)).then(() => ctx.sendEvent(new OutputEvent(1)));
      late.catch(() => {});
    });
    expect((await runAsyncAction(each, hostOf(each, new TestWork('w')))).events).toEqual([]);
    await expect(late).rejects.toThrow(/ended/);
  });
});

describe('durable calls that nobody awaits', () => {
  const forever = new Promise<never>(() => {});

  it.each([
    ['a call that has ended by then', (ctx: RunnerContext) => void ctx.durableExecute('pay', () => 1)],
    ['a call that runs for ever', (ctx: RunnerContext) => void ctx.durableExecute('pay', () => forever)],
    [
      'a call that fails',
      (ctx: RunnerContext) => void ctx.durableExecute('pay', () => Promise.reject(new Error('no'))),
    ],
    ['a promise that is kept and not looked at', (ctx: RunnerContext) => [ctx.durableExecute('pay', () => 1)]],
  ])('fail their action: %s', async (_what, start) => {
    const each = compiled(async (_event, ctx) => {
      start(ctx);
      await Promise.resolve();
    });
    const error = await errorOf(() => runAsyncAction(each, hostOf(each, new TestWork('w'))));
    expect(error).toMatchObject({
      code: 'ACTION_FAILED',
      message: "action 'act' of agent 'a' ended without awaiting durable call 'pay'",
      hint: expect.stringContaining('await what the action starts'),
      retryable: false,
      details: { calls: ['pay'] },
    });
    await new Promise((resolve) => setImmediate(resolve)); // A rejection that nobody handles would be told now.
  });

  it('fail it again when their outcomes come from the journal', async () => {
    const journal = new Map();
    const each = compiled(async (_event, ctx) => {
      void ctx.durableExecute('pay', () => 1);
      await ctx.durableExecute('ask', () => 2);
    });
    for (let life = 0; life < 2; life += 1) {
      const error = await errorOf(() => runAsyncAction(each, hostOf(each, new TestWork('w', journal))));
      expect(error.message).toContain("'pay'");
    }
    expect(journal.size).toBe(2);
  });

  it('leave the error of an action that fails by itself alone', async () => {
    const each = compiled(async (_event, ctx) => {
      void ctx.durableExecute('pay', () => Promise.reject(new Error('late')));
      throw new RangeError('first');
    });
    expect((await errorOf(() => runAsyncAction(each, hostOf(each, new TestWork('w'))))).message).toContain('first');
    await new Promise((resolve) => setImmediate(resolve));
  });

  it.each([
    ['await', async (call: Promise<number>) => void (await call)],
    ['then', async (call: Promise<number>) => void call.then(() => {})],
    ['catch', async (call: Promise<number>) => void call.catch(() => {})],
    ['finally', async (call: Promise<number>) => void call.finally(() => {})],
    ['all', async (call: Promise<number>) => void (await Promise.all([call]))],
    ['race', async (call: Promise<number>) => void (await Promise.race([call]))],
    ['allSettled', async (call: Promise<number>) => void (await Promise.allSettled([call]))],
    ['return', (call: Promise<number>) => call as unknown as Promise<void>],
    ['resolve', async (call: Promise<number>) => void Promise.resolve(call)],
  ])('are not those that the action looks at by `%s`', async (_how, look) => {
    const each = compiled((_event, ctx) => look(ctx.durableExecute('pay', () => 1)), { async: true });
    expect((await runAsyncAction(each, hostOf(each, new TestWork('w')))).events).toEqual([]);
  });

  it('resume in the order in which other promises do', async () => {
    const order: string[] = [];
    const each = compiled(async (_event, ctx) => {
      const call = ctx.durableExecute('pay', () => 1);
      await call;
      const ticks = async (): Promise<void> => {
        await Promise.resolve();
        order.push('other');
        await Promise.resolve();
        order.push('later');
      };
      const settled = async (): Promise<void> => {
        await call;
        order.push('call');
      };
      await Promise.all([settled(), ticks()]);
    });
    await runAsyncAction(each, hostOf(each, new TestWork('w')));
    expect(order).toEqual(['call', 'other', 'later']);
  });

  it('that lost a race are left behind, with a warning that names them', async () => {
    const [told, metrics] = [[] as (readonly [Readonly<Record<string, unknown>>, string])[], new TestMetrics()];
    const warnings = new Warnings((facts, message) => told.push([facts, message]));
    const each = compiled(async (_event, ctx) => {
      const fast = ctx.durableExecute('fast', () => 1);
      ctx.sendEvent(new OutputEvent(await Promise.race([ctx.durableExecute('slow', () => forever), fast])));
    });
    for (let run = 0; run < 2; run += 1) {
      const { events } = await runAsyncAction(each, { ...hostOf(each, new TestWork('w')), warnings, metrics });
      expect(events.map(({ attributes }) => attributes['output'])).toEqual([1]);
    }
    expect(told).toEqual([
      [
        { agent: 'a', action: 'act', call: 'slow', callId: 'w.1', key: 'k' },
        "action 'act' ended while durable call 'slow' was running; its outcome is lost",
      ],
    ]);
    expect(metrics.values.get('numOfCallsLeftBehind')).toBe(2);
  });
});

describe('the wrong way round', () => {
  it('an action that is no longer there, work without an action, an action without work', async () => {
    const each = compiled(async () => {});
    const gone = { ...hostOf(each), action: { name: 'gone', kind: 'sync', triggers: [], config: {} } as const };
    expect(await errorOf(() => runSyncAction(each, gone))).toMatchObject({ code: 'PLAN_CHANGED' });
    expect(() => runSyncAction(each, hostOf(each, new TestWork('w')))).toThrow(/I13/);
    await expect(runAsyncAction(each, hostOf(each))).rejects.toThrow(/I13/);
  });
});

describe('an agent with a mutable field', () => {
  class Counting extends Agent<number, number> {
    count = 0;
    @Action(InputEvent)
    act(_event: InputEvent<number>): void {
      this.count += 1;
    }
  }

  it('fails with the reason', async () => {
    const { run } = await drive(Counting);
    const error = await errorOf(() => run(1));
    expect(error).toMatchObject({
      code: 'ACTION_FAILED',
      retryable: false,
      hint: expect.stringContaining('many keys'),
    });
  });
});
