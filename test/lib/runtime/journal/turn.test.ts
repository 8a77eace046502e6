import { describe, expect, test } from 'vitest';
import { markOfPosition, mergeTurns, packTurn, unpackTurn, type Turn } from '../../../../lib/runtime/journal/turn.ts';

const work = { branch: 3, operator: 2, keyGroup: 127, number: 2 ** 40 };

describe('a turn in the log', () => {
  const turns: readonly Turn[] = [
    { kind: 'records', source: 1, split: 'a', count: 7 },
    { kind: 'records', source: 1, split: 'a', count: 7, now: 5, submitted: [1, 2], position: 'p' },
    { kind: 'records', source: 1, split: 'a', count: 7, position: 0 },
    { kind: 'records', source: 1, split: 'a', count: 0, emits: true },
    {
      kind: 'input',
      source: 1,
      split: 'a',
      input: { values: [1, undefined], timestamps: [1, 2], sides: [[1, 'late']], position: 9 },
    },
    { kind: 'input', source: 1, split: 'a', input: { values: [], position: undefined } },
    { kind: 'split', source: 1, split: 'a' },
    { kind: 'end', source: 1, split: 'a' },
    { kind: 'end', source: 1, split: 'a', now: 0, submitted: [3] },
    { kind: 'work', work },
    { kind: 'work', work, submitted: [0] },
    { kind: 'work', work, now: 8, submitted: [0] },
    { kind: 'slice', count: 128 },
    { kind: 'slice', count: 0, now: 4, submitted: [7] },
    { kind: 'tick', now: 4 },
    { kind: 'tick', now: 4, submitted: [7] },
    { kind: 'tick', now: 4, cut: true },
    {
      kind: 'tick',
      now: 4,
      splits: [
        [1, 'a', 'waits'],
        [1, 'b', 'reads'],
        [2, 'a', 'held'],
      ],
    },
    { kind: 'start' },
    { kind: 'start', timersPerTurn: 3 },
  ];

  test.each(turns.map((turn) => [turn]))('%j comes back as it was', (turn) =>
    expect(unpackTurn(packTurn(turn))).toEqual(turn),
  );

  test('what is not there takes no room', () => {
    expect(packTurn({ kind: 'records', source: 1, split: 'a', count: 7 })).toEqual(['r', 1, 'a', 7]);
    expect(packTurn({ kind: 'work', work, submitted: [1] })).toEqual(['w', 2, 127, 2 ** 40, 3, null, [1]]);
  });

  test('a kind that this version does not know is an error of the format, and no turn', () => {
    expect(() => unpackTurn(['z', 1])).toThrow(expect.objectContaining({ code: 'STORE_FORMAT' }));
  });
});

describe('two turns that follow each other', () => {
  const records = (count: number, more: object = {}): Turn => ({
    kind: 'records',
    source: 1,
    split: 'a',
    count,
    ...more,
  });

  test('are one when they hand over records of one split: it ends where the second ends', () => {
    expect(mergeTurns(records(2, { position: 2 }), records(3, { position: 5 }))).toEqual(records(5, { position: 5 }));
    expect(mergeTurns(records(2, { position: 2 }), records(3))).toEqual(records(5));
    expect(mergeTurns(records(2, { submitted: [1] }), records(3))).toEqual(records(5, { submitted: [1] }));
    expect(mergeTurns(records(2), records(3, { submitted: [1] }))).toEqual(records(5, { submitted: [1] }));
  });

  test('stay two when both submit work, read the time, or are of two splits', () => {
    expect(mergeTurns(records(2, { submitted: [1] }), records(3, { submitted: [2] }))).toBeUndefined();
    expect(mergeTurns(records(2, { now: 1 }), records(3))).toBeUndefined();
    expect(mergeTurns(records(2), { ...records(3), split: 'b' } as Turn)).toBeUndefined();
    expect(mergeTurns(records(2, { emits: true }), records(3))).toBeUndefined();
    expect(mergeTurns(records(2), { kind: 'start' })).toBeUndefined();
  });
});

test('of a position only what is cheap to keep is a mark', () => {
  expect([7, 'p', { offset: 7 }, 'x'.repeat(65), undefined].map(markOfPosition)).toEqual([
    { position: 7 },
    { position: 'p' },
    {},
    {},
    {},
  ]);
});
