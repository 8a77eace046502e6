import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  callbackSink,
  defineSource,
  exponentialDelay,
  MemoryStorage,
  outputTag,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type DataStream,
  type EnvironmentOptions,
  type Operator,
  type Source,
} from 'millrace';
import { from, map, Subject } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { failure, later, once } from './stories/story.ts';

interface Reading {
  readonly n: number;
  readonly ts: number;
}

const create = (options: EnvironmentOptions = {}): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({ ...once, ...options });

/** Ordered but for every seventh reading, which is 3 s behind. */
const readings: readonly Reading[] = Array.from({ length: 60 }, (_, n) => ({
  n,
  ts: 100_000 + n * 100 - (n % 7 === 6 ? 3000 : 0),
}));
const strategy = WatermarkStrategy.boundedOutOfOrderness<Reading>('1s').withTimestamps(({ ts }) => ts);

/** What windows of a stream hold, and what came too late for them. */
const windowed = async (env: StreamExecutionEnvironment, stream: DataStream<Reading>): Promise<unknown> => {
  const tag = outputTag<Reading>('late');
  const late: number[] = [];
  const windows = stream
    .keyBy(() => 'k')
    .window(TumblingEventTimeWindows.of('1s'))
    .sideOutputLateData(tag)
    .process((all, { window }) => [window.start, all.map(({ n }) => n)]);
  windows.sideOutput(tag).sinkTo(callbackSink(({ n }) => void late.push(n)));
  return { windows: await env.executeAndCollect(windows), late };
};

const pages =
  (size: number, waitMs: number, strategyOf = strategy) =>
  (env: StreamExecutionEnvironment): DataStream<Reading> =>
    env.fromSource(
      defineSource({
        start: 0,
        async read(at: number) {
          if (waitMs > 0) await later(waitMs);
          return at >= readings.length
            ? undefined
            : { values: readings.slice(at, at + size), position: (count) => at + count };
        },
      }),
      strategyOf,
    );

/** As a process that was stopped in the middle: time has passed, and nobody has looked. */
const standStill = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

describe('which records are late does not depend on speed (I17)', () => {
  const speeds: Readonly<Record<string, (env: StreamExecutionEnvironment) => DataStream<Reading>>> = {
    'pages of one': pages(1, 0),
    'slow pages': pages(13, 250),
    'slow pages, watched for idleness': pages(13, 250, strategy.withIdleness(50)),
    'a watermark at each record': pages(60, 0, strategy.withEmitEvery(1)),
    'an Observable at once': (env) => env.fromObservable(from(readings), {}, strategy),
    'a slow call in front': (env) =>
      env
        .fromCollection(readings, strategy)
        .asyncMap(async (each) => (await later(each.n % 20 === 0 ? 250 : 0), each), {
          order: 'arrival',
          inFlightMax: 1,
        }),
    'a slow call beside': (env) => {
      const source = env.fromCollection(readings, strategy.withIdleness(50));
      source
        .asyncMap(async ({ n }) => void (await later(n === 5 ? 700 : 0)), { inFlightMax: 1 })
        .sinkTo(callbackSink(() => {}));
      return source;
    },
    'a process that stands still': (env) =>
      pages(20, 30, strategy.withIdleness(300))(env).map((each) => (each.n === 25 && standStill(900), each)),
  };

  test.each(Object.entries(speeds))('%s', async (_how, build) => {
    const [slow, fast] = [create(), create()];
    expect(await windowed(slow, build(slow))).toEqual(await windowed(fast, fast.fromCollection(readings, strategy)));
  });

  test('a slow source is not idle beside a fast one, so nothing of it that is in order is late', async () => {
    const env = create();
    const ordered = (name: string, values: readonly number[], waitMs: number): DataStream<Reading> =>
      env.fromSource(
        defineSource({
          name,
          start: 0,
          async read(at: number) {
            await later(waitMs);
            return at >= values.length
              ? undefined
              : { values: values.slice(at, at + 5).map((ts, n) => ({ n, ts })), position: (count) => at + count };
          },
        }),
        WatermarkStrategy.monotonous<Reading>()
          .withEmitEvery(1)
          .withIdleness(100)
          .withTimestamps(({ ts }) => ts),
      );
    const fast = ordered('fast', [500_000], 0);
    const slow = ordered(
      'slow',
      Array.from({ length: 10 }, (_, n) => n * 1000),
      700,
    );
    expect(await windowed(env, fast.union(slow))).toMatchObject({ late: [] });
  });
});

