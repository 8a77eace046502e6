import { describe, expect, it } from 'vitest';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../lib/testing/harness-outputs.ts';
import { asyncMap } from '../../operators/async-map.ts';

const valuesOf = <O>(outputs: readonly HarnessOutput<O>[]): O[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

const fixed = { attempts: 4, initialInterval: 10, backoffFactor: 1, jitter: 0 } as const;

describe('retries of asyncMap', () => {
  it('try a result again that is not good enough, and take the last as it is', async () => {
    const attempts: string[] = [];
    const operator = asyncMap(
      async (word: string, { attempt }): Promise<readonly string[]> => {
        attempts.push(`${word} ${attempt}`);
        return word === 'never' || attempt < 3 ? [] : [word];
      },
      { retry: { ...fixed, retryOnResult: (list) => list.length === 0 }, order: 'arrival' },
    );
    const harness = await OperatorHarness.open(operator);
    harness.element('late', 1);
    harness.element('never', 2);
    expect(await harness.advance(19)).toEqual([]);
    expect(attempts).toEqual(['late 1', 'never 1', 'late 2', 'never 2']);
    expect(valuesOf(await harness.advance(1))).toEqual([['late']]);
    expect(valuesOf(await harness.advance(10))).toEqual([[]]);
    expect(attempts.slice(4)).toEqual(['late 3', 'never 3', 'never 4']);
  });

  it('go each by their own delay', async () => {
    const times: string[] = [];
    const operator = asyncMap(
      async (word: string, { attempt }): Promise<string> => {
        times.push(`${word} ${attempt} at ${harness.now}`);
        throw new Error('no');
      },
      { retry: { attempts: 4, initialInterval: 10, backoffFactor: 2, jitter: 0 }, onError: 'ignore' },
    );
    const harness = await OperatorHarness.open(operator);
    harness.element('a', 1);
    await harness.advance(15);
    harness.element('b', 1);
    await harness.advance(100);
    expect(times.filter((each) => each.startsWith('a'))).toEqual(['a 1 at 0', 'a 2 at 10', 'a 3 at 30', 'a 4 at 70']);
    expect(times.filter((each) => each.startsWith('b'))).toEqual(['b 1 at 15', 'b 2 at 25', 'b 3 at 45', 'b 4 at 85']);
  });

  it('end with the timeout of all attempts, and something else leaves in place of the result', async () => {
    const operator = asyncMap(async (): Promise<readonly string[]> => [], {
      retry: { ...fixed, attempts: 100, retryOnResult: (list) => list.length === 0 },
      timeout: 25,
      onTimeout: (word: string) => [`${word} took too long`],
    });
    const harness = await OperatorHarness.open(operator);
    harness.element('a', 7);
    expect(await harness.advance(24)).toEqual([]);
    expect(await harness.advance(1)).toEqual([{ kind: 'record', value: ['a took too long'], timestamp: 7 }]);
    expect(harness.counter('numOfCallsFailed')).toBe(1);
    expect(harness.workOpen).toBe(0);
  });

  it('take what leaves in place of a result for an attempt that took too long, too', async () => {
    const operator = asyncMap((_word: string): Promise<string> => new Promise(() => {}), {
      attemptTimeout: 10,
      retry: { attempts: 2, initialInterval: 5, jitter: 0 },
      onTimeout: () => 'instead',
    });
    const harness = await OperatorHarness.open(operator);
    harness.element('a', 7);
    expect(valuesOf(await harness.advance(24))).toEqual([]);
    expect(valuesOf(await harness.advance(1))).toEqual(['instead']);
  });

  it.each([
    ['throws', () => JSON.parse('{') as string, 'JSON'],
    ['returns a promise', () => Promise.resolve('x') as never, 'promise'],
    ['returns what can not be kept', () => (() => {}) as never, 'function'],
  ])('fail the job when what stands for a result %s', async (_, onTimeout, message) => {
    const operator = asyncMap((_word: string): Promise<string> => new Promise(() => {}), { timeout: 10, onTimeout });
    const harness = await OperatorHarness.open(operator);
    harness.element('a', 7);
    await expect(harness.advance(10)).rejects.toThrow(message);
  });

  it('leave other failures to `onError`', async () => {
    const operator = asyncMap(async (_word: string): Promise<string> => Promise.reject(new Error('no')), {
      timeout: 10,
      onTimeout: () => 'instead',
      onError: 'ignore',
    });
    const harness = await OperatorHarness.open(operator);
    harness.element('a', 7);
    expect(valuesOf(await harness.advance(20))).toEqual([]);
  });

  it('refuse a fallback without a limit of time', () => {
    expect(() => asyncMap(async () => 1, { onTimeout: () => 2 })).toThrow('`onTimeout`');
  });

  it('begin anew after a restart in the middle of a back-off, and ask nothing again that has ended', async () => {
    const attempts: string[] = [];
    const operator = asyncMap(
      async (word: string, { attempt }): Promise<readonly string[]> => {
        attempts.push(`${word} ${attempt}`);
        return attempt < 3 && word === 'slow' ? [] : [word];
      },
      { retry: { ...fixed, retryOnResult: (list) => list.length === 0 }, order: 'arrival' },
    );
    const harness = await OperatorHarness.open(operator);
    harness.element('slow', 1);
    harness.element('fast', 2);
    const snapshot = await harness.snapshot();
    await harness.advance(15);
    await harness.restore(snapshot);
    expect(valuesOf(await harness.advance(25))).toEqual([['slow'], ['fast']]);
    expect(attempts).toEqual(['slow 1', 'fast 1', 'slow 2', 'slow 1', 'slow 2', 'slow 3']);
  });
});
