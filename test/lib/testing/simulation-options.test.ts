/** What the test kit is told wrongly is refused by name: a seed that is no number would give one history for all. */
import { describe, expect, test } from 'vitest';
import {
  asyncMap,
  OperatorHarness,
  simulate,
  type SimulatedProcess,
  type SimulationOptions,
} from '../../../lib/testing.ts';

const none = (): void => {};
const wrong = (value: unknown): never => value as never; // a mistake of who writes JavaScript

test.each<[option: string, value: string, Partial<SimulationOptions>]>([
  ['seed', '1.5', { seed: 1.5 }],
  ['seed', '-1', { seed: -1 }],
  ['seed', '7', { seed: wrong('7') }],
  ['pipeline', 'undefined', { pipeline: wrong(undefined) }],
  ['crashes', '3', { crashes: wrong(3) }],
  ['crashes[0].at', 'noon', { crashes: [{ at: wrong('noon'), number: 1 }] }],
  ['crashes[0].number', '0', { crashes: [{ at: 'turn', number: 0 }] }],
  ['failingWrites', '2', { failingWrites: 2 }],
  ['failingWrites', '0.5', { failingWrites: wrong('0.5') }],
  ['checkpointIntervalMs', '0', { checkpointIntervalMs: 0 }],
  ['trace', 'true', { trace: wrong(true) }],
  ['replica', 'true', { strictReplay: false }],
  ['strictReplay', 'no', { strictReplay: wrong('no') }],
])('of `simulate`: %s: %s', async (option, value, options) => {
  const refusal = simulate({ seed: 1, pipeline: none, ...options });
  await expect(refusal).rejects.toThrow(TypeError);
  await expect(refusal).rejects.toThrow(`Expected \`${option}\` to be`);
  await expect(refusal).rejects.toThrow(`got \`${value}\``);
});

test.each<[owner: string, options: object]>([
  ['simulate', { sed: 1 }],
  ['environment', { environment: { restarts: 1 } }],
  ['environment', { environment: { checkpoint: { directory: 'x' } } }],
  ['crashes[0]', { crashes: [{ at: 'turn', number: 1, when: 2 }] }],
])('a misspelt option of %s is noticed: %j', async (owner, options) => {
  await expect(simulate({ seed: 1, pipeline: none, ...options })).rejects.toThrow(
    `Expected options of \`${owner}\` to be among`,
  );
});

describe('what a simulated process is told', () => {
  test.each<[said: string, build: (process: SimulatedProcess) => unknown]>([
    ['options of `source`', (process) => process.source(wrong({ name: 'x', split: {} }))],
    ['`splits`', (process) => process.source({ name: 'x', splits: wrong({ a: 1 }) })],
    ['`batchMax`', (process) => process.source({ name: 'x', splits: {}, batchMax: 0 })],
    ['options of `collect`', (process) => process.collect('x', wrong({ pending: 1 }))],
    ['options of `send`', (process) => process.send('x', wrong({ pending: 1 }))],
    ['`latencyMax`', (process) => process.send('x', { latencyMax: -1 })],
  ])('%s', async (said, build) => {
    const refusal = simulate({ seed: 1, crashes: [], pipeline: (_env, process) => void build(process) });
    await expect(refusal).rejects.toThrow(`Expected ${said} to be`);
  });

  test('of a call', async () => {
    const refusal = simulate({
      seed: 1,
      crashes: [],
      pipeline: (env, process) =>
        void env
          .fromSource(process.source({ name: 'numbers', splits: { a: [1] } }))
          .asyncMap((value, call) => process.call(call, { answer: () => value, failing: 7 }))
          .sinkTo(process.collect('numbers')),
    });
    await expect(refusal).rejects.toThrow('Expected `failing` to be a number from 0 to 1, got `7`');
  });
});

test('of an operator by hand', async () => {
  await expect(OperatorHarness.open(asyncMap(String), wrong({ key: String }))).rejects.toThrow(
    'Expected options of `OperatorHarness.open` to be among',
  );
});
