/** The suites find what they are for: each connector here has one fault, and the named case must catch it. */
import type { Sink, SinkWriter, Source, SourceReader } from '../../../lib/core/connector.ts';
import { expect, test } from 'vitest';
import { sinkSuite, sourceSuite } from '../../../lib/core/connector-suite.ts';

const failing = async (cases: readonly { readonly name: string; run(): Promise<void> }[]): Promise<string[]> => {
  const names: string[] = [];
  for (const { name, run } of cases) await run().catch(() => names.push(name.replace(/^x: /, '')));
  return names;
};

// ---------- sources

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
          return { values: numbers.slice(first, next), position: (count) => first + count + (faults.positionShift ?? 0) };
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
  expect(await sourceFailures({ splits: async () => [`split ${(count += 1)}`] })).toContain('names the same splits each time');
});

test('an end that does not last', async () => expect(await sourceFailures({ loop: true })).toEqual(['stays at its end']));

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

// ---------- sinks

const values = ['a', 'b', 'c', 'd', 'e', 'f'];

interface Epoch {
  readonly epoch: number;
  readonly values: readonly string[];
}

interface SinkFaults {
  readonly showsAtWrite?: boolean;
  readonly showsAtSeal?: boolean;
  readonly forgetsCommitted?: boolean;
  readonly losesSealed?: boolean;
  readonly keepsUnsealed?: boolean;
}

const sinkWith = (faults: SinkFaults, seen: string[]): Sink<string> => {
  const done = new Set<number>();
  let left: string[] = [];
  const sink: Sink<string, Epoch> = {
    name: 'faulty',
    guarantee: 'exactly-once',
    async open() {
      let waiting: string[] = faults.keepsUnsealed === true ? left : [];
      const writer: SinkWriter<string, Epoch> = {
        full: false,
        write(value) {
          waiting.push(value);
          left = waiting;
          if (faults.showsAtWrite === true) seen.push(value);
        },
        async seal(epoch) {
          const sealed = { epoch, values: waiting };
          waiting = [];
          left = [];
          if (faults.showsAtSeal === true) seen.push(...sealed.values);
          return sealed.values.length === 0 ? undefined : sealed;
        },
        async commit({ epoch, values: sealed }) {
          if (done.has(epoch) && faults.forgetsCommitted !== true) return;
          done.add(epoch);
          if (faults.losesSealed === true) return;
          if (faults.showsAtWrite !== true && faults.showsAtSeal !== true) seen.push(...sealed);
        },
        async close() {},
      };
      return writer;
    },
  };
  return sink as Sink<string>; // a committable is opaque to the suite
};

const sinkFailures = (faults: SinkFaults): Promise<string[]> =>
  failing(
    sinkSuite('x', async () => {
      const seen: string[] = [];
      return { sink: sinkWith(faults, seen), values, visible: async () => seen, cleanup: async () => {} };
    }),
  );

test('a good sink passes', async () => expect(await sinkFailures({})).toEqual([]));

test('a sink that shows too early', async () => {
  expect(await sinkFailures({ showsAtWrite: true })).toContain('crash before the seal (killed)');
  expect(await sinkFailures({ showsAtSeal: true })).toContain('shows three epochs in order');
});

test('a sink that commits again what it has', async () => {
  const failures = await sinkFailures({ forgetsCommitted: true });
  expect(failures).toContain('commits twice');
  expect(failures).toContain('crash behind the commit (closed)');
});

test('a sink that loses or keeps what it should not', async () => {
  expect(await sinkFailures({ losesSealed: true })).toContain('crash between checkpoint and commit (killed)');
  expect(await sinkFailures({ keepsUnsealed: true })).toContain('crash before the seal (killed)');
});
