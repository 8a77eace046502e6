/** Code that a checkpoint waits for may ask for one; what it may not is wait for it, since that has no end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { firstValueFrom } from 'rxjs';
import {
  agent,
  callbackSink,
  defineSink,
  fixedDelay,
  InputEvent,
  MemoryStorage,
  noRestart,
  StreamExecutionEnvironment,
  WatermarkStrategy,
  type DataStream,
  type Job,
  type Sink,
  type Source,
} from 'millrace';
import { expect, test } from 'vitest';

type Ask = () => Promise<void>;

const sinkOf = (guarantee: 'at-least-once' | 'exactly-once', writer: object): Sink<number, unknown> => ({
  name: 'out',
  guarantee,
  open: async () => ({
    ...{ write() {}, full: false, seal: async () => 1, commit: async () => {}, close: async () => {} },
    ...writer,
  }),
});

const codes: Readonly<Record<string, (numbers: DataStream<number>, ask: Ask) => unknown>> = {
  'the function of callbackSink': (numbers, ask) => numbers.sinkTo(callbackSink(async () => ask())),
  'write of an at-least-once sink': (numbers, ask) => numbers.sinkTo(defineSink({ name: 'out', write: ask })),
  'write of an exactly-once sink': (numbers, ask) =>
    numbers.sinkTo(defineSink({ name: 'out', guarantee: 'exactly-once', write: ask })),
  flush: (numbers, ask) => numbers.sinkTo(sinkOf('at-least-once', { flush: ask })),
  'seal of an at-least-once sink': (numbers, ask) => numbers.sinkTo(sinkOf('at-least-once', { seal: ask })),
  'seal of an exactly-once sink': (numbers, ask) => numbers.sinkTo(sinkOf('exactly-once', { seal: ask })),
  commit: (numbers, ask) => numbers.sinkTo(sinkOf('exactly-once', { commit: ask })),
  'behind an await': (numbers, ask) =>
    numbers.sinkTo(defineSink({ name: 'out', write: async () => (await sleep(1), ask()) })),
};

const environment = (options: object = {}): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({
    logger: 'silent',
    storage: new MemoryStorage(),
    restart: noRestart(),
    ...options,
    checkpoint: { interval: 20 },
  });

test.each(Object.entries(codes))('%s may not await a checkpoint', async (_name, build) => {
  const env = environment();
  const running: { job?: Job } = {};
  build(env.generate({ generate: (index) => index, perSecond: 500 }), async () => running.job?.checkpoint());
  running.job = await env.executeAsync('waiting');
  await expect(running.job.done).rejects.toMatchObject({
    code: 'WAITS_FOR_ITSELF',
    retryable: false,
    details: { uid: expect.stringMatching(/^(out|callback)/) },
  });
});

/** What opens, in the second life of a job: nobody has the job in the first. */
const opening: Readonly<Record<string, (env: StreamExecutionEnvironment, ask: Ask) => DataStream<number>>> = {
  'open of a source': (env, ask) => env.fromSource(numbersSource({ beforeOpen: ask }), WatermarkStrategy.none()),
  'splits of a source': (env, ask) => env.fromSource(numbersSource({ beforeSplits: ask }), WatermarkStrategy.none()),
  'open of an operator': (env, ask) =>
    env.generate({ generate: (index) => index, perSecond: 500 }).transform<number>('opening', ({ output }) => ({
      open: ask,
      process: (value, timestamp) => output.emit(value, timestamp),
    })),
  'open of a sink': (env, ask) => {
    const numbers = env.generate({ generate: (index) => index, perSecond: 500 });
    const sink = sinkOf('exactly-once', {});
    numbers.sinkTo({ ...sink, open: async (context) => (await ask(), sink.open(context)) });
    return numbers;
  },
  'the factory of a resource': (env, ask) => {
    env.addResource('text', 'greeting', { factory: async () => (await ask(), 'Good morning') });
    const echo = agent<number, number>('echo').on(InputEvent, ({ input }, ctx) => ctx.output(input));
    return env
      .generate({ generate: (index) => index, perSecond: 500 })
      .keyBy((index) => index)
      .applyAgent(echo);
  },
};

const numbersSource = (before: { beforeOpen?: Ask; beforeSplits?: Ask }): Source<number> => ({
  name: 'numbers',
  replayable: true,
  splits: async () => (await before.beforeSplits?.(), ['one']),
  open: async () => {
    await before.beforeOpen?.();
    const read = async () => (await sleep(2), { values: [1], position: (count: number) => count });
    return { read, close: async () => {} };
  },
});

test.each(Object.entries(opening))('%s may not await a checkpoint', async (_name, build) => {
  const env = environment({ restart: fixedDelay({ attempts: 1, delay: 1 }) });
  const running: { job?: Job } = {};
  build(env, async () => running.job?.checkpoint()).sinkTo(
    callbackSink(() => {
      if (running.job?.status.restarts === 0) throw new Error('the first life ends');
    }),
  );
  running.job = await env.executeAsync('opening');
  const ended = running.job.done.then(() => undefined);
  const failure: unknown = await Promise.race([ended.catch((error: unknown) => error), sleep(5000)]);
  expect([failure, (failure as Error).cause]).toContainEqual(expect.objectContaining({ code: 'WAITS_FOR_ITSELF' }));
});

test('code that a checkpoint waits for may await that of another job', async () => {
  const other = environment();
  other.generate({ generate: (index) => index, perSecond: 500 }).sinkTo(callbackSink(() => {}));
  const behind = await other.executeAsync('behind');
  const env = environment();
  env.generate({ generate: (index) => index, perSecond: 500 }).sinkTo(
    sinkOf('exactly-once', { commit: () => behind.checkpoint() }),
  );
  const job = await env.executeAsync('in front');
  await job.checkpoint();
  await job.stop();
  await behind.stop();
  expect([job.status.state, behind.status.state]).toEqual(['stopped', 'stopped']);
});

test('a checkpoint that nobody awaits is taken, and what a sink has started and left behind may await one', async () => {
  const env = environment();
  const running: { job?: Job } = {};
  const behind: Promise<void>[] = [];
  env.generate({ generate: (index) => index, perSecond: 500 }).sinkTo(
    callbackSink(() => {
      if (running.job === undefined || behind.length > 0) return;
      void running.job.checkpoint(); // Nothing comes of the refusal.
      behind.push(sleep(30).then(() => running.job?.checkpoint()));
    }),
  );
  running.job = await env.executeAsync('asking');
  expect((await firstValueFrom(running.job.checkpoints$)).id).toBe(1);
  while (behind.length === 0) await sleep(1);
  await behind[0];
  await running.job.stop();
  expect(running.job.status.state).toBe('stopped');
});
