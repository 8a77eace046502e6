/** I18: everything that is awaited on the way out has a limit, and a failure is told before it. */
import {
  agent,
  callbackSink,
  defineSink,
  fixedDelay,
  InputEvent,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  type DataStream,
  type Job,
  type OpenStorage,
  type Sink,
  type Source,
  type Storage,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { later, once, until } from './story.ts';

const forEver = (): Promise<never> => new Promise(() => {});

interface Pipeline {
  readonly env: StreamExecutionEnvironment;
  /** What the hanging part has begun to hang in. */
  readonly hangs: () => boolean;
}

const environment = (storage: Storage = new MemoryStorage()): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({ ...once, storage, stopTimeout: '60ms' });

const ticks = (env: StreamExecutionEnvironment): DataStream<number> =>
  env.generate({ generate: (index) => index, perSecond: 200 });

/** A value now and then. */
const waitingRead = async () => {
  await later(5);
  return { values: [1], position: () => 1 };
};

const sourceThat = (hangs: Partial<Source<number>>, reader: object = {}): Source<number> => ({
  name: 'hanging',
  replayable: true,
  splits: async () => ['only'],
  open: async () => ({ read: waitingRead, close: async () => {}, ...reader }),
  ...hangs,
});

const sinkThat = (hangs: Partial<Sink<number>>, writer: object = {}): Sink<number> => ({
  name: 'hanging',
  guarantee: 'exactly-once',
  open: async () => ({
    write: () => {},
    full: false,
    seal: async () => 1,
    commit: async () => {},
    close: async () => {},
    ...writer,
  }),
  ...hangs,
});

/** Code of a pipeline that hangs for ever; `hang` says that it has begun to. */
const codeParts: Record<string, (env: StreamExecutionEnvironment, hang: () => Promise<never>) => void> = {
  'the write of a callback sink': (env, hang) => void ticks(env).sinkTo(callbackSink(hang)),
  'the write of an at-least-once sink': (env, hang) => void ticks(env).sinkTo(defineSink({ write: hang })),
  'the commit of a sink': (env, hang) => void ticks(env).sinkTo(defineSink({ guarantee: 'exactly-once', write: hang })),
  'the seal of a sink': (env, hang) => void ticks(env).sinkTo(sinkThat({}, { seal: hang })),
  'the close of a sink': (env, hang) => void ticks(env).sinkTo(sinkThat({}, { close: hang })),
  'the opening of a sink': (env, hang) => void ticks(env).sinkTo(sinkThat({ open: hang })),
  'the splits of a source': (env, hang) => void env.fromSource(sourceThat({ splits: hang })).sinkTo(sinkThat({})),
  'the opening of a source': (env, hang) => void env.fromSource(sourceThat({ open: hang })).sinkTo(sinkThat({})),
  'the read of a source': (env, hang) => void env.fromSource(sourceThat({}, { read: hang })).sinkTo(sinkThat({})),
  'the close of a source': (env, hang) => void env.fromSource(sourceThat({}, { close: hang })).sinkTo(sinkThat({})),
  'the opening of a process function': (env, hang) =>
    void ticks(env)
      .process<number>({ open: hang, process: () => {} })
      .sinkTo(sinkThat({})),
  'the close of a process function': (env, hang) =>
    void ticks(env)
      .process<number>({ process: () => {}, close: hang })
      .sinkTo(sinkThat({})),
  'a call of asyncMap': (env, hang) => void ticks(env).asyncMap(hang).sinkTo(sinkThat({})),
  'the close of a resource': (env, hang) => {
    const idle = agent<number, number>('idle').on(InputEvent, (event, ctx) => {
      ctx.sendEvent(new OutputEvent(event.input));
    });
    env.addResource('service', 'hanging', { close: hang });
    ticks(env)
      .keyBy((n) => n)
      .applyAgent(idle)
      .sinkTo(sinkThat({}));
  },
};

/** The storage with one function of one of its parts hanging. */
const storageThat =
  (part: 'storage' | 'state' | 'batch' | 'journal', name: string) =>
  (hang: () => Promise<never>): Storage => {
    const memory = new MemoryStorage();
    const hanging = <T extends object>(kind: typeof part, object: T, others: Partial<T> = {}): T =>
      new Proxy(object, {
        get: (target, key) => {
          if (kind === part && key === name) return key === 'entries' || key === 'rebuildState' ? hangs : hang;
          const own: unknown = key in others ? others[key as keyof T] : target[key as keyof T];
          return typeof own === 'function' ? own.bind(target) : own;
        },
      });
    const hangs = async function* (): AsyncGenerator<never> {
      yield await hang();
    };
    const open = async (): Promise<OpenStorage> => {
      const opened = await memory.open();
      const { state, journal } = opened;
      return hanging('storage', opened, {
        state: hanging('state', state, { batch: () => hanging('batch', state.batch()) }),
        journal: hanging('journal', journal),
      });
    };
    return { name: 'hanging', open: part === 'storage' && name === 'open' ? hang : open };
  };

const storageParts: Record<string, (hang: () => Promise<never>) => Storage> = {
  'the opening of a store': storageThat('storage', 'open'),
  'the close of a store': storageThat('storage', 'close'),
  'the reading of the newest checkpoint': storageThat('state', 'entries'),
  'the write of a checkpoint': storageThat('batch', 'write'),
  'the deletion of old checkpoints': storageThat('state', 'clear'),
  'the reading of the journal': storageThat('journal', 'rebuildState'),
  'the write of the journal': storageThat('journal', 'append'),
  'the pruning of the journal': storageThat('journal', 'pruneState'),
  'the position of the journal': storageThat('journal', 'getRecoveryMarker'),
};

const parts: Record<string, (hang: () => Promise<never>) => StreamExecutionEnvironment> = {
  ...Object.fromEntries(
    Object.entries(codeParts).map(([part, build]) => [
      part,
      (hang: () => Promise<never>) => {
        const env = environment();
        build(env, hang);
        return env;
      },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(storageParts).map(([part, storage]) => [
      part,
      (hang: () => Promise<never>) => {
        const env = environment(storage(hang));
        ticks(env)
          .asyncMap(async (n) => n)
          .sinkTo(callbackSink(() => {}));
        return env;
      },
    ]),
  ),
};

const pipeline = (part: keyof typeof parts): Pipeline => {
  let hanging = false;
  const env = parts[part]?.(() => {
    hanging = true;
    return forEver();
  });
  if (env === undefined) throw new Error(`no part ${part}`);
  return { env, hangs: () => hanging };
};

/** Runs until the part hangs; what hangs in closing only is given a moment. */
const untilItHangs = async (job: Job, hangs: () => boolean): Promise<void> => {
  const end = performance.now() + 200;
  while (!hangs() && performance.now() < end) {
    // A commit and a seal want one; it hangs with them.
    if (job.status.state === 'running') job.checkpoint().catch(() => {});
    await later(10);
  }
};

const settled = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([
    promise.then(
      () => 'ended',
      (error: Error) => error,
    ),
    later(60_000).then(() => 'hangs'),
  ]);

describe.each(Object.keys(parts))('%s never ends', (part) => {
  test.each(['stop', 'cancel'] as const)('%s comes to an end', async (how) => {
    const { env, hangs } = pipeline(part);
    const job = await env.executeAsync('hanging');
    await untilItHangs(job, hangs);
    expect(await settled(job[how]())).toBe('ended');
    expect(job.status.state).toBe(how === 'stop' ? 'stopped' : 'cancelled');
  });

  test('a failure elsewhere is told', async () => {
    const { env, hangs } = pipeline(part);
    const failing = { now: false };
    ticks(env)
      .map((n) => {
        if (failing.now) throw new Error('the other branch fails');
        return n;
      })
      .sinkTo(sinkThat({ name: 'other' }));
    const job = await env.executeAsync('hanging');
    await untilItHangs(job, hangs);
    if (job.status.state === 'starting') return job.cancel(); // Nothing of the other branch runs yet.
    failing.now = true;
    expect(await settled(job.done)).toMatchObject({ code: 'OPERATOR_FAILED' });
    expect(job.status.state).toBe('failed');
  });
});

test('a failure is told at once, before what hangs is given up, and the job starts again', async () => {
  const restart = fixedDelay({ attempts: 1, delay: 1 });
  const env = StreamExecutionEnvironment.create({
    ...once,
    storage: new MemoryStorage(),
    restart,
    stopTimeout: '300ms',
  });
  const numbers = env.generate({ generate: (index) => index, perSecond: 200 });
  let failures = 0;
  numbers.sinkTo(callbackSink(forEver));
  numbers
    .map((n) => {
      if (n === 10 && failures++ === 0) throw new Error('once');
      return n;
    })
    .sinkTo(sinkThat({ name: 'other' }));
  const states: [state: string, atMs: number][] = [];
  const job = await env.executeAsync('hanging');
  job.status$.subscribe(({ state }) => states.push([state, performance.now()]));
  await until(() => job.status.restarts === 1 && job.status.state === 'running');
  await job.cancel();
  const at = (state: string): number => states.find(([each]) => each === state)?.[1] ?? Number.NaN;
  expect(states.map(([state]) => state).slice(-4)).toEqual(['running', 'restarting', 'running', 'cancelled']);
  const again = states.findLast(([state]) => state === 'running')?.[1] ?? Number.NaN;
  // The old writer got its time, and the failure did not wait for it.
  expect(again - at('restarting')).toBeGreaterThan(250);
});

test.each(['stop', 'cancel'] as const)('%s() inside of a callback that waits for it comes to an end', async (how) => {
  const env = environment();
  let job: Job | undefined;
  const ended: Promise<unknown>[] = [];
  ticks(env).sinkTo(
    callbackSink(async () => {
      const leaving = job?.[how]();
      if (leaving !== undefined) ended.push(leaving);
      await leaving;
    }),
  );
  job = await env.executeAsync('leaving');
  await until(() => ended.length > 0);
  expect(await settled(job.done)).toBe('ended');
  expect(await settled(Promise.all(ended))).toBe('ended');
});

test('a stop inside of a durable call ends when its time is over, and the call is made again by the next start', async () => {
  const storage = new MemoryStorage();
  let calls = 0;
  const start = (body: (n: number) => Promise<number>): Promise<Job> => {
    const env = environment(storage);
    env.fromCollection([1]).asyncMap(body).sinkTo(sinkThat({}));
    return env.executeAsync('leaving');
  };
  let job: Job | undefined;
  job = await start(async (n) => {
    calls += 1;
    while (job === undefined) await later(1);
    await job.stop();
    return n;
  });
  expect(await settled(job.done)).toBe('ended');
  expect(job.status.state).toBe('stopped');
  await (
    await start(async (n) => {
      calls += 1;
      return n;
    })
  ).done;
  expect(calls).toBe(2);
});

describe('a sink that fails', () => {
  test('an at-least-once sink is tried on in place: nothing restarts, nothing is lost', async () => {
    const taken: number[] = [];
    let failures = 3;
    const env = environment();
    env.fromCollection([1, 2, 3]).sinkTo(
      callbackSink((n) => {
        if (n === 2 && failures-- > 0) throw new Error('503');
        taken.push(n);
      }),
    );
    const job = await env.executeAsync('again');
    await job.done;
    expect([...new Set(taken)]).toEqual([1, 2, 3]);
    expect(job.status.restarts).toBe(0);
    expect(await job.metrics.snapshot()).toMatchObject({ 'operator.callback.numWriteRetries': 3 });
  });

  test.each([
    [
      'write',
      defineSink<number>({
        write: () => Promise.reject(Object.assign(new Error('no such table'), { retryable: false })),
      }),
    ],
    [
      'commit',
      defineSink<number>({
        guarantee: 'exactly-once',
        write: () => Promise.reject(Object.assign(new Error('no such table'), { retryable: false })),
      }),
    ],
    [
      'seal',
      sinkThat({}, { seal: () => Promise.reject(Object.assign(new Error('no such table'), { retryable: false })) }),
    ],
  ])('what says of itself that trying again is no use ends the job: %s', async (_what, sink) => {
    const env = StreamExecutionEnvironment.create({
      ...once,
      storage: new MemoryStorage(),
      restart: fixedDelay({ attempts: 50, delay: 1 }),
    });
    env.fromCollection([1]).sinkTo(sink);
    const job = await env.executeAsync('given up');
    expect(await settled(job.done)).toMatchObject({
      code: 'SINK_FAILED',
      retryable: false,
      message: expect.stringContaining('no such table'),
    });
    expect(job.status.restarts).toBe(0);
  });
});
