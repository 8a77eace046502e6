/**
 * A promise where a value is wanted, and what a checkpoint can't hold: refused where it is given, by name (I13, I22).
 */
import {
  defineSink,
  defineSource,
  MemoryStorage,
  StreamExecutionEnvironment,
  type DataStream,
  type EnvironmentOptions,
  type Sink,
  type SinkWriter,
  type Source,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, once } from './story.ts';

/** A value where the types say another: what a program without types, or with a wrong cast, does. */
const wrong = (value: unknown): never => value as never;

/** What nobody waits for; a test run fails of a rejection that nobody sees. */
const lost = async (): Promise<never> => {
  throw new Error('nobody sees this');
};

const create = (options: EnvironmentOptions = {}): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({ ...once, ...options });

const sinkOf = (guarantee: Sink<number>['guarantee'], writer: Partial<SinkWriter<number>>): Sink<number> => ({
  name: 'own',
  guarantee,
  open: async () => ({
    full: false,
    write() {},
    seal: async () => undefined,
    commit: async () => {},
    close: async () => {},
    ...writer,
  }),
});

const sourceOf = (position: () => unknown): Source<number> => ({
  name: 'own',
  replayable: true,
  splits: async () => ['a'],
  async open() {
    let read = 0;
    return { read: async () => (read++ === 0 ? { values: [1], position } : undefined), close: async () => {} };
  },
});

const toNowhere = (stream: DataStream<unknown>): void => void stream.print({ write: () => {} });

const failing = async (): Promise<never> => {
  throw new Error('away');
};

const promises: Record<string, readonly [(env: StreamExecutionEnvironment) => void, string, EnvironmentOptions?]> = {
  '`write` of an exactly-once sink': [
    (env) => env.fromCollection([1, 2]).sinkTo(sinkOf('exactly-once', { write: wrong(lost) })),
    '`write` of sink',
  ],
  '`write` of an at-least-once sink': [
    (env) => env.fromCollection([1, 2]).sinkTo(sinkOf('at-least-once', { write: wrong(lost) })),
    '`write` of sink',
  ],
  '`position` of a batch': [(env) => toNowhere(env.fromSource(sourceOf(lost))), 'position(1) of source `own`'],
  '`retryOn`': [
    (env) => toNowhere(env.fromCollection([1]).asyncMap(failing, { retry: { attempts: 3, retryOn: wrong(lost) } })),
    '`retryOn`',
  ],
  '`retryOn`, where failures are ignored': [
    (env) =>
      toNowhere(
        env.fromCollection([1]).asyncMap(failing, { retry: { attempts: 3, retryOn: wrong(lost) }, onError: 'ignore' }),
      ),
    '`retryOn`',
  ],
  '`onFailure` of a restart strategy': [
    (env) => toNowhere(env.fromCollection([1]).asyncMap(failing)),
    '`onFailure` of restart strategy `mine`',
    { restart: { name: 'mine', make: () => ({ onFailure: wrong(lost) }) } },
  ],
  'values of a collection': [(env) => toNowhere(env.fromCollection([lost(), lost()])), 'record 0'],
  'values of a generator': [(env) => toNowhere(env.generate({ generate: lost, count: 2 })), 'record 0'],
  'values of a defined source': [
    (env) =>
      toNowhere(
        env.fromSource(
          defineSource<unknown, number>({
            start: 0,
            read: (at) => (at > 0 ? undefined : { values: [1, lost(), lost()], position: (count) => at + count }),
          }),
        ),
      ),
    'record 1',
  ],
};

describe('a promise where a value is wanted', () => {
  for (const [name, [build, where, options]] of Object.entries(promises)) {
    test(name, async () => {
      const env = create(options);
      build(env);
      expect((await failure(env.execute(), 'ASYNC_IN_TURN')).message).toContain(where);
    });
  }
});

class Order {
  readonly id = 1;
}

const unfit: Record<string, readonly [(env: StreamExecutionEnvironment) => void, readonly string[]]> = {
  'a record of an exactly-once sink': [
    (env) =>
      env
        .fromCollection([1, 2])
        .map((n) => (n === 2 ? { order: new Order() } : n))
        .sinkTo(defineSink<unknown>({ name: 'orders', guarantee: 'exactly-once', write() {} })),
    ['sink "orders"', 'record 1', 'order'],
  ],
  'what a sink has sealed': [
    (env) => env.fromCollection([1]).sinkTo(sinkOf('exactly-once', { seal: async () => ({ part: () => 1 }) })),
    ['sealed', 'epoch 1', 'part'],
  ],
  'the position of a source': [
    (env) => toNowhere(env.fromSource(sourceOf(() => ({ at: new Order() })))),
    ['position(1) of source `own`', 'at'],
  ],
};

describe('what a checkpoint can not hold is refused where it is given', () => {
  for (const [name, [build, parts]] of Object.entries(unfit)) {
    for (const storage of [undefined, new MemoryStorage()]) {
      test(`${name}, ${storage === undefined ? 'in memory' : 'with a place for state'}`, async () => {
        const env = create({ storage });
        build(env);
        const { message } = await failure(env.execute(), 'NOT_SERIALISABLE');
        for (const part of parts) expect(message).toContain(part);
      });
    }
  }
});
