import { describe, expect, test } from 'vitest';
import { frameValue } from '../../../../lib/core/frame.ts';
import {
  branchesMax,
  callsMax,
  decodeJournalEntry,
  encodeTurns,
  turnsKey,
  workKey,
} from '../../../../lib/runtime/journal/journal-format.ts';
import { packTurn, type Turn } from '../../../../lib/runtime/journal/turn.ts';

const work = { branch: 1, operator: 2, keyGroup: 3, number: 4 };

describe('keys', () => {
  test('stand in the order of their numbers', () => {
    const keys = [
      workKey(work, 0, 'pending'),
      workKey(work, 0, 'called'),
      workKey(work, 1, 'pending'),
      workKey({ ...work, number: 5 }, 0, 'pending'),
      workKey({ ...work, number: 2 ** 32 + 1 }, 0, 'pending'), // It takes more than four bytes.
      workKey({ ...work, number: 2 ** 40 }, 0, 'pending'),
      workKey({ ...work, branch: 2, number: 0 }, 0, 'pending'),
      workKey({ ...work, keyGroup: 300, branch: 0 }, 0, 'pending'),
      workKey({ ...work, operator: 256, keyGroup: 0 }, 0, 'pending'),
      turnsKey(1),
      turnsKey(255),
      turnsKey(256),
      turnsKey(2 ** 40),
    ];
    expect(keys.toSorted(Buffer.compare)).toEqual(keys);
    expect(new Set(keys.map((key) => key.length))).toEqual(new Set([18, 9]));
  });

  test('hold every number that has a place in them, and no other', () => {
    expect(() => workKey({ ...work, branch: branchesMax - 1 }, callsMax - 1, 'called')).not.toThrow();
    expect(() => workKey(work, callsMax, 'called')).toThrow(/I8/);
    expect(() => workKey({ ...work, branch: branchesMax }, 0, 'called')).toThrow(/I8/);
  });
});

test('a record of turns comes back as it was', () => {
  const turns: readonly Turn[] = [
    { kind: 'split', source: 1, split: 's' },
    { kind: 'records', source: 1, split: 's', count: 7, position: 'x', submitted: [5] },
    { kind: 'work', work, now: 12 },
  ];
  const record = { kind: 'turns', lsn: 2 ** 33, first: 9, turns: turns.map(packTurn) } as const;
  expect(decodeJournalEntry(encodeTurns(record))).toEqual(record);
});

describe('an entry', () => {
  const { key, value } = encodeTurns({ kind: 'turns', lsn: 1, first: 0, turns: [] });

  test('that is part of a larger buffer is read all the same', () => {
    const buffer = new Uint8Array(key.length + 8);
    buffer.set(key, 5);
    const entry = { key: buffer.subarray(5, 5 + key.length), value };
    expect(decodeJournalEntry(entry)).toMatchObject({ kind: 'turns', lsn: 1 });
  });

  test.each([
    ['a damaged value', { key, value: Uint8Array.from(value).fill(0, 8, 9) }],
    ['a key of no kind', { key: Buffer.from('x'), value }],
    ['a key that was cut', { key: workKey(work, 0, 'called').subarray(0, 17), value }],
  ])('is refused with %s', (_what, entry) => {
    expect(() => decodeJournalEntry(entry)).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
  });

  test('of a kind that a later version writes is refused, and not taken for damage', () => {
    const later = workKey(work, 0, 'called');
    later[17] = 99;
    expect(() => decodeJournalEntry({ key: later, value: frameValue([1, 'k', 7]) })).toThrow(
      expect.objectContaining({ code: 'STORE_FORMAT', message: expect.stringContaining('kind 99') }),
    );
  });
});
