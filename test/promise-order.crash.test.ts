/**
 * Durable calls in random trees of `Promise.all`, `Promise.race`, chains and conditions: after a crash behind each
 * outcome the body asks for the same calls in the same places. Replay is strict, so one other call fails the job; a
 * second execution of a journaled one, too.
 */
import { agent, InputEvent, OutputEvent, type RunnerContext } from 'millrace';
import {
  seededRandom,
  simulate,
  type CrashPoint,
  type SimulationOptions,
  type SimulationResult,
} from 'millrace/testing';
import { expect, test } from 'vitest';

type Tree =
  | { readonly kind: 'call'; readonly name: string }
  | { readonly kind: 'all' | 'race' | 'any' | 'chain' | 'settled'; readonly parts: readonly Tree[] }
  /** Asks once more when what came has a certain length. */
  | { readonly kind: 'if'; readonly part: Tree; readonly more: Tree };

const treeOf = (random: () => number, depth: number): Tree => {
  const parts = (): Tree[] => Array.from({ length: 1 + Math.floor(random() * 3) }, () => treeOf(random, depth - 1));
  const kind =
    (['all', 'race', 'any', 'chain', 'settled', 'if', 'all', 'chain'] as const)[Math.floor(random() * 8)] ?? 'all';
  if (depth === 0 || random() < 0.15) return { kind: 'call', name: `call-${Math.floor(random() * 4)}` };
  return kind === 'if'
    ? { kind, part: treeOf(random, depth - 1), more: treeOf(random, depth - 1) }
    : { kind, parts: parts() };
};

type Ask = (name: string, value: string) => Promise<string>;

const walk = async (tree: Tree, value: string, ask: Ask): Promise<string> => {
  switch (tree.kind) {
    case 'call':
      return ask(tree.name, value);
    case 'all':
      return (await Promise.all(tree.parts.map((part) => walk(part, value, ask)))).join('+').slice(-40);
    case 'race':
      return Promise.race(tree.parts.map((part) => walk(part, value, ask)));
    case 'any':
      return Promise.any(tree.parts.map((part) => walk(part, value, ask)));
    case 'settled':
      return (await Promise.allSettled(tree.parts.map((part) => walk(part, value, ask))))
        .map(({ status }) => status)
        .join();
    case 'chain': {
      let result = value;
      for (const part of tree.parts) result = await walk(part, result, ask);
      return result;
    }
    case 'if': {
      const result = await walk(tree.part, value, ask);
      return result.length % 3 === 0 ? walk(tree.more, result, ask) : result;
    }
  }
};

const pipelineOf =
  (tree: Tree): SimulationOptions['pipeline'] =>
  (env, process) => {
    const ask =
      (ctx: RunnerContext): Ask =>
      (name, value) =>
        ctx
          .durableExecute(
            name,
            (_signal, call) =>
              process.call(call, {
                latencyMax: 4,
                failing: 0.1,
                answer: (execution) => `${name[5]}${'x'.repeat(execution % 4)}`,
              }),
            { args: value },
          )
          .catch((error: unknown) => `no answer ${String(error).length}`);
    const walker = agent<string, string>('walker').on(InputEvent, async (event, ctx) => {
      ctx.sendEvent(new OutputEvent(await walk(tree, event.input, ask(ctx))));
    });
    env
      .fromSource(process.source({ name: 'inputs', splits: { a: ['p', 'q'] }, latencyMax: 0 }))
      .keyBy((value) => value)
      .applyAgent(walker)
      .sinkTo(process.collect('out'));
  };

test('no tree of promises asks for another call after a crash behind any outcome', { timeout: 900_000 }, async () => {
  let [crashed, journaled] = [0, 0];
  for (let seed = 1; seed <= 40; seed += 1) {
    const pipeline = pipelineOf(treeOf(seededRandom(seed), 3));
    const run = (crashes: readonly CrashPoint[]): Promise<SimulationResult> =>
      simulate({ seed, pipeline, crashes, checkpointIntervalMs: 10_000 });
    const whole = await run([]);
    const writes = Math.min(whole.lives[0]?.writes ?? 0, 25);
    for (let number = 1; number <= writes; number += 1) {
      // Each process dies behind an outcome of its own, so that recorded and live outcomes meet in one body.
      const result = await run([
        { at: 'after-write', number },
        { at: 'after-write', number: 1 + (number % 4), landed: 1 },
        { at: 'after-write', number: 1 + (number % 3), landed: 1 },
      ]);
      crashed += result.crashes;
      journaled += result.journaled;
      expect(result.received.get('out')).toHaveLength(2);
    }
  }
  expect(crashed).toBeGreaterThan(300);
  expect(journaled).toBeGreaterThan(1000);
});
