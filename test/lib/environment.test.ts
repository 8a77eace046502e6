import { agent, fixedDelay, InputEvent, StreamExecutionEnvironment } from 'millrace';
import { ABORT, scriptedSource } from 'millrace/testing';
import { expect, test } from 'vitest';
import { freshDirectory, later, once, until } from '../stories/story.ts';

const create = (): StreamExecutionEnvironment => StreamExecutionEnvironment.create(once);

test('executeAndCollect gives each value once, also when the job restarts behind a commit and repeats it', async () => {
  const env = StreamExecutionEnvironment.create({
    logger: 'silent',
    checkpoint: { directory: await freshDirectory(), interval: 150 },
    restart: fixedDelay({ attempts: 1, delay: 1 }),
  });
  // The wait is long enough for a checkpoint, whose epoch is then committed again by the next start.
  const script = scriptedSource([1, 2, ABORT, 3, 4], { onAbort: () => later(220) });
  expect(await env.executeAndCollect(env.fromSource(script))).toEqual([1, 2, 3, 4]);
});

test('executeAndCollect takes more values of one epoch than a call has arguments', async () => {
  const env = create();
  const many = env.fromCollection([1]).flatMap(() => Array.from({ length: 300_000 }, (_, n) => n));
  expect(await env.executeAndCollect(many)).toHaveLength(300_000);
});

test('executeAndCollect refuses a stream of another environment, which would not run', async () => {
  const other = create().fromCollection([1]);
  await expect(create().executeAndCollect(other)).rejects.toThrow(/of this environment, got one of another/);
});

test('while a job runs the pipeline can not be changed and no second job can start; afterwards both can', async () => {
  const env = create();
  const stream = env.generate({ generate: (n) => n, perSecond: 100 });
  stream.print({ write: () => {} });
  const job = await env.executeAsync('first');
  await expect(env.execute('second')).rejects.toThrow(/one job of an environment at a time; "first" is still running/);
  const refused = /complete before it runs; job "first" is running/;
  expect(() => stream.map((n) => n)).toThrow(refused);
  expect(() => stream.asObservable()).toThrow(refused);
  expect(() => stream.uid('numbers')).toThrow(refused);
  expect(() => env.fromCollection([1])).toThrow(refused);
  expect(() => stream.keyBy((n) => n).applyAgent(agent<number, number>('late').on(InputEvent, () => {}))).toThrow(
    refused,
  );
  await job.stop();
  stream.map((n) => n).print({ write: () => {} });
  const next = await env.executeAsync('second');
  await until(() => next.status.state === 'running');
  await next.cancel();
  expect(next.status.state).toBe('cancelled');
});

test('two executions at once: the second is refused and the first one goes on', async () => {
  const env = create();
  const seen: number[] = [];
  env.fromCollection([1, 2]).print({ write: (text) => void seen.push(...text.trim().split('\n').map(Number)) });
  const [first, second] = await Promise.allSettled([env.execute('a'), env.execute('b')]);
  expect([first.status, second.status]).toEqual(['fulfilled', 'rejected']);
  expect(seen).toEqual([1, 2]);
});

test('a pipeline that is refused at its start is not locked by it', async () => {
  const env = create();
  const stream = env
    .fromCollection([1])
    .map((n) => n)
    .uid('same')
    .map((n) => n)
    .uid('same');
  await expect(env.execute()).rejects.toMatchObject({ code: 'UID_CLASH' });
  stream.uid('other');
  await env.execute();
});
