import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import { coGroupWindow, joinWindow, type Sided } from '../../../operators/windows/co-group.ts';
import { TumblingEventTimeWindows } from '../../../operators/windows/fixed-windows.ts';
import { GlobalWindows } from '../../../operators/windows/global-windows.ts';
import { EventTimeSessionWindows } from '../../../operators/windows/session-windows.ts';
import { CountTrigger } from '../../../operators/windows/triggers.ts';

type Pair = Sided<number, string>;

const left = (value: number): Pair => ({ side: 'left', value });
const right = (value: string): Pair => ({ side: 'right', value });
const assigner = TumblingEventTimeWindows.of(10);

const values = (outputs: readonly { readonly kind: string; readonly value?: unknown }[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

describe('a join of windows', () => {
  it('gives each pair of a window, left by left, and none where one side is empty', async () => {
    const pairs = joinWindow({ assigner }, (one: number, other: string, { key, window }) => [
      key,
      window.end,
      one + other,
    ]);
    const harness = await OperatorHarness.open(pairs, { keyOf: ({ value }: Pair) => `${value}`.length });
    harness.element(left(1), 1);
    harness.element(right('a'), 2);
    harness.element(left(2), 3);
    harness.element(right('b'), 9);
    harness.element(left(77), 9);
    harness.element(right('c'), 10);
    await harness.restore(await harness.snapshot());
    expect(values(harness.watermark(9))).toEqual([
      [1, 10, '1a'],
      [1, 10, '1b'],
      [1, 10, '2a'],
      [1, 10, '2b'],
    ]);
    expect(values(harness.watermark(Infinity))).toEqual([]);
    expect([harness.timers.event, (await harness.snapshot()).rows.length]).toEqual([0, 0]);
  });

  it('leaves out what the function gives no result for, refuses promises, and counts late records', async () => {
    const some = joinWindow({ assigner }, (one: number, other: string) => (one > 1 ? `${one}${other}` : undefined));
    const harness = await OperatorHarness.open(some, { keyOf: () => 'all' });
    for (const element of [left(1), left(2), right('a')]) harness.element(element, 1);
    expect(values(harness.watermark(9))).toEqual(['2a']);
    harness.element(left(3), 1);
    expect(harness.counter('numLateRecordsDropped')).toBe(1);
    const promised = await OperatorHarness.open(
      joinWindow({ assigner }, async (one: number, other: string) => `${one}${other}`),
      { keyOf: () => 'all' },
    );
    for (const element of [left(1), right('a')]) promised.element(element, 1);
    expect(() => promised.watermark(9)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
  });

  it('equals all pairs that a naive join makes', async () => {
    const record = fc.record({ left: fc.boolean(), key: fc.constantFrom('a', 'b'), value: fc.nat(99), ts: fc.nat(60) });
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 40 }), fc.integer({ min: 1, max: 20 }), async (records, size) => {
        interface Row {
          readonly key: string;
          readonly value: number;
        }
        const operator = joinWindow(
          { assigner: TumblingEventTimeWindows.of(size) },
          (one: Row, other: Row, { key, window }) => [key, window.start, one.value, other.value].join(),
        );
        const harness = await OperatorHarness.open(operator, { keyOf: ({ value: { key } }: Sided<Row, Row>) => key });
        for (const { left: isLeft, key, value, ts } of records)
          harness.element({ side: isLeft ? 'left' : 'right', value: { key, value } }, ts);
        const startOf = (ts: number): number => Math.floor(ts / size) * size;
        const expected = records.flatMap((one) =>
          records.flatMap((other) => {
            const meet = one.left && !other.left && one.key === other.key && startOf(one.ts) === startOf(other.ts);
            return meet ? [[one.key, startOf(one.ts), one.value, other.value].join()] : [];
          }),
        );
        expect(values(harness.watermark(Infinity)).toSorted()).toEqual(expected.toSorted());
      }),
    );
  });
});

describe('a co-group of windows', () => {
  it('sees both sides of a session, and a trigger sees the values', async () => {
    const sides = coGroupWindow(
      { assigner: EventTimeSessionWindows.withGap(5) },
      (lefts: readonly number[], rights: readonly string[]) => `${lefts.join()}|${rights.join()}`,
    );
    const harness = await OperatorHarness.open(sides, { keyOf: () => 'all' });
    harness.element(left(1), 0);
    harness.element(right('a'), 4);
    harness.element(left(2), 20);
    expect(values(harness.watermark(Infinity))).toEqual(['1|a', '2|']);
    const seen: unknown[] = [];
    const count = CountTrigger.of(2);
    const trigger = {
      ...count,
      onElement: (...[value, timestamp, window, ctx]: Parameters<typeof count.onElement>) => {
        seen.push(value);
        return count.onElement(value, timestamp, window, ctx);
      },
    };
    const counted = await OperatorHarness.open(
      coGroupWindow({ assigner: GlobalWindows.create(), trigger }, (a: readonly number[], b: readonly string[]) => [
        a.length,
        b.length,
      ]),
      { keyOf: () => 'all' },
    );
    counted.element(left(1), 0);
    expect(values(counted.element(right('a'), 4))).toEqual([[1, 1]]);
    expect(seen).toEqual([1, 'a']);
  });
});
