/** `asyncMap` with a thousand calls in flight, beside a loop that keeps as many promises. */
import { setImmediate as turn } from 'node:timers/promises';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { addTo, againstLoop, type Tally } from './against.ts';
import type { BenchCase } from './case.ts';
import { laps, voidSink } from './places.ts';

const inFlightMax = 1000;

/** Waits for two turns of the event loop, as what comes from a socket does. */
const call = async (value: number): Promise<number> => {
  await turn();
  await turn();
  return value * 2;
};

const loop = async (values: readonly number[]): Promise<Tally> => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < values.length) {
      const value = values[next] ?? 0;
      next += 1;
      result(await call(value));
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, lane));
  return tally;
};

const engine = async (values: readonly number[]): Promise<Tally> => {
  const tally = { records: 0, sum: 0 };
  const env = StreamExecutionEnvironment.create();
  env
    .fromSource(laps(values))
    .asyncMap(call, { inFlightMax })
    .sinkTo(voidSink(addTo(tally)));
  await env.execute();
  return tally;
};

export const async: readonly BenchCase[] = [
  againstLoop({
    name: 'async-map',
    title: 'asyncMap, 1k in flight',
    prepare(scale) {
      const values = Array.from({ length: scale.size(200_000, 2000) }, (_, i) => i);
      return { count: values.length, loop: () => loop(values), engine: () => engine(values) };
    },
  }),
];
