/** The base of sinks that send batches: how they are cut, how many are under way, what is tried again, what waits. */
import type { SinkWriter } from '../../lib/core/connector.ts';
import * as fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { asyncSink, type AsyncSinkDefinition } from '../../connectors/async-sink.ts';
import { collection } from '../../connectors/collection.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { StreamError } from '../../lib/core/errors.ts';
import { sinkSuite } from '../../lib/core/sink-suite.ts';
import { StepClock } from './manual-clock.ts';

const { signal } = new AbortController();
const fresh = { sinkId: 'job.sink.1', pending: [], epoch: 1, last: undefined, signal };
const soon = { initialInterval: 1, maxInterval: 4, jitter: 0 } as const;

vi.spyOn(process, 'emitWarning').mockImplementation(() => {}); // Told by the tests that look for it.

for (const flaky of [false, true]) {
  const make = async () => {
    const seen: string[] = [];
    let calls = 0;
    const sink = asyncSink<string>({
      batchMax: 2,
      retry: soon,
      async send(entries) {
        calls += 1;
        if (flaky && calls % 2 === 1) throw new Error('503');
        seen.push(...entries.map(({ value }) => value));
      },
    });
    const values = ['a', 'b', 'c', 'd', 'e', 'f'];
    // It sends without being waited for.
    const visible = async (): Promise<readonly string[]> => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return seen;
    };
    return { sink, values, visible, cleanup: async () => {} };
  };
  for (const { name, run } of sinkSuite(flaky ? 'that fails every second time' : 'asynchronous', make)) test(name, run);
}

type Entries = Parameters<AsyncSinkDefinition<string>['send']>[0];

/** A sink whose calls are answered by the test. */
const answered = async (
  definition: Partial<AsyncSinkDefinition<string>> = {},
): Promise<{ clock: StepClock; writer: SinkWriter<string, never>; calls: Call[] }> => {
  const calls: Call[] = [];
  const clock = new StepClock();
  const send = (entries: Entries): Promise<readonly number[] | void> =>
    new Promise((resolve, reject) =>
      calls.push({ entries, values: entries.map(({ value }) => value).join(''), resolve, reject }),
    );
  const writer = await asyncSink<string>({ retry: soon, send, ...definition }, clock).open(fresh);
  return { clock, writer, calls };
};

interface Call {
  readonly entries: Entries;
  readonly values: string;
  readonly resolve: (indexes?: readonly number[]) => void;
  readonly reject: (error: unknown) => void;
}

let count = 0;
const write = async (writer: SinkWriter<string, never>, values: string): Promise<void> => {
  for (const value of values) writer.write(value, 0, count++);
  await writer.flush?.(signal);
};
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const valuesOf = (calls: readonly Call[]): readonly string[] => calls.map(({ values }) => values);

test('nothing is sent before the log is durable', async () => {
  const { writer, calls } = await answered();
  writer.write('a', 0, 0);
  await settled();
  expect(calls).toEqual([]);
  await writer.flush?.(signal);
  expect(valuesOf(calls)).toEqual(['a']);
});

test('batches are cut by records, and a bounded number is under way', async () => {
  const { writer, calls } = await answered({ batchMax: 2, inFlightMax: 2 });
  await write(writer, 'abcdefg');
  expect(valuesOf(calls)).toEqual(['ab', 'cd']);
  calls[1]?.resolve();
  await settled();
  expect(valuesOf(calls)).toEqual(['ab', 'cd', 'ef']);
});

test('batches are cut by bytes, and one record may be longer', async () => {
  const bytesOf = (value: string): number => (value === 'X' ? 100 : 4);
  const { writer, calls } = await answered({ batchBytesMax: 10, bytesOf, inFlightMax: 9 });
  await write(writer, 'abcXd');
  expect(valuesOf(calls)).toEqual(['ab', 'c', 'X', 'd']);
});

test('a batch that is not full waits, and no longer than it should', async () => {
  const { clock, writer, calls } = await answered({ batchMax: 3, linger: 50, inFlightMax: 9 });
  await write(writer, 'a');
  clock.advance(40);
  await write(writer, 'b');
  clock.advance(9);
  expect(calls).toEqual([]);
  clock.advance(1);
  expect(valuesOf(calls)).toEqual(['ab']);
  await write(writer, 'cdef');
  expect(valuesOf(calls)).toEqual(['ab', 'cde']);
});

test('a checkpoint waits for what is under way, and not for more records', async () => {
  const { writer, calls } = await answered({ batchMax: 2, linger: '1h' });
  await write(writer, 'abc');
  let sealed = false;
  const seal = writer.seal(1).then(() => (sealed = true));
  calls[0]?.resolve();
  await settled();
  expect(valuesOf(calls)).toEqual(['ab', 'c']);
  expect(sealed).toBe(false);
  calls[1]?.resolve();
  await seal;
  // The next epoch waits again.
  await write(writer, 'd');
  expect(calls).toHaveLength(2);
});

test('a record that was not taken is tried again alone, after waits that grow, and none goes by', async () => {
  const { clock, writer, calls } = await answered({ batchMax: 3 });
  await write(writer, 'abcd');
  calls[0]?.resolve([1]);
  expect(await clock.step()).toBe(1);
  expect(calls[1]?.entries).toMatchObject([{ value: 'b', attempt: 2 }]);
  calls[1]?.reject(new Error('503'));
  expect(await clock.step()).toBe(2);
  expect(calls[2]?.entries).toMatchObject([{ value: 'b', attempt: 3 }]);
  calls[2]?.resolve([]);
  await settled();
  expect(valuesOf(calls)).toEqual(['abc', 'b', 'b', 'd']);
});

