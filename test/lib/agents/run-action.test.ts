import { describe, expect, it } from 'vitest';
import { StreamError } from '../../../lib/core/errors.ts';
import { agent, Agent, type ActionHandler, type ActionOptions } from '../../../lib/agents/agent.ts';
import { Action } from '../../../lib/agents/decorators.ts';
import { InputEvent, OutputEvent, stampEvent } from '../../../lib/agents/event.ts';
import { AgentPlan, type CompiledAgent } from '../../../lib/agents/plan.ts';
import { runAsyncAction, runSyncAction } from '../../../lib/agents/run-action.ts';
import type { ActionHost, RunnerContext } from '../../../lib/agents/runner-context.ts';
import { drive, host, TestWork } from './drive.ts';

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

describe('the wrong way round', () => {
  it('an action that is no longer there, work without an action, an action without work', async () => {
    const each = compiled(async () => {});
    const gone = { ...hostOf(each), action: { name: 'gone', kind: 'sync', triggers: [], config: {} } as const };
    expect(await errorOf(() => runSyncAction(each, gone))).toMatchObject({ code: 'PLAN_CHANGED' });
    expect(() => runSyncAction(each, hostOf(each, new TestWork('w')))).toThrow(/I13/);
    expect(() => runAsyncAction(each, hostOf(each))).toThrow(/I13/);
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
    expect(error).toMatchObject({ code: 'ACTION_FAILED', retryable: false, hint: expect.stringContaining('many keys') });
  });
});
