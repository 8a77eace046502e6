/**
 * Whatever a user plugs in may fail: each part, in each way to fail, gives an error with a code, the uid of whose it
 * was, and a hint. None ends the process, and none is lost.
 */
import { runInNewContext } from 'node:vm';
import {
  agent,
  callbackSink,
  fixedDelay,
  InputEvent,
  MemoryStorage,
  noRestart,
  StreamError,
  StreamExecutionEnvironment,
  systemClock,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type DataStream,
  type EnvironmentOptions,
  type ErrorCode,
  type Logger,
  type Source,
} from 'millrace';
import { expect, test } from 'vitest';

/** A hook that fails; what it returns, if it does, is of any type. */
type Fails = () => never;

const fails = (thrown: unknown): Fails => {
  return () => {
    throw thrown;
  };
};

/** Ways to fail, and what the message says of them. */
const ways: Readonly<Record<string, { readonly fail: Fails; readonly says: string }>> = {
  'throws an error': { fail: fails(new Error('boom')), says: 'boom' },
  'rejects with one': { fail: (async () => Promise.reject(new Error('boom'))) as never, says: 'boom' },
  'throws undefined': { fail: fails(undefined), says: 'undefined' },
  'throws a text': { fail: fails('boom'), says: 'boom' },
  'throws an error of another realm': { fail: fails(runInNewContext('new Error("boom")')), says: 'boom' },
  'throws an object without a prototype': { fail: fails(Object.create(null)), says: '[object Object]' },
};

interface Hook {
  /** Builds a pipeline in which the hook is. */
  readonly build?: (numbers: DataStream<number>, fail: Fails) => DataStream<unknown> | void;
  readonly source?: (fail: Fails) => object;
  readonly reader?: (fail: Fails) => object;
  readonly strategy?: (fail: Fails) => WatermarkStrategy<number>;
  readonly options?: (fail: Fails) => EnvironmentOptions;
  readonly services?: (fail: Fails) => Fails;
  readonly code: ErrorCode;
  readonly uid?: string;
  /** It is synchronous, so that a promise is refused. */
  readonly sync?: boolean;
  /** What it returns is not looked at, so a promise shows nothing. */
  readonly neverAsync?: boolean;
}

const over = (base: object, more: object): object =>
  Object.defineProperties(base, Object.getOwnPropertyDescriptors(more));

const numbersSource = ({ source, reader }: Hook, fail: Fails): Source<number> =>
  over(
    {
      name: 'src',
      replayable: true,
      splits: async () => ['a'],
      open: async () => {
        let left = 1;
        const read = async (): Promise<object | undefined> =>
          left-- > 0 ? { values: [1, 2], position: (count: number) => count } : undefined;
        return over({ read, close: async () => {} }, reader?.(fail) ?? {});
      },
    },
    source?.(fail) ?? {},
  ) as Source<number>;

const sink = (guarantee: string, writer: object, more: object = {}): never =>
  over(
    {
      name: 'out',
      guarantee,
      open: async () =>
        over({ write() {}, full: false, seal: async () => 1, commit: async () => {}, close: async () => {} }, writer),
    },
    more,
  ) as never;

const timed = WatermarkStrategy.monotonous<number>().withTimestamps((n) => n);
const keyed = (numbers: DataStream<number>) => numbers.keyBy(() => 'k');
/** A storage one of whose parts fails. */
const storage = (where: 'state' | 'journal', part: string, fail: Fails): EnvironmentOptions => ({
  storage: {
    name: 'mine',
    async open() {
      const opened = await new MemoryStorage().open();
      const whole = opened[where];
      const broken = new Proxy(whole, {
        get(target, name) {
          const found: unknown = Reflect.get(target, name);
          return name === part ? fail : typeof found === 'function' ? found.bind(target) : found;
        },
      });
      return {
        jobId: opened.jobId,
        state: opened.state,
        journal: opened.journal,
        close: () => opened.close(),
        [where]: broken,
      };
    },
  },
});

const echo = () => agent<number, number>('a').on(InputEvent, ({ input }, ctx) => ctx.output(input));

const source = { code: 'SOURCE_FAILED', uid: 'src' } as const;
const operator = (uid: string) => ({ code: 'OPERATOR_FAILED', uid, sync: true }) as const;