test('a wait that the receiver asks for is kept', async () => {
  const { clock, writer, calls } = await answered();
  await write(writer, 'a');
  calls[0]?.reject(new StreamError('SINK_FAILED', 'slow down', { details: { retryAfterMs: 7_000 } }));
  expect(await clock.step()).toBe(7_000);
  expect(calls).toHaveLength(2);
});

test.each([
  ['no attempt is left', new Error('503'), { ...soon, attempts: 1 }],
  ['no attempt helps', new StreamError('SINK_FAILED', '400', { retryable: false }), soon],
  ['the code is wrong', new TypeError('x is undefined'), soon],
])('%s: the next checkpoint says so, and nothing is sent any more', async (_title, error, retry) => {
  const { writer, calls } = await answered({ retry, batchMax: 1 });
  await write(writer, 'ab');
  const seal = writer.seal(1);
  calls[0]?.reject(error);
  await expect(seal).rejects.toMatchObject({
    code: 'SINK_FAILED',
    retryable: false,
    cause: { retryable: expect.anything() },
  });
  await expect(writer.flush?.(signal)).rejects.toMatchObject({ code: 'SINK_FAILED' });
  expect(calls).toHaveLength(1);
});

test('indexes of nothing are refused', async () => {
  const { writer, calls } = await answered();
  await write(writer, 'a');
  const seal = writer.seal(1);
  calls[0]?.resolve([1]);
  await expect(seal).rejects.toThrow('Expected `send` to return');
});

test('full with what is not taken, and a value that `send` has changed is sent as it was', async () => {
  const clock = new StepClock();
  const seen: string[] = [];
  const sink = asyncSink<{ text: string }>(
    {
      pendingMax: 2,
      retry: soon,
      async send([entry]) {
        seen.push(entry?.value.text ?? '');
        if (entry !== undefined) entry.value.text = 'changed';
        if (seen.length === 1) throw new Error('503');
      },
    },
    clock,
  );
  const writer = await sink.open(fresh);
  writer.write({ text: 'a' }, 0, 0);
  expect(writer.full).toBe(false);
  writer.write({ text: 'b' }, 0, 1);
  expect(writer.full).toBe(true);
  await writer.flush?.(signal);
  await clock.step();
  await settled();
  expect(seen).toEqual(['a', 'a']);
  expect(writer.full).toBe(false);
});

test('closing ends the calls and the waits, and leaves no timer', async () => {
  const { clock, writer, calls } = await answered({ batchMax: 1, inFlightMax: 2, linger: 10 });
  await write(writer, 'ab');
  calls[0]?.reject(new Error('503'));
  await settled();
  const seal = writer.seal(1);
  await Promise.all([writer.close(), writer.close()]);
  await expect(seal).rejects.toMatchObject({ code: 'WORK_ABORTED' });
  expect(clock.waiting).toBe(0);
  calls[1]?.resolve();
  await settled();
  expect(calls).toHaveLength(2);
});

test('failures in a row are told when their number has doubled', async () => {
  const warn = vi.mocked(process.emitWarning);
  warn.mockClear();
  let calls = 0;
  const sink = asyncSink<string>({ name: 'api', retry: soon, send: async () => (calls++ < 5 ? [0] : []) });
  const writer = await sink.open(fresh);
  writer.write('a', 0, 0);
  await writer.seal(1);
  expect(warn.mock.calls.map(([text]) => String(text).replace(/ to send.*/, ''))).toEqual([
    'sink "api" failed',
    'sink "api" failed 2 times',
    'sink "api" failed 4 times',
  ]);
});

test('whatever fails, each value is taken in the end, and a job without a place for state waits for it', async () => {
  const plan = fc.record({
    failures: fc.array(fc.constantFrom('all', 'first', 'none'), { maxLength: 20 }),
    batchMax: fc.integer({ min: 1, max: 7 }),
    inFlightMax: fc.integer({ min: 1, max: 4 }),
    linger: fc.integer({ min: 0, max: 3 }),
    length: fc.integer({ min: 0, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ failures, length, ...options }) => {
      const taken: number[] = [];
      let calls = 0;
      let busy = 0;
      const sink = asyncSink<number>({
        ...options,
        retry: { initialInterval: 0, maxInterval: 1 },
        async send(entries) {
          busy += 1;
          expect(busy).toBeLessThanOrEqual(options.inFlightMax);
          expect(entries.length).toBeLessThanOrEqual(options.batchMax);
          await new Promise((resolve) => setImmediate(resolve));
          busy -= 1;
          const how = failures[calls++];
          if (how === 'all') throw new Error('503');
          const rest = how === 'first' ? entries.slice(1) : entries;
          taken.push(...rest.map(({ value, number }) => (value === number ? value : Number.NaN)));
          return how === 'first' ? [0] : undefined;
        },
      });
      const env = StreamExecutionEnvironment.create({ logger: 'silent' });
      env.fromSource(collection(Array.from({ length }, (_, index) => index))).sinkTo(sink);
      await env.execute();
      expect(taken.toSorted((a, b) => a - b)).toEqual(Array.from({ length }, (_, index) => index));
    }),
    { numRuns: 40 },
  );
});
