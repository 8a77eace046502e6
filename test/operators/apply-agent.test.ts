/** The operator that runs agents: one input of a key at a time, failures, notices, and events of classes. */
import { describe, expect, it } from 'vitest';
import { agent, type AgentBuilder } from '../../lib/agents/definition/agent.ts';
import type { RunnerContext } from '../../lib/agents/contract.ts';
import { Event, InputEvent, OutputEvent } from '../../lib/agents/events/event.ts';
import { InvariantError, StreamError } from '../../lib/core/errors.ts';
import type { AgentOperatorOptions } from '../../operators/agent-options.ts';
import { WorkHarness } from './work-fixture.ts';
import type { DeadLetter } from '../../operators/dead-letter.ts';
import { type Ask, ask, Gate, letters, open, waiting, clerk, shown, settled, quiet } from './agent-fixture.ts';

describe('applyAgent', () => {
  it('never an input: watermarks pass', async () => {
    const { harness } = await open(waiting(new Gate()));
    harness.watermark(5);
    expect([shown(harness), harness.open, harness.errors]).toEqual([['w5'], 0, []]);
  });

  it('empty: a run that sends nothing ends, and holds nothing back', async () => {
    const { harness } = await open(
      agent<Ask, unknown>('clerk')
        .on(InputEvent, 'first', () => {})
        .on(InputEvent, 'second', async () => {}),
    );
    harness.element(ask('a', 1), 1);
    harness.watermark(1);
    await settled(() => expect(shown(harness)).toEqual(['w1']));
    expect([harness.open, harness.errors]).toEqual([0, []]);
  });

  it('one: a synchronous action answers in the turn of its input, with its timestamp', async () => {
    const { harness } = await open(clerk(({ n }, ctx) => ctx.output(n * 2)));
    harness.element(ask('a', 4), 7);
    expect(harness.outputs).toEqual([{ kind: 'record', value: 8, timestamp: 7 }]);
  });

  it('many: keys run beside each other, the inputs of one key one after the other', async () => {
    const gate = new Gate();
    const { harness } = await open(waiting(gate));
    for (const [at, [key, n]] of (
      [
        ['a', 1],
        ['a', 2],
        ['b', 1],
        ['a', 3],
        ['b', 2],
      ] as const
    ).entries())
      harness.element(ask(key, n), at);
    await settled(() => expect(gate.asked).toEqual(['a1', 'b1']));
    gate.resolve('b1');
    await settled(() => expect(gate.asked).toEqual(['a1', 'b1', 'b2']));
    gate.resolve('b2');
    gate.resolve('a1');
    await settled(() => expect(gate.asked).toEqual(['a1', 'b1', 'b2', 'a2']));
    gate.resolve('a2');
    await settled(() => expect(gate.open).toEqual(['a3']));
    gate.resolve('a3');
    await settled(() => expect(harness.open).toBe(0));
    expect([shown(harness), harness.errors]).toEqual([['b1', 'b2', 'a1', 'a2', 'a3'], []]);
  });

  it('a busy key: a thousand inputs wait behind one, other keys do not, and none is lost', async () => {
    const gate = new Gate();
    const { harness } = await open(
      agent<Ask, unknown>('clerk').on(InputEvent, async ({ input: { key, n } }, ctx) => {
        if (n === 0) await ctx.durableExecute('ask', () => gate.pass(`${key}${n}`));
        ctx.output(`${key}${n}`);
      }),
    );
    for (let n = 0; n <= 1000; n += 1) harness.element(ask('busy', n), n);
    harness.element(ask('free', 1), 1);
    await settled(() => expect(shown(harness)).toEqual(['free1']));
    gate.resolve('busy0');
    await settled(() => expect(harness.outputs).toHaveLength(1002));
    expect(shown(harness).slice(1)).toEqual(Array.from({ length: 1001 }, (_, n) => `busy${n}`));
    expect(harness.errors).toEqual([]);
  });

  it('a long chain: twenty thousand events of one run do not pile up on the stack', async () => {
    const { harness } = await open(
      clerk(({ n }, ctx) => void ctx.sendEvent(new Event('next', { n }))).on('next', ({ attributes: { n } }, ctx) => {
        if (n === 0) ctx.output('done');
        else ctx.sendEvent(new Event('next', { n: (n as number) - 1 }));
      }),
      { eventsMax: 30_000 },
    );
    harness.element(ask('a', 20_000), 1);
    await settled(() => expect([shown(harness), harness.errors]).toEqual([['done'], []]));
  });

  it('early stop: what is open emits nothing any more; after a restart it goes on, and what waited too', async () => {
    const gate = new Gate();
    const { harness } = await open(waiting(gate));
    harness.element(ask('a', 1), 1);
    harness.element(ask('a', 2), 2);
    harness.watermark(2);
    await settled(() => expect(gate.open).toEqual(['a1']));
    await harness.restart();
    await settled(() => expect(gate.asked).toEqual(['a1', 'a1']));
    gate.resolve('a1');
    await settled(() => expect(gate.open).toEqual(['a2']));
    gate.resolve('a2');
    await settled(() => expect(shown(harness)).toEqual(['a1', 'a2', 'w2']));
    harness.abort(new Error('stopped'));
    harness.element(ask('a', 3), 3);
    await quiet();
    expect(shown(harness)).toEqual(['a1', 'a2', 'w2']);
  });
});

