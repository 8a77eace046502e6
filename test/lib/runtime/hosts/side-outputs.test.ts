import { systemClock } from 'millrace';
import { expect, test } from 'vitest';
import { SideOutputs } from '../../../../lib/runtime/hosts/side-outputs.ts';
import { MetricTree } from '../../../../lib/runtime/job/metric-group.ts';

const made = (told: readonly string[] = []) => {
  const [lines, got]: [string[], unknown[]] = [[], []];
  const { root } = new MetricTree({ job: 'test', clock: systemClock });
  const sides = new SideOutputs({
    uid: 'op',
    read: new Map([['late', { record: (value) => void got.push(value), watermark: () => {}, status: () => {} }]]),
    metrics: root,
    // Nothing else of a logger is used.
    logger: { warn: (_facts: unknown, message?: string) => void lines.push(message ?? '') } as never,
    told,
  });
  return { sides, lines, got, dropped: () => root.getCounter('numSideRecordsDropped').value };
};

test('what somebody reads reaches him, and nothing is said', () => {
  const { sides, lines, got, dropped } = made();
  sides.of('late').record('a', 1);
  expect([sides.isRead('late'), got, lines, dropped()]).toEqual([true, ['a'], [], 0]);
});

test('what nobody reads is counted, and each tag is told once (I22)', () => {
  const { sides, lines, got, dropped } = made(['known']);
  for (const tag of ['odd', 'odd', 'even', 'known']) sides.of(tag).record('a', 1);
  sides.of('odd').watermark(5);
  expect([sides.isRead('odd'), got, dropped()]).toEqual([false, [], 4]);
  expect(lines).toEqual([expect.stringContaining("'odd', which nobody reads"), expect.stringContaining("'even'")]);
});

test('tags without end are counted and not remembered (I10)', () => {
  const { sides, lines, dropped } = made();
  for (let n = 0; n < 3000; n += 1) sides.of(`tag ${n}`).record('a', 1);
  expect([dropped(), lines.length]).toEqual([3000, 1000]);
});
