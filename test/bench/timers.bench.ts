/**
 * A start on a million open windows, or timers: how long until it runs, what they take in memory before they are due,
 * and how long all of them take once they are.
 */
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { filter, firstValueFrom } from 'rxjs';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import type { Job } from '../../lib/runtime/job/job.ts';
import { LevelStorage } from '../../lib/state/level-storage.ts';
import type { DataStream } from '../../lib/streams/data-stream.ts';
import { type } from '../../operators/process.ts';
import { TumblingEventTimeWindows } from '../../operators/windows/fixed-windows.ts';
import { bytesInUse, makeDraw, median, short, type BenchCase, type Row } from './case.ts';
import { tapped, voidSink, withDirectory } from './places.ts';

interface Item {
  readonly key: number;
  readonly ts: number;
}

/** What stands open, and what comes of it when its time has come. */
interface Open {
  readonly title: string;
  readonly item: (index: number) => Item;
  readonly operator: (items: DataStream<Item>) => DataStream<unknown>;
}

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;

const windows = (title: string, keys: number): Open => ({
  title,
  item: (index) => ({ key: index % keys, ts: Math.floor(index / keys) * hourMs }),
  operator: (items) =>
    items
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of('1h'))
      .aggregate({ createAccumulator: () => 0, add: (_item, count) => count + 1, getResult: (count) => count }),
});

const timers = (title: string, withinMs: number): Open => {
  const draw = makeDraw();
  return {
    title,
    item: (index) => ({ key: index, ts: draw(2 ** 23) * (withinMs / 2 ** 23) }),
    operator: (items) =>
      items
        .keyBy(({ key }) => key)
        .process({
          emits: type<number>(),
          process: ({ ts }, ctx) => ctx.timers.register(Math.floor(ts)),
          onTimer: ({ timestamp }, ctx) => ctx.emit(timestamp),
        }),
  };
};

interface Start {
  readonly runningMs: number;
  readonly bytes: number;
  readonly firedMs: number;
}

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

interface Life {
  readonly job: Job;
  /** Lets items through up to that one, and resolves when `items` of them were read. */
  readonly read: (to: number, items: number) => Promise<void>;
  readonly fired: () => number;
}

/** Nothing of one life is held by the next. */
const live = async ({ item, operator }: Open, directory: string, count: number): Promise<Life> => {
  let [read, fired] = [0, 0];
  // The last one brings the time of all.
  const { source, tap } = tapped<Item>((index) => (index < count ? item(index) : { key: -1, ts: 4 * yearMs }));
  const storage = new LevelStorage(directory);
  const env = StreamExecutionEnvironment.create({ storage, checkpoint: { interval: '1h' } });
  const strategy = WatermarkStrategy.boundedOutOfOrderness<Item>(2 * yearMs).withTimestamps(({ ts }) => ts);
  const items = env.fromSource(source, strategy).map((each) => ((read += 1), each));
  operator(items).sinkTo(voidSink(() => (fired += 1)));
  const job = await env.executeAsync();
  const pour = async (to: number, items: number): Promise<void> => {
    tap.open(to);
    await until(() => read >= items);
  };
  return { job, read: pour, fired: () => fired };
};

const fill = async (open: Open, directory: string, count: number): Promise<void> => {
  const { job, read } = await live(open, directory, count);
  await read(count, count);
  await job.checkpoint();
  await job.stop();
};

const startOnce = (open: Open, count: number): Promise<Start> =>
  withDirectory(async (directory) => {
    await fill(open, directory, count);
    const bytesBefore = await bytesInUse();
    const at = performance.now();
    const { job, read, fired } = await live(open, directory, count);
    await firstValueFrom(job.status$.pipe(filter(({ state }) => state === 'running')));
    const runningMs = performance.now() - at;
    const bytes = (await bytesInUse()) - bytesBefore;
    const dueAt = performance.now();
    await read(count + 256, 1);
    await until(() => fired() >= count);
    const firedMs = performance.now() - dueAt;
    assert.equal(fired(), count);
    await job.cancel();
    return { runningMs, bytes, firedMs };
  });

const start = (name: string, open: Open): BenchCase => ({
  name,
  async run(scale): Promise<readonly Row[]> {
    const count = scale.size(1_000_000, 1000);
    const starts: Start[] = [];
    for (let round = 0; round < scale.size(3, 1); round += 1) starts.push(await startOnce(open, count));
    const of = (figure: (start: Start) => number): number => median(starts.map(figure));
    const figures = [
      `running after ${of(({ runningMs }) => runningMs).toFixed(0)} ms`,
      `${(of(({ bytes }) => bytes) / count).toFixed(0)} B each until due`,
      `all fired after ${of(({ firedMs }) => firedMs).toFixed(0)} ms`,
    ];
    return [{ name: `start with ${short(count)} ${open.title}`, figures }];
  },
});

export const due: readonly BenchCase[] = [
  start('start-windows', windows('open windows, 100k keys', 100_000)),
  start('start-window', windows('open windows of one time', 1_000_000)),
  start('start-timers', timers('timers within an hour', hourMs)),
  start('start-timers-year', timers('timers within a year', yearMs)),
];
