/**
 * What grows with what: a record with the operators it passes and the sinks it reaches, and a start with the recorded
 * calls behind the newest checkpoint. A cost that is the same at each size is linear in all.
 */
import assert from 'node:assert/strict';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import type { DataStream } from '../../lib/streams/data-stream.ts';
import { valueState } from '../../lib/core/state-descriptor.ts';
import { LevelStorage } from '../../lib/state/level-storage.ts';
import { type } from '../../operators/process.ts';
import { alternate, median, short, timed, type BenchCase, type Scale } from './case.ts';
import { laps, voidSink, withDirectory } from './places.ts';

const numbersOf = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

const counting = (stream: DataStream<number>): DataStream<number> =>
  stream
    .keyBy((value) => value % 1000)
    .process({
      emits: type<number>(),
      state: { count: valueState<number>('count') },
      process(value, ctx) {
        ctx.state.count.update((ctx.state.count.value() ?? 0) + 1);
        ctx.emit(value);
      },
    });

const chain = async (values: readonly number[], operators: number): Promise<void> => {
  let seen = 0;
  const env = StreamExecutionEnvironment.create();
  let stream: DataStream<number> = env.fromSource(laps(values));
  for (let at = 0; at < operators; at += 1) stream = counting(stream);
  stream.sinkTo(voidSink(() => (seen += 1)));
  await env.execute();
  assert.equal(seen, values.length);
};

const fan = async (values: readonly number[], sinks: number): Promise<void> => {
  let seen = 0;
  const env = StreamExecutionEnvironment.create();
  const stream = env.fromSource(laps(values)).map((value) => value + 1);
  for (let at = 0; at < sinks; at += 1)
    stream.sinkTo(
      voidSink(() => (seen += 1)),
      `sink-${at}`,
    );
  await env.execute();
  assert.equal(seen, values.length * sinks);
};

/** Nanoseconds for each record and each of the parts it passes, at each number of parts. */
const growing = (
  name: string,
  title: string,
  run: (values: readonly number[], parts: number) => Promise<void>,
): BenchCase => ({
  name,
  async run(scale: Scale) {
    const sizes = [1, 4, 16];
    const values = numbersOf(scale.size(200_000, 500));
    const ways = Object.fromEntries(sizes.map((parts) => [`${parts}`, () => run(values, parts)]));
    const ms = await alternate(scale, ways);
    return sizes.map((parts) => {
      const took = ms[`${parts}`] ?? Number.NaN;
      const each = (took * 1e6) / values.length / parts;
      return { name: `${title}: ${parts}`, figures: [`${each.toFixed(0)} ns for a record and each of them`] };
    });
  },
});

/** Makes so many durable calls behind one checkpoint and is gone; then how long the next start takes until it runs. */
const startBehind = async (calls: number, directory: string): Promise<number> => {
  let made = 0;
  let hold = true;
  const environment = (): StreamExecutionEnvironment => {
    const storage = new LevelStorage(directory);
    const env = StreamExecutionEnvironment.create({ storage, checkpoint: { interval: '1h' } });
    env
      .fromSource(laps(numbersOf(calls)))
      .asyncMap(
        async (value) => {
          made += 1;
          if (hold && value === calls - 1) await new Promise(() => {});
          return value;
        },
        { inFlightMax: 1000 },
      )
      .sinkTo(voidSink(() => {}));
    return env;
  };
  const job = await environment().executeAsync('first');
  while (made < calls || ((await job.metrics.snapshot())['workOpen'] ?? 0) > 1)
    await new Promise((resolve) => setTimeout(resolve, 5));
  await job.cancel();
  hold = false;
  const startMs = await timed(async () => {
    const again = await environment().executeAsync('again');
    await new Promise<void>((resolve) =>
      again.status$.subscribe({ next: ({ state }) => state === 'running' && resolve(), complete: resolve }),
    );
    await again.done;
  });
  assert.ok(made <= calls + 1, `${made} calls were made for ${calls}`);
  return startMs;
};

const journal: BenchCase = {
  name: 'start-behind-calls',
  async run(scale) {
    const rows = [];
    for (const calls of [scale.size(1000, 20), scale.size(10_000, 40), scale.size(50_000, 80)]) {
      const times: number[] = [];
      for (let round = 0; round < Math.min(3, scale.rounds); round += 1)
        times.push(await withDirectory((directory) => startBehind(calls, directory)));
      const ms = median(times);
      rows.push({
        name: `start behind ${short(calls)} recorded calls`,
        figures: [`${ms.toFixed(0)} ms`, `${((ms * 1000) / calls).toFixed(1)} us a call`],
      });
    }
    return rows;
  },
};

export const growth: readonly BenchCase[] = [
  growing('operators', 'keyed operators', chain),
  growing('sinks', 'sinks', fan),
  journal,
];
