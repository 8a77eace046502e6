/**
 * User code that changes everything it is given, and hands on what it still holds (I21): what comes out is the same
 * with and without crashes, since whoever keeps a value, or hands it out of its turn, has a copy. A seed makes the code
 * and the moments at which the process dies.
 */
import { WatermarkStrategy, type StreamExecutionEnvironment } from 'millrace';
import { seededRandom, simulate, type SimulatedProcess, type SimulationResult } from 'millrace/testing';
import { expect, test } from 'vitest';
import { encodeText } from '../lib/core/serde.ts';
import { reusing, stage, stages, type Stage } from './changing-stages.ts';
import { bounded, change, Hoard, inputOf, type Value } from './changing-values.ts';

interface Spec {
  readonly first: Stage;
  readonly second: Stage;
  readonly replayable: boolean;
  readonly sent: boolean;
  readonly fan: boolean;
  /** In front of which stages one object is used for all records. */
  readonly reused: readonly ('first' | 'second')[];
}

const specOf = (seed: number): Spec => {
  const random = seededRandom((seed * 2_654_435_761 + 5) % 2 ** 32);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // never empty
  return {
    first: stages[seed % stages.length] as Stage, // Each has its turn.
    second: one(stages),
    replayable: random() < 0.7,
    sent: random() < 0.5,
    fan: random() < 0.6,
    reused: (['first', 'second'] as const).filter(() => random() < 0.4),
  };
};

const build =
  ({ first, second, replayable, sent, fan, reused }: Spec, life: { splits: () => Record<string, Value[]> }) =>
  (env: StreamExecutionEnvironment, process: SimulatedProcess): void => {
    const strategy = WatermarkStrategy.monotonous<Value>().withTimestamps(({ ts }) => ts);
    const hoard = new Hoard();
    const input = env
      .fromSource(process.source<Value>({ name: 'in', splits: life.splits(), replayable }), strategy)
      .uid('in')
      .map((value) => {
        hoard.spoilTurns();
        return hoard.add(value);
      });
    // Whether somebody listens, and what a listener does, is nothing that the job knows of.
    const listened = hoard.listen(input, process.life % 2 === 0);
    const held = { process, hoard };
    const one = stage(reused.includes('first') ? reusing(listened) : listened, first, { ...held, name: 'first' });
    const two = stage(reused.includes('second') ? reusing(one) : one, second, { ...held, name: 'second' });
    const changed = two.map((value) => {
      change(hoard.add(value), 'map');
      return hoard.add(bounded(value));
    });
    // Two windows, and what stands behind the first stage, hold the records of one stream.
    for (const branch of fan ? ['left', 'right'] : [])
      stage(one, 'window', { ...held, name: branch }).sinkTo(process.collect(branch, { latencyMax: 5 }));
    changed.sinkTo(process.collect('out'));
    if (sent) changed.sinkTo(process.send('sent'));
  };

/** By sink, as text. Dead letters leave when their runs fail, so their order is not fixed. */
const receivedOf = ({ received }: SimulationResult): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(
    [...received].map(([sink, values]) => {
      const texts = values.map((value) => encodeText(value));
      return [sink, sink.endsWith('letters') ? texts.toSorted() : texts];
    }),
  );

/** The first value that differs, where it does. */
const difference = (calm: SimulationResult, crashed: SimulationResult): string | undefined => {
  const [mine, other] = [receivedOf(calm), receivedOf(crashed)];
  for (const sink of Object.keys(mine)) {
    const [before, after] = [mine[sink] ?? [], other[sink] ?? []];
    const at = before.findIndex((text, index) => text !== after[index]);
    if (at >= 0) {
      const [a, b] = [before[at] ?? '', after[at] ?? ''];
      const from = Math.max(0, [...a].findIndex((letter, index) => letter !== b[index]) - 60);
      return `sink ${sink}, value ${at}: ${a.slice(from, from + 160)} | with crashes ${b.slice(from, from + 160)}`;
    }
    if (before.length !== after.length) return `sink ${sink}: ${before.length} values, with crashes ${after.length}`;
  }
  return undefined;
};

/** Fresh objects at each start, as a system outside would give them. */
const splits = (): Record<string, Value[]> => ({ only: Array.from({ length: 12 }, (_, n) => inputOf(n)) });

const schedules = Number(process.env['MILLRACE_SIM'] ?? 1500) / 10;
const only = process.env['MILLRACE_SEED'];

test(
  'code that changes all it is given brings the same with and without crashes',
  { timeout: 60_000 + schedules * 4000 },
  async () => {
    const failures: string[] = [];
    let crashes = 0;
    const seeds = only === undefined ? Array.from({ length: schedules }, (_, seed) => seed) : [Number(only)];
    for (const seed of seeds) {
      const spec = specOf(seed);
      const pipeline = build(spec, { splits });
      const environment = { freezeState: false };
      try {
        const calm = await simulate({ seed, pipeline, crashes: [], environment });
        const crashed = await simulate({ seed: seed + 1_000_000, pipeline, environment });
        crashes += crashed.crashes;
        const differs = difference(calm, crashed);
        if (differs !== undefined) failures.push(`seed ${seed} ${JSON.stringify(spec)}: ${differs}`);
      } catch (error) {
        failures.push(`seed ${seed} ${JSON.stringify(spec)}: ${String(error)}`);
      }
    }
    expect(failures.slice(0, 3)).toEqual([]);
    expect(crashes).toBeGreaterThan(seeds.length / 2);
  },
);
