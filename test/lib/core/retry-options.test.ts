import { describe, expect, test } from 'vitest';
import { checkRetry, retryIntervalMs } from '../../../lib/core/retry-options.ts';

describe('the wait before an attempt', () => {
  test.each([
    [{}, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]],
    [{ initialInterval: '250ms', maxInterval: '1s' }, [250, 500, 1000, 1000]],
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

test.each([
  [{ attemps: 3 }, 'Expected options of `retry` to be among attempts'],
  [{ attempts: 0 }, '`retry.attempts`'],
  [{ initialInterval: '1 second' }, "Expected `retry.initialInterval` to be a duration of at least 0 ms (a number or like '10s'), got `1 second`"],
  [{ maxInterval: -1 }, '`retry.maxInterval`'],
  [{ initialIntervalMs: '1s' }, '`retry.initialIntervalMs`'],
  [{ initialInterval: '1s', initialIntervalMs: 1000 }, 'Expected `retry.initialInterval` to be absent beside `retry.initialIntervalMs`'],
  [{ maxInterval: '1s', maxIntervalMs: 1000 }, '`retry.maxInterval`'],
  [{ backoffFactor: 0.5 }, '`retry.backoffFactor`'],
  [{ jitter: 2 }, '`retry.jitter`'],
  [{ retryOn: true }, '`retry.retryOn`'],
  [null, '`retry`'],
])('refuses %j', (retry, message) => {
  expect(() => checkRetry('retry', retry as never)).toThrow(message);
});
