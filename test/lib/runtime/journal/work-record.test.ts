import { describe, expect, test } from 'vitest';
import { frameValue } from '../../../../lib/core/frame.ts';
import { EncodedText, encodeText } from '../../../../lib/core/serde.ts';
import {
  callsMax,
  decodeJournalEntry,
  encodeWork,
  journaledCalls,
  workKey,
} from '../../../../lib/runtime/journal/journal-format.ts';
import type { WorkRecord } from '../../../../lib/runtime/journal/work-record.ts';

const work = { branch: 3, operator: 2, keyGroup: 127, number: 2 ** 40 + 5 };
const facts = { lsn: 9, work, key: ['a', 1] as const, digest: 7 };

const records: readonly WorkRecord[] = [
  { kind: 'pending', ...facts, call: 65_535, id: 'pay', args: 'd' },
  {
    kind: 'called',
    ...facts,
    call: 0,
    id: 'pay',
    args: '',
    outcome: { ok: true, value: { n: 1, at: new Date(5), list: [undefined] } },
  },
  { kind: 'called', ...facts, call: 1, id: 'pay', args: '', outcome: { ok: false, error: new RangeError('no') } },
  { kind: 'called', ...facts, call: 1, id: 'pay', args: '', outcome: undefined },
  { kind: 'called', ...facts, call: 1, id: 'pay', args: '', outcome: { ok: true, value: null }, again: true },
  { kind: 'done', ...facts, calls: 2, outcome: { ok: true, value: undefined } },
  { kind: 'done', ...facts, calls: 0, outcome: { ok: false, error: 'text' } },
  { kind: 'claimed', ...facts, by: { branch: 4, number: 8 } },
  { kind: 'voided', ...facts, call: 3 },
];

describe('a record of an item of work', () => {
  test.each(records.map((record) => [record.kind, record] as const))('%s comes back as it was', (_, record) => {
    expect(decodeJournalEntry(encodeWork(record))).toEqual(record);
  });

  test('holds an outcome that was fixed as text when it was handed over', () => {
    const value = { list: [1] };
    const fixed = new EncodedText(encodeText(value));
    const record = { kind: 'done', ...facts, calls: 1, outcome: { ok: true, value: fixed } } as const;
    value.list.push(2);
    expect(decodeJournalEntry(encodeWork(record))).toMatchObject({ outcome: { ok: true, value: { list: [1] } } });
  });

  test('names the calls whose outcome it keeps', () => {
    expect(records.map(journaledCalls)).toEqual([
      [],
      ['3.2.127.1099511627781.0'],
      ['3.2.127.1099511627781.1'],
      [],
      ['3.2.127.1099511627781.1'],
      ['3.2.127.1099511627781.0', '3.2.127.1099511627781.1'],
      [],
      [],
      [],
    ]);
  });

  test('of another kind is one of a version to come, and one of another form is damaged', () => {
    const key = workKey(work, 0, 'done');
    key[17] = 9;
    expect(() => decodeJournalEntry({ key, value: frameValue([1, 'k', 7]) })).toThrow(
      expect.objectContaining({ code: 'STORE_FORMAT' }),
    );
    const short = key.subarray(0, 17);
    expect(() => decodeJournalEntry({ key: short, value: frameValue([1]) })).toThrow(
      expect.objectContaining({ code: 'VALUE_DAMAGED' }),
    );
  });

  test('has no name that would be that of another', () => {
    expect(() => workKey(work, callsMax, 'called')).toThrow(/I8/);
    expect(() => workKey({ ...work, branch: 2 ** 16 }, 0, 'called')).toThrow(/I8/);
    expect(workKey(work, callsMax - 1, 'called')).toHaveLength(18);
  });
});
