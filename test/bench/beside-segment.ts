/**
 * One pipeline of Millrace in a process of its own, measured from outside of the pipeline: the peer of
 * `flink/src/main/java/bench/Beside.java`, which makes the same records and does the same to them. Sends a measurement
 * for each segment to the process that asked, or prints it.
 */
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import type { DataStream } from '../../lib/streams/data-stream.ts';
import type { AggregateFunction } from '../../lib/core/aggregate-function.ts';
import { valueState } from '../../lib/core/state-descriptor.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import { type } from '../../operators/process.ts';
import { TumblingEventTimeWindows } from '../../operators/windows/fixed-windows.ts';
import { EventTimeSessionWindows } from '../../operators/windows/session-windows.ts';
import type { Measurement, Workload } from './beside.ts';
import { voidSink, withDirectory } from './places.ts';

interface Item {
  readonly key: number;
  readonly ts: number;
  readonly value: number;
}

/** Event time of the first record, in milliseconds. */
const baseMs = 1_700_000_000_000;
const recordsPerMs = 100;
const disorderMs = 1000;

/** MurmurHash3's finaliser: all bits of the result depend on all bits of the index. */
const mix = (index: number): number => {
  let h = index | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

let made = 0;
let results = 0;

const makeItem =
  (keys: number) =>
  (index: number): Item => {
    made += 1;
    const hash = mix(index);
    const ts = baseMs + Math.floor(index / recordsPerMs) - ((hash & 0xfff) % disorderMs);
    return { key: (hash >>> 12) % keys, ts, value: hash & 1023 };
  };

const mapped = (items: DataStream<Item>): DataStream<Item> =>
  items.map(({ key, ts, value }) => ({ key, ts, value: (value * 31 + 7) & 0xffffff }));

const counted = (items: DataStream<Item>, keyOf: (item: Item) => number): DataStream<Item> =>
  items.keyBy(keyOf).process({
    emits: type<Item>(),
    state: { count: valueState<number>('count') },
    process({ key, ts }, ctx) {
      const count = (ctx.state.count.value() ?? 0) + 1;
      ctx.state.count.update(count);
      ctx.emit({ key, ts, value: count });
    },
  });

interface Sum {
  count: number;
  sum: number;
}

const countAndSum: AggregateFunction<Item, Sum, number> = {
  mutable: true, // As the accumulator of the peer is.
  createAccumulator: () => ({ count: 0, sum: 0 }),
  add({ value }, accumulator) {
    accumulator.count += 1;
    accumulator.sum += value;
    return accumulator;
  },
  merge(a, b) {
    a.count += b.count;
    a.sum += b.sum;
    return a;
  },
  getResult: ({ sum }) => sum,
};

const pipeline = (items: DataStream<Item>, workload: Workload['pipeline']): DataStream<unknown> => {
  switch (workload) {
    case 'map-filter':
      return mapped(items).filter(({ value }) => (value & 7) !== 0);
    case 'ten-stateless': {
      let stream = items;
      for (let step = 0; step < 5; step += 1) stream = mapped(stream).filter(({ value }) => (value & 1023) !== 5);
      return stream;
    }
    case 'keyed-count':
      return counted(items, ({ key }) => key);
    case 'two-stage':
      return counted(
        counted(items, ({ key }) => key),
        ({ key }) => key % 100,
      );
    case 'tumbling':
      return items
        .keyBy(({ key }) => key)
        .window(TumblingEventTimeWindows.of('10s'))
        .aggregate(countAndSum);
    case 'session':
      return items
        .keyBy(({ key }) => key)
        .window(EventTimeSessionWindows.withGap('500ms'))
        .aggregate(countAndSum);
  }
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const segment = async (seconds: number): Promise<Measurement> => {
  const before = { ms: performance.now(), cpu: process.cpuUsage(), made, results };
  await sleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before.cpu);
  const events = made - before.made;
  const perSecond = (events * 1000) / (performance.now() - before.ms);
  return { perSecond, cpuNs: ((user + system) * 1000) / events, results: results - before.results };
};

const run = async (workload: Workload, directory: string | undefined): Promise<readonly Measurement[]> => {
  const { keys = 10_000, warmSeconds, seconds, segments } = workload;
  const checkpoint = directory === undefined ? undefined : { directory, interval: workload.checkpointMs };
  const env = StreamExecutionEnvironment.create({ checkpoint });
  const disorder = WatermarkStrategy.boundedOutOfOrderness<Item>(disorderMs).withTimestamps(({ ts }) => ts);
  const isTimed = workload.pipeline === 'tumbling' || workload.pipeline === 'session';
  const strategy = isTimed ? disorder : undefined;
  // As objects go from operator to operator in the peer.
  const items = env.generate({ generate: makeItem(keys), fresh: true }, strategy);
  pipeline(items, workload.pipeline).sinkTo(voidSink(() => (results += 1)));
  const job = await env.executeAsync(workload.pipeline);
  await sleep(warmSeconds * 1000);
  const measurements: Measurement[] = [];
  for (let left = segments; left > 0; left -= 1) measurements.push(await segment(seconds));
  await job.cancel();
  return measurements;
};

const workload = JSON.parse(process.argv[2] ?? '') as Workload; // Written by beside.ts.
const measurements =
  workload.checkpointMs === undefined
    ? await run(workload, undefined)
    : await withDirectory((directory) => run(workload, directory));
if (process.send === undefined) console.log(measurements);
else process.send(measurements);