describe('an action that fails', () => {
  const kinds: readonly (readonly [string, (fail: (input: Ask) => void) => AgentBuilder<Ask, unknown>])[] = [
    ['synchronous', (fail) => clerk((input, ctx) => (fail(input), ctx.output(input.n)))],
    [
      'asynchronous',
      (fail) =>
        agent<Ask, unknown>('clerk').on(
          InputEvent,
          'answer',
          async ({ input }, ctx) => (fail(input), ctx.output(input.n)),
        ),
    ],
    [
      'asynchronous, before it returns a promise',
      (fail) =>
        agent<Ask, unknown>('clerk').on(
          InputEvent,
          'answer',
          ({ input }, ctx) => (fail(input), Promise.resolve(ctx.output(input.n))),
          {
            async: true,
          },
        ),
    ],
  ];
  const throwing =
    (error: unknown) =>
    (input: Ask): void => {
      if (input.n === 2) throw error;
    };

  describe.each(kinds)('%s', (_kind, made) => {
    const run = async (error: unknown, options: AgentOperatorOptions): Promise<WorkHarness<Ask, unknown>> => {
      const { harness } = await open(made(throwing(error)), { outputOrder: 'arrival', ...options });
      for (const n of [1, 2, 3]) {
        harness.element(ask('a', n), n);
        await quiet();
      }
      return harness;
    };

    it('fails the job with agent, action and key', async () => {
      const harness = await run(new RangeError('broken'), {});
      expect(harness.errors[0]).toMatchObject({
        code: 'ACTION_FAILED',
        details: { agent: 'clerk', action: 'answer', key: 'a' },
      });
    });

    it('is ignored', async () => {
      const harness = await run(new RangeError('broken'), { onError: 'ignore' });
      expect([shown(harness), harness.errors]).toEqual([[1, 3], []]);
    });

    it('goes to the dead letters', async () => {
      const harness = await run(new RangeError('broken'), { deadLetters: letters });
      const letter = {
        key: 'a',
        input: ask('a', 2),
        action: 'answer',
        error: expect.objectContaining({ code: 'ACTION_FAILED' }),
      };
      expect([shown(harness), harness.errors]).toEqual([[1, { letters: letter }, 3], []]);
    });

    it.each([
      ['RESOURCE_NOT_FOUND', new StreamError('RESOURCE_NOT_FOUND', 'no such tool')],
      ['ASYNC_IN_TURN', new StreamError('ASYNC_IN_TURN', 'a promise')],
      ['PLAN_CHANGED', new StreamError('PLAN_CHANGED', 'gone')],
      ['DIVERGED', new StreamError('DIVERGED', 'other code')],
      ['STORE_FAILED', new StreamError('STORE_FAILED', 'disk full')],
      ['InvariantError', new InvariantError('I1: broken')],
    ])('with an error about the job fails the job, whatever `onError` says: %s', async (what, error) => {
      for (const options of [{ onError: 'ignore' }, { deadLetters: letters }] as const) {
        const harness = await run(error, options);
        expect(shown(harness)).not.toContainEqual(expect.objectContaining({ letters: expect.anything() }));
        expect(
          JSON.stringify(harness.errors.map((each) => [(each as Error).name, each, (each as Error).cause])),
        ).toContain(what);
      }
    });
  });

  it('by its time limit names agent, action and key', async () => {
    const { harness } = await open(waiting(new Gate()), { actionTimeout: 5, deadLetters: letters });
    harness.element(ask('a', 1), 1);
    await settled(() => expect(harness.outputs).toHaveLength(1));
    expect(shown(harness)).toMatchObject([
      {
        letters: {
          error: {
            code: 'WORK_TIMEOUT',
            message: `action 'answer' of agent 'clerk' for key "a" took longer than 5 ms`,
          },
        },
      },
    ]);
  });
});

