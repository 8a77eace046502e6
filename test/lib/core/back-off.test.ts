import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backOffMs, jittered } from '../../../lib/core/back-off.ts';

test.each([
  [{ firstMs: 100, factor: 2, maxMs: 1000 }, [100, 200, 400, 800, 1000, 1000]],
  [{ firstMs: 100, factor: 1, maxMs: 1000 }, [100, 100]],
  [{ firstMs: 0, factor: 2, maxMs: 1000 }, [0, 0, 0]],
  [{ firstMs: 500, factor: 2, maxMs: 50 }, [50, 50]],
])('%j', (backOff, waits) => {
  expect(waits.map((_, index) => backOffMs(backOff, index + 1))).toEqual(waits);
});

test('a wait is within its bounds and never shrinks, whatever the figures and however many failures', () => {
  const ms = fc.double({ min: 0, max: 1e12, noNaN: true });
  fc.assert(
    fc.property(
      ms,
      fc.double({ min: 1, max: 1e6, noNaN: true }),
      ms,
      fc.integer({ min: 1, max: 100_000 }),
      (firstMs, factor, maxMs, failures) => {
        const backOff = { firstMs, factor, maxMs };
        const waitMs = backOffMs(backOff, failures);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThanOrEqual(maxMs);
        expect(backOffMs(backOff, failures + 1)).toBeGreaterThanOrEqual(waitMs);
      },
    ),
  );
});

test('jitter', () => {
  expect([0, 0.5, 1].map((random) => jittered(1000, 0.1, random))).toEqual([900, 1000, 1100]);
});
