import { describe, expect, it, vi } from 'vitest';
import type { CallContext } from '../../lib/core/operator.ts';
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

const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 2000, interval: 1 });

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
    const harness = await WorkHarness.open(asyncMap(slowOnce, { attemptTimeout: 5, retry: { attempts: 2, initialIntervalMs: 1 } }));
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

  it('refuses nonsense by name', () => {
    const fn = async (value: string): Promise<string> => value;
    expect(() => asyncMap(fn, { order: 'random' as never })).toThrow('`order`');
    expect(() => asyncMap(fn, { inFlightMax: 0 })).toThrow('`inFlightMax`');
    expect(() => asyncMap(fn, { timeout: 0 })).toThrow('`timeout`');
    expect(() => asyncMap(fn, { attemptTimeout: 'soon' as never })).toThrow('`attemptTimeout`');
    expect(() => asyncMap(fn, { ordered: true } as never)).toThrow('`ordered`');
  });
});
