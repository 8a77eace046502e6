import {
  agent,
  callbackSink,
  collection,
  defineSink,
  defineSource,
  exponentialDelay,
  fixedDelay,
  generator,
  InputEvent,
  jsonLines,
  jsonLinesSink,
  LevelStorage,
  MemoryStorage,
  observableSource,
  paced,
  printSink,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  WatermarkStrategy,
} from 'millrace';
import { NEVER } from 'rxjs';
import { describe, expect, test } from 'vitest';

const { create } = StreamExecutionEnvironment;
const numbers = () => create().fromCollection([1, 2]);
const keyed = () => numbers().keyBy((value) => value);
const echo = agent<number, number>('echo').on(InputEvent, () => {});

/** A wrong value, as a program without types would give it. */
const wrong = (value: unknown): never => value as never;

type Refusal = readonly [option: string, value: string, attempt: () => unknown];

const refusals: Readonly<Record<string, readonly Refusal[]>> = {
  environment: [
    ['maxParallelism', '0', () => create({ maxParallelism: 0 })],
    ['maxParallelism', '40000', () => create({ maxParallelism: 40_000 })],
    ['maxParallelism', '1.5', () => create({ maxParallelism: 1.5 })],
    ['maxParallelism', '128', () => create({ maxParallelism: wrong('128') })],
    ['stopTimeout', '10 minutes', () => create({ stopTimeout: wrong('10 minutes') })],
    ['stopTimeout', '-1', () => create({ stopTimeout: -1 })],
    ['dirtyMax', '0', () => create({ dirtyMax: 0 })],
    ['stateCacheMax', '-5', () => create({ stateCacheMax: -5 })],
    ['logger', 'loud', () => create({ logger: wrong('loud') })],
    ['restart', 'always', () => create({ restart: wrong('always') })],
    ['storage', '/tmp/state', () => create({ storage: wrong('/tmp/state') })],
    ['clock', 'utc', () => create({ clock: wrong('utc') })],
    ['strictReplay', 'yes', () => create({ strictReplay: wrong('yes') })],
    ['freezeState', '1', () => create({ freezeState: wrong(1) })],
    ['serialiseEdges', '1', () => create({ serialiseEdges: wrong(1) })],
    ['allowUnclaimedState', 'null', () => create({ allowUnclaimedState: wrong(null) })],
    ['onTurn', 'turn', () => create({ onTurn: wrong('turn') })],
  ],
  checkpoint: [
    ['checkpoint.directory', '', () => create({ checkpoint: { directory: '' } })],
    ['checkpoint.directory', 'undefined', () => create({ checkpoint: wrong({ interval: '1s' }) })],
    [
      'checkpoint.directory',
      '/tmp/x',
      () => create({ storage: new MemoryStorage(), checkpoint: wrong({ directory: '/tmp/x', interval: '1s' }) }),
    ],
    ['checkpoint.interval', '0', () => create({ checkpoint: { directory: '/tmp/x', interval: 0 } })],
    ['checkpoint.interval', '10x', () => create({ checkpoint: { directory: '/tmp/x', interval: wrong('10x') } })],
    ['checkpoint', '/tmp/x', () => create({ checkpoint: wrong('/tmp/x') })],
    ['cacheBytes', '-1', () => new LevelStorage('/tmp/x', { cacheBytes: -1 })],
    ['writeBufferBytes', '1', () => new LevelStorage('/tmp/x', { writeBufferBytes: 1 })],
  ],
  restart: [
    ['attempts', '0', () => fixedDelay({ attempts: 0, delay: '1s' })],
    ['delay', 'soon', () => fixedDelay({ attempts: 1, delay: wrong('soon') })],
    ['multiplier', '0.5', () => exponentialDelay({ multiplier: 0.5 })],
    ['max', '1m', () => exponentialDelay({ initial: '1h', max: '1m' })],
    [
      'retry.maxInterval',
      '1m',
      () => numbers().asyncMap(String, { retry: { initialInterval: '1h', maxInterval: '1m' } }),
    ],
    [
      'retry.maxInterval',
      '5',
      () => numbers().asyncMap(String, { retry: { initialIntervalMs: 10, maxIntervalMs: 5 } }),
    ],
    ['jitter', '2', () => exponentialDelay({ jitter: 2 })],
  ],
  stream: [
    ['uid', 'a b', () => numbers().map(String).uid('a b')],
    ['uid', '', () => numbers().uid('')],
    ['fn', 'undefined', () => numbers().process(wrong(undefined))],
    ['fn', '{}', () => keyed().aggregate(wrong({}))],
    ['fn', 'sum', () => keyed().reduce(wrong('sum'))],
    ['operator', '{"kind":"mapp"}', () => numbers().transform('x', wrong({ kind: 'mapp' }))],
    ['operator', '1', () => numbers().pipe((each) => each, wrong(1), {})],
    ['tag', 'late', () => numbers().sideOutput(wrong('late'))],
    [
      'name',
      '5',
      () =>
        numbers().sinkTo(
          callbackSink(() => {}),
          wrong(5),
        ),
    ],
    ['keyOf', 'string', () => numbers().keyBy(wrong('id'))],
    ['strategy', 'null', () => create().fromCollection([1], wrong(null))],
  ],
  applyAgent: [
    ['agent', 'Foo', () => keyed().applyAgent(wrong(class Foo {}))],
    ['agent', '{}', () => keyed().applyAgent(wrong({}))],
    ['agent', 'undefined', () => keyed().applyAgent(wrong(undefined))],
    ['outputOrder', 'random', () => keyed().applyAgent(echo, { outputOrder: wrong('random') })],
    ['asyncConcurrency', '0', () => keyed().applyAgent(echo, { asyncConcurrency: 0 })],
    ['pendingMax', '0', () => keyed().applyAgent(echo, { pendingMax: 0 })],
    ['pendingPerKeyMax', '-1', () => keyed().applyAgent(echo, { pendingPerKeyMax: -1 })],
    ['actionTimeout', 'never', () => keyed().applyAgent(echo, { actionTimeout: wrong('never') })],
    ['onError', 'panic', () => keyed().applyAgent(echo, { onError: wrong('panic') })],
    ['onPlanChange', 'ask', () => keyed().applyAgent(echo, { onPlanChange: wrong('ask') })],
    ['deadLetters', 'letters', () => keyed().applyAgent(echo, { deadLetters: wrong('letters') })],
    ['onError', 'dead-letter', () => keyed().applyAgent(echo, { onError: 'dead-letter' })],
    ['onError', 'fail', () => keyed().applyAgent(echo, { onError: 'fail', deadLetters: { id: 'letters' } })],
    ['onError', 'ignore', () => keyed().applyAgent(echo, { onError: 'ignore', deadLetters: { id: 'letters' } })],
  ],
  asyncMap: [
    ['order', 'fifo', () => numbers().asyncMap(String, { order: wrong('fifo') })],
    ['inFlightMax', '0', () => numbers().asyncMap(String, { inFlightMax: 0 })],
    ['timeout', '0', () => numbers().asyncMap(String, { timeout: 0 })],
    ['attemptTimeout', '1 s', () => numbers().asyncMap(String, { attemptTimeout: wrong('1 s') })],
    ['retry.attempts', '0', () => numbers().asyncMap(String, { retry: { attempts: 0 } })],
    ['fn', 'undefined', () => numbers().asyncMap(wrong(undefined))],
  ],
  windows: [
    ['size', '0', () => TumblingEventTimeWindows.of(0)],
    ['size', 'day', () => TumblingEventTimeWindows.of(wrong('day'))],
    ['allowedLateness', '-1', () => keyed().window(TumblingEventTimeWindows.of('1d')).allowedLateness(-1)],
    ['assigner', '1d', () => keyed().window(wrong('1d'))],
    ['fn', '1', () => keyed().window(TumblingEventTimeWindows.of('1d')).process(wrong(1))],
    ['tag', 'late', () => keyed().window(TumblingEventTimeWindows.of('1d')).sideOutputLateData(wrong('late'))],
    ['duration', '-5', () => WatermarkStrategy.boundedOutOfOrderness(-5)],
  ],
  sources: [
    ['batchSize', '0', () => jsonLines('x', { batchSize: 0 })],
    ['onMalformed', 'drop', () => jsonLines('x', { onMalformed: wrong('drop') })],
    ['path', '', () => jsonLines('')],
    ['path', 'undefined', () => jsonLines(wrong(undefined))],
    ['source', '[1]', () => create().fromSource(wrong([1]))],
    ['source', 'undefined', () => create().fromSource(wrong(undefined))],
    ['values', 'Set {}', () => create().fromCollection(wrong(new Set([1])))],
    ['values', 'abc', () => create().fromCollection(wrong('abc'))],
    ['observable', '[1]', () => create().fromObservable(wrong([1]))],
    ['source', 'Map {}', () => paced(wrong(new Map()), 1)],
    ['capacity', '0', () => observableSource(NEVER, { capacity: 0 })],
    ['overflow', 'block', () => observableSource(NEVER, { overflow: wrong('block') })],
    ['timestamps', '1', () => collection([1, 2], { timestamps: [1] })],
    ['count', '-1', () => generator({ count: -1, generate: (index) => index })],
    ['read', 'undefined', () => defineSource({ start: 0 } as never)],
    ['perSecond', '0', () => paced(collection([1]), 0 as never)],
  ],
  sinks: [
    ['sink', '() => {}', () => numbers().sinkTo(wrong(() => {}))],
    ['sink', 'null', () => numbers().sinkTo(wrong(null))],
    ['sink', '[]', () => numbers().sinkTo(wrong([]))],
    ['onExisting', 'truncate', () => jsonLinesSink('x', { onExisting: wrong('truncate') })],
    ['path', '', () => jsonLinesSink('')],
    ['fn', 'undefined', () => callbackSink(wrong(undefined))],
    ['guarantee', 'maybe', () => defineSink({ guarantee: wrong('maybe'), write: () => {} })],
    ['pendingMax', '0', () => defineSink({ pendingMax: 0, write: () => {} })],
    ['write', 'undefined', () => defineSink({} as never)],
  ],
};

