import { getEventListeners } from 'node:events';
import {
  agent,
  callbackSink,
  collection,
  InputEvent,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
} from 'millrace';
import { OperatorHarness } from 'millrace/testing';
import { expect, test } from 'vitest';
import { asyncMap } from '../../../../operators/async-map.ts';
import type { Source } from '../../../../lib/core/connector.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';

/** Node takes more than ten listeners for a leak. */
const many = 24;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const quiet = { logger: 'fatal' } as const;

/** What this process is warned of while `body` runs. */
const warningsOf = async (body: () => Promise<unknown>): Promise<readonly string[]> => {
  const warnings: string[] = [];
  const note = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`);
  process.on('warning', note);
  try {
    await body();
    await new Promise((resolve) => setImmediate(resolve)); // A warning is told in a later tick.
  } finally {
    process.off('warning', note);
  }
  return warnings;
};

/** A source that tells the signal its split is opened with: every wait of the job listens to that one. */
const watched = (count: number, seen: (signal: AbortSignal) => void): Source<number, number> => {
  const source = collection(numbers(count));
  return {
    ...source,
    open(split, position, signal, clock) {
      seen(signal);
      return source.open(split, position, signal, clock);
    },
  };
};

test('a job of many sources, sinks and calls warns of nothing, however it ends', async () => {
  const pipeline = (perSecond: number | undefined): StreamExecutionEnvironment => {
    const env = StreamExecutionEnvironment.create({ ...quiet, storage: new MemoryStorage() });
    for (let part = 0; part < many; part += 1) {
      env
        .generate(
          { generate: (index) => index, ...(perSecond === undefined ? { count: 10 } : { perSecond }) },
          WatermarkStrategy.none(),
        )
        .asyncMap(async (value, { signal }) => (signal.aborted ? undefined : value))
        .sinkTo(callbackSink(() => {}));
    }
    return env;
  };
  const warnings = await warningsOf(async () => {
    await (
      await pipeline(undefined).executeAsync('ends')
    ).done;
    const stopped = await pipeline(100).executeAsync('is stopped');
    await stopped.stop({ timeout: '10s' });
    await (await pipeline(100).executeAsync('is cancelled')).cancel();
  });
  expect(warnings).toEqual([]);
});

test('a body with many calls, each of which listens to its signal, warns of nothing', async () => {
  const asks = agent<number, number>('asks').on(InputEvent, async ({ input }, ctx) => {
    const ask = (each: number): Promise<number> =>
      ctx.durableExecute(`ask ${each}`, (signal) => (signal.aborted ? 0 : each), { timeout: '1m' });
    const answers = await Promise.all(numbers(many).map(ask));
    ctx.sendEvent(new OutputEvent(input + answers.length));
  });
  const warnings = await warningsOf(async () => {
    const env = StreamExecutionEnvironment.create(quiet);
    const answered = env
      .fromCollection(numbers(many))
      .keyBy((value) => value)
      .applyAgent(asks);
    expect(await answered.executeAndCollect()).toHaveLength(many);
  });
  expect(warnings).toEqual([]);
});

test('the harness takes as many calls as a job does', async () => {
  const warnings = await warningsOf(async () => {
    const harness = await OperatorHarness.open(
      asyncMap(async (value: number, { signal }) => (signal.aborted ? 0 : value)),
    );
    for (const each of numbers(many)) harness.element(each);
    await harness.settled();
  });
  expect(warnings).toEqual([]);
});

test('no call leaves a listener behind', async () => {
  const leftAfter = async (calls: number): Promise<number> => {
    let signal: AbortSignal | undefined;
    let left = 0;
    const env = StreamExecutionEnvironment.create({ ...quiet, storage: new MemoryStorage() });
    env
      .fromSource(
        watched(calls, (given) => (signal = given)),
        WatermarkStrategy.none(),
        'numbers',
      )
      .asyncMap(async (value, call) => (call.signal.aborted ? -1 : value), { inFlightMax: 4 })
      .sinkTo(
        callbackSink(() => {
          left = signal === undefined ? Number.NaN : getEventListeners(signal, 'abort').length;
        }),
      );
    await (
      await env.executeAsync('calls')
    ).done;
    return left;
  };
  const [few, more] = [await leftAfter(10), await leftAfter(400)];
  expect(more).toBeLessThan(few + many);
});
