import { callbackSink, outputTag, StreamError, StreamExecutionEnvironment, type DeadLetter } from 'millrace';
import { describe, expect, it, vi } from 'vitest';
import type { CallContext } from '../../lib/core/call.ts';
import { asyncMap } from '../../operators/async-map.ts';
import { WorkHarness } from './work-fixture.ts';

/** Calls that end when the test says so. */
class Calls {
  readonly asked: string[] = [];
  readonly #open = new Map<string, { resolve: (value: string) => void; reject: (error: unknown) => void }>();

  readonly ask = (value: string, call: CallContext): Promise<string> => {
    this.asked.push(`${value}#${call.attempt}`);
    return new Promise((resolve, reject) => this.#open.set(value, { resolve, reject }));
  };

  resolve(value: string): void {
    this.#open.get(value)?.resolve(value.toUpperCase());
  }

  reject(value: string, error: unknown): void {
    this.#open.get(value)?.reject(error);
  }
}

const shown = <I, O>({ outputs }: WorkHarness<I, O>): unknown[] =>
  outputs.map((output) =>
    output.kind === 'record'
      ? `${String(output.value)}@${output.timestamp}`
      : output.kind === 'watermark'
        ? `w${output.timestamp}`
        : output,
  );

const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 1 });

describe('asyncMap', () => {
  it('emits results as they come, with the timestamps of their values', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask));
    harness.element('a', 1);
    harness.element('b', 2);
    await settled(() => expect(calls.asked).toEqual(['a#1', 'b#1']));
    calls.resolve('b');
    await settled(() => expect(shown(harness)).toEqual(['B@2']));
    calls.resolve('a');
    await settled(() => expect(shown(harness)).toEqual(['B@2', 'A@1']));
    expect([harness.open, harness.errors]).toEqual([0, []]);
  });

  it('emits results in the order of arrival when asked to', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask, { order: 'arrival' }), (value) => value);
    for (const [at, value] of ['a', 'b', 'c'].entries()) harness.element(value, at);
    await settled(() => expect(calls.asked.length).toBe(3));
    calls.resolve('c');
    calls.resolve('b');
    await settled(() => expect(harness.open).toBe(1));
    expect(shown(harness)).toEqual([]);
    calls.resolve('a');
    await settled(() => expect(shown(harness)).toEqual(['A@0', 'B@1', 'C@2']));
  });

  it('I17: with `overtakeWatermarks` a result waits for no watermark unless it is late, and never leaves behind a later one', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask, { overtakeWatermarks: true }));
    harness.element('slow', 1);
    harness.watermark(5);
    for (const [value, at] of [
      ['early', 6],
      ['late', 5],
      ['without', -Infinity],
    ] as const)
      harness.element(value, at);
    harness.watermark(7);
    await settled(() => expect(calls.asked.length).toBe(4));
    for (const value of ['late', 'early', 'without']) calls.resolve(value);
    await settled(() => expect(harness.open).toBe(1));
    expect(shown(harness)).toEqual(['EARLY@6', 'WITHOUT@-Infinity']);
    calls.resolve('slow');
    await settled(() => expect(shown(harness).slice(2)).toEqual(['SLOW@1', 'w5', 'LATE@5', 'w7']));
  });

  it('refuses `overtakeWatermarks` where results keep their order', () => {
    expect(() => asyncMap(async () => 1, { order: 'arrival', overtakeWatermarks: true })).toThrow(
      /`overtakeWatermarks`.*'arrival'/,
    );
  });

  it('I3: lets no result cross a watermark, in either direction', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask));
    harness.element('a', 1);
    harness.watermark(1);
    harness.element('b', 2);
    harness.watermark(2);
    await settled(() => expect(calls.asked.length).toBe(2));
    calls.resolve('b');
    await settled(() => expect(harness.open).toBe(1));
    expect(shown(harness)).toEqual([]);
    calls.resolve('a');
    await settled(() => expect(shown(harness)).toEqual(['A@1', 'w1', 'B@2', 'w2']));
    harness.watermark(3);
    expect(shown(harness).at(-1)).toBe('w3');
  });

  it('runs no more calls at once than it may', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask, { inFlightMax: 2 }));
    for (const value of ['a', 'b', 'c']) harness.element(value, 0);
    await settled(() => expect(calls.asked).toEqual(['a#1', 'b#1']));
    expect([harness.inFlight, harness.open]).toEqual([2, 3]);
    calls.resolve('a');
    await settled(() => expect(calls.asked).toEqual(['a#1', 'b#1', 'c#1']));
  });

  it('tries again as often as it may, with the same idempotency key', async () => {
    const keys = new Set<string>();
    let attempts = 0;
    const flaky = async (value: string, call: CallContext): Promise<string> => {
      keys.add(call.idempotencyKey);
      attempts += 1;
      if (attempts < 3) throw new Error('flaky');
      return value;
    };
    const harness = await WorkHarness.open(asyncMap(flaky, { retry: { attempts: 3, initialIntervalMs: 1 } }));
    harness.element('a', 1);
    await settled(() => expect(shown(harness)).toEqual(['a@1']));
    expect([attempts, keys.size]).toEqual([3, 1]);
  });

  it('fails when a call fails for good, and keeps the cause', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask));
    harness.element('a', 1);
    await settled(() => expect(calls.asked.length).toBe(1));
    const cause = new Error('no answer');
    calls.reject('a', cause);
    await settled(() => expect(harness.errors.length).toBe(1));
    expect(shown(harness)).toEqual([]);
    expect(String(harness.errors[0])).toContain('no answer');
  });

  it.each([
    ['timeout', { timeout: 5, retry: { attempts: 100, initialIntervalMs: 1 } }],
    ['attemptTimeout', { attemptTimeout: 5 }],
  ] as const)('fails after its %s', async (_, options) => {
    const hang = (_: string, { signal }: CallContext): Promise<string> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    const harness = await WorkHarness.open(asyncMap(hang, options));
    harness.element('a', 1);
    await settled(() => expect(harness.errors.length).toBe(1));
    expect(harness.errors[0]).toMatchObject({ code: 'WORK_TIMEOUT' });
    expect(shown(harness)).toEqual([]);
  });

  it('aborts the signal of an attempt that takes too long, and tries again', async () => {
    const reasons: unknown[] = [];
    const slowOnce = (value: string, { attempt, signal }: CallContext): Promise<string> | string => {
      if (attempt > 1) return value;
      return new Promise(() => signal.addEventListener('abort', () => reasons.push(signal.reason)));
    };
    const harness = await WorkHarness.open(
      asyncMap(slowOnce, { attemptTimeout: 5, retry: { attempts: 2, initialIntervalMs: 1 } }),
    );
    harness.element('a', 1);
    await settled(() => expect(shown(harness)).toEqual(['a@1']));
    expect(reasons).toEqual([expect.objectContaining({ code: 'WORK_TIMEOUT' })]);
  });

  it('goes on with its open calls and held watermarks after a restart', async () => {
    const calls = new Calls();
    const harness = await WorkHarness.open(asyncMap(calls.ask), (value) => value);
    harness.element('a', 1);
    harness.watermark(5);
    await settled(() => expect(calls.asked).toEqual(['a#1']));
    await harness.restart();
    await settled(() => expect(calls.asked).toEqual(['a#1', 'a#1']));
    calls.resolve('a');
    await settled(() => expect(shown(harness)).toEqual(['A@1', 'w5']));
  });

  it('takes functions that do not wait, and results that are undefined or null', async () => {
    const harness = await WorkHarness.open(asyncMap((value: string) => (value === 'a' ? null : undefined)));
    harness.element('a', 1);
    harness.element('b', 2);
    await settled(() => expect(shown(harness).sort()).toEqual(['null@1', 'undefined@2']));
  });

  it('says which call failed or took too long', async () => {
    const failing = await WorkHarness.open(
      asyncMap(() => Promise.reject(new RangeError('no answer'))),
      (value: string) => [value, 1n],
    );
    failing.element('a', 1);
    await settled(() => expect(failing.errors.length).toBe(1));
    expect(failing.errors[0]).toMatchObject({
      code: 'WORK_FAILED',
      message: 'a call of `operator` for key ["a","1n"] failed: no answer',
      retryable: true,
      details: { uid: 'operator', key: ['a', 1n] },
      cause: expect.objectContaining({ message: 'no answer' }) as unknown,
    });
    const mistaken = await WorkHarness.open(asyncMap(() => (undefined as unknown as { f: () => number }).f()));
    mistaken.element('a', 1);
    await settled(() => expect(mistaken.errors.length).toBe(1));
    expect(mistaken.errors[0]).toMatchObject({ code: 'WORK_FAILED', retryable: false });
    for (const options of [{ timeout: 5 }, { attemptTimeout: 5 }]) {
      const slow = await WorkHarness.open(
        asyncMap(() => new Promise(() => {}), options),
        (value: string) => value,
      );
      slow.element('a', 1);
      await settled(() => expect(slow.errors.length).toBe(1));
      expect(slow.errors[0]).toMatchObject({
        code: 'WORK_TIMEOUT',
        message: expect.stringContaining('a call of `operator` for key "a"') as string,
      });
    }
  });

  describe('perKey', () => {
    const keyOf = (value: string): string => value.slice(0, 1);

    it('makes one call of a key at a time, in the order of its values, while other keys go on', async () => {
      const calls = new Calls();
      const harness = await WorkHarness.open(asyncMap(calls.ask, { perKey: true }), keyOf);
      for (const [at, value] of ['a1', 'a2', 'b1', 'a3'].entries()) harness.element(value, at);
      await settled(() => expect(calls.asked).toEqual(['a1#1', 'b1#1']));
      calls.resolve('b1');
      calls.resolve('a1');
      await settled(() => expect(calls.asked).toEqual(['a1#1', 'b1#1', 'a2#1']));
      calls.resolve('a2');
      await settled(() => expect(calls.asked.at(-1)).toBe('a3#1'));
      calls.resolve('a3');
      await settled(() => expect(shown(harness)).toEqual(['B1@2', 'A1@0', 'A2@1', 'A3@3']));
      harness.element('a4', 4);
      await settled(() => expect(calls.asked.at(-1)).toBe('a4#1'));
      expect(harness.errors).toEqual([]);
    });

    it('keeps its turns over a restart, and no result crosses a watermark', async () => {
      const calls = new Calls();
      const harness = await WorkHarness.open(asyncMap(calls.ask, { perKey: true }), keyOf);
      harness.element('a1', 1);
      harness.element('a2', 2);
      harness.watermark(2);
      await harness.restart();
      await settled(() => expect(calls.asked.at(-1)).toBe('a1#1'));
      harness.element('a3', 3);
      calls.resolve('a1');
      await settled(() => expect(calls.asked.at(-1)).toBe('a2#1'));
      calls.resolve('a2');
      await settled(() => expect(calls.asked.at(-1)).toBe('a3#1'));
      calls.resolve('a3');
      await settled(() => expect(shown(harness)).toEqual(['A1@1', 'A2@2', 'w2', 'A3@3']));
      expect(await harness.rows()).toBe(0);
    });

    it('goes on with the next value of a key when a call has failed', async () => {
      const calls = new Calls();
      const harness = await WorkHarness.open(asyncMap(calls.ask, { perKey: true, onError: 'ignore' }), keyOf);
      harness.element('a1', 1);
      harness.element('a2', 2);
      await settled(() => expect(calls.asked).toEqual(['a1#1']));
      calls.reject('a1', new Error('no'));
      await settled(() => expect(calls.asked).toEqual(['a1#1', 'a2#1']));
      calls.resolve('a2');
      await settled(() => expect(shown(harness)).toEqual(['A2@2']));
    });

    it('on a stream without keys makes one call at a time', async () => {
      const calls = new Calls();
      const harness = await WorkHarness.open(asyncMap(calls.ask, { perKey: true }));
      harness.element('a', 1);
      harness.element('b', 2);
      await settled(() => expect(calls.asked).toEqual(['a#1']));
      calls.resolve('a');
      await settled(() => expect(calls.asked).toEqual(['a#1', 'b#1']));
    });
  });

  describe('a call that fails for good', () => {
    const odd = async (value: number): Promise<number> => {
      if (value % 2 === 1) throw new RangeError(`odd: ${value}`);
      return value;
    };

    it('sends its value to the dead letters, in the place of its result, and the others go on', async () => {
      const env = StreamExecutionEnvironment.create({ logger: 'silent' });
      const letters = outputTag<DeadLetter<number>>('letters');
      const [results, dead]: [number[], DeadLetter<number>[]] = [[], []];
      const mapped = env
        .fromCollection([1, 2, 3, 4])
        .keyBy((value) => `k${value}`)
        .asyncMap(odd, { order: 'arrival', deadLetters: letters });
      mapped.sinkTo(callbackSink((value) => void results.push(value)));
      mapped.sideOutput(letters).sinkTo(callbackSink((letter) => void dead.push(letter)));
      await env.execute();
      expect(results).toEqual([2, 4]);
      expect(dead.map(({ key, input, action, error }) => [key, input, action, error.code, error.message])).toEqual([
        ['k1', 1, 'async-map', 'WORK_FAILED', 'a call of `async-map` for key "k1" failed: odd: 1'],
        ['k3', 3, 'async-map', 'WORK_FAILED', 'a call of `async-map` for key "k3" failed: odd: 3'],
      ]);
    });

    it('is ignored and counted when asked to', async () => {
      const env = StreamExecutionEnvironment.create({ logger: 'silent' });
      const seen: number[] = [];
      env
        .fromCollection([1, 2, 3, 4])
        .asyncMap(odd, { onError: 'ignore' })
        .sinkTo(callbackSink((value) => void seen.push(value)));
      const job = await env.executeAsync();
      await job.done;
      expect(seen.toSorted()).toEqual([2, 4]);
      expect((await job.metrics.snapshot())['operator.async-map.numOfCallsFailed']).toBe(2);
    });

    it('fails the job all the same when it is about the job', async () => {
      const env = StreamExecutionEnvironment.create({ logger: 'silent' });
      env
        .fromCollection([1])
        .asyncMap(() => Promise.reject(new StreamError('STORE_FAILED', 'full')), { onError: 'ignore' });
      await expect(env.execute()).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: 'a call of `async-map` failed: full',
      });
    });
  });

  it('refuses nonsense by name', () => {
    const fn = async (value: string): Promise<string> => value;
    expect(() => asyncMap(fn, { order: 'random' as never })).toThrow('`order`');
    expect(() => asyncMap(fn, { inFlightMax: 0 })).toThrow('`inFlightMax`');
    expect(() => asyncMap(fn, { timeout: 0 })).toThrow('`timeout`');
    expect(() => asyncMap(fn, { attemptTimeout: 'soon' as never })).toThrow('`attemptTimeout`');
    expect(() => asyncMap(fn, { ordered: true } as never)).toThrow('`ordered`');
    expect(() => asyncMap(fn, { perKey: 'yes' as never })).toThrow('`perKey`');
    expect(() => asyncMap(fn, { onError: 'retry' as never })).toThrow('`onError`');
    expect(() => asyncMap(fn, { onError: 'dead-letter' })).toThrow('`deadLetters`');
    // Either would say one thing and do another.
    expect(() => asyncMap(fn, { onError: 'ignore', deadLetters: { id: 'letters' } })).toThrow('`onError`');
    expect(() => asyncMap(fn, { onError: 'fail', deadLetters: { id: 'letters' } })).toThrow('`onError`');
    expect(() => asyncMap(fn, { deadLetters: 'letters' as never })).toThrow('`deadLetters`');
    expect(() => asyncMap(fn, { retry: { attemps: 3 } as never })).toThrow('`attemps`');
  });
});
