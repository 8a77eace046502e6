/** Sources of one group stay near each other in event time, and give what they give without. */
import { describe, expect, it } from 'vitest';
import {
  callbackSink,
  defineSource,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type Source,
} from 'millrace';

interface Tick {
  readonly from: string;
  readonly ts: number;
}

/** `count` ticks, 10 ms of event time each; `pauseMs` in front of every page. */
const ticks = (from: string, count: number, pauseMs: number): Source<Tick, number> =>
  defineSource<Tick, number>({
    name: from,
    start: 0,
    async read(at) {
      if (at >= count) return undefined;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      const values = Array.from({ length: Math.min(50, count - at) }, (_, n) => ({ from, ts: (at + n) * 10 }));
      return { values, position: (n) => at + n };
    },
  });

const run = async (maxDrift: number | undefined): Promise<{ furthest: number; windows: readonly string[] }> => {
  const base = WatermarkStrategy.monotonous<Tick>().withEmitEvery(1);
  const strategy = maxDrift === undefined ? base : base.withWatermarkAlignment('ticks', maxDrift);
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const timed = strategy.withTimestamps(({ ts }: Tick) => ts);
  const fast = env.fromSource(ticks('fast', 2_000, 0), timed);
  const slow = env.fromSource(ticks('slow', 500, 25), timed);
  const newest: Record<string, number> = { fast: 0, slow: 0 };
  let furthest = 0;
  const all = fast.union(slow).map((tick) => {
    newest[tick.from] = tick.ts;
    if (tick.ts < 5_000) furthest = Math.max(furthest, (newest['fast'] ?? 0) - (newest['slow'] ?? 0));
    return tick;
  });
  const windows: string[] = [];
  all
    .keyBy(({ from }) => from)
    .window(TumblingEventTimeWindows.of('1s'))
    .process((values, { key, window }) => `${key} ${window.start} ${values.length}`)
    .sinkTo(callbackSink((line) => void windows.push(line)));
  await env.execute('aligned');
  return { furthest, windows: windows.toSorted() };
};

describe('sources of an alignment group', () => {
  it('are at most as far ahead of the slowest as they may be, and a few records', async () => {
    const free = await run(undefined);
    const aligned = await run(300);
    expect(aligned.furthest).toBeLessThanOrEqual(300 + 65 * 10);
    expect(free.furthest).toBeGreaterThan(1_000);
    expect(aligned.windows).toEqual(free.windows);
    expect(aligned.windows).toHaveLength(25);
  });

  it('are not held by one that has ended; one without watermarks can not be of a group', () => {
    expect(() => WatermarkStrategy.none().withWatermarkAlignment('x', 1)).toThrow('a strategy that makes watermarks');
    expect(() => WatermarkStrategy.monotonous().withWatermarkAlignment('', 1)).toThrow('`group`');
    expect(() => WatermarkStrategy.monotonous().withWatermarkAlignment('x', -1)).toThrow('`maxDrift`');
  });
});
