/**
 * Crashes at every turn, before every write and after every write of a life, one after the other: no moment is left to
 * chance.
 */
import { simulate, type CrashPoint } from 'millrace/testing';
import { expect, test } from 'vitest';
import { build, environmentOf, judge, pipelineOf } from './simulated-pipelines.ts';

const schedulesMin = 600;

test.skipIf(process.env['MILLRACE_SEED'] !== undefined)('a job may die at every turn and every write', async () => {
  const failures: string[] = [];
  let schedules = 0;
  for (let seed = 2_000_000; schedules < schedulesMin; seed += 1) {
    const spec = pipelineOf(seed);
    const run = async (crashes: readonly CrashPoint[]) =>
      simulate({ seed, pipeline: build(spec), environment: environmentOf(spec), crashes });
    const { lives } = await run([]);
    const counts = {
      turn: lives[0]?.turns ?? 0,
      'before-write': lives[0]?.writes ?? 0,
      'after-write': lives[0]?.writes ?? 0,
    };
    for (const at of ['turn', 'before-write', 'after-write'] as const) {
      for (let number = 1; number <= counts[at]; number += 1) {
        schedules += 1;
        const where = `seed ${seed}, ${at} ${number}`;
        const crash: CrashPoint = { at, number, landed: number % 2 };
        await run([crash]).then(
          (result) => {
            failures.push(...judge(spec, result).map((problem) => `${where}: ${problem}`));
            if (result.crashes !== 1) failures.push(`${where}: the process did not die`);
          },
          (error: unknown) => failures.push(`${where}: ${String(error)}`),
        );
      }
    }
  }
  expect(failures.slice(0, 5)).toEqual([]);
});
