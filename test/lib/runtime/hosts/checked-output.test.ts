import { MIN_TIMESTAMP, outputTag } from 'millrace';
import { describe, expect, test } from 'vitest';
import type { Holds } from '../../../../lib/core/hold.ts';
import type { Output } from '../../../../lib/core/operator.ts';
import { checkedHolds, checkedOutput } from '../../../../lib/runtime/hosts/checked-output.ts';

const tag = outputTag<string>('late');

/** Outputs that note what reaches them. */
const noting = () => {
  const seen: unknown[] = [];
  const output: Output<string> = {
    emit: (...given) => seen.push(['emit', ...given]),
    side: (to, ...given) => seen.push(['side', to.id, ...given]),
    isRead: (to) => to.id === 'late',
  };
  const holds: Holds<string> = {
    take: () => seen.push('take'),
    blocks: (timestamp) => timestamp < 10,
    emit: (...given) => seen.push(['emit', ...given]),
    side: (hold, to, ...given) => seen.push(['side', hold, to.id, ...given]),
    release: (hold) => seen.push(['release', hold]),
  };
  return { seen, output: checkedOutput('op', output), holds: checkedHolds('op', holds) };
};

const wrong: readonly (readonly [what: string, timestamp: unknown])[] = [
  ['no number', Number.NaN],
  ['the end of the input', Number.POSITIVE_INFINITY],
  ['what can not be counted exactly', Number.MAX_SAFE_INTEGER + 1],
  ['what can not be counted exactly, before 1970', -Number.MAX_SAFE_INTEGER - 1],
  ['a text', '7'],
  ['nothing', undefined],
  ['a date', new Date(7)],
];

/** Each way to hand a record on, and what the refusal says of it. */
const ways: Readonly<Record<string, (given: ReturnType<typeof noting>, timestamp: never) => void>> = {
  'a record that it emits': ({ output }, timestamp) => output.emit('x', timestamp),
  'a record that it sends to side output `late`': ({ output }, timestamp) => output.side(tag, 'x', timestamp),
  'a record that it emits (in a hold)': ({ holds }, timestamp) => holds.emit(3, 'x', timestamp),
  'a record that it sends to side output `late` (in a hold)': ({ holds }, timestamp) =>
    holds.side(3, tag, 'x', timestamp),
};

describe('a timestamp of an operator of a user’s own (I16)', () => {
  for (const [way, give] of Object.entries(ways)) {
    test.each(wrong)(`${way}: %s is refused, and nothing goes on`, (_what, timestamp) => {
      const given = noting();
      expect(() => give(given, timestamp as never)).toThrow(
        expect.objectContaining({
          code: 'TIMESTAMP_INVALID',
          message: expect.stringContaining(`operator \`op\`: ${way.replace(' (in a hold)', '')} has the timestamp`),
          details: expect.objectContaining({ uid: 'op' }),
        }),
      );
      expect(given.seen).toEqual([]);
    });

    test.each([0, -5, 7.5, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, MIN_TIMESTAMP])(
      `${way}: %d goes on as it is`,
      (timestamp) => {
        const given = noting();
        give(given, timestamp as never);
        expect(given.seen).toEqual([expect.arrayContaining(['x', timestamp])]);
      },
    );
  }
});

test('everything else is as without the check', () => {
  const { seen, output, holds } = noting();
  expect([output.isRead(tag), output.isRead(outputTag('other'))]).toEqual([true, false]);
  expect([holds.take(), holds.blocks(9), holds.blocks(10)]).toEqual([1, true, false]);
  holds.release(1);
  holds.emit(4, 'x', 9);
  holds.side(5, tag, 'y', 8);
  output.side(tag, 'z', 7);
  expect(seen).toEqual([
    'take',
    ['release', 1],
    ['emit', 4, 'x', 9],
    ['side', 5, 'late', 'y', 8],
    ['side', 'late', 'z', 7],
  ]);
});
