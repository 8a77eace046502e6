import {
  agent,
  exponentialDelay,
  InputEvent,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  type Agent,
  type ApplyAgentOptions,
  type DeadLetter,
  type EnvironmentBaseOptions,
  type OutputTag,
  type RunnerContext,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, Ledger, once, Sluice, until } from './story.ts';

interface Ask {
  readonly key: string;
  readonly n: number;
}

const asks: readonly Ask[] = Array.from({ length: 12 }, (_, n) => ({ key: `k${n % 3}`, n }));
const answers = asks.map(({ key, n }) => `${key}:${n}`);
const bad = 7;

/** What goes wrong, until it is mended; and how often each durable call was made. */
class Cause {
  broken = true;
  readonly calls = new Map<number, number>();

  call(n: number): string {
    this.calls.set(n, (this.calls.get(n) ?? 0) + 1);
    return `called ${n}`;
  }
}

type Handler = (ask: Ask, ctx: RunnerContext) => void | Promise<void>;

const agentOf = (handler: Handler, isAsync: boolean): Agent<Ask, string> =>
  agent<Ask, string>('clerk').on(InputEvent, 'answer', (event: InputEvent<Ask>, ctx) => handler(event.input, ctx), {
    async: isAsync,
  });

const answer = ({ key, n }: Ask, ctx: RunnerContext): void => void ctx.sendEvent(new OutputEvent(`${key}:${n}`));

const letters: OutputTag<DeadLetter> = { id: 'letters' };

interface Story {
  readonly clerk: Agent<Ask, string>;
  readonly options?: ApplyAgentOptions;
  readonly storage?: MemoryStorage;
  readonly ledger?: Ledger<string>;
  readonly dead?: Ledger<DeadLetter>;
  readonly environment?: EnvironmentBaseOptions;
}

const run = ({
  clerk,
  options,
  storage = new MemoryStorage(),
  ledger = new Ledger(),
  dead,
  environment,
}: Story): Promise<void> => {
  const env = StreamExecutionEnvironment.create({ ...once, storage, ...environment });
  const answered = env
    .fromCollection(asks)
    .keyBy(({ key }) => key)
    .applyAgent(clerk, { outputOrder: 'arrival', ...options });
  answered.sinkTo(ledger.sink(), 'ledger');
  if (dead !== undefined) answered.sideOutput(letters).sinkTo(dead.sink(), 'dead');
  return env.execute();
};

describe.each([
  ['synchronous', false],
  ['asynchronous', true],
])('a %s action that throws', (_kind, isAsync) => {
  const failing = (cause: Cause): Agent<Ask, string> => {
    const body: Handler = (ask, ctx) => {
      ctx.shortTermMemory.set('last', ask.n);
      if (cause.broken && ask.n === bad) throw new RangeError('no such order');
      answer(ask, ctx);
    };
    return agentOf(isAsync ? async (ask, ctx) => body(ask, ctx) : body, isAsync);
  };

  test('fails the job with agent, action and key, and the job goes on when it is mended', async () => {
    const [cause, storage, ledger] = [new Cause(), new MemoryStorage(), new Ledger<string>()];
    const error = await failure(run({ clerk: failing(cause), storage, ledger }), 'ACTION_FAILED');
    expect(error.message).toContain('no such order');
    expect(error.details).toMatchObject({ agent: 'clerk', action: 'answer', key: `k${bad % 3}` });
    expect(error.cause).toBeInstanceOf(RangeError);
    cause.broken = false;
    await run({ clerk: failing(cause), storage, ledger });
    expect(ledger.values).toEqual(answers);
  });

  test('is started again by the restart strategy, three times without progress, and is then given up', async () => {
    const cause = new Cause();
    const error = await failure(
      run({ clerk: failing(cause), environment: { restart: exponentialDelay({ initial: 1, max: 1 }) } }),
      'RESTARTS_EXHAUSTED',
    );
    expect(error.cause).toMatchObject({ code: 'ACTION_FAILED' });
  });

  test('is ignored: the input gives nothing, all others do', async () => {
    const ledger = new Ledger<string>();
    await run({ clerk: failing(new Cause()), ledger, options: { onError: 'ignore' } });
    expect(ledger.values).toEqual(answers.filter((_, n) => n !== bad));
  });

  test('goes to the dead letters with its input and error, and leaves no trace in memory', async () => {
    const [ledger, dead] = [new Ledger<string>(), new Ledger<DeadLetter>()];
    const remembered: unknown[] = [];
    const cause = new Cause();
    const body: Handler = (ask, ctx) => {
      remembered.push([ask.n, ctx.shortTermMemory.get('last')]);
      ctx.shortTermMemory.set('last', ask.n);
      if (cause.broken && ask.n === bad) throw new RangeError('no such order');
      answer(ask, ctx);
    };
    const clerk = agentOf(isAsync ? async (ask, ctx) => body(ask, ctx) : body, isAsync);
    await run({ clerk, ledger, dead, options: { deadLetters: letters } });
    expect(ledger.values).toEqual(answers.filter((_, n) => n !== bad));
    expect(dead.values).toHaveLength(1);
    expect(dead.values[0]).toMatchObject({
      key: 'k1',
      input: { key: 'k1', n: bad },
      action: 'answer',
      error: { code: 'ACTION_FAILED' },
    });
    expect(dead.values[0]?.error.message).toContain('no such order');
    expect(remembered).toContainEqual([bad, 4]);
    expect(remembered).toContainEqual([bad + 3, 4]);
  });
});

