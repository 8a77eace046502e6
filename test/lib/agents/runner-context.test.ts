import { describe, expect, it } from 'vitest';
import type { CallContext } from '../../../lib/core/call.ts';
import { CallNotExecuted, StreamError } from '../../../lib/core/errors.ts';
import { Event, InputEvent, OutputEvent, stampEvent } from '../../../lib/agents/event.ts';
import { ActionContext } from '../../../lib/agents/runner-context.ts';
import type { ActionHost, PlannedAction } from '../../../lib/agents/contract.ts';
import { agent } from '../../../lib/agents/agent.ts';
import { AgentPlan } from '../../../lib/agents/plan.ts';
import { host, TestMetrics, TestWork, type TestJournal } from './drive.ts';

class Paid extends Event {
  static override readonly type: string = 'paid';
  constructor(amount: number) {
    super('paid', { amount });
  }
  get amount(): number {
    return this.attributes['amount'] as number;
  }
}

const action: PlannedAction = { name: 'act', kind: 'async', triggers: ['_input_event'], config: { top: 3, gone: null } };
const trigger = stampEvent(new InputEvent('in'), { id: 'e1' });
const known = AgentPlan.compile(agent<string, unknown>('known').on(InputEvent, 'act', async () => {}).on(Paid, () => {}));
const contextOf = (over: Partial<ActionHost> = {}): ActionContext => new ActionContext(host({ action, event: trigger, ...over }), known);
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

  it('refuses an event with fields of its own, which would be lost', () => {
    class Due extends Event {
      static override readonly type: string = 'due';
      constructor(readonly amount: number) {
        super('due', {});
      }
    }
    const knowing = AgentPlan.compile(agent<string, unknown>('knowing').on(InputEvent, 'act', async () => {}).on(Due, () => {}));
    const context = new ActionContext(host({ action, event: trigger }), knowing);
    expect(() => context.sendEvent(new Due(7))).toThrow(/'due'.*`amount`.*put it into attributes/);
    expect(() => contextOf().sendEvent(Object.assign(new OutputEvent(1), { extra: 1 }))).toThrow(/`extra`/);
    expect(context.result().events).toEqual([]);
  });

  it('gives an event the class that its type has in the agent, and refuses one that the agent does not know', () => {
    class Refund extends Paid {}
    class Other extends Event {
      static override readonly type: string = 'other';
    }
    const context = contextOf();
    expect(context.sendEvent(new Paid(3)).amount).toBe(3);
    expect(context.sendEvent(new Event('paid', { amount: 4 }))).toBeInstanceOf(Paid);
    expect(() => context.sendEvent(new Refund(3))).toThrow(/agent 'known' to know the class `Refund`.*`events`/);
    expect(() => context.sendEvent(new Other('other'))).toThrow(/`Other`/);
    expect(context.sendEvent(new Event('any')).type).toBe('any');
  });

  it('takes outputs by their value', () => {
    const context = contextOf();
    context.output({ n: 1 });
    expect(context.result().events).toMatchObject([{ type: '_output_event', attributes: { output: { n: 1 } } }]);
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
    expect(context.getResource('chat_model', 'm')).toBe('chat_model/m');
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
      () => context.getResource('tool', 'm'),
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

  it('makes a signal only for a function that can see one', async () => {
    const { work, context } = working();
    await context.durableExecute('a', () => 1);
    await context.durableExecute('a', async () => 1);
    expect(work.signalsMade).toBe(0);
    expect(await context.durableExecute('b', (signal, call) => [signal.aborted, call.attempt])).toEqual([false, 1]);
    expect(work.signalsMade).toBe(1);
  });

  it('gives signal and call to every function that can see them, however it is written', async () => {
    const { context } = working();
    type Seen = readonly [aborted: boolean | undefined, attempt: number | undefined];
    const functions: readonly ((signal: AbortSignal, call: CallContext) => Seen)[] = [
      (...[signal, call]) => [signal.aborted, call.attempt],
      (signal: AbortSignal | undefined = undefined, call: CallContext | undefined = undefined) => [signal?.aborted, call?.attempt],
      function (this: unknown) {
        const [signal, call] = arguments as unknown as [AbortSignal, CallContext];
        return [signal.aborted, call.attempt];
      },
      (function (this: unknown, ...[signal, call]: [AbortSignal, CallContext]): Seen {
        return [signal.aborted, call.attempt];
      }).bind(undefined),
      { method: (...args: [AbortSignal, CallContext]): Seen => [args[0].aborted, args[1].attempt] }.method,
    ];
    for (const fn of functions) expect(await context.durableExecute('a', fn)).toEqual([false, 1]);
  });

  it.each([
    [{ timeOut: '1s' }, /`durableExecute`.*`timeOut`/],
    [{ retries: 5 }, /`retries`/],
    [{ retry: { attempts: '5' } }, /`retry.attempts` to be an integer from 1 up, got `5` \(string\)/],
    [{ retry: { attempts: 0 } }, /`retry.attempts`/],
    [{ retry: { initialIntervalMs: '1s' } }, /`retry.initialIntervalMs`/],
    [{ retry: { backoffFactor: 0.5 } }, /`retry.backoffFactor`/],
    [{ retry: { jitter: 2 } }, /`retry.jitter`/],
    [{ retry: { retryOn: true } }, /`retry.retryOn`/],
    [{ retry: { maxAttempts: 1 } }, /`retry`.*`maxAttempts`/],
    [{ reconciler: 'ask' }, /`reconciler`/],
  ])('refuses the options %j', (options, words) => {
    const { work, context } = working();
    expect(() => context.durableExecute('a', () => 1, options as never)).toThrow(words);
    expect(work.asked).toEqual([]);
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

  it('is that of its own call behind an await too, whatever else is open', async () => {
    const { context } = working();
    const late = async (): Promise<string> => {
      await new Promise((resolve) => setImmediate(resolve));
      return context.idempotencyKey;
    };
    expect(await Promise.all([context.durableExecute('a', late), context.durableExecute('b', late)])).toEqual(['job.w.0', 'job.w.1']);
  });

  it('is refused outside a durable function', async () => {
    const { context } = working();
    const open = context.durableExecute('a', () => Promise.resolve(1));
    expect(() => context.idempotencyKey).toThrow(/inside a durable function/);
    await open;
    expect(() => context.idempotencyKey).toThrow(TypeError);
  });
});

describe('inside a durable function, which a replay does not run', () => {
  const uses: readonly (readonly [what: string, use: (context: ActionContext) => unknown])[] = [
    ['memory', (context) => context.shortTermMemory.set('a', 1)],
    ['memory that was taken before', (context) => memoryBefore(context).get('a')],
    ['sensory memory', (context) => context.getSensoryMemory().has('a')],
    ['an event', (context) => context.sendEvent(new Event('e'))],
    ['an output', (context) => context.output(1)],
    ['a random number', (context) => context.random()],
    ['a UUID', (context) => context.uuid()],
    ['another durable call', (context) => context.durableExecute('inner', () => 1)],
  ];
  const taken = new WeakMap<object, ActionContext['shortTermMemory']>();
  const memoryBefore = (context: ActionContext): ActionContext['shortTermMemory'] => taken.get(context) as ActionContext['shortTermMemory'];
  const opened = () => {
    const { context } = working();
    taken.set(context, context.shortTermMemory);
    return context;
  };
  const bodies: readonly (readonly [where: string, body: (use: () => unknown) => () => unknown])[] = [
    ['at once', (use) => use],
    ['behind an await', (use) => async () => {
      await Promise.resolve();
      return use();
    }],
    ['behind a timer', (use) => async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return use();
    }],
    ['in a callback', (use) => () => new Promise((resolve, reject) => setImmediate(() => {
      try {
        resolve(use());
      } catch (error) {
        reject(error as Error);
      }
    }))],
  ];

  it.each(uses.flatMap(([what, use]) => bodies.map(([where, body]) => [what, where, use, body] as const)))('%s is refused %s', async (_what, _where, use, body) => {
    const context = opened();
    const refused = context.durableExecute('pay', body(() => use(context)));
    await expect(refused).rejects.toThrow(/outside durable function `pay`/);
    expect(context.result()).toEqual({ events: [], shortTermChanges: [], sensoryChanges: [] });
  });

  it('what runs beside it may use all of them', async () => {
    const context = opened();
    const call = context.durableExecute('slow', () => new Promise((resolve) => setTimeout(resolve, 5)));
    const beside = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      context.shortTermMemory.set('a', context.uuid().length);
      context.sendEvent(new Event('beside'));
    })();
    await Promise.all([call, beside]);
    context.random();
    expect(context.result()).toMatchObject({ events: [{ type: 'beside' }], shortTermChanges: [{ path: 'a', value: 36 }] });
  });

  it('the context of another action is that one’s own', async () => {
    const [context, other] = [opened(), opened()];
    await context.durableExecute('pay', () => other.sendEvent(new Event('e')).type);
    expect(other.result().events).toHaveLength(1);
  });
});

it('what a sender does with its event later is nothing that was sent', () => {
  const { context } = working();
  const [list, map] = [['x'], new Map([['a', 1]])];
  const sent = context.sendEvent(new Event('e', { list, map }));
  list.push('y');
  (sent.attributes['map'] as Map<string, number>).set('a', 2);
  expect(context.result().events).toMatchObject([{ id: sent.id, attributes: { list: ['x'], map: new Map([['a', 1]]) } }]);
});
