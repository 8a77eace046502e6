import {
  exponentialDelay,
  MemoryStorage,
  outputTag,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
  type DataStream,
  type EnvironmentBaseOptions,
  type Key,
  type KeyedStream,
  type Operator,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, Ledger, once } from './story.ts';

interface Item {
  readonly id: string;
  readonly n: number;
}

const items: readonly Item[] = Array.from({ length: 30 }, (_, n) => ({ id: `k${n % 4}`, n }));
const bad = 17;
const byTime = WatermarkStrategy.monotonous<Item>().withTimestamps(({ n }) => n * 1000);

/** A value where the types say another: what a program without types, or with a wrong cast, does. */
const wrong = (value: unknown): never => value as never;

type Build = (stream: DataStream<Item>, isBad: (item: Item) => boolean) => DataStream<unknown>;

interface Parts {
  readonly storage?: MemoryStorage;
  readonly ledger?: Ledger<unknown>;
  readonly broken?: boolean;
  readonly environment?: EnvironmentBaseOptions;
}

const run = (
  build: Build,
  { storage = new MemoryStorage(), ledger = new Ledger(), broken = true, environment }: Parts = {},
): Promise<void> => {
  const env = StreamExecutionEnvironment.create({ ...once, storage, ...environment });
  build(env.fromCollection(items, byTime), ({ n }) => broken && n === bad).sinkTo(ledger.sink(), 'ledger');
  return env.execute();
};

/** What the job gives when nothing is wrong from the start. */
const sound = async (build: Build, environment?: EnvironmentBaseOptions): Promise<readonly unknown[]> => {
  const ledger = new Ledger<unknown>();
  await run(build, { ledger, broken: false, ...(environment && { environment }) });
  return ledger.values;
};

/** Fails with the bad value; with the cause mended it goes on, and the output is that of a job that never failed. */
const failsThenGoesOn = async (
  build: Build,
  code: 'KEY_INVALID' | 'NOT_SERIALISABLE' | 'ASYNC_IN_TURN' | 'OPERATOR_FAILED' | 'TIMESTAMP_MISSING',
  environment: EnvironmentBaseOptions = {},
) => {
  const [storage, ledger] = [new MemoryStorage(), new Ledger<unknown>()];
  const error = await failure(run(build, { storage, ledger, environment }), code);
  await run(build, { storage, ledger, environment, broken: false });
  expect(ledger.values).toEqual(await sound(build, environment));
  return error;
};

const countByKey = (keyed: KeyedStream<Item>): DataStream<unknown> =>
  keyed.process<readonly [Key, number], { count: ReturnType<typeof counter> }>({
    state: { count: counter() },
    process(_item, ctx) {
      const count = (ctx.state.count.value() ?? 0) + 1;
      ctx.state.count.update(count);
      ctx.emit([ctx.key, count]);
    },
  });

const counter = () => valueState<number>('count');

describe('a key that is none', () => {
  const keys: readonly (readonly [what: string, key: unknown])[] = [
    ['undefined, as of a field that is missing', undefined],
    ['null', null],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['an object', { id: 1 }],
    ['a function', () => 1],
    ['a symbol', Symbol('key')],
    ['a date', new Date(0)],
    ['a tuple with an object in it', ['a', { id: 1 }]],
    ['a tuple in a tuple', ['a', ['b']]],
  ];

  test.each(keys)('%s', async (_what, key) => {
    const error = await failsThenGoesOn(
      (stream, isBad) => countByKey(stream.keyBy((item) => (isBad(item) ? wrong(key) : item.id))),
      'KEY_INVALID',
    );
    expect(error.message).toMatch(/ of operator `.+` can not be a key/);
  });

  test('also at the edge of an operator that keeps no state', async () => {
    await failsThenGoesOn(
      (stream, isBad) => stream.keyBy((item) => (isBad(item) ? wrong(undefined) : item.id)).map(({ n }) => n),
      'KEY_INVALID',
    );
  });

  test('also in front of a window', async () => {
    const build: Build = (stream, isBad) =>
      stream
        .keyBy((item) => (isBad(item) ? wrong(Number.NaN) : item.id))
        .window(TumblingEventTimeWindows.of('10s'))
        .process((values, ctx) => [ctx.key, values.length]);
    await failsThenGoesOn(build, 'KEY_INVALID');
  });
});

