import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { agent, type AgentBuilder } from '../../lib/agents/agent.ts';
import type { RunnerContext } from '../../lib/agents/contract.ts';
import { Event, InputEvent, OutputEvent } from '../../lib/agents/event.ts';
import { JobResources } from '../../lib/agents/resources.ts';
import { Warnings } from '../../lib/agents/warnings.ts';
import { InvariantError, StreamError } from '../../lib/core/errors.ts';
import type { OutputOrder } from '../../lib/core/hold.ts';
import { outputTag } from '../../lib/core/output-tag.ts';
import type { AgentOperatorOptions } from '../../operators/agent-options.ts';
import type { DeadLetter } from '../../operators/dead-letter.ts';
import { applyAgent } from '../../operators/apply-agent.ts';
import { WorkHarness } from './work-fixture.ts';

interface Ask {
  readonly key: string;
  readonly n: number;
}

const ask = (key: string, n: number): Ask => ({ key, n });

/** Calls that end when the test says so. */
class Gate {
  readonly asked: string[] = [];
  readonly #open = new Map<string, { readonly resolve: () => void; readonly reject: (error: unknown) => void }>();

  pass(what: string): Promise<void> {
    this.asked.push(what);
    return new Promise((resolve, reject) => this.#open.set(what, { resolve, reject }));
  }

  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  resolve(what: string): void {
    this.#open.get(what)?.resolve();
    this.#open.delete(what);
  }

  reject(what: string, error: unknown): void {
    this.#open.get(what)?.reject(error);
    this.#open.delete(what);
  }
}

const letters = outputTag<DeadLetter>('letters');

interface Opened {
  readonly harness: WorkHarness<Ask, unknown>;
  readonly warnings: readonly string[];
}

const open = async (builder: AgentBuilder<Ask, unknown>, options: AgentOperatorOptions = {}): Promise<Opened> => {
  const compiled = await new JobResources().open(builder);
  const told: string[] = [];
  const warnings = new Warnings((_facts, message) => told.push(message));
  const operator = applyAgent<Ask, unknown>({ agent: compiled, resources: compiled.open, warnings }, options);
  return { harness: await WorkHarness.open(operator, ({ key }) => key, [letters]), warnings: told };
};

/** Answers when the gate lets it. */
const waiting = (gate: Gate): AgentBuilder<Ask, unknown> =>
  agent<Ask, unknown>('clerk').on(InputEvent, 'answer', async ({ input: { key, n } }, ctx) => {
    await ctx.durableExecute('ask', () => gate.pass(`${key}${n}`));
    ctx.output(`${key}${n}`);
  });

const clerk = (answer: (input: Ask, ctx: RunnerContext) => void): AgentBuilder<Ask, unknown> =>
  agent<Ask, unknown>('clerk').on(InputEvent, 'answer', ({ input }, ctx) => answer(input, ctx));

const shown = ({ outputs }: WorkHarness<Ask, unknown>): unknown[] =>
  outputs.map((output) => {
    if (output.kind === 'record') return output.value;
    if (output.kind === 'watermark') return `w${output.timestamp}`;
    return output.kind === 'side' ? { [output.tag]: output.value } : output;
  });

const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 1 });

/** Lets everything happen that needs nothing from outside. */
const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 24; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

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
    for (const [at, [key, n]] of ([['a', 1], ['a', 2], ['b', 1], ['a', 3], ['b', 2]] as const).entries()) harness.element(ask(key, n), at);
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
      (fail) => agent<Ask, unknown>('clerk').on(InputEvent, 'answer', async ({ input }, ctx) => (fail(input), ctx.output(input.n))),
    ],
    [
      'asynchronous, before it returns a promise',
      (fail) =>
        agent<Ask, unknown>('clerk').on(InputEvent, 'answer', ({ input }, ctx) => (fail(input), Promise.resolve(ctx.output(input.n))), {
          async: true,
        }),
    ],
  ];
  const throwing = (error: unknown) => (input: Ask): void => {
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
      expect(harness.errors[0]).toMatchObject({ code: 'ACTION_FAILED', details: { agent: 'clerk', action: 'answer', key: 'a' } });
    });

    it('is ignored', async () => {
      const harness = await run(new RangeError('broken'), { onError: 'ignore' });
      expect([shown(harness), harness.errors]).toEqual([[1, 3], []]);
    });

    it('goes to the dead letters', async () => {
      const harness = await run(new RangeError('broken'), { deadLetters: letters });
      const letter = { key: 'a', input: ask('a', 2), action: 'answer', error: expect.objectContaining({ code: 'ACTION_FAILED' }) };
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
        expect(JSON.stringify(harness.errors.map((each) => [(each as Error).name, each, (each as Error).cause]))).toContain(what);
      }
    });
  });

  it('by its time limit names agent, action and key', async () => {
    const { harness } = await open(waiting(new Gate()), { actionTimeout: 5, deadLetters: letters });
    harness.element(ask('a', 1), 1);
    await settled(() => expect(harness.outputs).toHaveLength(1));
    expect(shown(harness)).toMatchObject([
      { letters: { error: { code: 'WORK_TIMEOUT', message: `action 'answer' of agent 'clerk' for key "a" took longer than 5 ms` } } },
    ]);
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
    ['named as a trigger', (builder: AgentBuilder<Ask, unknown>) => builder.on(Paid, 'sees', look).on(Paid, 'waits', async (event, ctx) => look(event, ctx))],
    [
      'listed in `events`',
      (builder: AgentBuilder<Ask, unknown>) =>
        builder
          .on('paid', 'sees', look)
          .on('paid', 'waits', async (event, ctx) => look(event, ctx))
          .options({ events: [Paid] }),
    ],
  ])('arrives as one whether the action waits or not: %s', async (_how, more) => {
    const { harness } = await open(more(clerk(({ n }, ctx) => void ctx.sendEvent(n === 1 ? new Paid(5) : new Event('paid', { amount: 5 })))));
    for (const n of [1, 2]) harness.element(ask('a', n), n);
    await settled(() => expect(harness.open).toBe(0));
    await quiet();
    expect(shown(harness)).toEqual(Array.from({ length: 4 }, () => [true, 5]));
  });
});