const hooks: Readonly<Record<string, Hook>> = {
  'splits of a source': { ...source, source: (fail) => ({ splits: fail }) },
  'open of a source': { ...source, source: (fail) => ({ open: fail }) },
  'read of a reader': { ...source, reader: (fail) => ({ read: fail }) },
  'committed of a reader': { ...source, reader: (fail) => ({ committed: fail }) },
  'position of a batch': {
    ...source,
    sync: true,
    reader: (fail) => ({ read: async () => ({ values: [1], position: fail }) }),
  },
  'waiting of a reader': {
    ...source,
    neverAsync: true,
    strategy: () => timed.withIdleness(1),
    reader: (fail) => ({
      read: () => new Promise(() => {}),
      get waiting() {
        return fail();
      },
    }),
  },
  'the timestamps of a strategy': {
    ...operator('src'),
    strategy: (fail) => WatermarkStrategy.monotonous<number>().withTimestamps(fail),
  },
  map: { ...operator('map'), build: (numbers, fail) => numbers.map(fail) },
  filter: { ...operator('filter'), build: (numbers, fail) => numbers.filter(fail) },
  flatMap: { ...operator('flat-map'), build: (numbers, fail) => numbers.flatMap(fail) },
  keyBy: { ...operator('reduce'), build: (numbers, fail) => numbers.keyBy(fail).reduce((a) => a) },
  reduce: { ...operator('reduce'), build: (numbers, fail) => keyed(numbers).reduce(fail) },
  'add of an aggregate': {
    ...operator('aggregate'),
    build: (numbers, fail) =>
      keyed(numbers).aggregate({ createAccumulator: () => 0, add: fail, getResult: (sum: number) => sum }),
  },
  process: { ...operator('process'), build: (numbers, fail) => numbers.process<number>(fail) },
  'open of a process function': {
    ...operator('process'),
    sync: false,
    build: (numbers, fail) => numbers.process<number>({ open: fail, process: () => {} }),
  },
  onTimer: {
    ...operator('process'),
    strategy: () => timed,
    build: (numbers, fail) =>
      keyed(numbers).process<number>({ onTimer: fail, process: (_value, { timers }) => timers.register(1) }),
  },
  'a window function': {
    ...operator('window'),
    strategy: () => timed,
    build: (numbers, fail) => keyed(numbers).window(TumblingEventTimeWindows.of(5)).process(fail),
  },
  'an operator that is made': {
    ...operator('made'),
    build: (numbers, fail) => numbers.transform('made', fail),
  },
  'process of an operator': {
    ...operator('made'),
    build: (numbers, fail) => numbers.transform('made', () => ({ process: fail })),
  },
  'onWatermark of an operator': {
    ...operator('made'),
    build: (numbers, fail) => numbers.transform('made', () => ({ process: () => {}, onWatermark: fail })),
  },
  asyncMap: { code: 'WORK_FAILED', uid: 'async-map', build: (numbers, fail) => numbers.asyncMap(fail) },
  'an action': {
    code: 'ACTION_FAILED',
    uid: 'a',
    build: (numbers, fail) => keyed(numbers).applyAgent(agent<number, number>('a').on(InputEvent, fail)),
  },
  'an asynchronous action': {
    code: 'ACTION_FAILED',
    uid: 'a',
    build: (numbers, fail) => keyed(numbers).applyAgent(agent<number, number>('a').on(InputEvent, async () => fail())),
  },
  'the factory of a resource': {
    code: 'AGENT_INVALID',
    build: (numbers, fail) => keyed(numbers).applyAgent(echo().resource('text', 'greeting', { factory: fail })),
  },
  'a function of services': {
    code: 'AGENT_INVALID',
    services: (fail) => fail,
    build: (numbers) => keyed(numbers).applyAgent(echo()),
  },
  'now of a clock': {
    code: 'OPERATOR_FAILED',
    neverAsync: true,
    options: (fail) => ({ clock: { ...systemClock, now: fail } }),
  },
  onTurn: { code: 'OPERATOR_FAILED', sync: true, options: (fail) => ({ onTurn: fail }) },
  'make of a restart strategy': {
    code: 'RESTARTS_EXHAUSTED',
    neverAsync: true,
    options: (fail) => ({ restart: { name: 'mine', make: fail } }),
  },
  'onFailure of a restart strategy': {
    code: 'RESTARTS_EXHAUSTED',
    sync: true,
    build: (numbers) => numbers.map(fails(new Error('first'))),
    options: (fail) => ({ restart: { name: 'mine', make: () => ({ onFailure: fail }) } }),
  },
  'open of a storage': { code: 'STORE_FAILED', options: (fail) => ({ storage: { name: 'mine', open: fail } }) },
  'batch of a store': {
    code: 'STORE_FAILED',
    neverAsync: true,
    options: (fail) => storage('state', 'batch', fail),
  },
  'append of a journal': {
    code: 'STORE_FAILED',
    build: (numbers) => numbers.asyncMap(async (n) => n),
    options: (fail) => storage('journal', 'append', fail),
  },
};