describe('a value that can not be stored', () => {
  const values: readonly (readonly [what: string, value: unknown])[] = [
    ['a function', () => 1],
    ['a symbol', Symbol('value')],
    ['an object of a class', new (class Order {})()],
    ['a function deep inside', { list: [{ deep: { fn: () => 1 } }] }],
    [
      'a cycle',
      (() => {
        const cycle: { self?: unknown } = {};
        cycle.self = cycle;
        return cycle;
      })(),
    ],
  ];

  test.each(values)('in state: %s', async (_what, value) => {
    const build: Build = (stream, isBad) =>
      stream
        .keyBy(({ n }) => n)
        .process<number, { last: ReturnType<typeof last> }>({
          state: { last: last() },
          process(item, ctx) {
            ctx.state.last.update(isBad(item) ? value : item.n);
            ctx.emit(item.n);
          },
        });
    const error = await failsThenGoesOn(build, 'NOT_SERIALISABLE');
    expect(error.message).toContain("'last'");
    expect(error.message).toContain(`key \`${bad}\``);
  });

  test('in a record at a keyed edge, in the mode that serialises there', async () => {
    const build: Build = (stream, isBad) =>
      countByKey(stream.map((item) => (isBad(item) ? { ...item, fn: () => 1 } : item)).keyBy(({ id }) => id));
    await failsThenGoesOn(build, 'NOT_SERIALISABLE', { serialiseEdges: true });
  });

  test('in the argument and in the result of an asynchronous map', async () => {
    await failsThenGoesOn(
      (stream, isBad) =>
        stream.map((item) => (isBad(item) ? wrong({ ...item, fn: () => 1 }) : item)).asyncMap(({ n }) => n),
      'NOT_SERIALISABLE',
    );
    // The call of the bad value is made again, so its result comes in its place only where the order is that of
    // arrival.
    const build: Build = (stream, isBad) =>
      stream.asyncMap((item) => (isBad(item) ? wrong({ fn: () => 1 }) : item.n), { order: 'arrival' });
    await failsThenGoesOn(build, 'NOT_SERIALISABLE');
  });
});

const last = () => valueState<unknown>('last');

describe('a promise where a turn is synchronous (I13)', () => {
  const soon = <T>(value: T): T => wrong(Promise.resolve(value));
  const side = outputTag<number>('side');
  const builds: Readonly<Record<string, Build>> = {
    map: (stream, isBad) => stream.map((item) => (isBad(item) ? soon(item.n) : item.n)),
    filter: (stream, isBad) => stream.filter((item) => (isBad(item) ? soon(true) : true)),
    flatMap: (stream, isBad) => stream.flatMap((item) => (isBad(item) ? soon([item.n]) : [item.n])),
    process: (stream, isBad) =>
      stream.process<number>((item, ctx) => (isBad(item) ? wrong(Promise.resolve()) : ctx.emit(item.n))),
    reduce: (stream, isBad) =>
      stream.keyBy(({ id }) => id).reduce((_before, item) => (isBad(item) ? soon(item) : item)),
    'aggregate, add': (stream, isBad) =>
      stream
        .keyBy(({ id }) => id)
        .aggregate({
          createAccumulator: () => 0,
          add: (item, sum: number) => (isBad(item) ? soon(sum) : sum + item.n),
          getResult: (sum) => sum,
        }),
    'a window function': (stream, isBad) =>
      stream
        .keyBy(({ id }) => id)
        .window(TumblingEventTimeWindows.of('10s'))
        .process((values) => (values.some(isBad) ? soon(values.length) : values.length)),
    'an operator of the user': (stream, isBad) =>
      stream.transform<number>('own', (({ output }) => ({
        process: (item, timestamp) => (isBad(item) ? wrong(Promise.resolve()) : output.emit(item.n, timestamp)),
      })) satisfies Operator<Item, number>),
    'a timer': (stream, isBad) =>
      stream
        .keyBy(({ id }) => id)
        .process<number>({
          process: (item, ctx) => {
            ctx.timers.register(item.n * 1000, { namespace: isBad(item) ? 1 : 0 });
            ctx.side(side, item.n);
          },
          onTimer: (timer, ctx) => (timer.namespace === 1 ? wrong(Promise.resolve()) : ctx.emit(timer.timestamp)),
        }),
  };

  test.each(Object.keys(builds))('%s', async (name) => {
    await failsThenGoesOn(builds[name] as Build, 'ASYNC_IN_TURN');
  });
});

