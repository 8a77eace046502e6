/** The suite finds what it is for: each source here has one fault, and the named case must catch it. */
import { expect, test } from 'vitest';
import type { Source, SourceReader } from '../../../lib/core/connector.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { failing } from './failing-cases.ts';

const numbers = [0, 1, 2, 3, 4];

type Faults = Partial<SourceReader<number, number>> & {
  readonly positionShift?: number;
  readonly splits?: () => Promise<string[]>;
  readonly loop?: boolean;
};

const sourceWith = (faults: Faults): Source<number> => {
  const source: Source<number, number> = {
    name: 'faulty',
    replayable: true,
    splits: faults.splits ?? (async () => ['one']),
    async open(_split, position) {
      let next = position ?? 0;
      return {
        async read(signal) {
          signal.throwIfAborted();
          if (next >= numbers.length) {
            if (faults.loop === true) next = 0;
            return undefined;
          }
          const first = next;
          next = Math.min(next + 2, numbers.length);
          return {
            values: numbers.slice(first, next),
            position: (count) => first + count + (faults.positionShift ?? 0),
          };
        },
        async close() {},
        ...faults,
      };
    },
  };
  return source as Source<number>; // a position is opaque to the suite
};

const sourceFailures = (faults: Faults): Promise<string[]> =>
  failing(sourceSuite('x', async () => ({ source: sourceWith(faults), expected: numbers, cleanup: async () => {} })));

test('a good source passes', async () => expect(await sourceFailures({})).toEqual([]));

test('a position that is one too far, or a split that changes its name', async () => {
  expect(await sourceFailures({ positionShift: 1 })).toEqual(['continues behind every position that a batch gives']);
  let count = 0;
  expect(await sourceFailures({ splits: async () => [`split ${(count += 1)}`] })).toContain(
    'names the same splits each time',
  );
});

test('an end that does not last', async () =>
  expect(await sourceFailures({ loop: true })).toEqual(['stays at its end']));

test('a read that does not see the abort', async () => {
  const failures = await sourceFailures({ read: async () => undefined });
  expect(failures).toContain('rejects a read with the reason of the abort');
  expect(failures).toContain('gives every value once and in order');
});

test('a close that can not be repeated', async () => {
  let closed = 0;
  const close = async (): Promise<void> => {
    closed += 1;
    if (closed % 2 === 0) throw new Error('closed');
  };
  expect(await sourceFailures({ close })).toContain('can be closed twice, and before it was read');
});
