import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TIMESTAMP } from '../../lib/core/element.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { topN } from '../../operators/top-n.ts';
import { TumblingEventTimeWindows, StreamExecutionEnvironment, WatermarkStrategy } from '../../lib/index.ts';
import { aggregateWindow } from '../../operators/windows/window.ts';

interface Row {
  readonly id: number;
  readonly size: number;
}

const naive = (rows: readonly Row[], n: number): readonly Row[] => rows.toSorted((a, b) => b.size - a.size).slice(0, n);

const drawn = fc.array(fc.nat(5), { minLength: 1, maxLength: 20 });

describe('topN', () => {
  it('gives what sorting gives, over restarts', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, fc.integer({ min: 1, max: 4 }), fc.nat(20), async (sizes, n, restoreAt) => {
        const rows = sizes.map((size, id) => ({ id, size }));
        const assigner = TumblingEventTimeWindows.of(100);
        const operator = aggregateWindow({ assigner }, topN<Row>(n, ({ size }) => size));
        const harness = await OperatorHarness.open(operator, { keyOf: () => 'k' });
        for (const [at, row] of rows.entries()) {
          if (at === restoreAt) await harness.restore(await harness.snapshot());
          harness.element(row, at);
        }
        const [out] = harness.watermark(MAX_TIMESTAMP);
        expect(out?.kind === 'record' && out.value).toEqual(naive(rows, n));
      }),
      { numRuns: 60 },
    );
  });

  it('merges: what two windows hold comes to what one would', () => {
    fc.assert(
      fc.property(drawn, drawn, fc.integer({ min: 1, max: 4 }), (first, second, n) => {
        const rows = [...first, ...second].map((size, id) => ({ id, size }));
        const { createAccumulator, add, merge } = topN<Row>(n, ({ size }) => size);
        const fold = (some: readonly Row[]) => some.reduce((top, row) => add(row, top), createAccumulator());
        const merged = merge?.(fold(rows.slice(0, first.length)), fold(rows.slice(first.length)));
        expect(merged).toEqual(naive(rows, n));
      }),
    );
  });

  it('refuses what has no order', async () => {
    expect(() => topN(0, () => 1)).toThrow('`n`');
    expect(() => topN(1, 'size' as never)).toThrow('`by`');
    expect(() => topN<Row>(1, () => Number.NaN).add({ id: 1, size: 1 }, [])).toThrow('a number or a bigint');
    expect(() => topN<Row>(1, (async () => 1) as never).add({ id: 1, size: 1 }, [])).toThrow('promise');
    const mixed = topN<Row>(2, ({ id, size }) => (id === 0 ? `${size}` : size));
    expect(() => mixed.add({ id: 1, size: 1 }, [{ id: 0, size: 1 }])).toThrow('as the values before');
  });

  it('is a method of windows', async () => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    const rows = [3, 1, 2].map((size, id) => ({ id, size }));
    const strategy = WatermarkStrategy.monotonous<Row>().withTimestamps(({ id }: Row) => id);
    const windows = env.fromCollection(rows, strategy).keyBy(() => 'all').window(TumblingEventTimeWindows.of(10));
    const top: (readonly Row[])[] = await windows.topN(2, ({ size }) => size).executeAndCollect();
    expect(top).toEqual([[rows[0], rows[2]]]);
  });
});
