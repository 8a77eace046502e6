import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { WorkId } from '../../../../lib/core/journal.ts';
import type {
  CalledRecord,
  ClaimedRecord,
  DoneRecord,
  PendingRecord,
  VoidedRecord,
  WorkRecord,
} from '../../../../lib/runtime/journal/work-record.ts';
import { JournaledItems, recordedOf } from '../../../../lib/runtime/recovery/journaled-item.ts';

const id = (number: number, branch = 0): WorkId => ({ branch, operator: 1, keyGroup: 2, number });
const facts = (lsn: number, work: WorkId) => ({ lsn, work, key: 'k', digest: 7 });
const called = (lsn: number, work: WorkId, call: number): CalledRecord => ({
  kind: 'called',
  ...facts(lsn, work),
  call,
  id: `c${call}`,
  args: '',
  outcome: { ok: true, value: lsn },
});
const pending = (lsn: number, work: WorkId, call: number): PendingRecord => ({
  kind: 'pending',
  ...facts(lsn, work),
  call,
  id: `c${call}`,
  args: '',
});
const done = (lsn: number, work: WorkId): DoneRecord => ({
  kind: 'done',
  ...facts(lsn, work),
  calls: 1,
  outcome: { ok: true, value: lsn },
});
const claimed = (lsn: number, work: WorkId, by: WorkId): ClaimedRecord => ({
  kind: 'claimed',
  ...facts(lsn, work),
  by: { branch: by.branch, number: by.number },
});
const voided = (lsn: number, work: WorkId, call: number): VoidedRecord => ({
  kind: 'voided',
  ...facts(lsn, work),
  call,
});

const joined = (records: readonly WorkRecord[]) => {
  const items = new JournaledItems();
  for (const record of records) items.add(record, Uint8Array.of(record.lsn));
  return items.byName();
};

/** What is known of each item, in words. */
const told = (records: readonly WorkRecord[]) =>
  Object.fromEntries(
    [...joined(records)].map(([name, { calls, done: end, voided: from, first, keys }]) => [
      name,
      {
        calls: [...calls]
          .map(([call, each]) => `${call}: ${each.pending?.lsn ?? '-'} ${each.called?.lsn ?? '-'}`)
          .toSorted(),
        done: end?.lsn,
        voided: from,
        first,
        keys: keys.map(([lsn]) => lsn).toSorted((a = 0, b = 0) => a - b),
      },
    ]),
  );

describe('the records of an item of work', () => {
  const a = id(1);

  test('join by call, and tell the oldest', () => {
    expect(told([called(5, a, 0), pending(3, a, 1), called(6, a, 1), done(9, a), called(4, id(2), 0)])).toEqual({
      '0.1.2.1': { calls: ['0: - 5', '1: 3 6'], done: 9, voided: undefined, first: 3, keys: [3, 5, 6, 9] },
      '0.1.2.2': { calls: ['0: - 4'], done: undefined, voided: undefined, first: 4, keys: [4] },
    });
  });

  test('that changed code has voided are gone, and what came behind it stays', () => {
    const records = [called(1, a, 0), called(2, a, 1), pending(3, a, 2), voided(4, a, 1), called(5, a, 1)];
    expect(told(records)['0.1.2.1']).toMatchObject({ calls: ['0: - 1', '1: - 5'], voided: 1 });
  });

  test('that a later branch has claimed go by its name; its own are newer', () => {
    const b = id(7, 1);
    const records = [called(1, a, 0), called(2, a, 1), done(3, a), claimed(4, a, b), called(5, b, 1)];
    expect(told(records)).toEqual({
      '1.1.2.7': { calls: ['0: - 1', '1: - 5'], done: 3, voided: undefined, first: 4, keys: [1, 2, 3, 4, 5] },
    });
  });

  test('that were claimed twice go by the last name, and a voided call by any of them', () => {
    const [b, c] = [id(7, 1), id(9, 2)];
    const records = [
      called(1, a, 0),
      called(2, a, 1),
      claimed(3, a, b),
      voided(4, b, 1),
      claimed(5, b, c),
      called(6, c, 2),
    ];
    expect(told(records)).toEqual({ '2.1.2.9': expect.objectContaining({ calls: ['0: - 1', '2: - 6'], voided: 1 }) });
  });

  test('are read back as what a body finds', () => {
    const item = joined([called(1, a, 0), done(2, a)]).get('0.1.2.1');
    expect(item && recordedOf(item)).toMatchObject({
      done: { ok: true, value: 2 },
      voided: undefined,
      keys: [Uint8Array.of(1), Uint8Array.of(2)],
    });
  });

  test('join in any order to the same', () => {
    const [b, c] = [id(7, 1), id(9, 2)];
    const records = [
      pending(1, a, 0),
      called(2, a, 0),
      called(3, a, 1),
      claimed(4, a, b),
      voided(5, b, 1),
      called(6, b, 1),
      claimed(7, b, c),
      done(8, c),
      called(9, id(3), 0),
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(records, { minLength: records.length }), (shuffled) => {
        expect(told(shuffled)).toEqual(told(records));
      }),
    );
  });
});
