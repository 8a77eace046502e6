/**
 * What failed outside may mend itself, what was paid for stays paid, and what fails for the same reason again and again
 * is given up.
 */
import {
  agent,
  exponentialDelay,
  fixedDelay,
  InputEvent,
  MemoryStorage,
  StreamExecutionEnvironment,
  type Agent,
  type CallContext,
  type EnvironmentBaseOptions,
  type Operator,
} from 'millrace';
import { expect, test } from 'vitest';
import { failure, later, Ledger, once, Sluice, until } from './story.ts';

const quick: EnvironmentBaseOptions = { logger: 'silent', restart: exponentialDelay({ initial: '5ms', max: '10ms' }) };

const paying = (
  charge: (input: number) => Promise<number>,
  after: (paid: number) => void = () => {},
): Agent<number, number> =>
  agent<number, number>('paying').on(InputEvent, async ({ input }, ctx) => {
    const paid = await ctx.durableExecute('charge', () => charge(input));
    after(paid);
    ctx.output(paid);
  });

const byItself = (env: StreamExecutionEnvironment, values: readonly number[] = [1]) =>
  env.fromCollection(values).keyBy((value) => value);

test('a receiver that is away for more than three restarts costs a job nothing, in an agent as in asyncMap', async () => {
  const away = (failures: number) => {
    let calls = 0;
    return async (value: number): Promise<number> => {
      calls += 1;
      if (calls <= failures) throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
      return value;
    };
  };
  const ofAgent = byItself(StreamExecutionEnvironment.create({ ...quick, storage: new MemoryStorage() })).applyAgent(
    paying(away(6)),
  );
  expect(await ofAgent.executeAndCollect()).toEqual([1]);
  const ofMap = byItself(StreamExecutionEnvironment.create({ ...quick, storage: new MemoryStorage() })).asyncMap(
    away(6),
  );
  expect(await ofMap.executeAndCollect()).toEqual([1]);
});

test('an action that fails right behind a paid call pays once, and is given up after three restarts without progress', async () => {
  let paid = 0;
  const env = StreamExecutionEnvironment.create({ ...quick, storage: new MemoryStorage() });
  const charge = async (value: number): Promise<number> => {
    paid += 1;
    return value;
  };
  const boom = (): never => {
    throw new Error('boom');
  };
  byItself(env).applyAgent(paying(charge, boom)).sinkTo(new Ledger<number>().sink());
  const error = await failure(env.execute(), 'RESTARTS_EXHAUSTED');
  expect(error.message).toContain('no progress in 3 restarts');
  expect(paid).toBe(1);
});

test('checkpoints that only time has brought are no progress', async () => {
  const env = StreamExecutionEnvironment.create({
    ...quick,
    storage: new MemoryStorage(),
    checkpoint: { interval: '5ms' },
  });
  const slowly = async (value: number): Promise<number> => value;
  byItself(env)
    .applyAgent(
      agent<number, number>('slow').on(InputEvent, async ({ input }, ctx) => {
        await ctx.durableExecute('charge', () => slowly(input));
        await later(25);
        throw new Error('boom');
      }),
    )
    .sinkTo(new Ledger<number>().sink());
  await failure(env.execute(), 'RESTARTS_EXHAUSTED');
});

test('a result that can not be stored fails the job, and is no outcome when the code is mended', async () => {
  class Receipt {
    readonly sum = 1;
  }
  const storage = new MemoryStorage();
  const life = (make: () => unknown): Promise<unknown> => {
    const operator: Operator<number, unknown> = (context) => {
      const work = context.work<number, unknown>({
        name: 'make',
        run: async () => make(),
        apply: (_item, outcome) => {
          if (!outcome.ok) throw outcome.error;
          context.output.emit(outcome.value, 0);
        },
      });
      return { process: (value) => work.submit(value) };
    };
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    return byItself(env).transform('make', operator).executeAndCollect();
  };
  await failure(
    life(() => new Receipt()),
    'NOT_SERIALISABLE',
  );
  expect(await life(() => ({ sum: 1 }))).toEqual([{ sum: 1 }]);
});

test('a signal that is asked for after the timeout is aborted already', async () => {
  let seen: AbortSignal | undefined;
  const env = StreamExecutionEnvironment.create(once);
  const late = async (_value: number, call: CallContext): Promise<number> => {
    await later(20);
    seen = call.signal;
    return 1;
  };
  byItself(env).asyncMap(late, { attemptTimeout: '5ms' }).sinkTo(new Ledger<number>().sink());
  await failure(env.execute(), 'WORK_TIMEOUT');
  await until(() => seen !== undefined);
  expect(seen?.aborted).toBe(true);
  expect(String(seen?.reason)).toContain('took longer than 5 ms');
});

test('a stop starts no action that has not begun; it begins when the job does', async () => {
  const storage = new MemoryStorage();
  const begun: number[] = [];
  const ledger = new Ledger<number>();
  const life = (): StreamExecutionEnvironment => {
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    env
      .fromSource(new Sluice([1, 2, 3, 4]).source)
      .keyBy((value) => value)
      .applyAgent(
        agent<number, number>('counting').on(InputEvent, async ({ input }, ctx) => {
          begun.push(input);
          ctx.output(await ctx.durableExecute('wait', () => later(30).then(() => input)));
        }),
        { asyncConcurrency: 1, pendingMax: 10, outputOrder: 'arrival' },
      )
      .sinkTo(ledger.sink(), 'ledger');
    return env;
  };
  const job = await life().executeAsync();
  await until(() => begun.length === 1);
  await job.stop();
  expect(begun).toEqual([1]);
  await life().execute();
  expect(ledger.values).toEqual([1, 2, 3, 4]);
});

test('a resource that fails to close does not undo what was done, nor keep the store', async () => {
  const storage = new MemoryStorage();
  const life = (): StreamExecutionEnvironment => {
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    env.addResource('thing', 'stubborn', {
      close: () => {
        throw new Error('no');
      },
    });
    byItself(env)
      .applyAgent(paying(async (value) => value))
      .sinkTo(new Ledger<number>().sink(), 'ledger');
    return env;
  };
  await life().execute();
  await life().execute();
});

test('a stop while the job waits for its restart is a stop', async () => {
  const env = StreamExecutionEnvironment.create({
    logger: 'silent',
    storage: new MemoryStorage(),
    restart: fixedDelay({ attempts: 5, delay: '1h' }),
  });
  const failing = async (): Promise<number> => {
    throw new Error('not now');
  };
  byItself(env).asyncMap(failing).sinkTo(new Ledger<number>().sink());
  const job = await env.executeAsync();
  await until(() => job.status.state === 'restarting');
  await job.stop();
  expect(job.status.state).toBe('stopped');
});
