/**
 * Runs recorded vectors of asynchronous I/O (family 11) on `asyncMap`. The recorded function may give several results,
 * or none, where ours gives one: here it gives the list of them. Watermarks that wait together leave one by one in the
 * recording and as one with us, so who compares leaves out a watermark right before another. Cases with retries are
 * none of ours: there an empty result is tried again.
 */
import { MIN_TIMESTAMP } from '../core/element.ts';
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

/** What a call waits for. */
interface Call {
  resolve(results: readonly string[]): void;
  reject(error: unknown): void;
}

export const asyncVectorRunner = async (config: VectorConfig): Promise<VectorRunner> => {
  const calls = new Map<number, Call>();
  let out: VectorOutput[] = [];
  const ask = ({ value }: Input): Promise<readonly string[]> => {
    out.push({ type: 'invoke', value, attempt: 1 });
    return new Promise((resolve, reject) => void calls.set(value, { resolve, reject }));
  };
  const operator = asyncMap(ask, { order: config['ordered'] === true ? 'arrival' : 'completion' });
  const harness = await OperatorHarness.open(operator, { keyOf: ({ key }: Input) => key });
  const write = (outputs: readonly HarnessOutput<readonly string[]>[]): void => {
    for (const each of outputs) {
      if (each.kind === 'watermark') out.push({ type: 'watermark', ts: vectorTime(each.timestamp) });
      if (each.kind === 'record')
        for (const value of each.value) out.push({ type: 'record', value, ts: vectorTime(each.timestamp) });
    }
  };
  const step = ({ op, key = '', value, ts, results }: VectorStep): void => {
    const number = Number(value);
    if (op === 'element') write(harness.element({ key, value: number }, ts === null ? MIN_TIMESTAMP : timeOf(ts)));
    else if (op === 'watermark') write(harness.watermark(timeOf(ts)));
    else if (op === 'complete')
      calls
        .get(number)
        ?.resolve(Array.from({ length: Number(results) }, (_, n) => (n === 0 ? `${number}` : `${number}.${n}`)));
    else if (op === 'fail') calls.get(number)?.reject(new Error('failed'));
  };
  return {
    async run(each) {
      out = [];
      step(each);
      try {
        write(await harness.advance(0));
      } catch {
        out.push({ type: 'jobFailure' });
      }
      return out;
    },
  };
};
