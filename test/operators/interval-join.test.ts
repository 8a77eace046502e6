import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../lib/testing/harness-outputs.ts';
import { intervalJoin, intervalOf, type IntervalOptions } from '../../operators/interval-join.ts';

interface Row {
  readonly key: string;
  readonly id: number;
}

const leftLateTag: OutputTag<Row> = { id: 'left late' };
const rightLateTag: OutputTag<Row> = { id: 'right late' };
const inputs = [{ keyOf: ({ key }: Row) => key }, { keyOf: ({ key }: Row) => key }];

const open = (lower: number, upper: number, options: IntervalOptions = {}): Promise<OperatorHarness<Row, unknown>> =>
  OperatorHarness.open(
    intervalJoin<Row | undefined, Row | undefined, string>(
      { interval: intervalOf(lower, upper, options), leftLateTag, rightLateTag },
      (left, right, { key, timestamp }) => `${key} ${left?.id ?? '-'} ${right?.id ?? '-'} @${timestamp}`,
    ),
    { inputs, sides: [leftLateTag, rightLateTag] },
  ) as Promise<OperatorHarness<Row, unknown>>; // It is only given rows.

const results = (outputs: readonly HarnessOutput<unknown>[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

describe('an interval join', () => {
  it('J-01, J-03: pairs each left with the rights in the interval, ends included or not', async () => {
    const harness = await open(-2, 3);
    for (const [id, ts] of [8, 7, 13, 14].entries()) harness.input<Row>(2).element({ key: 'a', id }, ts);
    expect(results(harness.element({ key: 'a', id: 100 }, 10))).toEqual(['a 100 0 @10', 'a 100 2 @13']);
    expect(results(harness.element({ key: 'b', id: 100 }, 10))).toEqual([]);
    const exclusive = await open(-2, 3, { lowerExclusive: true, upperExclusive: true });
    for (const [id, ts] of [8, 9, 12, 13].entries()) exclusive.input<Row>(2).element({ key: 'a', id }, ts);
    expect(results(exclusive.element({ key: 'a', id: 100 }, 10))).toEqual(['a 100 1 @10', 'a 100 2 @12']);
  });

  it('J-02: is late behind the watermark and not at it', async () => {
    const harness = await open(0, 5);
    harness.watermark(10);
    harness.input(2).watermark(10);
    expect(harness.element({ key: 'a', id: 1 }, 9)).toEqual([
      { kind: 'side', tag: 'left late', value: { key: 'a', id: 1 }, timestamp: 9 },
    ]);
    harness.element({ key: 'a', id: 2 }, 10);
    expect(results(harness.input<Row>(2).element({ key: 'a', id: 3 }, 10))).toEqual(['a 2 3 @10']);
    expect(() => harness.element({ key: 'a', id: 1 })).toThrow(expect.objectContaining({ code: 'TIMESTAMP_MISSING' }));
  });

  it('gives what meets nobody in an outer join, when its interval has passed', async () => {
    const harness = await open(0, 5, { outer: 'full' });
    harness.element({ key: 'a', id: 1 }, 10);
    harness.element({ key: 'a', id: 2 }, 20);
    expect(results(harness.input<Row>(2).element({ key: 'a', id: 7 }, 12))).toEqual(['a 1 7 @12']);
    harness.input<Row>(2).element({ key: 'b', id: 8 }, 12);
    await harness.restore(await harness.snapshot());
    harness.watermark(Infinity);
    expect(results(harness.input(2).watermark(Infinity))).toEqual(['b - 8 @12', 'a 2 - @25']);
    expect([harness.timers.event, (await harness.snapshot()).rows.length]).toEqual([0, 0]);
  });

  it('refuses bounds that are none, and promises', async () => {
    expect(() => intervalOf(3, 2)).toThrow('`lower`');
    expect(() => intervalOf(0, '1.5ms')).toThrow('whole milliseconds');
    expect(() => intervalOf('-x' as never, 0)).toThrow('`lower`');
    expect(intervalOf('-5s', '1m').lowerMs).toBe(-5000);
    const promised = await OperatorHarness.open(
      intervalJoin<Row, Row, unknown>({ interval: intervalOf(0, 0) }, async () => 1),
      { inputs },
    );
    promised.element({ key: 'a', id: 1 }, 1);
    expect(() => promised.input<Row>(2).element({ key: 'a', id: 1 }, 1)).toThrow(
      expect.objectContaining({ code: 'ASYNC_IN_TURN' }),
    );
  });

  it('equals all pairs that a naive join makes, with restores anywhere', async () => {
    const step = fc.record({
      side: fc.constantFrom(1, 2),
      key: fc.constantFrom('a', 'b'),
      ts: fc.nat(40),
      then: fc.constantFrom('nothing', 'nothing', 'watermark', 'restore'),
    });
    const bounds = fc.tuple(fc.integer({ min: -9, max: 9 }), fc.nat(9));
    const outers = fc.constantFrom('inner', 'left', 'right', 'full');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), bounds, outers, async (steps, [lower, span], outer) => {
        const harness = await open(lower, lower + span, { outer });
        const taken: { readonly side: number; readonly key: string; readonly id: number; readonly ts: number }[] = [];
        const came: unknown[] = [];
        let watermark = -Infinity;
        const advance = (to: number): void => {
          watermark = Math.max(watermark, to);
          came.push(...results(harness.watermark(watermark)), ...results(harness.input(2).watermark(watermark)));
        };
        for (const [id, { side, key, ts, then }] of steps.entries()) {
          came.push(...results(harness.input<Row>(side).element({ key, id }, ts)));
          if (ts >= watermark) taken.push({ side, key, id, ts });
          // Up to what has come: nobody whose partner may still come goes before.
          if (then === 'watermark') advance(Math.min(ts, Math.max(...taken.map((each) => each.ts), 0)) - 10);
          if (then === 'restore') await harness.restore(await harness.snapshot());
        }
        advance(Infinity);
        const isPair = (left: (typeof taken)[number], right: (typeof taken)[number]): boolean =>
          left.key === right.key && right.ts - left.ts >= lower && right.ts - left.ts <= lower + span;
        const lefts = taken.filter(({ side }) => side === 1);
        const rights = taken.filter(({ side }) => side === 2);
        const pairs = lefts.flatMap((left) =>
          rights.flatMap((right) =>
            isPair(left, right) ? [`${left.key} ${left.id} ${right.id} @${Math.max(left.ts, right.ts)}`] : [],
          ),
        );
        const aloneLeft = lefts.filter((left) => !rights.some((right) => isPair(left, right)));
        const aloneRight = rights.filter((right) => !lefts.some((left) => isPair(left, right)));
        const expected = [
          ...pairs,
          ...(outer === 'left' || outer === 'full'
            ? aloneLeft.map(({ key, id, ts }) => `${key} ${id} - @${ts + Math.max(lower + span, 0)}`)
            : []),
          ...(outer === 'right' || outer === 'full'
            ? aloneRight.map(({ key, id, ts }) => `${key} - ${id} @${ts + Math.max(-lower, 0)}`)
            : []),
        ];
        // A record that comes at the very watermark may meet somebody whose wait is over: then it is alone.
        if (!taken.some(({ ts }) => ts === watermark)) expect(came.toSorted()).toEqual(expected.toSorted());
        expect([harness.timers.event, (await harness.snapshot()).rows.length]).toEqual([0, 0]);
      }),
      { numRuns: 200 },
    );
  });
});
