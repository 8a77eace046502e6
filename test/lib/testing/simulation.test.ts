/** The simulation must find what is broken: each pipeline here breaks a rule on purpose. */
import { agent, InputEvent, OutputEvent } from 'millrace';
import { simulate, SimulationFailure, type CrashPoint, type SimulationOptions } from 'millrace/testing';
import { expect, test } from 'vitest';

type Pipeline = SimulationOptions['pipeline'];

const three: readonly CrashPoint[] = [10, 12, 14].map((number) => ({ at: 'event', number, landed: 1 }));

/** The first failure among some seeds. */
const failureOf = async (pipeline: Pipeline, options: Partial<SimulationOptions> = {}): Promise<unknown> => {
  for (let seed = 0; seed < 30; seed += 1) {
    const failure = await simulate({ seed, pipeline, crashes: three, ...options }).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure !== undefined) return failure;
  }
  return undefined;
};

const values = Array.from({ length: 12 }, (_, index) => index);

test('a whole pipeline passes, and says what happened', async () => {
  const pipeline: Pipeline = (env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: values } }))
      .asyncMap((value, call) => process.call(call, { answer: () => value * 2 }), { order: 'arrival' })
      .sinkTo(process.collect('doubles'));
  const lines: string[] = [];
  const result = await simulate({ seed: 7, pipeline, crashes: three, trace: (line) => lines.push(line) });
  expect(result.received.get('doubles')).toEqual(values.map((value) => value * 2));
  expect(result).toMatchObject({ seed: 7, crashes: 3 });
  expect(result.executions).toBeGreaterThanOrEqual(12);
  expect(result.lives).toHaveLength(4);
  expect(result.history.at(0)).toEqual({ kind: 'start', timersPerTurn: 128 });
  expect(lines.filter((line) => line.startsWith('----'))).toHaveLength(4);
});

test('finds a map that gives something else each time', async () => {
  let calls = 0;
  const failure = await failureOf((env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: values } }))
      .map((value) => `${value} ${(calls += 1)}`)
      .asyncMap((value, call) => process.call(call, { answer: () => value }))
      .sinkTo(process.collect('out')),
  );
  expect(failure).toBeInstanceOf(SimulationFailure);
  expect(String(failure)).toMatch(/seed \d+: .*(recorded with|I6|number)/);
});

test('finds an action that asks for other calls after a crash', async () => {
  let runs = 0;
  const failure = await failureOf((env, process) => {
    const fickle = agent<number, string>('fickle').on(InputEvent, async (event, ctx) => {
      runs += 1;
      const name = runs % 2 === 0 ? 'even' : 'odd';
      await ctx.durableExecute(name, () => 1);
      ctx.sendEvent(
        new OutputEvent(
          await ctx.durableExecute('last', (_signal, call) => process.call(call, { answer: () => `${event.input}` })),
        ),
      );
    });
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: values } }))
      .keyBy((value) => value)
      .applyAgent(fickle)
      .sinkTo(process.collect('out'));
  });
  expect(String(failure)).toContain('recorded was');
});

test('finds a call that is made again although its outcome is journaled', async () => {
  const failure = await failureOf((env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: values } }))
      .keyBy((value) => value)
      .applyAgent(
        agent<number, number>('forgetful').on(InputEvent, async (event, ctx) => {
          const call = { id: `once ${event.input}`, attempt: 1, idempotencyKey: '', signal: ctx.signal, isOpen: true };
          // The function outside the journal claims the name of a call that is in it.
          const id = await ctx.durableExecute('ask', (_signal, inner) =>
            process.call(inner, { answer: () => inner.id }),
          );
          await process.call({ ...call, id }, { answer: () => 0 });
          ctx.sendEvent(new OutputEvent(event.input));
        }),
      )
      .sinkTo(process.collect('out')),
  );
  expect(String(failure)).toContain('I8: durable call');
});

test('finds a job that hangs', async () => {
  const pipeline: Pipeline = (env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: [1] } }))
      .asyncMap(() => new Promise<number>(() => {}))
      .sinkTo(process.collect('out'));
  await expect(simulate({ seed: 1, pipeline, crashes: [] })).rejects.toThrow('seed 1: the job hangs');
});

test('finds a failure that the job does not get over', async () => {
  const pipeline: Pipeline = (env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: [1] } }))
      .map((): number => {
        throw new TypeError('a mistake');
      })
      .sinkTo(process.collect('out'));
  await expect(simulate({ seed: 1, pipeline, crashes: [] })).rejects.toThrow('a mistake');
});
