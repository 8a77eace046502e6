/**
 * Calls that fail together with their action. Such a failure is no outcome: after the restart the call is made again,
 * and its new outcome takes the old one's place in the log, so that what was journaled beside it and behind it is found
 * and not asked for again.
 */
import { agent, fixedDelay, InputEvent, OutputEvent, StreamError, type RunnerContext } from 'millrace';
import {
  simulate,
  type CrashPoint,
  type SimulatedProcess,
  type SimulationOptions,
  type SimulationResult,
} from 'millrace/testing';
import { describe, expect, test } from 'vitest';

type Ask = (name: string, failing?: number) => Promise<string>;
type Body = (ask: Ask) => Promise<string>;

/** A fault of the outside, for which a job starts again as often as it takes. */
const unavailable = (cause?: unknown): StreamError => new StreamError('MODEL_UNAVAILABLE', 'no answer', { cause });

const bodies: Readonly<Record<string, Body>> = {
  'a call behind one that failed': async (ask) => {
    try {
      return await ask('charge', 0.6);
    } finally {
      await ask('note');
    }
  },
  'calls beside one that failed': async (ask) => {
    const asked = [ask('a'), ask('b', 0.5), ask('c'), ask('d', 0.3)];
    const settled = await Promise.allSettled(asked);
    await ask('seen');
    const failed = settled.find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw unavailable();
    return (await Promise.all(asked)).join();
  },
  'another call instead of one that failed, which then fails too': async (ask) => {
    const first = await ask('first', 0.5).catch(() => ask('instead', 0.5));
    return `${first} ${await ask('then', 0.3)}`;
  },
  'a race that is lost, and a failure behind it': async (ask) => {
    const slow = ask('slow', 0.2);
    const first = await Promise.race([slow, ask('fast')]);
    const [then, last] = await Promise.all([ask('then', 0.5), slow]);
    return `${first} ${then} ${last}`;
  },
};

const pipelineOf =
  (body: Body): SimulationOptions['pipeline'] =>
  (env, process: SimulatedProcess) => {
    const ask =
      (ctx: RunnerContext): Ask =>
      (name, failing = 0) =>
        ctx.durableExecute(name, (_signal, call) =>
          process
            .call(call, { latencyMax: 6, failing, answer: (execution) => `${name} ${execution}` })
            .catch((cause: unknown) => {
              throw unavailable(cause);
            }),
        );
    const asker = agent<string, string>('asker').on(InputEvent, async (_event, ctx) => {
      ctx.sendEvent(new OutputEvent(await body(ask(ctx))));
    });
    env
      .fromSource(process.source({ name: 'inputs', splits: { a: ['p', 'q', 'p'] }, latencyMax: 0 }))
      .keyBy((value) => value)
      .applyAgent(asker)
      .sinkTo(process.collect('out'));
  };

describe.each(Object.keys(bodies))('%s', (name) => {
  test('the job starts again until it succeeds, through crashes at any write, and no outcome is asked for twice', async () => {
    const pipeline = pipelineOf(bodies[name] as Body); // one of its keys
    const environment = { restart: fixedDelay({ attempts: 500, delay: 1 }) };
    const run = (seed: number, crashes: readonly CrashPoint[]): Promise<SimulationResult> =>
      simulate({ seed, pipeline, crashes, environment, checkpointIntervalMs: 200 });
    let restarts = 0;
    for (let seed = 1; seed <= 8; seed += 1) {
      const whole = await run(seed, []);
      restarts += whole.history.filter(({ kind }) => kind === 'start').length - 1;
      expect(whole.received.get('out')).toHaveLength(3);
      const writes = Math.min(whole.lives[0]?.writes ?? 0, 24);
      for (let number = 1; number <= writes; number += 2) {
        const result = await run(seed, [
          { at: 'after-write', number, landed: 1 },
          { at: 'after-write', number: 1 + (number % 5), landed: 1 },
          { at: 'before-write', number: 1 + (number % 4), landed: 1 },
        ]);
        expect(result.received.get('out')).toHaveLength(3);
      }
    }
    expect(restarts).toBeGreaterThan(4);
  });
});
