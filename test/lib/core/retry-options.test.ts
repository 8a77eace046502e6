import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../lib/core/clock.ts';
import { StreamError } from '../../../lib/core/errors.ts';
import { afterAttempt, afterFailure, checkRetry, retryIntervalMs } from '../../../lib/core/retry-options.ts';

describe('the wait before an attempt', () => {
  test.each([
    [{}, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]],
    [{ initialInterval: '250ms', maxInterval: '1s' }, [250, 500, 1000, 1000]],
    [{ initialInterval: '1h' }, [3_600_000, 3_600_000]],
    [{ initialIntervalMs: 90_000 }, [90_000, 90_000]],
    [{ maxInterval: '500ms' }, [500, 500]],
    [{ initialInterval: 250, backoffFactor: 1 }, [250, 250]],
    [{ initialIntervalMs: 5, backoffFactor: 10, maxIntervalMs: 300 }, [5, 50, 300]],
  ] as const)('%j', (retry, waits) => {
    checkRetry('retry', retry);
    expect(waits.map((_, at) => retryIntervalMs(retry, at + 1))).toEqual(waits);
  });

  test('does not overflow', () => {
    expect(retryIntervalMs({ backoffFactor: 10 }, 2000)).toBe(60_000);
  });
});

describe('after an attempt', () => {
  const clock = { ...systemClock, random: () => 1 };
  const empty = { ok: true, value: [] } as const;
  const retry = { attempts: 3, jitter: 0, retryOnResult: (list: readonly unknown[]) => list.length === 0 };
  // As `checkRetry` takes it: of any result.
  const after = (attempt: number, given: object = retry) => afterAttempt(given, attempt, empty, clock);

  test('a result that is not good enough, until there is no attempt left', () => {
    expect(after(1)).toEqual({ kind: 'again', waitMs: 1000 });
    expect(after(2)).toEqual({ kind: 'again', waitMs: 2000 });
    expect(after(3)).toEqual({ kind: 'end', outcome: empty });
    expect(after(1, { attempts: 3 })).toEqual({ kind: 'end', outcome: empty });
    expect(afterAttempt(retry, 1, { ok: true, value: [1] }, clock)).toMatchObject({ kind: 'end' });
  });

  test('a test that throws or waits is the outcome', () => {
    const throwing = { attempts: 2, retryOnResult: () => JSON.parse('{') as boolean };
    expect(after(1, throwing)).toMatchObject({ kind: 'end', outcome: { ok: false, error: { code: 'WORK_FAILED' } } });
    const waiting = { attempts: 2, retryOnResult: () => Promise.resolve(true) };
    expect(after(1, waiting)).toMatchObject({ kind: 'end', outcome: { ok: false, error: { code: 'ASYNC_IN_TURN' } } });
    expect(() => checkRetry('retry', { retryOnResult: 5 as never })).toThrow('`retry.retryOnResult`');
  });
});

