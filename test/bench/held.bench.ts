/**
 * Windows behind a result that waits: a slow call of `asyncMap` holds the watermark of very many windows, and results
 * behind that. When it ends all of them are due at once; what counts is the longest turn.
 */
import assert from 'node:assert/strict';
import { callbackSink } from '../../connectors/callback-sink.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import { TumblingEventTimeWindows } from '../../operators/windows/fixed-windows.ts';
import { atMost, short, type BenchCase } from './case.ts';

/** Values behind the watermark, whose results wait for it. */
const behindCount = 70;

const heldWindows: BenchCase = {
  name: 'held-windows',
  async run(scale) {
    const count = scale.size(100_000, 500);
    const first = Array.from({ length: count }, (_, key) => ({ key, ts: 10 }));
    const behind = Array.from({ length: behindCount }, () => ({ key: -2, ts: 5000 }));
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let [asked, fired] = [0, 0];
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    env
      .fromCollection(
        [...first, { key: -1, ts: 20 }, ...behind],
        WatermarkStrategy.monotonous<{ key: number; ts: number }>()
          .withTimestamps(({ ts }) => ts)
          .withEmitEvery(1),
      )
      .asyncMap(async (value) => {
        asked += 1;
        if (asked === count + behindCount + 1) setTimeout(release, 100); // The others have ended by then.
        if (value.key === -1) await released;
        return value;
      })
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of('1s'))
      .process((values) => values.length)
      .sinkTo(callbackSink(() => void (fired += 1)));
    const job = await env.executeAsync('held windows');
    await job.done;
    assert.equal(fired, count + 2);
    const longestMs = (await job.metrics.snapshot())['longestTurnMs'] ?? Number.NaN;
    return [
      {
        name: `asyncMap in front of ${short(count)} windows, results held behind their watermark`,
        figures: [`longest turn ${Number(longestMs).toFixed(1)} ms`],
        goals: [atMost('longest turn ms', Number(longestMs), 10)],
      },
    ];
  },
};

export const held: readonly BenchCase[] = [heldWindows];
