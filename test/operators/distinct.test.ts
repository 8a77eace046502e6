import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TIMESTAMP } from '../../lib/core/element.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../lib/testing/harness-outputs.ts';
import { distinct } from '../../operators/distinct.ts';

interface Row {
  readonly key: string;
  readonly id: number;
}

const keyOf = ({ key }: Row): string => key;

const idsOf = (outputs: readonly HarnessOutput<Row>[]): number[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value.id] : []));

describe('distinct', () => {
  it('gives the first value of a key, with its timestamp', async () => {
    const harness = await OperatorHarness.open(distinct<Row>(), { keyOf });
    expect(harness.element({ key: 'a', id: 1 }, 5)).toEqual([
      { kind: 'record', value: { key: 'a', id: 1 }, timestamp: 5 },
    ]);
    expect(harness.element({ key: 'a', id: 2 }, 99)).toEqual([]);
    expect(idsOf(harness.element({ key: 'b', id: 3 }))).toEqual([3]);
    expect(harness.timers).toEqual({ event: 0, processing: 0 });
  });

  it('tells values of a key apart by `by`', async () => {
    const harness = await OperatorHarness.open(distinct<Row>({ by: ({ id }) => [id, 'x'] }), { keyOf });
    const ids = [1, 2, 1, 2, 3].flatMap((id) => idsOf(harness.element({ key: 'a', id })));
    expect(ids).toEqual([1, 2, 3]);
  });

  it('goes by the clock, and leaves nothing behind', async () => {
    const harness = await OperatorHarness.open(distinct<Row>({ within: 100, time: 'processing' }), { keyOf });
    const row = { key: 'a', id: 1 };
    expect(idsOf(harness.element(row))).toEqual([1]);
    harness.processingTime(99);
    expect(idsOf(harness.element(row))).toEqual([]);
    harness.processingTime(101);
    expect(harness.timers.processing).toBe(0);
    expect(harness.stateEntries).toBe(0);
    expect(idsOf(harness.element(row))).toEqual([1]);
  });

  it('refuses what makes no sense', async () => {
    expect(() => distinct({ time: 'processing' })).toThrow('`time`');
    expect(() => distinct({ within: 0 })).toThrow('`within`');
    expect(() => distinct({ by: 'id' as never })).toThrow('`by`');
    expect(() => distinct({ time: 'clock' as never, within: 1 })).toThrow('`time`');
    const timed = await OperatorHarness.open(distinct<Row>({ within: 5 }), { keyOf });
    expect(() => timed.element({ key: 'a', id: 1 })).toThrow('a record has none');
    const bad = await OperatorHarness.open(distinct<Row>({ by: () => Number.NaN }), { keyOf });
    expect(() => bad.element({ key: 'a', id: 1 })).toThrow(/key/);
  });

  it('gives what a naive model gives, over restarts, and leaves nothing behind', async () => {
    const rows = fc.array(
      fc.record({ key: fc.constantFrom('a', 'b'), id: fc.nat(2), step: fc.integer({ min: -3, max: 9 }) }),
      { maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(rows, fc.nat(25), async (drawn, restoreAt) => {
        const operator = distinct<Row>({ by: ({ id }) => id, within: 10 });
        const harness = await OperatorHarness.open(operator, { keyOf });
        const until = new Map<string, number>();
        let newest = 0;
        for (const [at, { key, id, step }] of drawn.entries()) {
          if (at === restoreAt) await harness.restore(await harness.snapshot());
          const timestamp = newest + step;
          newest = Math.max(newest, timestamp);
          const name = `${key} ${id}`;
          const isNew = timestamp >= (until.get(name) ?? -Infinity);
          if (isNew) until.set(name, timestamp + 10);
          expect(idsOf(harness.element({ key, id }, timestamp))).toEqual(isNew ? [id] : []);
          // Nothing comes as late as what is forgotten here.
          harness.watermark(newest - 4);
        }
        harness.watermark(MAX_TIMESTAMP);
        expect(harness.timers.event).toBe(0);
        expect((await harness.snapshot()).rows).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
