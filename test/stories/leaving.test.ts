/** What an Observable has brought when its job leaves: done, kept, or counted and said (I22). */
import { callbackSink, StreamExecutionEnvironment, MemoryStorage, type DataStream, type Job } from 'millrace';
import { pino, type Logger } from 'pino';
import { Subject } from 'rxjs';
import { expect, test, vi } from 'vitest';
import { later, once, until } from './story.ts';

const count = 20;

/** A log, and how many values its warnings say are left. */
const noted = (): { readonly logger: Logger; readonly left: number[] } => {
  const left: number[] = [];
  const write = (line: string): void => {
    const facts = JSON.parse(line) as { readonly left?: number }; // A line of the log.
    if (facts.left !== undefined) left.push(facts.left);
  };
  return { logger: pino({ level: 'warn' }, { write }), left };
};

const shapes: Record<string, (stream: DataStream<number>) => DataStream<number>> = {
  'handed over at once': (stream) => stream.map((n) => n),
  'in calls': (stream) =>
    stream.asyncMap(async (n) => {
      await later(2);
      return n;
    }),
  'in calls, one at a time': (stream) =>
    stream.asyncMap(
      async (n) => {
        await later(2);
        return n;
      },
      { inFlightMax: 1 },
    ),
  'in calls of keys': (stream) =>
    stream
      .keyBy((n) => n % 2)
      .asyncMap(
        async (n) => {
          await later(2);
          return n;
        },
        { perKey: true },
      ),
};

for (const [name, shape] of Object.entries(shapes)) {
  test(`a stop without a place for state does what has come: ${name}`, async () => {
    const [values, seen, { logger, left }] = [new Subject<number>(), new Array<number>(), noted()];
    const env = StreamExecutionEnvironment.create({ ...once, logger });
    shape(env.fromObservable(values)).sinkTo(callbackSink((n) => void seen.push(n)));
    const job = await env.executeAsync();
    for (let n = 0; n < count; n += 1) values.next(n);
    await job.stop({ timeout: '1m' });
    expect(job.status.state).toBe('stopped');
    expect(values.observed).toBe(false);
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(left).toEqual([]);
  });
}

for (const leave of ['cancel', 'failure'] as const) {
  for (const storage of [undefined, new MemoryStorage()]) {
    test(`a ${leave} says how many it leaves, ${storage === undefined ? 'in memory' : 'with a place for state'}`, async () => {
      const [values, { logger, left }] = [new Subject<number>(), noted()];
      const env = StreamExecutionEnvironment.create({ ...once, logger, storage });
      env
        .fromObservable(values)
        .map((n) => {
          if (leave === 'failure' && n === 5) throw new RangeError('bad');
          return n;
        })
        .print({ write: () => {} });
      const job = await env.executeAsync();
      await until(() => values.observed);
      for (let n = 0; n < count; n += 1) values.next(n);
      if (leave === 'cancel') await job.cancel();
      else await job.done.catch(() => {});
      if (storage === undefined || leave === 'cancel') expect(left).toEqual([count]);
      else expect(left).toEqual([]); // Journaled before it was handed over.
    });
  }
}

const leavings: Record<string, (job: Job) => Promise<unknown>> = {
  'a cancel': (job) => job.cancel(),
  'a stop whose time is over': (job) => job.stop({ timeout: 1 }),
};

for (const [name, leave] of Object.entries(leavings)) {
  test(`what ${name} leaves of an Observable is said, and counted when the job is over`, async () => {
    const [values, { logger, left }] = [new Subject<number>(), noted()];
    const env = StreamExecutionEnvironment.create({ ...once, logger });
    const slow = env
      .fromObservable(values)
      .uid('values')
      .asyncMap(() => new Promise<number>(() => {}), { inFlightMax: 1 });
    slow.uid('slow').sinkTo(callbackSink(() => {}));
    const job = await env.executeAsync();
    for (let n = 0; n < count; n += 1) values.next(n);
    await vi.waitFor(async () => expect((await job.metrics.snapshot())['operator.slow.workOpen']).toBeGreaterThan(0), {
      timeout: 20_000,
    });
    await leave(job);
    const snapshot = await job.metrics.snapshot();
    expect(left[0]).toBeGreaterThan(0);
    expect(snapshot['operator.values.numRecordsDropped']).toBe(left[0]);
  });
}

const openCalls = (job: Job, open: number): Promise<void> =>
  vi.waitFor(async () => expect((await job.metrics.snapshot())['operator.calls.workOpen']).toBe(open), {
    timeout: 20_000,
  });

test('work that a stop without a place for state leaves open is said by operator, and counted', async () => {
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
  const env = StreamExecutionEnvironment.create({ ...once, logger });
  const calls = env.fromCollection([1, 2, 3]).asyncMap((n) => (n === 2 ? Promise.resolve(n) : new Promise(() => {})));
  calls.uid('calls').sinkTo(callbackSink(() => {}));
  const job = await env.executeAsync();
  await openCalls(job, 2);
  await job.stop({ timeout: 1 });
  expect((await job.metrics.snapshot())['operator.calls.workOpen']).toBe(2);
  expect(lines.filter((line) => line.includes('2 of `calls`'))).toHaveLength(1);
});

test('nothing is said of work that a place for state keeps', async () => {
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
  const env = StreamExecutionEnvironment.create({ ...once, logger, storage: new MemoryStorage() });
  const calls = env.fromCollection([1, 2, 3]).asyncMap(() => new Promise(() => {}));
  calls.uid('calls').sinkTo(callbackSink(() => {}));
  const job = await env.executeAsync();
  await openCalls(job, 3);
  await job.stop({ timeout: 1 });
  expect(lines.filter((line) => line.includes('calls'))).toEqual([]);
});
