import { describe, expect, it } from 'vitest';
import { CallNotExecuted, StreamError } from '../../../lib/core/errors.ts';
import { Event, InputEvent, OutputEvent, stampEvent } from '../../../lib/agents/event.ts';
import { ActionContext, type ActionHost } from '../../../lib/agents/runner-context.ts';
import type { PlannedAction } from '../../../lib/agents/plan.ts';
import { host, TestMetrics, TestWork, type TestJournal } from './drive.ts';

const action: PlannedAction = { name: 'act', kind: 'async', triggers: ['_input_event'], config: { top: 3, gone: null } };
const trigger = stampEvent(new InputEvent('in'), { id: 'e1' });
const contextOf = (over: Partial<ActionHost> = {}): ActionContext => new ActionContext(host({ action, event: trigger, ...over }));
const working = (id = 'w', journal?: TestJournal): { work: TestWork; context: ActionContext } => {
  const work = new TestWork(id, journal);
  return { work, context: contextOf({ work }) };
};

describe('sendEvent', () => {
  it('buffers plain data with derived ids and lineage, identical siblings apart', () => {
    const context = contextOf({ timestamp: 77 });
    const sent = context.sendEvent(new OutputEvent({ n: 1 }));
    context.sendEvent(new OutputEvent({ n: 1 }));
    expect(sent).toBeInstanceOf(OutputEvent);
    const { events } = context.result();
    expect(events).toEqual([
      {
        id: sent.id,
        type: '_output_event',
        attributes: { output: { n: 1 } },
        upstreamEventId: 'e1',
        upstreamActionName: 'act',
        sourceTimestamp: 77,
      },
      expect.objectContaining({ type: '_output_event', attributes: { output: { n: 1 } } }),
    ]);
    expect(events[0]?.id).not.toBe(events[1]?.id);
    const again = contextOf({ timestamp: 77 });
    again.sendEvent(new OutputEvent({ n: 1 }));
    expect(again.result().events[0]).toEqual(events[0]);
  });

  it('has no timestamp when the input has none', () => {
    const context = contextOf();
    context.sendEvent(new Event('x'));
    expect(context.result().events[0]).not.toHaveProperty('sourceTimestamp');
    expect(context.timestamp).toBeUndefined();
  });

  it('keeps what was sent, whatever becomes of the object', () => {
    const context = contextOf();
    const value = { list: [1] };
    context.sendEvent(new OutputEvent(value));
    value.list.push(2);
    expect(context.result().events[0]?.attributes).toEqual({ output: { list: [1] } });
  });

  it('refuses at once what is not serialisable, not an event, or the triggering event', () => {
    const context = contextOf();
    expect(() => context.sendEvent(new Event('x', { fn: () => {} }))).toThrow(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
    expect(() => context.sendEvent({ type: 'x', attributes: {} } as never)).toThrow(/`event`/);
    expect(() => context.sendEvent(trigger)).toThrow("action 'act' can not emit its triggering event e1");
    expect(() => context.sendEvent(stampEvent(new Event('other'), { id: 'e1' }))).toThrow(/triggering event/);
    expect(context.result().events).toEqual([]);
  });
});

describe('what an execution is derived from', () => {
  it('gives the same time, numbers and ids again, others to another execution', () => {
    const draw = (over: Partial<ActionHost> = {}): unknown[] => {
      const context = contextOf(over);
      return [context.now(), context.random(), context.random(), context.uuid(), context.uuid()];
    };
    expect(draw()).toEqual(draw());
    const values = [draw(), draw({ id: 'other' }), draw({ jobId: 'j2' })].flatMap((each) => each.slice(1));
    expect(new Set(values).size).toBe(12);
    expect(draw()[3]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const context = contextOf();
    for (let i = 0; i < 200; i += 1) {
      const number = context.random();
      expect(number >= 0 && number < 1).toBe(true);
    }
  });

  it('asks for the time of the turn only when the action does; asynchronous ones have that of their submission', () => {
    let asked = 0;
    const context = contextOf({ now: () => (asked += 1) });
    context.sendEvent(new Event('x'));
    expect(asked).toBe(0);
    expect(context.now()).toBe(1);
    expect(working().context.now()).toBe(1_000);
  });
});

describe('memory and the rest', () => {
  it('sees the snapshot and hands over what was written', () => {
    const context = contextOf({
      shortTermMemory: { base: new Map([['a', 1]]), changes: [{ path: 'a', value: 2 }] },
      sensoryMemory: { base: new Map(), changes: [{ path: 's', value: 1 }] },
    });
    expect([context.shortTermMemory.get('a'), context.getSensoryMemory().get('s'), context.shortTermMemory.get('s')]).toEqual([
      2,
      1,
      undefined,
    ]);
    context.getShortTermMemory().set('b', 1);
    context.sensoryMemory.delete('s');
    expect(context.result()).toEqual({
      events: [],
      shortTermChanges: [{ path: 'b', value: 1 }],
      sensoryChanges: [{ path: 's', deleted: true }],
    });
  });

  it('gives configuration, metrics and resources', () => {
    const metrics = new TestMetrics();
    const resources = { get: (type: string, name: string) => `${type}/${name}` };
    const context = contextOf({ metrics, resources });
    context.actionMetricGroup.getCounter('n').inc(2);
    context.agentMetricGroup.getCounter('n').inc();
    expect(Object.fromEntries(metrics.values)).toEqual({ 'action=act.n': 2, n: 1 });
    expect([context.getActionConfigValue('top'), context.getActionConfigValue('gone'), context.getActionConfigValue('toString')]).toEqual([
      3,
      null,
      undefined,
    ]);
    expect(context.getResource('m', 'chat_model')).toBe('chat_model/m');
  });

  it('refuses every use after the action has ended', () => {
    const { context } = working();
    const memory = context.shortTermMemory;
    context.result();
    for (const use of [
      () => context.sendEvent(new Event('x')),
      () => context.shortTermMemory,
      () => memory.set('a', 1),
      () => memory.get('a'),
      () => context.getResource('m', 'tool'),
      () => context.durableExecute('id', () => 1),
      () => context.random(),
      () => context.signal,
    ]) {
      expect(use).toThrow(/after the action had ended/);
    }
  });
});

describe('durableExecute', () => {
  it('runs once and returns the journaled outcome again, undefined, null and errors included', async () => {
    const journal: TestJournal = new Map();
    let runs = 0;
    const body = async (context: ActionContext): Promise<unknown[]> => {
      const ran =
        <T>(value: T) =>
        (): T => {
          runs += 1;
          return value;
        };
      const fails = context.durableExecute('e', () => {
        runs += 1;
        throw new RangeError('no');
      });
      return [
        await context.durableExecute('a', ran(1), { args: { n: 1 } }),
        await context.durableExecuteAsync('b', ran(undefined)),
        await context.durableExecute({ id: 'c', call: ran(null) }),
        await fails.catch((error: unknown) => (error as Error).name),
      ];
    };
    const first = await body(working('w', journal).context);
    expect(first).toEqual([1, undefined, null, 'RangeError']);
    expect(await body(working('w', journal).context)).toEqual(first);
    expect(runs).toBe(4);
    expect([...journal.values()].map(({ id, args }) => [id, args])).toEqual([
      ['e', ''],
      ['a', '{"n":1}'],
      ['b', ''],
      ['c', ''],
    ]);
  });

  it('passes the options on, durations read', async () => {
    const { work, context } = working();
    await context.durableExecute('a', () => 1, { timeout: '30s', retry: { attempts: 5 }, args: [1], reconciler: () => 7 });
    expect(work.asked[0]).toMatchObject({ timeoutMs: 30_000, retry: { attempts: 5 }, args: [1] });
    expect(await work.asked[0]?.reconciler?.({ idempotencyKey: 'k' } as never)).toBe(7);
  });

  it('takes objects with a reconciler, bound to the object', async () => {
    const { work, context } = working();
    const callable = {
      id: 'charge',
      amount: 3,
      call() {
        return this.amount;
      },
      reconciler() {
        if (this.amount === 3) throw new CallNotExecuted('not yet');
        return 0;
      },
    };
    expect(await context.durableExecute(callable)).toBe(3);
    expect(() => work.asked[0]?.reconciler?.({ idempotencyKey: 'k' } as never)).toThrow(CallNotExecuted);
  });

  it('makes a signal only for a function that takes one', async () => {
    const { work, context } = working();
    await context.durableExecute('a', () => 1);
    expect(work.signalsMade).toBe(0);
    expect(await context.durableExecute('b', (signal, call) => [signal.aborted, call.attempt])).toEqual([false, 1]);
    expect(work.signalsMade).toBe(1);
  });

  it('is refused with advice in a synchronous action', () => {
    for (const use of [(context: ActionContext) => context.durableExecute('a', () => 1), (context: ActionContext) => context.signal]) {
      let error: unknown;
      try {
        use(contextOf());
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(StreamError);
      expect(error).toMatchObject({
        code: 'ASYNC_IN_TURN',
        message: expect.stringContaining("'act'"),
        hint: expect.stringContaining('async'),
      });
    }
  });

  it('refuses a call without id or function', () => {
    const { context } = working();
    expect(() => context.durableExecute('', () => 1)).toThrow(/`id`/);
    expect(() => context.durableExecute('a', undefined as never)).toThrow(/`fn`/);
    expect(() => context.durableExecute('a', () => 1, { timeout: 'soon' as never })).toThrow(/`timeout`/);
  });
});

describe('idempotencyKey', () => {
  it('is that of the call in hand, and differs between calls', async () => {
    const { context } = working();
    const both = await Promise.all([
      context.durableExecute('a', () => context.idempotencyKey),
      context.durableExecute('b', () => context.idempotencyKey),
    ]);
    expect(both).toEqual(['job.w.0', 'job.w.1']);
  });

  it('may be read after an await while no other call is open', async () => {
    const { context } = working();
    const key = await context.durableExecute('a', async () => {
      await Promise.resolve();
      return context.idempotencyKey;
    });
    expect(key).toBe('job.w.0');
    expect(() => context.idempotencyKey).toThrow(/no durable call is open/);
  });

  it('is refused where it could be that of another call', async () => {
    const { context } = working();
    const late = async (): Promise<string> => {
      await new Promise((resolve) => setImmediate(resolve));
      return context.idempotencyKey;
    };
    const outcomes = await Promise.allSettled([context.durableExecute('a', late), context.durableExecute('b', late)]);
    expect(outcomes[0]).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('second parameter') } });
    expect(await context.durableExecute('c', (_signal, call) => call.idempotencyKey)).toBe('job.w.2');
  });
});
