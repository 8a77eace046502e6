/**
 * Random graphs of all operators under crashes: a process that dies at any turn, any write, any event, recoveries
 * included. What came out must be what the surviving turns say (`simulate`), and what an uncrashed job gives where that
 * depends on the input alone.
 *
 *   MILLRACE_GRAPHS=20000   more schedules
 *   MILLRACE_FROM=5000      other schedules: the first of them
 *   MILLRACE_GRAPH=7        this one alone, with a trace
 */
import { simulate, type SimulationOptions, type SimulationResult } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { buildGraph, graphOf, type GraphSpec } from './simulated-graphs.ts';
import { stages } from './simulated-stages.ts';

const schedules = Number(process.env['MILLRACE_GRAPHS'] ?? 1000);
const first = Number(process.env['MILLRACE_FROM'] ?? 0);
const only = process.env['MILLRACE_GRAPH'];
const timeoutMs = 120_000 + schedules * 1000;
/** Seeds from here on are of graphs whose output depends on the input alone. */
const fixedFrom = 10_000_000;

type Options = Partial<Pick<SimulationOptions, 'crashes' | 'trace'>>;

const run = (spec: GraphSpec, options: Options): Promise<SimulationResult> => {
  const { seed, crashes, checkpointIntervalMs, environment } = spec;
  return simulate({ seed, crashes, checkpointIntervalMs, environment, pipeline: buildGraph(spec), ...options });
};

const fixedOrder = async (seed: number, options: Options): Promise<SimulationResult> => {
  const spec = graphOf(seed, { fixed: true });
  const whole = await run(spec, { crashes: [] });
  const crashed = await run(spec, options);
  expect(crashed.received.get('out') ?? [], `seed ${seed}: ${spec.stages.join()}`).toEqual(
    whole.received.get('out') ?? [],
  );
  return crashed;
};

const body = (seed: number, options: Options): Promise<SimulationResult> =>
  seed >= fixedFrom ? fixedOrder(seed, options) : run(graphOf(seed), options);

interface Happened {
  readonly failures: string[];
  crashes: number;
  outputs: number;
}

/** Runs seeds and tells all that failed, so that one run shows whether it is one fault or several. */
const all = async (from: number, count: number): Promise<Happened> => {
  const happened: Happened = { failures: [], crashes: 0, outputs: 0 };
  for (let seed = from + first; seed < from + first + count; seed += 1) {
    await body(seed, {}).then(
      ({ crashes, received }) => {
        happened.crashes += crashes;
        happened.outputs += received.get('out')?.length ?? 0;
      },
      (error: unknown) => happened.failures.push(`${String(error)} (MILLRACE_GRAPH=${seed})`),
    );
  }
  return happened;
};

describe.runIf(only !== undefined)('one graph', () => {
  test(`MILLRACE_GRAPH=${only}`, async () => {
    const seed = Number(only);
    const write = (line: string): void => void process.stderr.write(`${line}\n`);
    write(JSON.stringify(graphOf(seed, { fixed: seed >= fixedFrom }), undefined, 1));
    await body(seed, { trace: write });
  });
});

describe.skipIf(only !== undefined)('a graph of streams whose process dies', () => {
  test(`comes to what its surviving turns say (${schedules} schedules)`, { timeout: timeoutMs }, async () => {
    const { failures, crashes, outputs } = await all(0, schedules);
    expect(failures.slice(0, 5)).toEqual([]);
    expect(crashes).toBeGreaterThan(schedules);
    expect(outputs).toBeGreaterThan(schedules);
  });

  test('gives what it gives without a crash, where that is fixed', { timeout: timeoutMs }, async () => {
    const { failures } = await all(fixedFrom, Math.ceil(schedules / 3));
    expect(failures.slice(0, 5)).toEqual([]);
  });

  test('has every stage in some of its graphs', () => {
    const seen = new Set(Array.from({ length: schedules }, (_, at) => graphOf(first + at).stages).flat());
    expect([...seen].sort()).toEqual(Object.keys(stages).sort());
  });
});
