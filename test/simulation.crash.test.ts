/**
 * Whole jobs under crashes: random pipelines, latencies and outcomes, a process that dies at any turn, any write, any
 * event, recoveries included. `simulate` judges I6, I7 and I8; `judge` what the inputs fix; here is what a fixed order
 * fixes.
 *
 *   MILLRACE_SIM=100000   more schedules
 *   MILLRACE_FROM=5000    other schedules: the first of them
 *   MILLRACE_SEED=7       this one alone, with a trace
 */
import { simulate, type SimulationOptions, type SimulationResult } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { build, environmentOf, judge, pipelineOf, type PipelineSpec } from './simulated-pipelines.ts';

const schedules = Number(process.env['MILLRACE_SIM'] ?? 1500);
const first = Number(process.env['MILLRACE_FROM'] ?? 0);
const only = process.env['MILLRACE_SEED'];
const timeoutMs = 120_000 + schedules * 1000;

type Options = Partial<Pick<SimulationOptions, 'crashes' | 'failingWrites' | 'trace'>>;

const run = async (spec: PipelineSpec, seed: number, options: Options): Promise<SimulationResult> => {
  const result = await simulate({ seed, pipeline: build(spec), environment: environmentOf(spec), ...options });
  const problems = judge(spec, result);
  if (problems.length > 0) throw new Error(`seed ${seed}: ${problems.join('; ')}`);
  return result;
};

const crashing = (seed: number, options: Options): Promise<SimulationResult> => run(pipelineOf(seed), seed, options);

/** The job in a process that lives on: it starts again by itself. */
const failingWrites = (seed: number, options: Options): Promise<SimulationResult> =>
  run(pipelineOf(seed), seed, { failingWrites: 0.03, crashes: [], ...options });

/** Dead letters leave when their runs fail, so their order is not fixed; all other output is compared as it came. */
const fixedOrder = async (seed: number, options: Options): Promise<SimulationResult> => {
  const spec = { ...pipelineOf(seed, { fixed: true }), failing: 0 };
  const whole = await run(spec, seed, { crashes: [] });
  const crashed = await run(spec, seed, options);
  const inOrder = (sink: string, values: readonly unknown[] = []): readonly string[] => {
    const texts = values.map((value) => JSON.stringify(value));
    return sink.endsWith('-letters') ? texts.toSorted() : texts;
  };
  for (const [sink, values] of whole.received) {
    expect(inOrder(sink, crashed.received.get(sink)), `seed ${seed}, sink ${sink}`).toEqual(inOrder(sink, values));
  }
  return crashed;
};

/** What a seed stands for goes by its range. */
const bodies = [
  { from: 0, body: crashing },
  { from: 10_000_000, body: fixedOrder },
  { from: 20_000_000, body: failingWrites },
] as const;

/** What has happened in all runs: a simulation in which nothing happens would be green too. */
interface Happened {
  crashes: number;
  journaled: number;
  restarts: number;
}

/** Runs seeds and tells all that failed, so that one run shows whether it is one fault or several. */
const all = async (
  { from, body }: (typeof bodies)[number],
  count: number,
): Promise<{ failures: string[]; happened: Happened }> => {
  const failures: string[] = [];
  const happened: Happened = { crashes: 0, journaled: 0, restarts: 0 };
  for (let seed = from + first; seed < from + first + count; seed += 1) {
    await body(seed, {}).then(
      ({ crashes, journaled, history }) => {
        happened.crashes += crashes;
        happened.journaled += journaled;
        happened.restarts += history.filter(({ kind }) => kind === 'start').length - 1;
      },
      (error: unknown) => failures.push(`${String(error)} (MILLRACE_SEED=${seed})`),
    );
  }
  return { failures: failures.slice(0, 5), happened };
};

describe.runIf(only !== undefined)('one seed', () => {
  test(`MILLRACE_SEED=${only}`, async () => {
    const seed = Number(only);
    const found = bodies.findLast(({ from }) => seed >= from) ?? bodies[0];
    const write = (line: string): void => void process.stderr.write(`${line}\n`);
    write(JSON.stringify(pipelineOf(seed, { fixed: found.body === fixedOrder }), undefined, 1));
    await found.body(seed, { trace: write });
  });
});

describe.skipIf(only !== undefined)('a job that dies', () => {
  test(`comes to what its surviving turns say (${schedules} schedules)`, { timeout: timeoutMs }, async () => {
    const { failures, happened } = await all(bodies[0], schedules);
    expect(failures).toEqual([]);
    expect(happened.crashes).toBeGreaterThan(schedules);
    expect(happened.journaled).toBeGreaterThan(schedules);
  });

  test('gives what it gives without a crash, where the order is fixed by design', { timeout: timeoutMs }, async () => {
    const { failures } = await all(bodies[1], Math.ceil(schedules / 10));
    expect(failures).toEqual([]);
  });

  test('starts again by itself when writes fail', { timeout: timeoutMs }, async () => {
    const { failures, happened } = await all(bodies[2], Math.ceil(schedules / 10));
    expect(failures).toEqual([]);
    expect(happened.restarts).toBeGreaterThan(0);
  });

  test('gives one history for one seed', async () => {
    for (const seed of [3, 14, 15]) expect(await crashing(seed, {})).toEqual(await crashing(seed, {}));
  });
});
