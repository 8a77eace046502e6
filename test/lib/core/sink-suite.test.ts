/** The suite finds what it is for: each sink here has one fault, and the named case must catch it. */
import { expect, test } from 'vitest';
import type { Sink, SinkWriter } from '../../../lib/core/connector.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';
import { failing } from './failing-cases.ts';

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