describe('after a failed attempt', () => {
  const clock = { ...systemClock, random: () => 1 };
  const asking = (retryAfterMs: unknown): StreamError =>
    new StreamError('MODEL_UNAVAILABLE', 'busy', { details: { status: 429, retryAfterMs } });

  test('the back-off, varied', () => {
    expect(afterFailure({ attempts: 3 }, 2, new Error('x'), clock)).toEqual({ kind: 'again', waitMs: 2200 });
    expect(afterFailure({ attempts: 3, jitter: 0 }, 2, 'thrown', clock)).toEqual({ kind: 'again', waitMs: 2000 });
  });

  test.each([
    ['no retry', undefined, 1, new Error('x')],
    ['no attempt left', { attempts: 2 }, 2, new Error('x')],
    ['an error that says so', { attempts: 2 }, 1, new StreamError('MODEL_REQUEST', 'x')],
    ['a mistake in code', { attempts: 2 }, 1, new TypeError('x is not a function')],
    ['one that the user does not want', { attempts: 2, retryOn: () => false }, 1, new Error('x')],
  ])('the end: %s', (_why, retry, attempt, error) => {
    expect(afterFailure(retry, attempt, error, clock)).toEqual({ kind: 'end', error });
  });

  test('what `fetch` rejects with is no mistake in code, and who says so tries one again', () => {
    const failed = new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
    expect(afterFailure({ attempts: 2 }, 1, failed, clock)).toMatchObject({ kind: 'again' });
    const tried = afterFailure({ attempts: 2, retryOn: () => true }, 1, new TypeError('x'), clock);
    expect(tried).toMatchObject({ kind: 'again' });
  });

  test('a `retryOn` that throws ends it, with its own error: nobody above would hear of it', () => {
    const threw = new RangeError('no such status');
    const retryOn = (): never => {
      throw threw;
    };
    expect(afterFailure({ attempts: 2, retryOn }, 1, new Error('503'), clock)).toMatchObject({
      kind: 'end',
      error: { code: 'WORK_FAILED', message: '`retryOn`, asked about "503", threw: no such status', cause: threw },
    });
    const passedOn = new StreamError('MODEL_REQUEST', 'x');
    const rethrowing = (error: unknown): never => {
      throw error;
    };
    expect(afterFailure({ attempts: 2, retryOn: rethrowing }, 1, passedOn, clock)).toEqual({
      kind: 'end',
      error: passedOn,
    });
  });

  test.each([
    [5000, 5000],
    [500, 1100],
    [600_000, 600_000],
    [-1, 1100],
    [Number.NaN, 1100],
    ['7000', 1100],
    [null, 1100],
    [undefined, 1100],
  ])('an error may ask for a longer wait: %s', (asked, waitMs) => {
    expect(afterFailure({ attempts: 2 }, 1, asking(asked), clock)).toEqual({ kind: 'again', waitMs });
  });

  test.each([600_001, 86_400_000, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
    'but not for ever: %s',
    (asked) => {
      const next = afterFailure({ attempts: 9 }, 1, asking(asked), clock);
      expect(next).toMatchObject({
        kind: 'end',
        error: { code: 'MODEL_UNAVAILABLE', retryable: false, details: { status: 429, retryAfterMs: asked } },
      });
      const message = `busy; it asks to wait ${asked / 1000} s, longer than the 600 s of \`retryAfterMax\``;
      expect(next.kind === 'end' && (next.error as Error).message).toBe(message);
    },
  );

  test('the bound is an option', () => {
    expect(afterFailure({ attempts: 2, retryAfterMax: '1d' }, 1, asking(86_400_000), clock)).toEqual({
      kind: 'again',
      waitMs: 86_400_000,
    });
    expect(afterFailure({ attempts: 2, retryAfterMax: 10 }, 1, asking(11), clock)).toMatchObject({ kind: 'end' });
  });
});

test.each([
  [{ attemps: 3 }, 'Expected options of `retry` to be among attempts'],
  [{ attempts: 0 }, '`retry.attempts`'],
  [
    { initialInterval: '1 second' },
    "Expected `retry.initialInterval` to be a duration of at least 0 ms (a number or like '10s'), got `1 second`",
  ],
  [{ maxInterval: -1 }, '`retry.maxInterval`'],
  [{ initialIntervalMs: '1s' }, '`retry.initialIntervalMs`'],
  [
    { initialInterval: '1s', initialIntervalMs: 1000 },
    'Expected `retry.initialInterval` to be absent beside `retry.initialIntervalMs`',
  ],
  [{ maxInterval: '1s', maxIntervalMs: 1000 }, '`retry.maxInterval`'],
  [{ backoffFactor: 0.5 }, '`retry.backoffFactor`'],
  [{ jitter: 2 }, '`retry.jitter`'],
  [{ retryAfterMax: 'never' }, '`retry.retryAfterMax`'],
  [{ retryOn: true }, '`retry.retryOn`'],
  [null, '`retry`'],
])('refuses %j', (retry, message) => {
  expect(() => checkRetry('retry', retry as never)).toThrow(message);
});