test.each<readonly [string, ApplyAgentOptions, boolean]>([
  ['ignored', { onError: 'ignore' }, false],
  ['ignored', { onError: 'ignore' }, true],
  ['sent to the dead letters', { deadLetters: letters }, false],
  ['sent to the dead letters', { deadLetters: letters }, true],
])(
  'an error about the job is not %s (%o, asynchronous: %s): the job fails, and with its cause mended it loses nothing',
  async (_how, options, isAsync) => {
    const [storage, ledger, dead] = [new MemoryStorage(), new Ledger<string>(), new Ledger<DeadLetter>()];
    const body: Handler = (ask, ctx) => {
      if (ask.n === bad) ctx.getResource('tariff', 'default');
      answer(ask, ctx);
    };
    const start = (prepare: (env: StreamExecutionEnvironment) => void): Promise<void> => {
      const env = StreamExecutionEnvironment.create({ ...once, storage });
      prepare(env);
      const clerk = agentOf(isAsync ? async (ask, ctx) => body(ask, ctx) : body, isAsync);
      const keyed = env.fromCollection(asks).keyBy(({ key }) => key);
      const answered = keyed.applyAgent(clerk, { outputOrder: 'arrival', ...options });
      answered.sinkTo(ledger.sink(), 'ledger');
      answered.sideOutput(letters).sinkTo(dead.sink(), 'dead');
      return env.execute();
    };
    const error = await failure(
      start(() => {}),
      'ACTION_FAILED',
    );
    expect(error.cause).toMatchObject({ code: 'RESOURCE_NOT_FOUND' });
    await start((env) => void env.addResource('tariff', 'default', { euros: 1 }));
    expect([ledger.values, dead.values]).toEqual([answers, []]);
  },
);

test('an action that times out fails with a code, and its late result is refused', async () => {
  const [dead, ledger] = [new Ledger<DeadLetter>(), new Ledger<string>()];
  const clerk = agentOf(async (ask, ctx) => {
    if (ask.n === bad) await new Promise((resolve) => setTimeout(resolve, 60));
    answer(ask, ctx);
  }, true);
  await run({ clerk, ledger, dead, options: { deadLetters: letters, actionTimeout: '20ms' } });
  expect(ledger.values).toEqual(answers.filter((_, n) => n !== bad));
  expect(dead.values.map(({ error }) => error.code)).toEqual(['WORK_TIMEOUT']);
});

