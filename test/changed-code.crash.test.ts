/**
 * Jobs that die and whose code changes between two lives, so that replay diverges: see changed-pipelines.ts for what is
 * judged.
 *
 *   MILLRACE_SIM=100000   more schedules
 *   MILLRACE_SEED=7       this one alone, with a trace
 */
import { simulate, type SimulationOptions, type SimulationResult } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { buildChanged, changedPipelineOf, judgeChanged } from './changed-pipelines.ts';

const schedules = Number(process.env['MILLRACE_SIM'] ?? 500);
const only = process.env['MILLRACE_SEED'];

const run = async (seed: number, options: Pick<SimulationOptions, 'trace'> = {}): Promise<SimulationResult> => {
  const spec = changedPipelineOf(seed);
  const result = await simulate({
    seed,
    pipeline: buildChanged(spec),
    strictReplay: false,
    replica: false,
    ...options,
  });
  const problems = judgeChanged(spec, result);
  if (problems.length > 0) throw new Error(`seed ${seed}: ${problems.join('; ')}`);
  return result;
};

test.runIf(only !== undefined)(`MILLRACE_SEED=${only}`, async () => {
  const write = (line: string): void => void process.stderr.write(`${line}\n`);
  write(JSON.stringify(changedPipelineOf(Number(only)), undefined, 1));
  await run(Number(only), { trace: write });
});

describe.skipIf(only !== undefined)('seeds that have found something', () => {
  test.each([
    [37, 'a call that had started, with nothing journaled, was replaced by another of the same name'],
    [74, 'an event whose attributes name an event of a run of the earlier branch was taken for another one'],
    [408, 'an item of the old branch without a record dropped the outcomes of later ones of its key'],
    [
      7676,
      'turns of a branch that was left before were taken for turns that are done, when two divergences followed each other',
    ],
  ])('%i: %s', async (seed) => void (await run(seed)));
});

test.skipIf(only !== undefined)(
  `nothing is lost, doubled, misnamed or paid again (${schedules} schedules)`,
  { timeout: 120_000 + schedules * 1000 },
  async () => {
    const failures: string[] = [];
    let crashes = 0;
    for (let seed = 0; seed < schedules; seed += 1) {
      await run(seed).then(
        (result) => (crashes += result.crashes),
        (error: unknown) => failures.push(`${String(error)} (MILLRACE_SEED=${seed})`),
      );
    }
    expect(failures.slice(0, 5)).toEqual([]);
    expect(crashes).toBeGreaterThan(schedules);
  },
);
