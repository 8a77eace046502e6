/**
 * Whole jobs under crashes: random pipelines, latencies and outcomes, a process that dies at any turn, any write, any event, recoveries
 * included. `simulate` judges I6, I7 and I8; `judge` what the inputs fix; here is what a fixed order fixes.
 *
 *   MILLRACE_SIM=100000   more schedules
 *   MILLRACE_SEED=7       this one alone, with a trace
 */
import { simulate, type CrashPoint, type SimulationResult } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { build, environmentOf, judge, pipelineOf, type PipelineSpec } from './simulated-pipelines.ts';

const schedules = Number(process.env['MILLRACE_SIM'] ?? 1500);
const only = process.env['MILLRACE_SEED'];
const timeoutMs = 120_000 + schedules * 200;

const run = async (spec: PipelineSpec, seed: number, options: { readonly crashes?: readonly CrashPoint[]; readonly trace?: (line: string) => void } = {}): Promise<SimulationResult> => {
  const result = await simulate({ seed, pipeline: build(spec), environment: environmentOf(spec), ...options });
  const problems = judge(spec, result);
  if (problems.length > 0) throw new Error(`seed ${seed}: ${problems.join('; ')}`);
  return result;
};

/** Runs each seed and tells all that failed, so that one run shows whether it is one fault or several. */
const all = async (seeds: readonly number[], body: (seed: number) => Promise<void>): Promise<string[]> => {
  const failures: string[] = [];
  for (const seed of seeds) await body(seed).catch((error: unknown) => failures.push(`${String(error)} (MILLRACE_SEED=${seed})`));
  return failures.slice(0, 5);
};

const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

describe.runIf(only !== undefined)('one seed', () => {
  test(`MILLRACE_SEED=${only}`, async () => {
    const seed = Number(only);
    const spec = pipelineOf(seed);
    process.stderr.write(`${JSON.stringify(spec, undefined, 1)}\n`);
    await run(spec, seed, { trace: (line) => process.stderr.write(`${line}\n`) });
  });
});

describe.skipIf(only !== undefined)('a job that dies', () => {
  test(
    `comes to what its surviving turns say (${schedules} schedules)`,
    async () => {
      let [crashes, journaled] = [0, 0];
      const failures = await all(range(schedules), async (seed) => {
        const result = await run(pipelineOf(seed), seed);
        crashes += result.crashes;
        journaled += result.journaled;
      });
      expect(failures).toEqual([]);
      // A simulation in which nothing happens would be green too.
      expect(crashes).toBeGreaterThan(schedules);
      expect(journaled).toBeGreaterThan(schedules);
    },
    timeoutMs,
  );

  test('gives what it gives without a crash, where the order is fixed by design', async () => {
    const seeds = range(Math.ceil(schedules / 10), 1_000_000);
    const failures = await all(seeds, async (seed) => {
      const spec = { ...pipelineOf(seed, { fixed: true }), failing: 0 };
      const whole = await run(spec, seed, { crashes: [] });
      const crashed = await run(spec, seed);
      expect(whole.crashes).toBe(0);
      for (const [sink, values] of whole.received) expect(crashed.received.get(sink), `seed ${seed}, sink ${sink}`).toEqual(values);
    });
    expect(failures).toEqual([]);
  }, timeoutMs);

  test('starts again by itself when writes fail', async () => {
    let found = 0;
    const failures = await all(range(Math.ceil(schedules / 10), 3_000_000), async (seed) => {
      const spec = pipelineOf(seed);
      const result = await simulate({ seed, pipeline: build(spec), environment: environmentOf(spec), failingWrites: 0.03, crashes: [] });
      expect(judge(spec, result)).toEqual([]);
      found += result.history.filter(({ kind }) => kind === 'start').length - 1;
    });
    expect(failures).toEqual([]);
    expect(found).toBeGreaterThan(0);
  }, timeoutMs);

  test('gives one history for one seed', async () => {
    for (const seed of [3, 14, 15]) {
      const [once, again] = [await run(pipelineOf(seed), seed), await run(pipelineOf(seed), seed)];
      expect(again).toEqual(once);
    }
  });
});