describe('what can not be stored', () => {
  const notPlain = (): unknown => () => 'a function';
  const cases: readonly (readonly [what: string, code: RegExp, handler: (cause: Cause) => Handler])[] = [
    [
      'an attribute of an event',
      /NOT_SERIALISABLE|ACTION_FAILED/,
      (cause) => async (ask, ctx) => {
        ctx.sendEvent(
          new OutputEvent((cause.broken && ask.n === bad ? { call: notPlain() } : `${ask.key}:${ask.n}`) as string),
        );
      },
    ],
    [
      'the outcome of a durable call',
      /NOT_SERIALISABLE|ACTION_FAILED/,
      (cause) => async (ask, ctx) => {
        await ctx.durableExecute('look-up', () => (cause.broken && ask.n === bad ? { call: notPlain() } : ask.n));
        answer(ask, ctx);
      },
    ],
    [
      'arguments of a durable call',
      /NOT_SERIALISABLE|ACTION_FAILED/,
      (cause) => async (ask, ctx) => {
        await ctx.durableExecute('look-up', () => ask.n, {
          args: cause.broken && ask.n === bad ? { call: notPlain() } : ask.n,
        });
        answer(ask, ctx);
      },
    ],
    [
      'a value in short-term memory',
      /NOT_SERIALISABLE|ACTION_FAILED/,
      (cause) => async (ask, ctx) => {
        ctx.shortTermMemory.set('value', cause.broken && ask.n === bad ? notPlain() : ask.n);
        answer(ask, ctx);
      },
    ],
  ];

  test.each(cases)('%s', async (_what, code, handler) => {
    const [cause, storage, ledger] = [new Cause(), new MemoryStorage(), new Ledger<string>()];
    const error: unknown = await run({ clerk: agentOf(handler(cause), true), storage, ledger }).catch(
      (reason: unknown) => reason,
    );
    expect((error as { code: string }).code).toMatch(code);
    expect((error as { message: string }).message).toMatch(/function/);
    expect(JSON.stringify([error, (error as Error).cause])).toContain('NOT_SERIALISABLE');
    expect((error as { retryable: boolean }).retryable).toBe(false);
    cause.broken = false;
    await run({ clerk: agentOf(handler(cause), true), storage, ledger });
    expect(ledger.values).toEqual(answers);
  });
});

