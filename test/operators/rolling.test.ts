import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Operator } from '../../lib/core/operator.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { collection } from '../../connectors/collection.ts';
import { count, max, maxBy, min, minBy, sum } from '../../operators/rolling.ts';

interface Row {
  readonly key: string;
  readonly value: number;
  readonly id: number;
}

const run = async <T>(operator: Operator<T, unknown>, values: readonly T[]): Promise<unknown[]> => {
  const harness = await OperatorHarness.open(operator, { keyOf: () => 'k' });
  return values.flatMap((value) =>
    harness.element(value).flatMap((out) => (out.kind === 'record' ? [out.value] : [])),
  );
};

const rows = (...values: number[]): Row[] => values.map((value, id) => ({ key: 'k', value, id }));

const drawnRow = fc.record({ key: fc.constantFrom('a', 'b'), value: fc.integer({ min: -3, max: 3 }) });

describe('rolling aggregates', () => {
  it('of a named field keep all others of the first record', async () => {
    expect(await run(sum<Row>('value'), rows(3, 1, 2))).toEqual([
      { key: 'k', value: 3, id: 0 },
      { key: 'k', value: 4, id: 0 },
      { key: 'k', value: 6, id: 0 },
    ]);
    expect(await run(min<Row>('value'), rows(3, 1, 2))).toEqual([
      { key: 'k', value: 3, id: 0 },
      { key: 'k', value: 1, id: 0 },
      { key: 'k', value: 1, id: 0 },
    ]);
  });

  it('of a function give what they come to', async () => {
    expect(await run(sum<Row>(({ value }) => BigInt(value)), rows(3, 1))).toEqual([3n, 4n]);
    expect(await run(max<Row>(({ id }) => `id ${id}`), rows(3, 1))).toEqual(['id 0', 'id 1']);
    expect(await run(count<Row>(), rows(3, 1))).toEqual([1, 2]);
    expect(await run(count<Row>(), [])).toEqual([]);
  });

  it('choose the whole record, of equal ones the first or the last', async () => {
    const ids = async (operator: Operator<Row, Row>): Promise<unknown[]> =>
      (await run(operator, rows(2, 5, 5, 1, 1))).map((row) => (row as Row).id);
    expect(await ids(maxBy<Row>('value'))).toEqual([0, 1, 1, 1, 1]);
    expect(await ids(maxBy<Row>('value', { first: false }))).toEqual([0, 1, 2, 2, 2]);
    expect(await ids(minBy<Row>('value'))).toEqual([0, 0, 0, 3, 3]);
    expect(await ids(minBy<Row>(({ value }) => value, { first: false }))).toEqual([0, 0, 0, 3, 4]);
  });

  it.each([
    ['nothing to add', sum<object>('value'), [{}], 'the field of `sum` in `operator`'],
    ['no number', max<object>('value'), [{ value: Number.NaN }], 'a number or a bigint'],
    ['a number beside a bigint', sum<object>('value'), [{ value: 1n }, { value: 1 }], 'a bigint, as the values before'],
    ['a text beside a number', minBy<object>('value'), [{ value: 1 }, { value: 'a' }], 'a number, as the values before'],
    ['no record', sum<unknown>('value'), [5], "a record with the field 'value'"],
    ['a promise', sum<object>(() => Promise.resolve(1)), [{}], 'promise'],
  ])('refuse %s', async (_, operator, values, message) => {
    // Each operator takes what its row holds.
    await expect(run(operator as Operator<unknown, unknown>, values)).rejects.toThrow(message);
  });

  it('refuse options that do not exist', () => {
    expect(() => maxBy('value', { frist: true } as object)).toThrow('frist');
    expect(() => sum(5 as never)).toThrow('`field`');
  });

  it('give what a naive model gives, over restarts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(drawnRow, { maxLength: 20 }),
        fc.nat(20),
        async (drawn, restoreAt) => {
          const values = drawn.map((row, id) => ({ ...row, id }));
          const keyOf = ({ key }: Row): string => key;
          const harness = await OperatorHarness.open(maxBy<Row>('value', { first: false }), { keyOf });
          for (const [at, row] of values.entries()) {
            if (at === restoreAt) await harness.restore(await harness.snapshot());
            const before = values.slice(0, at + 1).filter(({ key }) => key === row.key);
            const greatest = Math.max(...before.map(({ value }) => value));
            const [out] = harness.element(row);
            expect(out?.kind === 'record' && out.value).toEqual(before.findLast(({ value }) => value === greatest));
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('are methods of a keyed stream whose types say what leaves', async () => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    const keyed = env.fromSource(collection(rows(2, 1))).keyBy(({ key }) => key);
    const sums: number[] = await keyed.sum(({ value }) => value).executeAndCollect();
    expect(sums).toEqual([2, 3]);
    const least: Row[] = await keyed.min('value').executeAndCollect();
    expect(least.map(({ value }) => value)).toEqual([2, 1]);
    // @ts-expect-error a text can't be added
    expect(() => keyed.sum('key')).not.toThrow();
  });
});
