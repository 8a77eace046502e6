/**
 * What the simulation has found, each as the smallest pipeline that shows it, swept over all moments at which the
 * process may die.
 */
import { agent, InputEvent, OutputEvent, type, valueState } from 'millrace';
import { simulate, type CrashPoint, type SimulationOptions, type SimulationResult } from 'millrace/testing';
import { expect, test } from 'vitest';

type Pipeline = SimulationOptions['pipeline'];

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Dies at every turn, every write and every fourth event of a life, then once more, and gives all that came out. */
const sweep = async (pipeline: Pipeline, options: Partial<SimulationOptions> = {}): Promise<SimulationResult[]> => {
  const run = (crashes: readonly CrashPoint[]): Promise<SimulationResult> =>
    simulate({ seed: 11, pipeline, crashes, ...options });
  const whole = await run([]);
  const { turns = 0, writes = 0, events = 0 } = whole.lives[0] ?? {};
  const results = [whole];
  /** The second process dies soon after it has caught up. */
  const again = (number: number): CrashPoint => ({ at: 'turn', number: 1 + (number % 5), landed: 1 });
  for (let number = 1; number <= turns; number += 1) results.push(await run([{ at: 'turn', number }, again(number)]));
  for (let number = 1; number <= writes; number += 1) {
    for (const at of ['before-write', 'after-write'] as const)
      results.push(await run([{ at, number, landed: number % 3 }, again(number)]));
  }
  for (let number = 1; number <= events; number += 4) {
    results.push(
      await run([
        { at: 'event', number, landed: number % 3 },
        { at: 'event', number: 1 + (number % 40), landed: 1 },
      ]),
    );
  }
  return results;
};

test('a source that can not be read again goes on behind what was journaled', async () => {
  const results = await sweep((env, process) =>
    env
      .fromSource(process.source({ name: 'hooks', replayable: false, splits: { a: numbers(9) } }))
      .sinkTo(process.collect('out')),
  );
  for (const { received } of results) expect(received.get('out')).toEqual(numbers(9));
});

test('an epoch that is sealed, and not committed when the next checkpoint is written, is not lost', async () => {
  // The sooner of two checkpoints prunes its journal before it can tell anybody.
  const slow: Pipeline = (env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: numbers(9) } }))
      .asyncMap((value, call) => process.call(call, { answer: () => value }), { order: 'arrival' })
      .sinkTo(process.collect('out', { latencyMax: 400 }));
  for (const { received } of await sweep(slow, { checkpointIntervalMs: 20 }))
    expect(received.get('out')).toEqual(numbers(9));
});

test('an at-least-once sink is given only what the log is durable up to', async () => {
  const pipeline: Pipeline = (env, process) => {
    const left = env.fromSource(
      process.source({ name: 'left', splits: { a: numbers(8), b: numbers(8) }, latencyMax: 5 }),
    );
    const right = env.fromSource(process.source({ name: 'right', splits: { c: numbers(8) }, latencyMax: 5 }));
    left.union(right).sinkTo(process.send('out', { latencyMax: 2 }));
  };
  for (const seed of numbers(3))
    for (const { received } of await sweep(pipeline, { seed })) expect(received.get('out')).toHaveLength(24);
});

test('a sink that is full while turns are replayed brings about no checkpoint in the middle of them', async () => {
  const pipeline: Pipeline = (env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: numbers(8), b: numbers(8) }, latencyMax: 60 }))
      .asyncMap((value, call) => process.call(call, { latencyMax: 5, answer: (execution) => `${value} ${execution}` }))
      .sinkTo(process.collect('out', { pendingMax: 2 }));
  for (const { received } of await sweep(pipeline, { seed: 1, checkpointIntervalMs: 5000 }))
    expect(received.get('out')).toHaveLength(16);
});

test('no timer of the clock fires when the input has ended: nobody would wait for what it starts', async () => {
  const pipeline: Pipeline = (env, process) =>
    env
      .fromSource(process.source({ name: 'numbers', splits: { a: numbers(6) } }))
      .keyBy((value) => value % 2)
      .process({
        emits: type<number>(),
        state: { sum: valueState<number>('sum') },
        process(value, ctx) {
          ctx.state.sum.update((ctx.state.sum.value() ?? 0) + value);
          ctx.timers.register(ctx.now() + 30, { domain: 'processing' });
        },
        onTimer: (_timer, ctx) => ctx.emit(ctx.state.sum.value() ?? 0),
      })
      .asyncMap((sum, call) => process.call(call, { answer: () => sum }))
      .sinkTo(process.collect('sums'));
  // The comparison with the surviving history fails when work is left over at the end.
  for (const seed of numbers(60)) await simulate({ seed, pipeline });
});

test('a job whose writes fail, the last ones too, starts again or gives up, and never waits for ever', async () => {
  const pipeline: Pipeline = (env, process) => {
    const answers = agent<number, number>('answers').on(InputEvent, async (event, ctx) => {
      ctx.sendEvent(
        new OutputEvent(
          await ctx.durableExecute('ask', (_signal, call) => process.call(call, { answer: () => event.input * 2 })),
        ),
      );
    });
    const answered = env
      .fromSource(process.source({ name: 'numbers', splits: { a: numbers(5) } }))
      .keyBy((value) => value)
      .applyAgent(answers, { outputOrder: 'arrival' });
    answered.sinkTo(process.send('out'));
    answered.sinkTo(process.collect('committed'));
  };
  for (const seed of numbers(60)) {
    const { received } = await simulate({ seed, pipeline, failingWrites: 0.1, crashes: [] });
    expect(received.get('committed')).toEqual([0, 2, 4, 6, 8]);
    expect(received.get('out')).toEqual([0, 2, 4, 6, 8]);
  }
});

test('the smallest bounds stop the sources and never the job, however many calls a run waits for', async () => {
  const pipeline: Pipeline = (env, process) => {
    const fan = (name: string) =>
      agent<number, number>(name).on(InputEvent, async (event, ctx) => {
        const asked = numbers(3).map((part) =>
          ctx.durableExecute(`part-${part}`, (_signal, call) => process.call(call, { answer: () => part })),
        );
        await Promise.all(asked);
        ctx.sendEvent(new OutputEvent(event.input));
      });
    const bounds = { asyncConcurrency: 1, pendingMax: 1, outputOrder: 'arrival' } as const;
    const source = (name: string) =>
      env
        .fromSource(process.source({ name, splits: { [`${name}0`]: numbers(5), [`${name}1`]: numbers(5) } }))
        .uid(name);
    source('left')
      .union(source('right'))
      .keyBy((value) => value % 2)
      .applyAgent(fan('first'), bounds)
      .flatMap((value) => [value, value])
      .keyBy((value) => value % 3)
      .applyAgent(fan('second'), bounds)
      .sinkTo(process.collect('out', { pendingMax: 1 }));
  };
  for (const seed of numbers(20)) {
    const { received } = await simulate({ seed, pipeline, environment: { dirtyMax: 1 } });
    expect(received.get('out')).toHaveLength(40);
  }
});
