/** Durable functions of an action: outcomes, keys of idempotency, and what is refused inside one. */
import { describe, expect, it } from 'vitest';
import type { CallContext } from '../../../../lib/core/call.ts';
import { CallNotExecuted, StreamError } from '../../../../lib/core/errors.ts';
import { Event } from '../../../../lib/agents/events/event.ts';
import { ActionContext } from '../../../../lib/agents/runs/runner-context.ts';
import type { TestJournal } from '../drive.ts';
import { contextOf, working } from '../context-fixture.ts';

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
    await context.durableExecute('a', () => 1, {
      timeout: '30s',
      retry: { attempts: 5 },
      args: [1],
      reconciler: () => 7,
    });
    expect(work.asked[0]).toMatchObject({ timeout: 30_000, retry: { attempts: 5 }, args: [1] });
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
      (signal: AbortSignal | undefined = undefined, call: CallContext | undefined = undefined) => [
        signal?.aborted,
        call?.attempt,
      ],
      function (this: unknown) {
        const [signal, call] = arguments as unknown as [AbortSignal, CallContext];
        return [signal.aborted, call.attempt];
      },
      function (this: unknown, ...[signal, call]: [AbortSignal, CallContext]): Seen {
        return [signal.aborted, call.attempt];
      }.bind(undefined),
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
  ])('refuses the options %j', async (options, words) => {
    const { work, context } = working();
    await expect(context.durableExecute('a', () => 1, options as never)).rejects.toThrow(words);
    expect(work.asked).toEqual([]);
  });

  it('is refused with advice in a synchronous action', () => {
    for (const use of [
      (context: ActionContext) => context.durableExecute('a', () => 1),
      (context: ActionContext) => context.signal,
    ]) {
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

  it('refuses a call without id or function', async () => {
    const { context } = working();
    await expect(context.durableExecute('', () => 1)).rejects.toThrow(/`id`/);
    await expect(context.durableExecute('a', undefined as never)).rejects.toThrow(/`fn`/);
    await expect(context.durableExecute('a', () => 1, { timeout: 'soon' as never })).rejects.toThrow(/`timeout`/);
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
    expect(await Promise.all([context.durableExecute('a', late), context.durableExecute('b', late)])).toEqual([
      'job.w.0',
      'job.w.1',
    ]);
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
  const memoryBefore = (context: ActionContext): ActionContext['shortTermMemory'] =>
    taken.get(context) as ActionContext['shortTermMemory'];
  const opened = () => {
    const { context } = working();
    taken.set(context, context.shortTermMemory);
    return context;
  };
  const bodies: readonly (readonly [where: string, body: (use: () => unknown) => () => unknown])[] = [
    ['at once', (use) => use],
    [
      'behind an await',
      (use) => async () => {
        await Promise.resolve();
        return use();
      },
    ],
    [
      'behind a timer',
      (use) => async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return use();
      },
    ],
    [
      'in a callback',
      (use) => () =>
        new Promise((resolve, reject) =>
          setImmediate(() => {
            try {
              resolve(use());
            } catch (error) {
              reject(error as Error);
            }
          }),
        ),
    ],
  ];

  it.each(uses.flatMap(([what, use]) => bodies.map(([where, body]) => [what, where, use, body] as const)))(
    '%s is refused %s',
    async (_what, _where, use, body) => {
      const context = opened();
      const refused = context.durableExecute(
        'pay',
        body(() => use(context)),
      );
      await expect(refused).rejects.toThrow(/outside durable function `pay`/);
      expect(context.result()).toEqual({ events: [], shortTermChanges: [], sensoryChanges: [] });
    },
  );

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
    expect(context.result()).toMatchObject({
      events: [{ type: 'beside' }],
      shortTermChanges: [{ path: 'a', value: 36 }],
    });
  });

  it('the context of another action is that one’s own', async () => {
    const [context, other] = [opened(), opened()];
    await context.durableExecute('pay', () => other.sendEvent(new Event('e')).type);
    expect(other.result().events).toHaveLength(1);
  });
});