interface Told {
  readonly name: string;
  /** Of the watermark, or of the input. */
  readonly timestamp: number;
}

interface Waiting extends Told {
  readonly kind: 'input' | 'watermark';
  /** When it has ended: the how manieth end that was. Undefined while it runs. */
  ended: number | undefined;
}

/** Watermarks that leave together may leave as one. */
const asOne = (out: readonly unknown[]): unknown[] => out.filter((each, at) => !(/^w/.test(String(each)) && /^w/.test(String(out[at + 1]))));

/**
 * The recorded rule, told step by step: what has come, in its order. A watermark leaves when every input before it has ended. A result
 * leaves when its run has ended and no watermark waits in front of it that is as great as its timestamp (`completion`), or when nothing
 * in front of it is left at all (`arrival`). Results that come free together leave in the order in which their runs have ended.
 */
class Model {
  readonly out: string[] = [];
  readonly #order: OutputOrder;
  readonly #waiting: Waiting[] = [];
  #ends = 0;

  constructor(order: OutputOrder) {
    this.#order = order;
  }

  arrives(input: Told): void {
    this.#waiting.push({ ...input, kind: 'input', ended: undefined });
  }

  watermark(watermark: Told): void {
    this.#waiting.push({ ...watermark, kind: 'watermark', ended: -1 });
    this.#leave();
  }

  ends(input: string): void {
    for (const each of this.#waiting) if (each.name === input) each.ended = this.#ends++;
    this.#leave();
  }

  #leave(): void {
    for (;;) {
      const free = this.#waiting.filter((each, at) => each.ended !== undefined && !this.#waits(each, this.#waiting.slice(0, at)));
      const [next] = free.toSorted((a, b) => (a.ended ?? 0) - (b.ended ?? 0));
      if (next === undefined) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.out.push(next.name);
    }
  }

  #waits({ kind, timestamp }: Waiting, before: readonly Waiting[]): boolean {
    if (kind === 'watermark') return before.length > 0;
    if (this.#order === 'arrival') return before.length > 0;
    return before.some((other) => other.kind === 'watermark' && other.timestamp >= timestamp);
  }
}

describe('against a model', () => {
  /** Answers key `s` in the turn of its input, and the others when the gate lets it. */
  const some = (gate: Gate): AgentBuilder<Ask, unknown> =>
    clerk(({ key, n }, ctx) => {
      if (key === 's') ctx.output(`${key}${n}`);
      else ctx.sendEvent(new Event('wait', { what: `${key}${n}` }));
    }).on('wait', async ({ attributes: { what } }, ctx) => {
      await ctx.durableExecute('ask', () => gate.pass(String(what)));
      ctx.output(what);
    });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('input' as const), key: fc.constantFrom('a', 'b', 'c', 's'), late: fc.nat(6) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'watermark' as const }) },
    { weight: 3, arbitrary: fc.nat(5).map((which) => ({ kind: 'end' as const, which })) },
  );

  it.each<[OutputOrder]>([['completion'], ['arrival']])('results leave in the order %s, late ones and others', async (outputOrder) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const [gate, model] = [new Gate(), new Model(outputOrder)];
        const { harness } = await open(some(gate), { outputOrder });
        const end = async (which: number): Promise<void> => {
          const running = gate.open;
          const input = running[which % running.length] as string; // there is one
          model.ends(input);
          gate.resolve(input);
          await quiet();
        };
        for (const [n, each] of steps.entries()) {
          if (each.kind === 'input') {
            model.arrives({ name: `${each.key}${n}`, timestamp: n - each.late });
            if (each.key === 's') model.ends(`${each.key}${n}`);
            harness.element(ask(each.key, n), n - each.late);
            await quiet();
          } else if (each.kind === 'watermark') {
            model.watermark({ name: `w${n}`, timestamp: n });
            harness.watermark(n);
          } else if (gate.open.length > 0) await end(each.which);
          expect(asOne(shown(harness))).toEqual(asOne(model.out));
        }
        while (gate.open.length > 0) await end(0);
        expect(asOne(shown(harness))).toEqual(asOne(model.out));
        expect([harness.open, harness.errors]).toEqual([0, []]);
      }),
      {
        numRuns: 60,
        // Two late results that come free with one watermark: the second to come was the first to end.
        examples: [
          [
            [
              { kind: 'input', key: 'b', late: 0 },
              { kind: 'watermark' },
              { kind: 'input', key: 'a', late: 1 },
              { kind: 'input', key: 's', late: 2 },
              { kind: 'end', which: 1 },
            ],
          ],
        ],
      },
    );
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