describe('a function that throws', () => {
  const boom = (isBad: boolean): void => {
    if (isBad) throw new RangeError('no such item');
  };
  const builds: Readonly<Record<string, Build>> = {
    map: (stream, isBad) => stream.map((item) => (boom(isBad(item)), item.n)),
    keyBy: (stream, isBad) => countByKey(stream.keyBy((item) => (boom(isBad(item)), item.id))),
    reduce: (stream, isBad) =>
      stream.keyBy(({ id }) => id).reduce((before, item) => (boom(isBad(item)), { ...item, n: before.n + item.n })),
    'a window function': (stream, isBad) =>
      stream
        .keyBy(({ id }) => id)
        .window(TumblingEventTimeWindows.of('10s'))
        .process((values) => (boom(values.some(isBad)), values.length)),
    'behind a fan-out and a union': (stream, isBad) => {
      const [even, odd] = [stream.filter(({ n }) => n % 2 === 0), stream.filter(({ n }) => n % 2 === 1)];
      return even.union(odd.map((item) => (boom(isBad(item)), item)));
    },
  };

  test.each(Object.keys(builds))('%s', async (name) => {
    const error = await failsThenGoesOn(builds[name] as Build, 'OPERATOR_FAILED');
    expect(error.message).toContain('no such item');
    expect(error.cause).toBeInstanceOf(RangeError);
  });

  test('asyncMap: WORK_FAILED, with what was thrown', async () => {
    const [storage, ledger] = [new MemoryStorage(), new Ledger<unknown>()];
    const build: Build = (stream, isBad) =>
      stream.asyncMap(async (item) => (boom(isBad(item)), item.n), { order: 'arrival' });
    const error = await failure(run(build, { storage, ledger }), 'WORK_FAILED');
    expect(error.message).toContain('no such item');
    await run(build, { storage, ledger, broken: false });
    expect(ledger.values).toEqual(items.map(({ n }) => n));
  });

  test('an operator that throws after it was started again and again is given up, and said so', async () => {
    const error = await failure(
      run((stream, isBad) => stream.map((item) => (boom(isBad(item)), item.n)), {
        environment: { restart: exponentialDelay({ initial: 1, max: 1 }) },
      }),
      'RESTARTS_EXHAUSTED',
    );
    expect(error.cause).toMatchObject({ code: 'OPERATOR_FAILED' });
  });
});

test('records without timestamps in front of a window', async () => {
  const env = StreamExecutionEnvironment.create(once);
  env
    .fromCollection(items)
    .keyBy(({ id }) => id)
    .window(TumblingEventTimeWindows.of('10s'))
    .process((values) => values.length)
    .print();
  await failure(env.execute(), 'TIMESTAMP_MISSING');
});

test.each([
  ['NaN', Number.NaN],
  ['undefined', undefined],
  ['a string', '2026-11-20'],
])('a timestamp that is none: %s', async (_what, timestamp) => {
  const env = StreamExecutionEnvironment.create(once);
  const strategy = WatermarkStrategy.monotonous<Item>().withTimestamps(({ n }) => (n === bad ? wrong(timestamp) : n));
  env.fromCollection(items, strategy).print({ write: () => {} });
  expect((await failure(env.execute(), 'TIMESTAMP_INVALID')).message).toContain('collection');
});
