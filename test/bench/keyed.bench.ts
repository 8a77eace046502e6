/**
 * Keyed count and tumbling event-time windows: a hand-written loop over maps beside the whole engine, with state in
 * memory only and with a checkpoint each second into LevelDB (and earlier, whenever 500,000 entries are dirty, as the
 * engine does by default).
 */
import assert from 'node:assert/strict';
import type { CheckpointOptions } from '../../lib/environment-options.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { valueState } from '../../lib/core/state-descriptor.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import { type } from '../../operators/process.ts';
import { TumblingEventTimeWindows } from '../../operators/windows/fixed-windows.ts';
import { alternate, gapOf, atMost, makeDraw, short, type BenchCase, type Row, type Scale } from './case.ts';
import { laps, voidSink, withDirectory } from './places.ts';

interface Item {
  readonly key: string;
  readonly ts: number;
}

type KeyCount = 10_000 | 100_000;

const windowMs = 10_000;
const disorderMs = 500;

/** Records of one lap bring a minute of event time, half a second out of order. */
const lapMs = 60_000;

const itemsOf = (count: number, keyCount: number): readonly Item[] => {
  const draw = makeDraw();
  const keys = Array.from({ length: keyCount }, (_, i) => `key-${i}`);
  return Array.from({ length: count }, (_, i) => ({
    key: keys[draw(keyCount)] ?? '',
    ts: Math.max(0, Math.floor((i * lapMs) / count) - draw(disorderMs)),
  }));
};

/** What a run makes: as many results, with as great a sum, whoever computes them. */
interface Result {
  records: number;
  sum: number;
}

const loopCount = (items: readonly Item[], lapCount: number): Result => {
  const result = { records: 0, sum: 0 };
  const counts = new Map<string, number>();
  for (let lap = 0; lap < lapCount; lap += 1) {
    for (const { key } of items) {
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      result.records += 1;
      result.sum += count;
    }
  }
  return result;
};

const loopWindow = (items: readonly Item[], lapCount: number): Result => {
  const result = { records: 0, sum: 0 };
  const panes = new Map<number, Map<string, number>>();
  let [max, nextEnd] = [-Infinity, Infinity];
  const fire = (watermark: number): void => {
    nextEnd = Infinity;
    for (const [start, pane] of panes) {
      if (start + windowMs - 1 > watermark) nextEnd = Math.min(nextEnd, start + windowMs - 1);
      else {
        for (const count of pane.values()) {
          result.records += 1;
          result.sum += count;
        }
        panes.delete(start);
      }
    }
  };
  let seen = 0;
  for (let lap = 0; lap < lapCount; lap += 1) {
    for (const { key, ts } of items) {
      const time = ts + lap * lapMs;
      const start = time - (time % windowMs);
      let pane = panes.get(start);
      if (pane === undefined) {
        panes.set(start, (pane = new Map()));
        nextEnd = Math.min(nextEnd, start + windowMs - 1);
      }
      pane.set(key, (pane.get(key) ?? 0) + 1);
      if (time > max) max = time;
      seen += 1;
      if (seen % 64 === 0 && max - disorderMs - 1 >= nextEnd) fire(max - disorderMs - 1);
    }
  }
  fire(Infinity);
  return result;
};

interface EngineRun {
  readonly items: readonly Item[];
  readonly laps: number;
  readonly checkpoint?: CheckpointOptions | undefined;
}

const engineCount = async ({ items, laps: lapCount, checkpoint }: EngineRun): Promise<Result> => {
  const result = { records: 0, sum: 0 };
  const env = StreamExecutionEnvironment.create({ checkpoint });
  env
    .fromSource(laps(items, { laps: lapCount }))
    .keyBy(({ key }) => key)
    .process({
      emits: type<number>(),
      state: { count: valueState<number>('count') },
      process(_item, ctx) {
        const count = (ctx.state.count.value() ?? 0) + 1;
        ctx.state.count.update(count);
        ctx.emit(count);
      },
    })
    .sinkTo(
      voidSink((count) => {
        result.records += 1;
        result.sum += count;
      }),
    );
  await env.execute();
  return result;
};

