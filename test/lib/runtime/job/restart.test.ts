import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Duration } from '../../../../lib/core/options.ts';
import {
  exponentialDelay,
  failureRate,
  fixedDelay,
  noRestart,
  type Restarts,
  type RestartStrategy,
} from '../../../../lib/runtime/job/restart.ts';
import { StepClock } from '../../../connectors/manual-clock.ts';

interface Vectors {
  readonly cases: readonly {
    readonly name: string;
    readonly config: Readonly<Record<string, number>> & { readonly strategy: string };
    readonly steps: readonly { readonly ts: number }[];
    readonly expected: readonly (readonly { readonly canRestart: boolean; readonly backoff: number }[])[];
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../../../golden/13-restart.json', import.meta.url), 'utf8'),
) as Vectors;

/** Flink's "unlimited". */
const unlimited = 2 ** 31 - 1;

const strategyOf = ({ strategy, ...options }: Vectors['cases'][number]['config']): RestartStrategy => {
  const option = (name: string): number => {
    const value = options[name];
    if (value === undefined) throw new TypeError(`Expected the vector to have \`${name}\``);
    return value;
  };
  switch (strategy) {
    case 'fixed-delay':
      return fixedDelay({ attempts: option('attempts'), delay: option('delay') });
    case 'exponential-delay':
      return exponentialDelay({
        initial: option('initialBackoff'),
        max: option('maxBackoff'),
        multiplier: option('multiplier'),
        resetAfter: option('resetThreshold'),
        jitter: 0,
        ...(option('attemptsBeforeReset') === unlimited ? {} : { attempts: option('attemptsBeforeReset') }),
      });
    case 'failure-rate':
      return failureRate({
        failures: option('maxFailuresPerInterval'),
        interval: option('interval'),
        delay: option('delay'),
      });
    default:
      throw new TypeError(`Expected a strategy of the recording, got \`${strategy}\``);
  }
};

describe("Flink's decisions", () => {
  test.each(vectors.cases.map((each) => [each.name, each] as const))('%s', (_, { config, steps, expected }) => {
    const clock = new StepClock();
    const restarts = strategyOf(config).make(clock);
    const decisions = steps.map(({ ts }) => {
      clock.advance(ts - clock.now());
      return restarts.onFailure();
    });
    expect(decisions).toEqual(
      expected.map(([decision]) => (decision?.canRestart === true ? decision.backoff : undefined)),
    );
  });
});

/** Fails, waits as it is told, runs for a while, fails again. */
const live = (restarts: Restarts, clock: StepClock, runsMs: readonly number[]): (number | undefined)[] =>
  runsMs.map((runMs) => {
    clock.advance(runMs);
    const delayMs = restarts.onFailure();
    clock.advance(delayMs ?? 0);
    return delayMs;
  });

test('no restart gives up at once', () => {
  expect(noRestart().make(new StepClock()).onFailure()).toBeUndefined();
});

describe('exponential delay', () => {
  test('by default grows from a second to a minute', () => {
    const clock = new StepClock(); // Its random number is the middle, so jitter changes nothing.
    const delays = live(
      exponentialDelay().make(clock),
      clock,
      Array.from({ length: 12 }, () => 1),
    );
    expect(delays.slice(0, 3)).toEqual([1000, 1500, 2250]);
    expect(delays.at(-1)).toBe(60_000);
  });

  test('starts small again after it ran long enough', () => {
    const clock = new StepClock();
    const restarts = exponentialDelay({ initial: 100, resetAfter: '1h' }).make(clock);
    expect(live(restarts, clock, [1, 1, 3_599_999, 3_600_000])).toEqual([100, 150, 225, 100]);
  });

  test('gives up after `attempts` in a row, and counts for each job alone', () => {
    const strategy = exponentialDelay({ initial: 100, attempts: 2 });
    for (const clock of [new StepClock(), new StepClock()]) {
      expect(live(strategy.make(clock), clock, [1, 1, 1])).toEqual([100, 150, undefined]);
    }
  });

  test('the delay is never off by more than `jitter`, never negative, and does not shrink while the job keeps failing', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 1, max: 4, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        (initial, multiplier, jitter, random) => {
          const clock = new (class extends StepClock {
            override random(): number {
              return random;
            }
          })();
          const restarts = exponentialDelay({ initial, max: '1m', multiplier, jitter }).make(clock);
          let before = 0;
          live(
            restarts,
            clock,
            Array.from({ length: 10 }, () => 1),
          ).forEach((delayMs, index) => {
            const exact = Math.floor(Math.min(initial * multiplier ** index, 60_000));
            expect(delayMs).toBeGreaterThanOrEqual(Math.max(exact * (1 - jitter), before) - 1e-6);
            expect(delayMs).toBeLessThanOrEqual(exact * (1 + jitter) + 1e-6);
            before = delayMs ?? Number.POSITIVE_INFINITY;
          });
        },
      ),
    );
  });

  test('a job that fails at the very instant of its start comes to an end too', () => {
    const clock = new StepClock();
    const restarts = exponentialDelay({ initial: 1, attempts: 5 }).make(clock);
    expect(
      live(
        restarts,
        clock,
        Array.from({ length: 20 }, () => 0),
      ).at(-1),
    ).toBeUndefined();
  });

  test('many failures do not overflow the delay', () => {
    const clock = new StepClock();
    expect(
      live(
        exponentialDelay({ multiplier: 10 }).make(clock),
        clock,
        Array.from({ length: 2000 }, () => 1),
      ).at(-1),
    ).toBe(60_000);
  });
});

test.each<[string, () => RestartStrategy]>([
  ['Expected `attempts` to be an integer from 1 up, got `0` (number)', () => fixedDelay({ attempts: 0, delay: 1 })],
  [
    'Expected `delay` to be a duration of at least 0 ms',
    () => fixedDelay({ attempts: 1, delay: '1 week' as Duration }),
  ],
  ['Expected `initial` to be a duration of at least 1 ms', () => exponentialDelay({ initial: 0 })],
  ['Expected `max` to be a duration of at least 5000 ms', () => exponentialDelay({ initial: '5s', max: '1s' })],
  ['Expected `multiplier` to be a number from 1 up, got `0.5`', () => exponentialDelay({ multiplier: 0.5 })],
  ['Expected `multiplier` to be a number from 1 up', () => exponentialDelay({ multiplier: Number.NaN })],
  ['Expected `jitter` to be a number from 0 to 1, got `2`', () => exponentialDelay({ jitter: 2 })],
  ['Expected `attempts` to be an integer from 1 up, got `1.5`', () => exponentialDelay({ attempts: 1.5 })],
  ['Expected `failures` to be an integer from 1 up', () => failureRate({ failures: -1, interval: 1, delay: 1 })],
  ['Expected `interval` to be a duration of at least 1 ms', () => failureRate({ failures: 1, interval: 0, delay: 1 })],
  ['Expected options of `exponentialDelay` to be among initial, max,', () => exponentialDelay({ attemps: 3 } as never)],
  [
    'Expected options of `fixedDelay` to be among attempts, delay, got `interval`',
    () => fixedDelay({ attempts: 1, delay: 1, interval: 1 } as never),
  ],
  [
    'Expected options of `failureRate` to be among failures,',
    () => failureRate({ failures: 1, interval: 1, delay: 1, jitter: 0 } as never),
  ],
  ['Expected `fixedDelay` to be an object of options', () => fixedDelay(undefined as never)],
])('refuses: %s', (message, make) => {
  expect(make).toThrow(message);
});
