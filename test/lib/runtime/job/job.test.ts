import {
  defineSink,
  exponentialDelay,
  fixedDelay,
  MemoryStorage,
  StreamExecutionEnvironment,
  type Job,
  type RestartStrategy,
} from 'millrace';
import { ManualClock } from 'millrace/testing';
import { expect, test } from 'vitest';
import { failure, later, Sluice, until } from '../../../stories/story.ts';

const quick = exponentialDelay({ initial: 1, max: 1 });

/** Runs a pipeline that fails with what `failing` throws, and counts how often. */
const starts = async (
  failing: () => never,
  restart: RestartStrategy = quick,
): Promise<{ readonly count: number; readonly error: unknown }> => {
  let count = 0;
  const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage(), restart });
  const stream = env.fromCollection([1]).map(() => {
    count += 1;
    return failing();
  });
  const error = await env.executeAndCollect(stream, 'doomed').catch((reason: unknown) => reason);
  return { count, error };
};

test('code that fails again is given up after three restarts without progress, and the error says so', async () => {
  const { count, error } = await starts(() => {
    throw new RangeError('too much');
  });
  expect(count).toBe(4);
  expect(error).toMatchObject({
    code: 'RESTARTS_EXHAUSTED',
    message: 'job "doomed" made no progress in 3 restarts: operator `map` threw: too much',
    cause: { code: 'OPERATOR_FAILED' },
    hint: expect.stringContaining('the same failure came back'),
  });
});

test('a strategy that gives up first is said to have done so', async () => {
  const { error } = await starts(
    () => {
      throw new RangeError('too much');
    },
    fixedDelay({ attempts: 2, delay: 1 }),
  );
  expect(error).toMatchObject({
    code: 'RESTARTS_EXHAUSTED',
    message: expect.stringContaining('"doomed" failed after 2 restarts: '),
  });
});

test('an operator that can not even be made is given up as well', async () => {
  let made = 0;
  const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage(), restart: quick });
  const stream = env.fromCollection([1]).transform<number>('broken', () => {
    made += 1;
    throw new RangeError('no');
  });
  await failure(env.executeAndCollect(stream), 'RESTARTS_EXHAUSTED');
  expect(made).toBe(4);
});

test('failures of what is outside do not use up the patience with own code', async () => {
  const { source } = new Sluice<number>([1]);
  let [down, threw] = [5, 0];
  const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage(), restart: quick });
  const stream = env
    .fromSource({
      ...source,
      async open(split: string, position: number | undefined, signal: AbortSignal) {
        down -= 1;
        if (down >= 0) throw new Error('503');
        return source.open(split, position, signal);
      },
    })
    .map((value: number) => {
      threw += 1;
      if (threw < 3) throw new RangeError('not yet');
      return value;
    });
  expect(await env.executeAndCollect(stream)).toEqual([1]);
});

test('a stop does not wait for ever for a job that can not start', async () => {
  const { source } = new Sluice<number>([1]);
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  env.fromSource({ ...source, open: () => new Promise<never>(() => {}) }).print({ write: () => {} });
  const job = await env.executeAsync();
  await later(5);
  await job.stop({ timeout: 5 });
  expect(job.status.state).toBe('stopped');
});

test('sources wait on the clock of the environment', async () => {
  const clock = new ManualClock();
  const seen: string[] = [];
  const env = StreamExecutionEnvironment.create({ logger: 'silent', clock });
  env.generate({ generate: (index) => index, count: 3, perSecond: 1 }).print({ write: (text) => void seen.push(text) });
  const job = await env.executeAsync();
  await until(() => seen.length === 1);
  await later(20);
  expect(seen).toEqual(['0\n']);
  for (let second = 0; second < 3; second += 1) {
    clock.advance(1000);
    await later(5);
  }
  await job.done;
  expect(seen).toEqual(['0\n', '1\n', '2\n']);
});

test.each(['map', 'observer'])(
  'a checkpoint that is asked for inside of a turn is taken after it: %s',
  async (where) => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage() });
    let job: Job | undefined;
    const asked: Promise<void>[] = [];
    const ask = (at: string): void => {
      if (at === where && job !== undefined && asked.length === 0) asked.push(job.checkpoint());
    };
    const numbers = env.generate({ generate: (index) => index, perSecond: 500 }).map((n) => {
      ask('map');
      return n;
    });
    numbers.asObservable().subscribe({ next: () => ask('observer'), error: () => {} });
    numbers.sinkTo(defineSink({ write: () => {} }));
    job = await env.executeAsync('asking');
    await until(() => asked.length === 1);
    await asked[0];
    await job.stop();
    expect(job.status.state).toBe('stopped');
  },
);

test('a checkpoint waits for the job to start, and a stop refuses options that it does not have', async () => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage() });
  env.generate({ generate: (index) => index, perSecond: 100 }).sinkTo(defineSink({ write: () => {} }));
  const job = await env.executeAsync('early');
  await job.checkpoint();
  await expect(job.stop({ timout: '1s' } as never)).rejects.toThrow(
    /Expected options of `stop` to be among timeout, savepoint, got `timout`/,
  );
  expect(Reflect.set(job.status, 'state', 'broken')).toBe(false);
  await job.stop();
  await expect(job.checkpoint()).rejects.toThrow('Expected the job to be running, got `stopped`');
});

test('a stop that fails is told by `done`, and ends no process where nobody waits for the stop itself', async () => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  env.fromCollection([1]).sinkTo(defineSink({ write: () => new Promise<void>(() => {}) }));
  const job = await env.executeAsync('hanging');
  await until(() => job.status.state === 'running');
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    void job.stop({ timeout: 10 });
    await expect(job.done).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await later(20);
  } finally {
    process.off('unhandledRejection', note);
  }
  expect(unhandled).toEqual([]);
});

test('at the end of the input a stop has no more than its time', async () => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage() });
  env.fromCollection([1, 2, 3]).sinkTo(defineSink({ write: () => new Promise<void>(() => {}) }));
  const job = await env.executeAsync('ended');
  await later(50);
  const start = performance.now();
  await job.stop({ timeout: '100ms' });
  expect(performance.now() - start).toBeLessThan(3000); // It was five seconds.
  expect(job.status.state).toBe('stopped');
});
