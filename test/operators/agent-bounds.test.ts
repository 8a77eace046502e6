import * as fc from 'fast-check';
import {
  agent,
  callbackSink,
  Event,
  InputEvent,
  outputTag,
  StreamExecutionEnvironment,
  type AgentBuilder,
  type AgentOperatorOptions,
  type DeadLetter,
  type RunnerContext,
} from 'millrace';
import { describe, expect, it, vi } from 'vitest';
import { JobResources } from '../../lib/agents/plan/resources.ts';
import { applyAgent } from '../../operators/apply-agent.ts';
import { WorkHarness } from './work-fixture.ts';

const letters = outputTag<DeadLetter>('letters');

type Made = AgentBuilder<string, unknown>;

const open = async (builder: Made, options: AgentOperatorOptions = {}): Promise<WorkHarness<string, unknown>> => {
  const compiled = await new JobResources().open(builder);
  return WorkHarness.open(
    applyAgent<string, unknown>({ agent: compiled, resources: compiled.open }, options),
    (value) => value,
    [letters],
  );
};

const records = ({ outputs }: WorkHarness<string, unknown>): unknown[] =>
  outputs.flatMap((each) => (each.kind === 'record' ? [each.value] : []));

const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 1 });

const tick = (_event: unknown, ctx: RunnerContext): void => void ctx.sendEvent(new Event('tick', {}));

/** Agents whose runs have no end. */
const endless: readonly (readonly [string, () => Made])[] = [
  [
    'an action that sends what triggers it',
    () => agent<string, unknown>('endless').on(InputEvent, 'start', tick).on('tick', 'loops', tick),
  ],
  [
    'the same, asynchronous',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'loops', async (event, ctx) => tick(event, ctx)),
  ],
  [
    'two that trigger each other',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'there', (_event, ctx) => void ctx.sendEvent(new Event('tock', {})))
        .on('tock', 'loops', tick),
  ],
  [
    'a synchronous one and an asynchronous one',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'there', async (_event, ctx) => void ctx.sendEvent(new Event('tock', {})))
        .on('tock', 'loops', tick),
  ],
  [
    'one that sends itself two for one',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'loops', (event, ctx) => (tick(event, ctx), tick(event, ctx))),
  ],
  [
    'one action that sends for ever',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'there', (_event, ctx) => void ctx.sendEvent(new Event('tock', {})))
        .on('tock', 'loops', (event, ctx) => {
          for (;;) tick(event, ctx);
        }),
  ],
  [
    'the same, asynchronous, that takes no refusal',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'loops', async (event, ctx) => {
          let refusal: unknown;
          for (let sent = 0; sent < 3000; sent += 1) {
            await null;
            try {
              tick(event, ctx);
            } catch (error) {
              refusal = error;
            }
          }
          throw refusal;
        }),
  ],
  [
    'outputs on the way',
    () =>
      agent<string, unknown>('endless')
        .on(InputEvent, 'start', tick)
        .on('tick', 'loops', (event, ctx) => (ctx.shortTermMemory.set('seen', true), tick(event, ctx))),
  ],
];