describe('a plan that changed while runs were open', () => {
  /** Each run makes one durable call, then waits for `release` before it answers. */
  const waiting = (parts: {
    cause: Cause;
    release: Promise<void>;
    action?: string;
    version?: string;
    prefix?: string;
    /** Told when the outcome of the call is durable. */
    onCalled?: () => void;
  }): Agent<Ask, string> =>
    agent<Ask, string>('clerk')
      .on(
        InputEvent,
        parts.action ?? 'answer',
        async (event: InputEvent<Ask>, ctx) => {
          await ctx.durableExecute('look-up', () => parts.cause.call(event.input.n));
          parts.onCalled?.();
          await parts.release;
          ctx.sendEvent(new OutputEvent(`${parts.prefix ?? ''}${event.input.key}:${event.input.n}`));
        },
        { async: true },
      )
      .options(parts.version === undefined ? {} : { version: parts.version });

  /** Stops a job whose first run of each key is open, its call journaled; gives what is needed to start it again. */
  const stopped = async (): Promise<{ cause: Cause; storage: MemoryStorage; ledger: Ledger<string> }> => {
    const [cause, storage, ledger] = [new Cause(), new MemoryStorage(), new Ledger<string>()];
    const sluice = new Sluice(asks, asks.length);
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    let called = 0;
    pipelineOf(env, sluice, waiting({ cause, release: new Promise(() => {}), onCalled: () => (called += 1) }), ledger);
    const job = await env.executeAsync();
    await until(() => called === 3);
    await job.stop({ timeout: 0 });
    expect(ledger.values).toEqual([]);
    return { cause, storage, ledger };
  };

  const pipelineOf = (
    env: StreamExecutionEnvironment,
    sluice: Sluice<Ask>,
    clerk: Agent<Ask, string>,
    ledger: Ledger<string>,
    options: ApplyAgentOptions = {},
  ): void => {
    const keyed = env.fromSource(sluice.source).keyBy(({ key }) => key);
    keyed
      .applyAgent(clerk, { outputOrder: 'arrival', ...options })
      .uid('clerk')
      .sinkTo(ledger.sink(), 'ledger');
  };

  const again = async (
    state: { storage: MemoryStorage; ledger: Ledger<string> },
    clerk: Agent<Ask, string>,
    options: ApplyAgentOptions = {},
  ): Promise<void> => {
    const env = StreamExecutionEnvironment.create({ ...once, storage: state.storage });
    pipelineOf(env, new Sluice(asks), clerk, state.ledger, options);
    await env.execute();
  };

  const done = Promise.resolve();
  const callsOf = (cause: Cause): number[] => asks.map(({ n }) => cause.calls.get(n) ?? 0);

  test('the same plan: runs go on, and no call is made twice', async () => {
    const state = await stopped();
    await again(state, waiting({ cause: state.cause, release: done }));
    expect(state.ledger.values).toEqual(answers);
    expect(callsOf(state.cause)).toEqual(asks.map(() => 1));
  });

  test("'continue' goes on with the new code, and no call is made twice", async () => {
    const state = await stopped();
    await again(state, waiting({ cause: state.cause, release: done, version: '2', prefix: 'new ' }), {
      onPlanChange: 'continue',
    });
    expect(state.ledger.values).toEqual(answers.map((each) => `new ${each}`));
    expect(callsOf(state.cause)).toEqual(asks.map(() => 1));
  });

  test("'fail' refuses to start, and the old plan goes on", async () => {
    const state = await stopped();
    const changed = waiting({ cause: state.cause, release: done, version: '2' });
    const error = await failure(again(state, changed, { onPlanChange: 'fail' }), 'PLAN_CHANGED');
    expect(error.message).toContain('clerk');
    await again(state, waiting({ cause: state.cause, release: done }), { onPlanChange: 'fail' });
    expect(state.ledger.values).toEqual(answers);
    expect(callsOf(state.cause)).toEqual(asks.map(() => 1));
  });

  test("'restart-run' begins the open runs anew with the new plan; only their calls are made again", async () => {
    const state = await stopped();
    await again(state, waiting({ cause: state.cause, release: done, version: '2', prefix: 'new ' }), {
      onPlanChange: 'restart-run',
    });
    expect(state.ledger.values).toEqual(answers.map((each) => `new ${each}`));
    expect(callsOf(state.cause)).toEqual(asks.map(({ n }) => (n < 3 ? 2 : 1)));
  });

  test('an action was renamed: the open runs can not go on, and say so; begun anew they can', async () => {
    const state = await stopped();
    const renamed = waiting({ cause: state.cause, release: done, action: 'reply' });
    const error = await failure(again(state, renamed), 'PLAN_CHANGED');
    expect(error.message).toMatch(/"answer"/);
    await again(state, renamed, { onPlanChange: 'restart-run' });
    expect(state.ledger.values).toEqual(answers);
    expect(callsOf(state.cause)).toEqual(asks.map(({ n }) => (n < 3 ? 2 : 1)));
  });

  test.each<readonly [string, ApplyAgentOptions]>([
    ['ignore', { onError: 'ignore' }],
    ['dead-letter', { deadLetters: letters }],
  ])(
    "an action was removed: with '%s' too the job says so and drops no run; begun anew they go on",
    async (_how, options) => {
      const state = await stopped();
      const dead = new Ledger<DeadLetter>();
      const without = agent<Ask, string>('clerk').on(InputEvent, 'reply', (event: InputEvent<Ask>, ctx) =>
        answer(event.input, ctx),
      );
      const start = (more: ApplyAgentOptions): Promise<void> => {
        const env = StreamExecutionEnvironment.create({ ...once, storage: state.storage });
        const keyed = env.fromSource(new Sluice(asks).source).keyBy(({ key }) => key);
        const answered = keyed.applyAgent(without, { outputOrder: 'arrival', ...options, ...more }).uid('clerk');
        answered.sinkTo(state.ledger.sink(), 'ledger');
        answered.sideOutput(letters).sinkTo(dead.sink(), 'dead');
        return env.execute();
      };
      await failure(start({}), 'PLAN_CHANGED');
      expect(state.ledger.values).toEqual([]);
      await start({ onPlanChange: 'restart-run' });
      expect([state.ledger.values, dead.values]).toEqual([answers, []]);
    },
  );

  test('a stateless operator was put in front: the open runs go on', async () => {
    const state = await stopped();
    const env = StreamExecutionEnvironment.create({ ...once, storage: state.storage });
    const keyed = env
      .fromSource(new Sluice(asks).source)
      .filter(() => true)
      .keyBy(({ key }) => key);
    keyed
      .applyAgent(waiting({ cause: state.cause, release: done }), { outputOrder: 'arrival' })
      .uid('clerk')
      .sinkTo(state.ledger.sink(), 'ledger');
    await env.execute();
    expect(state.ledger.values).toEqual(answers);
    expect(callsOf(state.cause)).toEqual(asks.map(() => 1));
  });

  test('the uid was changed: refused, because the open runs would be lost', async () => {
    const state = await stopped();
    const env = StreamExecutionEnvironment.create({ ...once, storage: state.storage });
    const keyed = env.fromSource(new Sluice(asks).source).keyBy(({ key }) => key);
    keyed
      .applyAgent(waiting({ cause: state.cause, release: done }), { outputOrder: 'arrival' })
      .uid('office')
      .sinkTo(state.ledger.sink(), 'ledger');
    await failure(env.execute(), 'STATE_UNCLAIMED');
    await again(state, waiting({ cause: state.cause, release: done }));
    expect(state.ledger.values).toEqual(answers);
  });
});
