/**
 * `asyncMap` with `perKey` and `overtakeWatermarks` over random values and ends of calls: order of each key, and
 * lateness.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { asyncMap } from '../../operators/async-map.ts';
import { type Ask, ask, Gate, quiet } from './agent-fixture.ts';
import { WorkHarness } from './work-fixture.ts';

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('value' as const), key: fc.constantFrom('a', 'b', 'c'), late: fc.nat(6) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'watermark' as const }) },
  { weight: 4, arbitrary: fc.nat(5).map((which) => ({ kind: 'end' as const, which })) },
);

it('I1 and I17: results of one key leave in the order of its values, as late or on time as they came', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const gate = new Gate();
      const call = async (value: Ask): Promise<Ask> => {
        await gate.pass(`${value.key}${value.n}`);
        return value;
      };
      const operator = asyncMap(call, { perKey: true, overtakeWatermarks: true });
      const harness = await WorkHarness.open<Ask, Ask>(operator, ({ key }) => key);
      const end = async (which: number): Promise<void> => {
        gate.resolve(gate.open[which % gate.open.length] as string); // there is one
        await quiet();
      };
      const wasLate = new Map<number, boolean>();
      let watermark = Number.NEGATIVE_INFINITY;
      for (const [n, each] of steps.entries()) {
        if (each.kind === 'watermark') harness.watermark((watermark = n));
        else if (each.kind === 'value') {
          wasLate.set(n, n - each.late <= watermark);
          harness.element(ask(each.key, n), n - each.late);
          await quiet();
        } else if (gate.open.length > 0) await end(each.which);
      }
      while (gate.open.length > 0) await end(0);

      expect([harness.open, harness.errors]).toEqual([0, []]);
      const left = harness.outputs.flatMap((each) => (each.kind === 'record' ? [each.value] : []));
      for (const key of ['a', 'b', 'c']) {
        const came = steps.flatMap((each, n) => (each.kind === 'value' && each.key === key ? [n] : []));
        expect(left.filter((value) => value.key === key).map(({ n }) => n)).toEqual(came);
      }
      let seen = Number.NEGATIVE_INFINITY;
      for (const each of harness.outputs) {
        if (each.kind === 'watermark') seen = each.timestamp;
        if (each.kind === 'record')
          expect([each.value.n, each.timestamp <= seen]).toEqual([each.value.n, wasLate.get(each.value.n)]);
      }
    }),
    {
      numRuns: 60,
      // A value on time that comes behind a late one of its key, while another key is slow.
      examples: [
        [
          [
            { kind: 'value', key: 'a', late: 0 },
            { kind: 'watermark' },
            { kind: 'value', key: 'b', late: 2 },
            { kind: 'value', key: 'b', late: 0 },
            { kind: 'end', which: 1 },
            { kind: 'end', which: 1 },
          ],
        ],
      ],
    },
  );
});