describe.each(Object.entries(refusals))('%s', (_place, cases) => {
  test.each(cases)('%s: %s', (option, value, attempt) => {
    let refusal: unknown;
    try {
      attempt();
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(TypeError);
    // The option, the rule and the value.
    expect((refusal as TypeError).message).toMatch(/^Expected `[\w.]+` to be .{4,}, got `.*`/);
    expect((refusal as TypeError).message).toContain(`\`${option}\``);
    expect((refusal as TypeError).message).toContain(`got \`${value}\``);
  });
});

test.each([
  ['StreamExecutionEnvironment.create', () => create({ paralelism: 1 } as never)],
  ['checkpoint', () => create({ checkpoint: { directory: '/tmp/x', every: '1s' } as never })],
  ['applyAgent', () => keyed().applyAgent(echo, { concurrency: 1 } as never)],
  ['applyAgent', () => keyed().applyAgent(echo, { actionTimeoutMs: 1 } as never)],
  ['asyncMap', () => numbers().asyncMap(String, { concurrency: 1 } as never)],
  ['jsonLines', () => jsonLines('x', { encoding: 'utf8' } as never)],
  ['jsonLinesSink', () => jsonLinesSink('x', { append: true } as never)],
  ['observableSource', () => observableSource(NEVER, { size: 1 } as never)],
  ['collection', () => collection([1], { batch: 1 } as never)],
  ['defineSink', () => defineSink({ write: () => {}, flush: true } as never)],
  ['pipe', () => numbers().pipe((each) => each, { statefull: true } as never)],
  ['printSink', () => printSink({ prefixx: 'a' } as never)],
])('a misspelt option of %s is noticed', (owner, attempt) => {
  expect(attempt).toThrow(TypeError);
  expect(attempt).toThrow(`\`${owner}\``);
});