const engineWindow = async ({ items, laps: lapCount, checkpoint }: EngineRun): Promise<Result> => {
  const result = { records: 0, sum: 0 };
  const env = StreamExecutionEnvironment.create({ checkpoint });
  env
    .fromSource(
      laps(items, { laps: lapCount, lapMs, timestampOf: ({ ts }) => ts }),
      WatermarkStrategy.boundedOutOfOrderness(disorderMs),
    )
    .keyBy(({ key }) => key)
    .window(TumblingEventTimeWindows.of(windowMs))
    .aggregate({ createAccumulator: () => 0, add: (_item, count: number) => count + 1, getResult: (count) => count })
    .sinkTo(
      voidSink((count) => {
        result.records += 1;
        result.sum += count;
      }),
    );
  await env.execute();
  return result;
};

interface Kind {
  readonly name: string;
  readonly loop: (items: readonly Item[], laps: number) => Result;
  readonly engine: (run: EngineRun) => Promise<Result>;
  readonly loopMax: number;
}

const kinds: readonly Kind[] = [
  { name: 'keyed count', loop: loopCount, engine: engineCount, loopMax: 2.5 },
  { name: 'tumbling window', loop: loopWindow, engine: engineWindow, loopMax: 4 },
];

const inMemory = async (kind: Kind, keyCount: KeyCount, scale: Scale): Promise<Row> => {
  const items = itemsOf(scale.size(2_000_000, 3000), scale.size(keyCount, 100));
  assert.deepEqual(await kind.engine({ items, laps: 1 }), kind.loop(items, 1));
  const ms = await alternate(scale, { loop: () => kind.loop(items, 1), engine: () => kind.engine({ items, laps: 1 }) });
  const rate = (items.length * 1000) / ms.engine;
  const { gapMs, gcShare } = await gapOf(() => kind.engine({ items, laps: 1 }));
  return {
    name: `${kind.name}, ${short(keyCount)} keys`,
    perSecond: rate,
    ratio: ms.engine / ms.loop,
    figures: [
      `${((ms.engine * 1e6) / items.length).toFixed(0)} ns`,
      `loop stood still ${gapMs.toFixed(0)} ms at most, gc ${(gcShare * 100).toFixed(0)} %`,
    ],
    goals: [atMost('loop x', ms.engine / ms.loop, kind.loopMax)],
  };
};

/** Laps enough for a few checkpoints on the interval, beside the last one. */
const checkpointed = async (kind: Kind, keyCount: KeyCount, scale: Scale): Promise<Row> => {
  const items = itemsOf(scale.size(1_000_000, 3000), scale.size(keyCount, 100));
  const lapCount = scale.size(keyCount === 10_000 ? 30 : 10, 1);
  const ms = await alternate(scale, {
    loop: () => kind.loop(items, lapCount),
    engine: () =>
      withDirectory((directory) => kind.engine({ items, laps: lapCount, checkpoint: { directory, interval: '1s' } })),
  });
  const count = items.length * lapCount;
  const rate = (count * 1000) / ms.engine;
  return {
    name: `${kind.name}, ${short(keyCount)} keys, checkpoint 1 s`,
    perSecond: rate,
    ratio: ms.engine / ms.loop,
    figures: [`${((ms.engine * 1e6) / count).toFixed(0)} ns`],
    goals: [atMost('loop x', ms.engine / ms.loop, kind.loopMax)],
  };
};

const caseOf = (kind: Kind, keyCount: KeyCount): readonly BenchCase[] => {
  const name = `${kind.name.replace(' ', '-')}-${short(keyCount)}`;
  return [
    { name, run: async (scale) => [await inMemory(kind, keyCount, scale)] },
    { name: `${name}-checkpoint`, run: async (scale) => [await checkpointed(kind, keyCount, scale)] },
  ];
};

export const keyed: readonly BenchCase[] = kinds.flatMap((kind) =>
  ([10_000, 100_000] as const).flatMap((keyCount) => caseOf(kind, keyCount)),
);