const sinkHooks = (['exactly-once', 'at-least-once'] as const).flatMap((guarantee): [string, Hook][] => {
  const of = (name: string, writer: (fail: Fails) => object, more: Partial<Hook> = {}): [string, Hook] => [
    `${name} of an ${guarantee} sink`,
    {
      code: 'SINK_FAILED',
      uid: 'out',
      build: (numbers, fail) => void numbers.sinkTo(sink(guarantee, writer(fail))),
      ...more,
    },
  ];
  return [
    of('open', () => ({}), {
      build: (numbers, fail) => void numbers.sinkTo(sink(guarantee, {}, { open: fail })),
    }),
    of('write', (fail) => ({ write: fail }), { sync: true }),
    of(
      'full',
      (fail) => ({
        get full() {
          return fail();
        },
      }),
      { sync: true },
    ),
    of('seal', (fail) => ({ seal: fail })),
    // One that is flushed has room before it is asked again.
    ...(guarantee === 'exactly-once'
      ? [
          of(
            'full, asked again',
            (fail) => {
              let asked = 0;
              return {
                get full() {
                  asked += 1;
                  return asked === 1 ? true : fail();
                },
              };
            },
            { sync: true },
          ),
        ]
      : []),
  ];
});

const silent = Object.fromEntries(
  ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, () => {}]),
);
const logger = { ...silent, child: () => logger } as unknown as Logger;

const endOf = async (hook: Hook, fail: Fails): Promise<unknown> => {
  const env = StreamExecutionEnvironment.create({ logger, restart: noRestart(), ...hook.options?.(fail) });
  if (hook.services !== undefined) env.services(hook.services(fail));
  const numbers = env.fromSource(numbersSource(hook, fail), hook.strategy?.(fail) ?? WatermarkStrategy.none());
  const built = hook.build === undefined ? numbers : hook.build(numbers, fail);
  built?.sinkTo(callbackSink(() => {}));
  const job = await env.executeAsync('hooks');
  return job.done.catch((error: unknown) => error);
};

const cases = [...Object.entries(hooks), ...sinkHooks].flatMap(([name, hook]) =>
  Object.entries(ways)
    .filter(([way]) => !(way.startsWith('rejects') && hook.neverAsync === true))
    .map(([way, { fail, says }]) => ({ name, way, hook, fail, says })),
);

test.each(cases)('$name $way', async ({ hook, way, fail, says }) => {
  const isPromise = way.startsWith('rejects');
  const error = await endOf(hook, fail);
  const code = isPromise && hook.sync === true ? 'ASYNC_IN_TURN' : hook.code;
  expect(error).toBeInstanceOf(StreamError);
  expect(error).toMatchObject({ code, hint: expect.stringMatching(/.../) });
  const { message, details } = error as StreamError;
  if (code === hook.code) expect(message).toContain(says);
  if (hook.uid !== undefined && code === hook.code) expect(details['uid']).toBe(hook.uid);
});

test.each([
  ['throws', fails(new Error('boom'))],
  ['gives nothing', () => undefined],
])('a logger whose `child` %s fails nobody, and logs itself', async (_way, child) => {
  const lines: string[] = [];
  const plain = { ...silent, warn: (_facts: object, message: string) => void lines.push(message), child };
  const logger = plain as unknown as Logger; // a program without types has any
  const env = StreamExecutionEnvironment.create({ logger, restart: fixedDelay({ attempts: 1, delay: 1 }) });
  env.fromCollection([1]).map(fails(new Error('boom'))).sinkTo(callbackSink(() => {}));
  await expect(env.execute('logging')).rejects.toThrow('boom');
  expect(lines).toContainEqual(expect.stringContaining('starting again'));
});
