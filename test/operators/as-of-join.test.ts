import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../lib/testing/harness-outputs.ts';
import { asOfJoin, type AsOfOptions } from '../../operators/as-of-join.ts';

interface Row {
  readonly key: string;
  readonly id: number;
}

const leftLateTag: OutputTag<Row> = { id: 'left late' };
const rightLateTag: OutputTag<Row> = { id: 'right late' };
const inputs = [{ keyOf: ({ key }: Row) => key }, { keyOf: ({ key }: Row) => key }];

const open = (options: AsOfOptions = {}): Promise<OperatorHarness<Row, unknown>> =>
  OperatorHarness.open(
    asOfJoin<Row, Row | undefined, string>(
      { ...options, leftLateTag, rightLateTag },
      (left, right, { key, leftTimestamp, rightTimestamp }) =>
        `${key} ${left.id} ${right?.id ?? '-'} @${leftTimestamp} ${rightTimestamp ?? '-'}`,
    ),
    { inputs, sides: [leftLateTag, rightLateTag] },
  ) as Promise<OperatorHarness<Row, unknown>>; // It is only given rows.

const results = (outputs: readonly HarnessOutput<unknown>[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

const advance = (harness: OperatorHarness<Row, unknown>, to: number): unknown[] => [
  ...results(harness.watermark(to)),
  ...results(harness.input(2).watermark(to)),
];

const a = (id: number): Row => ({ key: 'a', id });

describe('an as-of join', () => {
  it('meets the latest right record that is not behind, whichever side comes first', async () => {
    const harness = await open();
    expect(harness.element(a(1), 10)).toEqual([]);
    for (const [id, ts] of [8, 10, 11].entries()) harness.input<Row>(2).element(a(id), ts);
    harness.input<Row>(2).element({ key: 'b', id: 7 }, 10);
    harness.element(a(2), 9);
    expect(advance(harness, 9)).toEqual(['a 2 0 @9 8']);
    expect(advance(harness, 10)).toEqual(['a 1 1 @10 10']);
  });

  it('takes the last that came of right records of one time', async () => {
    const harness = await open();
    for (const id of [1, 2, 3]) harness.input<Row>(2).element(a(id), 5);
    harness.element(a(9), 5);
    expect(advance(harness, Infinity)).toEqual(['a 9 3 @5 5']);
  });

  it('is late when the watermark has reached the timestamp', async () => {
    const harness = await open();
    advance(harness, 10);
    expect(harness.element(a(1), 10)).toEqual([{ kind: 'side', tag: 'left late', value: a(1), timestamp: 10 }]);
    expect(harness.input<Row>(2).element(a(2), 9)).toEqual([
      { kind: 'side', tag: 'right late', value: a(2), timestamp: 9 },
    ]);
    expect(harness.element(a(1), 11)).toEqual([]);
    expect(() => harness.element(a(1))).toThrow(expect.objectContaining({ code: 'TIMESTAMP_MISSING' }));
  });

  it('gives a left record without a right one only in an outer join', async () => {
    for (const [outer, expected] of [['inner', []] as const, ['left', ['a 1 - @1 -']] as const]) {
      const harness = await open({ outer });
      harness.element(a(1), 1);
      harness.input<Row>(2).element(a(2), 2);
      expect(advance(harness, Infinity)).toEqual(expected);
    }
  });

  it('keeps one right record of a key, and that no longer than `keepFor`', async () => {
    const rows = async (harness: OperatorHarness<Row, unknown>): Promise<number> =>
      (await harness.snapshot()).rows.length;
    const kept = await open();
    const limited = await open({ keepFor: 5 });
    const one = await open();
    one.input<Row>(2).element(a(0), 0);
    advance(one, 0);
    for (const harness of [kept, limited]) for (let ts = 0; ts < 50; ts++) harness.input<Row>(2).element(a(ts), ts);
    advance(kept, 53);
    advance(limited, 53);
    expect(await rows(kept)).toBe(await rows(one));
    for (const harness of [kept, limited]) for (const ts of [54, 55]) harness.element(a(ts), ts);
    expect([advance(kept, 55), advance(limited, 55)]).toEqual([
      ['a 54 49 @54 49', 'a 55 49 @55 49'],
      ['a 54 49 @54 49'],
    ]);
    expect([await rows(kept), await rows(limited)]).toEqual([await rows(one), 0]);
  });

  it('refuses options that are none, streams without keys, and promises', async () => {
    expect(() => asOfJoin({ outer: 'right' as never }, () => 1)).toThrow('`outer`');
    expect(() => asOfJoin({ keepFor: -1 }, () => 1)).toThrow('`keepFor`');
    const stream = StreamExecutionEnvironment.create({ logger: 'silent' }).fromCollection([a(1)]);
    expect(() => stream.keyBy(({ key }) => key).asOfJoin(stream as never)).toThrow('a keyed stream');
    const promised = await OperatorHarness.open(
      asOfJoin<Row, Row, unknown>({ outer: 'left' }, async () => 1),
      { inputs },
    );
    promised.element(a(1), 1);
    promised.watermark(1);
    expect(() => promised.input(2).watermark(1)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
  });

  it('equals what a naive join makes of all records, with restores anywhere', async () => {
    const step = fc.record({
      side: fc.constantFrom(1, 2),
      key: fc.constantFrom('a', 'b'),
      ts: fc.nat(40),
      then: fc.constantFrom('nothing', 'nothing', 'watermark', 'restore'),
    });
    const outers = fc.constantFrom('inner', 'left');
    const keeps = fc.option(fc.nat(15), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), outers, keeps, async (steps, outer, keepFor) => {
        const harness = await open({ outer, keepFor });
        const taken: { readonly side: number; readonly key: string; readonly id: number; readonly ts: number }[] = [];
        const came: unknown[] = [];
        let watermark = -Infinity;
        for (const [id, { side, key, ts, then }] of steps.entries()) {
          came.push(...results(harness.input<Row>(side).element({ key, id }, ts)));
          if (ts > watermark) taken.push({ side, key, id, ts });
          if (then === 'watermark') came.push(...advance(harness, (watermark = Math.max(watermark, ts - 10))));
          if (then === 'restore') await harness.restore(await harness.snapshot());
        }
        came.push(...advance(harness, Infinity));
        const expected = taken.flatMap((left) => {
          if (left.side === 2) return [];
          const right = taken
            .filter(({ side, key, ts }) => side === 2 && key === left.key && ts <= left.ts)
            .filter(({ ts }) => keepFor === undefined || left.ts - ts <= keepFor)
            .toSorted((first, second) => first.ts - second.ts)
            .at(-1);
          if (right === undefined && outer === 'inner') return [];
          return [`${left.key} ${left.id} ${right?.id ?? '-'} @${left.ts} ${right?.ts ?? '-'}`];
        });
        expect(came.toSorted()).toEqual(expected.toSorted());
        expect(harness.timers.event).toBe(0);
        if (keepFor !== undefined) expect((await harness.snapshot()).rows).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});
