/**
 * What a function of a user returns may be of any type in a program without types: what is of no use fails where it was
 * returned, with a code, the uid of whose function it was, and words that say what was expected and what came.
 */
import {
  callbackSink,
  noRestart,
  StreamError,
  StreamExecutionEnvironment,
  WatermarkStrategy,
  type DataStream,
  type EnvironmentOptions,
  type ErrorCode,
  type Sink,
  type Source,
} from 'millrace';
import { expect, test } from 'vitest';
import { composeSteps, fusedStep } from '../lib/runtime/edges/fusion.ts';

const wrongs: Readonly<Record<string, unknown>> = {
  'undefined': undefined,
  'null': null,
  'a number': 5,
  'an object': {},
  'a function': () => 1,
};

/** Typed code can return nothing else. */
const untyped = (value: unknown): never => value as never;

interface Case {
  readonly code: ErrorCode;
  readonly uid?: string;
  readonly says: string;
  readonly source?: (wrong: unknown) => Partial<Source<number>>;
  readonly build?: (numbers: DataStream<number>, wrong: unknown) => DataStream<unknown>;
  readonly sink?: (wrong: unknown) => Sink<unknown>;
  readonly options?: (wrong: unknown) => EnvironmentOptions;
  /** Means something there. */
  readonly right?: readonly string[];
}

const reading = (read: () => Promise<unknown>): Partial<Source<number>> => ({
  open: async () => ({ read: untyped(read), close: async () => {} }),
});

const cases: Readonly<Record<string, Case>> = {
  'splits of a source': {
    ...{ code: 'SOURCE_FAILED', uid: 'src', says: 'Expected `splits` to return an array of strings' },
    source: (wrong) => ({ splits: async () => untyped(wrong) }),
  },
  'a name of a split': {
    ...{ code: 'SOURCE_FAILED', uid: 'src', says: 'Expected `splits` to return an array of strings' },
    source: (wrong) => ({ splits: async () => [untyped(wrong)] }),
  },
  'open of a source': {
    ...{ code: 'SOURCE_FAILED', uid: 'src', says: 'Expected `open` to return an object with `read` and `close`' },
    source: (wrong) => ({ open: async () => untyped(wrong) }),
  },
  'read of a reader': {
    ...{ code: 'SOURCE_FAILED', uid: 'src', says: 'Expected `read` to return an object with `position`' },
    source: (wrong) => reading(async () => wrong),
    right: ['undefined'],
  },
  'values of a batch': {
    ...{ code: 'SOURCE_FAILED', uid: 'src', says: 'Expected `read` to return an object whose `values` are an array' },
    source: (wrong) => reading(async () => ({ values: wrong, position: () => 1 })),
  },
  'position of a batch': {
    ...{ code: 'SOURCE_FAILED', uid: 'src', says: 'Expected `read` to return an object with `position`' },
    source: (wrong) => reading(async () => ({ values: [1], position: wrong })),
    right: ['a function'],
  },
  flatMap: {
    ...{ code: 'OPERATOR_FAILED', uid: 'flat-map', says: 'Expected `fn` to return a list or another iterable' },
    build: (numbers, wrong) => numbers.flatMap(() => untyped(wrong)),
  },
  'an operator of one’s own': {
    ...{ code: 'OPERATOR_FAILED', uid: 'made', says: 'Expected `operator` to return an object with `process`' },
    build: (numbers, wrong) => numbers.transform('made', () => untyped(wrong)),
  },
  'an RxJS operator': {
    ...{ code: 'OPERATOR_FAILED', uid: 'pipe', says: 'Expected `operator` to return an object with `subscribe`' },
    build: (numbers, wrong) => numbers.pipe(() => untyped(wrong), { stateless: true }),
  },
  'open of a sink': {
    ...{ code: 'SINK_FAILED', uid: 'out', says: '`open` to return an object with `write`, `seal`, `commit` and `close`' },
    sink: (wrong) => ({ name: 'out', guarantee: 'exactly-once', open: async () => untyped(wrong) }),
  },
  'open of a storage': {
    ...{ code: 'STORE_FAILED', says: 'Expected `open` to return an object with `close`' },
    options: (wrong) => ({ storage: { name: 'mine', open: async () => untyped(wrong) } }),
  },
  'the state of a storage': {
    ...{ code: 'STORE_FAILED', says: 'Expected `open().state` to return an object with `get`' },
    options: (wrong) => {
      const opened = { jobId: '1', close: async () => {}, state: untyped(wrong), journal: untyped(wrong) };
      return { storage: { name: 'mine', open: async () => opened } };
    },
  },
  'make of a restart strategy': {
    ...{ code: 'RESTARTS_EXHAUSTED', says: 'Expected `make` to return an object with `onFailure`' },
    options: (wrong) => ({ restart: { name: 'mine', make: () => untyped(wrong) } }),
  },
};

const endOf = async ({ source, build, sink, options }: Case, wrong: unknown): Promise<unknown> => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent', restart: noRestart(), ...options?.(wrong) });
  const read = async () => ({ values: [1], position: (count: number) => count });
  const whole = { name: 'src', replayable: true, splits: async () => ['a'], ...reading(read), ...source?.(wrong) };
  // `reading` gives it `open`.
  const numbers = env.fromSource<number>(whole as Source<number>, WatermarkStrategy.none());
  const results = build?.(numbers, wrong) ?? numbers;
  results.sinkTo(sink?.(wrong) ?? callbackSink(() => {}));
  const job = await env.executeAsync('results');
  return job.done.catch((error: unknown) => error);
};

const all = Object.entries(cases).flatMap(([name, each]) =>
  Object.entries(wrongs)
    .filter(([way]) => each.right?.includes(way) !== true)
    .map(([way, wrong]) => ({ name, way, each, wrong })),
);

test.each(all)('$name that is $way', async ({ each, wrong }) => {
  const error = await endOf(each, wrong);
  expect(error).toBeInstanceOf(StreamError);
  const { uid } = each;
  expect(error).toMatchObject({ code: each.code, retryable: false, ...(uid !== undefined && { details: { uid } }) });
  expect((error as Error).message).toContain(each.says);
});

test.each(Object.entries(wrongs))('flatMap without code from strings says the same of %s', (_way, wrong) => {
  const flatMap = fusedStep('flat-map', { kind: 'flatMap', fn: () => untyped(wrong) }, undefined);
  const record = composeSteps([flatMap], () => {});
  expect(() => record(1, 0)).toThrow('operator `flat-map` threw: Expected `fn` to return a list or another iterable');
});

test('what fails behind a flatMap, or in what it iterates over, is told as it is', () => {
  const broken = {
    *[Symbol.iterator]() {
      yield 1;
      throw new TypeError('it broke');
    },
  };
  const flatMap = fusedStep('flat-map', { kind: 'flatMap', fn: () => broken }, undefined);
  expect(() => composeSteps([flatMap], () => {})(1, 0)).toThrow('operator `flat-map` threw: it broke');
});