describe.each(endless)('I10: a run without an end: %s', (_name, made) => {
  it('fails the job with a code of its own, and no restart is tried', async () => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    const out = env
      .fromCollection(['a'])
      .keyBy((value) => value)
      .applyAgent(made(), { eventsMax: 2000 });
    out.sinkTo(callbackSink(() => {}));
    await expect(env.execute()).rejects.toMatchObject({ code: 'RUN_EVENTS_EXCEEDED', retryable: false });
  });

  it('goes to the dead letters; its key has no memory of it and goes on', async () => {
    const both = made().on(InputEvent, 'greet', ({ input }, ctx) => {
      if (input === 'a') ctx.output(ctx.shortTermMemory.get('seen') ?? 'nothing');
    });
    const harness = await open(both, { deadLetters: letters, eventsMax: 1500 });
    harness.element('a', 1);
    harness.element('a', 2);
    harness.watermark(5);
    await settled(() => expect(harness.outputs.at(-1)).toEqual({ kind: 'watermark', timestamp: 5 }));
    const sides = harness.outputs.flatMap((each) => (each.kind === 'side' ? [each.value as DeadLetter] : []));
    const letter = {
      key: 'a',
      input: 'a',
      action: expect.stringMatching(/loops|there/),
      error: { code: 'RUN_EVENTS_EXCEEDED' },
    };
    expect(sides).toMatchObject([letter, letter]);
    expect([records(harness), harness.errors, harness.open, await harness.rows()]).toEqual([
      ['nothing', 'nothing'],
      [],
      0,
      0,
    ]);
  });

  it("with onError 'ignore' it ends, and nothing of it stays in memory", async () => {
    const harness = await open(made(), { onError: 'ignore', eventsMax: 1500 });
    harness.element('a', 1);
    harness.watermark(1);
    await settled(() => expect(harness.outputs).toEqual([{ kind: 'watermark', timestamp: 1 }]));
    expect([harness.errors, await harness.rows()]).toEqual([[], 0]);
  });
});

it('outputs count for nothing: a run may have as many as it likes', async () => {
  const harness = await open(
    agent<string, unknown>('many').on(InputEvent, (_event, ctx) => {
      for (let n = 0; n < 20_000; n += 1) ctx.output(n);
    }),
    { eventsMax: 1 },
  );
  harness.element('a', 1);
  await settled(() => expect(records(harness)).toEqual(Array.from({ length: 20_000 }, (_, n) => n)));
});

it.each([0, -1, 1.5, '7'])('refuses `eventsMax: %s`', (eventsMax) => {
  const stream = StreamExecutionEnvironment.create()
    .fromCollection(['a'])
    .keyBy((value) => value);
  expect(() =>
    stream.applyAgent(
      agent<string, unknown>('any').on(InputEvent, () => {}),
      { eventsMax } as AgentOperatorOptions,
    ),
  ).toThrow(/`eventsMax`/);
});

