/**
 * Runs recorded vectors of restart strategies (family 13). The recorded strategies tell the wait also of a failure that
 * ends the job, and whether it counts as an attempt of its own; ours say how long to wait, or to give up. So what ours
 * leave out is told here: by a strategy that gives up never, and by whether it still waited.
 */
import { MAX_TIMESTAMP } from '../core/element.ts';
import { exponentialDelay, failureRate, fixedDelay, noRestart, type RestartStrategy } from '../runtime/job/restart.ts';
import { ManualClock } from './clock.ts';
import { timeOf, type VectorConfig, type VectorRunner } from './vector-form.ts';

export const restartVectorRunner = (config: VectorConfig): VectorRunner => {
  const clock = new ManualClock();
  const { decides, waits, isExponential } = strategiesOf(config);
  const [deciding, waiting] = [decides.make(clock), waits.make(clock)];
  let nextStart = Number.NEGATIVE_INFINITY;
  return {
    run: async ({ ts }) => {
      await clock.advance(Math.min(timeOf(ts), MAX_TIMESTAMP) - clock.now());
      const canRestart = deciding.onFailure() !== undefined;
      const backoff = waiting.onFailure() ?? 0;
      const newAttempt = !isExponential || clock.now() > nextStart;
      nextStart = clock.now() + backoff;
      return [{ type: 'decision', newAttempt, canRestart, backoff }];
    },
  };
};

interface Strategies {
  readonly decides: RestartStrategy;
  /** The same without an end. */
  readonly waits: RestartStrategy;
  readonly isExponential: boolean;
}

/** The recording's word for no bound. */
const unlimited = 2 ** 31 - 1;

const strategiesOf = (config: VectorConfig): Strategies => {
  const option = (name: string): number => {
    const value = config[name];
    if (typeof value !== 'number') throw new TypeError(`Expected \`config.${name}\` to be a number`);
    return value;
  };
  const { strategy } = config;
  switch (strategy) {
    case 'none':
      return { decides: noRestart(), waits: noRestart(), isExponential: false };
    case 'fixed-delay': {
      const [attempts, delay] = [option('attempts'), option('delay')];
      return {
        decides: attempts < 1 ? noRestart() : fixedDelay({ attempts, delay }),
        waits: fixedDelay({ attempts: unlimited, delay }),
        isExponential: false,
      };
    }
    case 'exponential-delay': {
      const attempts = option('attemptsBeforeReset');
      const options = {
        initial: option('initialBackoff'),
        max: option('maxBackoff'),
        multiplier: option('multiplier'),
        resetAfter: option('resetThreshold'),
        jitter: 0,
      };
      return {
        decides: exponentialDelay({ ...options, attempts: attempts === unlimited ? undefined : attempts }),
        waits: exponentialDelay(options),
        isExponential: true,
      };
    }
    case 'failure-rate': {
      const [failures, interval, delay] = [option('maxFailuresPerInterval'), option('interval'), option('delay')];
      return {
        decides: failureRate({ failures, interval, delay }),
        waits: fixedDelay({ attempts: unlimited, delay }),
        isExponential: false,
      };
    }
    default:
      throw new TypeError(
        `Expected \`config.strategy\` to be none, fixed-delay, exponential-delay or failure-rate, got \`${String(strategy)}\``,
      );
  }
};
