/**
 * Runs recorded vectors of asynchronous I/O (family 11) on `asyncMap`. The recorded function may give several results,
 * or none, where ours gives one: here it gives the list of them. Watermarks that wait together leave as one with us and
 * one by one in the recording, so each that came in is written down when one that covers it leaves.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import type { CallContext, RetryOptions } from '../core/call.ts';
import { asyncMap } from '../../operators/async-map.ts';
import { OperatorHarness } from './harness.ts';
import type { HarnessOutput } from './harness-outputs.ts';
import {
  timeOf,
  vectorTime,
  type VectorConfig,
  type VectorOutput,
  type VectorRunner,
  type VectorStep,
} from './vector-form.ts';

interface Input {
  readonly key: string;
  readonly value: number;
}

/** What an attempt waits for. */
interface Attempt {
  resolve(results: readonly string[]): void;
  reject(error: unknown): void;
}

type Results = readonly string[];

class FatalError extends Error {}

export const asyncVectorRunner = async (config: VectorConfig): Promise<VectorRunner> => {
  const attempts = new Map<number, Attempt>();
  const watermarks: Timestamp[] = [];
  let out: VectorOutput[] = [];
  let failed = false;
  const ask = ({ value }: Input, { attempt }: CallContext): Promise<Results> => {
    out.push({ type: 'invoke', value, attempt });
    return new Promise((resolve, reject) => void attempts.set(value, { resolve, reject }));
  };
  const operator = asyncMap<Input, Results>(ask, {
    order: config['ordered'] === true ? 'arrival' : 'completion',
    inFlightMax: numberOr(config['capacity'], 100),
    timeout: numberOr(config['timeout'], undefined),
    retry: retryOf(config),
    onTimeout: ({ value }) => {
      out.push({ type: 'timeout', value });
      return [`timeout ${value}`];
    },
  });
  const harness = await OperatorHarness.open(operator, { keyOf: ({ key }: Input) => key });
  const write = (outputs: readonly HarnessOutput<Results>[]): void => {
    for (const each of outputs) {
      if (each.kind === 'watermark')
        while (watermarks[0] !== undefined && watermarks[0] <= each.timestamp)
          out.push({ type: 'watermark', ts: vectorTime(watermarks.shift() ?? each.timestamp) });
      if (each.kind === 'record')
        for (const value of each.value) out.push({ type: 'record', value, ts: vectorTime(each.timestamp) });
      if (each.kind === 'status') out.push({ type: 'status', status: each.idle ? 'idle' : 'active' });
    }
  };
  const step = async ({ op, key = '', value, ts, results, fatal }: VectorStep): Promise<void> => {
    const number = Number(value);
    if (op === 'element') write(harness.element({ key, value: number }, ts === null ? MIN_TIMESTAMP : timeOf(ts)));
    else if (op === 'watermark') {
      watermarks.push(timeOf(ts));
      write(harness.watermark(timeOf(ts)));
    } else if (op === 'idle' || op === 'active') write(harness.status(op === 'idle'));
    else if (op === 'processingTime') write(await harness.advance(Math.max(0, timeOf(ts) - harness.now)));
    else if (op === 'complete') attempts.get(number)?.resolve(resultsOf(number, Number(results)));
    else if (op === 'fail')
      attempts.get(number)?.reject(fatal === true ? new FatalError('fatal') : new Error('failed'));
  };
  return {
    async run(each) {
      out = [];
      // Where a job has failed nothing comes out any more.
      if (failed) return out;
      try {
        await step(each);
        write(await harness.advance(0));
      } catch {
        failed = true;
        out.push({ type: 'jobFailure' });
      }
      return out;
    },
  };
};

const resultsOf = (value: number, count: number): Results =>
  Array.from({ length: count }, (_, n) => (n === 0 ? `${value}` : `${value}.${n}`));

const numberOr = <T>(value: unknown, otherwise: T): number | T => (typeof value === 'number' ? value : otherwise);

/** The recorded strategies count attempts after the first, and the delays are not varied. */
const retryOf = ({ retry }: VectorConfig): RetryOptions<Results> | undefined => {
  if (retry === undefined || retry === null) return undefined;
  const { type, maxAttempts, delay, initialDelay, maxDelay, multiplier } = retry as {
    readonly type: string; // The families' files say what is in a config.
    readonly maxAttempts: number;
    readonly delay?: number;
    readonly initialDelay?: number;
    readonly maxDelay?: number;
    readonly multiplier?: number;
  };
  const common = {
    attempts: maxAttempts + 1,
    jitter: 0,
    retryOn: (error: unknown) => !(error instanceof FatalError),
    retryOnResult: (results: Results) => results.length === 0,
  };
  switch (type) {
    case 'fixed':
      return { ...common, initialInterval: delay, maxInterval: delay, backoffFactor: 1 };
    case 'exponential':
      return { ...common, initialInterval: initialDelay, maxInterval: maxDelay, backoffFactor: multiplier };
    default:
      throw new TypeError(`Expected \`config.retry.type\` to be fixed or exponential, got \`${type}\``);
  }
};