describe('I20: a run of many events', () => {
  it('gives the loop back, and other keys and signals have their turn meanwhile', async () => {
    let [events, seenAt] = [0, -1];
    const counting = agent<string, unknown>('counting')
      .on(InputEvent, ({ input }, ctx) => (input === 'quick' ? ctx.output('quick') : tick(undefined, ctx)))
      .on('tick', (event, ctx) => {
        events += 1;
        if (events === 1) setImmediate(() => (seenAt = events));
        if (events < 9000) tick(event, ctx);
        else ctx.output('slow');
      });
    const harness = await open(counting);
    harness.element('slow', 1);
    harness.element('quick', 2);
    await settled(() => expect(records(harness)).toEqual(['quick', 'slow']));
    expect(seenAt).toBeLessThan(1000);
  });

  it('waits for no place among the actions in flight', async () => {
    const mixed = agent<string, unknown>('mixed')
      .on(InputEvent, 'slow', async ({ input }, ctx) => {
        if (input === 'slow') await ctx.durableExecute('never', () => new Promise<never>(() => {}));
      })
      .on(
        InputEvent,
        'many',
        ({ input }, ctx) => void (input !== 'slow' && ctx.sendEvent(new Event('tick', { n: 3000 }))),
      )
      .on('tick', ({ attributes: { n } }, ctx) =>
        n === 0 ? ctx.output('done') : void ctx.sendEvent(new Event('tick', { n: Number(n) - 1 })),
      );
    const harness = await open(mixed, { asyncConcurrency: 1, outputOrder: 'completion' });
    harness.element('slow', 1);
    await settled(() => expect(harness.inFlight).toBe(1));
    harness.element('quick', 2);
    await settled(() => expect(records(harness)).toEqual(['done']));
  });

  /** Each event has a name, and sends events whose names follow from it; all are put out in their order. */
  const spreading = (width: number, limit: number): Made => {
    const spread = (name: number, ctx: RunnerContext): void => {
      ctx.output(name);
      const count = Number(ctx.shortTermMemory.get('count') ?? 0) + 1;
      ctx.shortTermMemory.set('count', count);
      for (let child = 1; child <= width; child += 1) {
        const next = name * width + child;
        if (next < limit) ctx.sendEvent(new Event('spread', { name: next }));
      }
    };
    return agent<string, unknown>('spreading')
      .on(InputEvent, (_event, ctx) => spread(0, ctx))
      .on('spread', ({ attributes }, ctx) => spread(Number(attributes['name']), ctx))
      .on(
        InputEvent,
        'late',
        ({ input }, ctx) => void (input === 'b' && ctx.output(`count ${String(ctx.shortTermMemory.get('count'))}`)),
      );
  };

  it('has them in the order of its queue, over restarts between its turns too, and its memory grows by each', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 2500 }),
        fc.integer({ min: 0, max: 3 }),
        async (width, limit, restarts) => {
          const harness = await open(spreading(width, limit));
          harness.element('a', 1);
          for (let n = 0; n < restarts; n += 1) {
            await new Promise((resolve) => setImmediate(resolve));
            await harness.restart();
          }
          harness.watermark(1);
          await settled(() => expect(harness.outputs.at(-1)?.kind).toBe('watermark'));
          // A queue that is filled level by level holds the names in their order.
          expect(records(harness)).toEqual(Array.from({ length: limit }, (_, name) => name));
          expect(harness.errors).toEqual([]);
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('what a run costs grows with its size and not with its square', () => {
  const cpuMs = async (fn: () => Promise<void>): Promise<number> => {
    const start = process.cpuUsage();
    await fn();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };

  const ways: readonly (readonly [string, (n: number) => Promise<void>])[] = [
    [
      'outputs that wait behind another run',
      async (n) => {
        const many = agent<string, unknown>('many').on(InputEvent, async ({ input }, ctx) => {
          if (input === 'slow')
            await ctx.durableExecute('wait', () => new Promise<void>((resolve) => void setTimeout(resolve, 100)));
          else for (let at = 0; at < n; at += 1) ctx.output(at);
        });
        const env = StreamExecutionEnvironment.create({ logger: 'error' });
        const out = env
          .fromCollection(['slow', 'b'])
          .keyBy((value) => value)
          .applyAgent(many, { outputOrder: 'arrival' });
        expect(await out.executeAndCollect()).toHaveLength(n);
      },
    ],
    [
      'changes to memory of many synchronous actions',
      async (n) => {
        const remembering = agent<string, unknown>('remembering')
          .on(InputEvent, tick)
          .on('tick', (event, ctx) => {
            const count = Number(ctx.shortTermMemory.get('count') ?? 0) + 1;
            ctx.shortTermMemory.set('count', count);
            ctx.shortTermMemory.set(`n${count}`, count);
            if (count < n) tick(event, ctx);
            else ctx.output(count);
          });
        const harness = await open(remembering, { eventsMax: 2 * n });
        harness.element('a', 1);
        await settled(() => expect(records(harness)).toEqual([n]));
      },
    ],
    [
      'changes to memory of many asynchronous actions',
      async (n) => {
        const remembering = agent<string, unknown>('remembering')
          .on(InputEvent, tick)
          .on('tick', async (event, ctx) => {
            const count = Number(ctx.sensoryMemory.get('count') ?? 0) + 1;
            ctx.sensoryMemory.set('count', count);
            ctx.sensoryMemory.set(`n${count}`, count);
            if (count < n) tick(event, ctx);
            else ctx.output(count);
          });
        const harness = await open(remembering, { eventsMax: 2 * n });
        harness.element('a', 1);
        await settled(() => expect(records(harness)).toEqual([n]));
      },
    ],
  ];

  it.each(ways)('%s', async (_what, run) => {
    await run(1000);
    let ratio = Number.POSITIVE_INFINITY;
    // What else the machine does may disturb one measurement, and not each of three.
    for (let tries = 0; tries < 3 && ratio >= 24; tries += 1) {
      const small = await cpuMs(() => run(2500));
      ratio = Math.min(ratio, (await cpuMs(() => run(20_000))) / small);
    }
    expect(ratio).toBeLessThan(24); // Eight times as many: 8 or so; with the square it is 64.
  });
});