describe('no timestamp is taken unless it is a finite number (I16)', () => {
  const tag = outputTag<Reading>('side');
  const own: (
    how: (to: Parameters<Operator<Reading, Reading>>[0], value: Reading, ts: number) => void,
  ) => (ts: number) => Operator<Reading, Reading> = (how) => (ts) => (context) => ({
    process: (value) => how(context, value, ts),
  });
  const doors: Readonly<Record<string, (stream: DataStream<Reading>, ts: number) => DataStream<unknown>>> = {
    'ctx.emit': (stream, ts) => stream.process<Reading>((value, ctx) => ctx.emit(value, ts)),
    'ctx.side': (stream, ts) => stream.process<Reading>((value, ctx) => ctx.side(tag, value, ts)),
    'ctx.timers': (stream, ts) =>
      stream
        .keyBy(() => 'k')
        .process<Reading>({ process: (_value, ctx) => ctx.timers.register(ts), onTimer: () => {} }),
    'the side output of a window': (stream, ts) =>
      stream
        .keyBy(() => 'k')
        .window(TumblingEventTimeWindows.of('1s'))
        .process((all, ctx) => ctx.side(tag, all[0] as Reading, ts)),
    'an own operator': (stream, ts) =>
      stream.transform('mine', own(({ output }, value, at) => output.emit(value, at))(ts)),
    'its side output': (stream, ts) =>
      stream.transform('mine', own(({ output }, value, at) => output.side(tag, value, at))(ts)),
  };
  const wrong = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1e300,
    '17' as unknown as number,
    new Date(1) as unknown as number,
  ];

  test.each(Object.entries(doors))('%s', async (door, build) => {
    for (const ts of wrong.filter((each) => each !== Number.POSITIVE_INFINITY || door !== 'ctx.timers')) {
      const env = create();
      build(env.fromCollection(readings, strategy), ts).sinkTo(callbackSink(() => {}));
      expect((await failure(env.execute(), 'TIMESTAMP_INVALID')).retryable).toBe(false);
    }
  });

  test('a source with Infinity in it ends no event time: the job fails and says where', async () => {
    const env = create();
    const values = [
      { n: 0, ts: 1 },
      { n: 1, ts: Number.POSITIVE_INFINITY },
      { n: 2, ts: 3 },
    ];
    const error = await failure(
      env.executeAndCollect(env.fromCollection(values, strategy).pipe(map(({ n }) => n))),
      'TIMESTAMP_INVALID',
    );
    expect(error.details).toMatchObject({ uid: 'collection', split: 'collection', record: 1 });
  });
});

describe('what a source that can not be read again has brought is not lost by a throw', () => {
  /** Gives its values once, in this process: what was given is gone. */
  const queue = (values: readonly number[], size: number): Source<number, number> => {
    let [given, acknowledged] = [0, 0];
    return {
      name: 'queue',
      replayable: false,
      splits: async () => ['q'],
      async open() {
        given = acknowledged;
        return {
          async read() {
            const first = given;
            given = Math.min(values.length, first + size);
            return first === given
              ? undefined
              : { values: values.slice(first, given), position: (count) => first + count };
          },
          committed: async (position) => void (acknowledged = Math.max(acknowledged, position)),
          close: async () => {},
        };
      },
    };
  };
  const values = Array.from({ length: 300 }, (_, n) => n);
  const sources: Readonly<Record<string, (env: StreamExecutionEnvironment) => DataStream<number>>> = {
    'an Observable': (env) => env.fromObservable(from(values)),
    'a queue': (env) => env.fromSource(queue(values, 70)),
    'a queue of one': (env) => env.fromSource(queue(values, 1)),
  };
  const stores: Readonly<Record<string, () => EnvironmentOptions>> = {
    'on disk': () => ({ checkpoint: { directory: mkdtempSync(join(tmpdir(), 'time-')), interval: 20 } }),
    'in a storage without checkpoints': () => ({ storage: new MemoryStorage() }),
  };

  for (const [where, store] of Object.entries(stores)) {
    test.each(Object.entries(sources))(`%s, ${where}`, async (_what, build) => {
      const throwAt = new Set([0, 41, 299]); // Three in a row without a new durable record is what a job takes.
      const env = create({ ...store(), restart: exponentialDelay({ initial: 1, max: 1 }) });
      const out = build(env).map((n) => {
        if (throwAt.delete(n)) throw new Error('once');
        return n;
      });
      expect(await env.executeAndCollect(out)).toEqual(values);
    });
  }

  test('in memory the values of the turn that threw come again, though state begins anew', async () => {
    const env = create({ restart: exponentialDelay({ initial: 1, max: 1 }) });
    const got: number[] = [];
    let thrown = false;
    env
      .fromObservable(from(values))
      .map((n) => {
        if (n === 40 && !thrown) {
          thrown = true;
          throw new Error('once');
        }
        return n;
      })
      .sinkTo(callbackSink((n) => void got.push(n)));
    await env.execute();
    expect(values.filter((n) => !got.includes(n))).toEqual([]);
  });

  test('what was accepted and waits behind a full place is there after a stop', async () => {
    const storage = new MemoryStorage();
    const subject = new Subject<number>();
    const got: number[] = [];
    const start = (env: StreamExecutionEnvironment, wait: Promise<void>): void =>
      void env
        .fromObservable(subject)
        .asyncMap(async (n) => (await wait, n), { inFlightMax: 2, order: 'arrival' })
        .sinkTo(callbackSink((n) => void got.push(n)));
    const first = create({ storage, stopTimeout: 10 });
    start(first, new Promise(() => {}));
    const job = await first.executeAsync();
    for (const n of values) subject.next(n);
    while ((await job.metrics.snapshot())['operator.async-map.workOpen'] !== 4) await later(1);
    await job.stop();
    const second = create({ storage });
    start(second, Promise.resolve());
    const again = await second.executeAsync();
    subject.complete();
    await again.done;
    expect(got).toEqual(values);
  });
});