describe('the input of a run', () => {
  const fails = async (): Promise<never> => {
    throw new RangeError('broken');
  };

  it('stands in its letter as it came, whatever an action has made of what it was given', async () => {
    const changing = clerk((input, ctx) => {
      Object.assign(input, { n: 99 });
      ctx.sendEvent(new Event('next', {}));
    }).on('next', fails);
    const { harness } = await open(changing, { deadLetters: letters });
    harness.element(ask('a', 1), 1);
    await settled(() => expect(shown(harness)).toMatchObject([{ letters: { input: ask('a', 1) } }]));
  });

  it('I21: stays as it is in what is stored, whatever becomes of the letter', async () => {
    const gate = new Gate();
    const { harness } = await open(waiting(gate).on(InputEvent, 'fail', fails), { deadLetters: letters });
    harness.element(ask('a', 1), 1);
    await settled(() => expect(harness.outputs).toHaveLength(1));
    const [letter] = shown(harness) as [{ readonly letters: DeadLetter<Ask> }];
    Object.assign(letter.letters.input, { n: 99 });
    const stored = await harness.stored();
    expect(stored).toContain('answer');
    expect(stored).not.toContain('99');
  });
});

describe('what whoever runs the job is told', () => {
  it('an event that no action handles, once per type', async () => {
    const { harness, warnings } = await open(
      clerk((_input, ctx) => {
        ctx.sendEvent(new Event('order-creatd', {}));
        ctx.sendEvent(new Event('other', {}));
      }).on('order-created', () => {}),
    );
    for (const n of [1, 2, 3]) harness.element(ask('a', n), n);
    expect(warnings).toEqual([
      "action 'answer' of agent 'clerk' sent an event of type 'order-creatd', which no action handles",
      "action 'answer' of agent 'clerk' sent an event of type 'other', which no action handles",
    ]);
  });

  it('a value over an object, once', async () => {
    const { harness, warnings } = await open(
      agent<Ask, unknown>('clerk')
        .on(InputEvent, 'value', async (_event, ctx) => void ctx.shortTermMemory.set('a', 1))
        .on(InputEvent, 'object', async (_event, ctx) => void ctx.shortTermMemory.set('a.b', 1)),
    );
    for (const key of ['x', 'y']) harness.element(ask(key, 1), 1);
    await settled(() => expect(harness.open).toBe(0));
    await quiet();
    expect(warnings).toEqual([expect.stringContaining('`a` of short-term memory')]);
  });
});

describe('overlapping actions', () => {
  it('a delete by one that does not see the path wins when its turn is the later one', async () => {
    const gate = new Gate();
    const { harness } = await open(
      clerk((_input, ctx) => ctx.output(ctx.shortTermMemory.get('x') ?? 'gone'))
        .on(InputEvent, 'sets', async ({ input }, ctx) => {
          await ctx.durableExecute('w', () => gate.pass(`set${input.n}`));
          ctx.shortTermMemory.set('x', 1);
        })
        .on(InputEvent, 'deletes', async ({ input }, ctx) => {
          await ctx.durableExecute('w', () => gate.pass(`delete${input.n}`));
          ctx.shortTermMemory.delete('x');
        }),
    );
    const run = async (n: number, ...order: readonly string[]): Promise<void> => {
      harness.element(ask('a', n), n);
      await settled(() => expect(gate.open).toHaveLength(2));
      for (const each of order) {
        gate.resolve(`${each}${n}`);
        await quiet();
      }
    };
    await run(1, 'set', 'delete');
    await run(2, 'delete', 'set');
    harness.element(ask('a', 3), 3);
    expect(shown(harness)).toEqual(['gone', 'gone', 1]);
  });
});

describe('an event of a class of the user', () => {
  class Paid extends Event {
    static override readonly type: string = 'paid';
    constructor(amount: number) {
      super('paid', { amount });
    }
    get amount(): number {
      return this.attributes['amount'] as number;
    }
  }
  const look = (event: Event, ctx: RunnerContext): void => ctx.output([event instanceof Paid, (event as Paid).amount]);

  it.each([
    [
      'named as a trigger',
      (builder: AgentBuilder<Ask, unknown>) =>
        builder.on(Paid, 'sees', look).on(Paid, 'waits', async (event, ctx) => look(event, ctx)),
    ],
    [
      'listed in `events`',
      (builder: AgentBuilder<Ask, unknown>) =>
        builder
          .on('paid', 'sees', look)
          .on('paid', 'waits', async (event, ctx) => look(event, ctx))
          .options({ events: [Paid] }),
    ],
  ])('arrives as one whether the action waits or not: %s', async (_how, more) => {
    const { harness } = await open(
      more(clerk(({ n }, ctx) => void ctx.sendEvent(n === 1 ? new Paid(5) : new Event('paid', { amount: 5 })))),
    );
    for (const n of [1, 2]) harness.element(ask('a', n), n);
    await settled(() => expect(harness.open).toBe(0));
    await quiet();
    expect(shown(harness)).toEqual(Array.from({ length: 4 }, () => [true, 5]));
  });
});

it('an output is what the event says, whichever way it was sent', async () => {
  const { harness } = await open(
    clerk(({ n }, ctx) => {
      ctx.sendEvent(new OutputEvent({ n }));
      ctx.output({ n });
    }),
  );
  harness.element(ask('a', 1), 1);
  expect(shown(harness)).toEqual([{ n: 1 }, { n: 1 }]);
});
