import { MemoryStorage, systemClock } from 'millrace';
import { describe, expect, test } from 'vitest';
import { InvariantError, StreamError } from '../../../../lib/core/errors.ts';
import { decodeJournalEntry } from '../../../../lib/runtime/journal/journal-format.ts';
import { emptyJournal, Journal } from '../../../../lib/runtime/journal/journal.ts';
import { workFailure } from '../../../../lib/runtime/work/failed-calls.ts';
import { idOf, itemOf } from '../recovery/records.ts';

const item = itemOf('x', idOf(3), 'k');

describe('what a body rejected with', () => {
  test.each([
    ['an error that has a code', new StreamError('MODEL_UNAVAILABLE', 'down')],
    ['a broken invariant', new InvariantError('I4: x')],
  ])('stays what it is: %s', (_what, error) => {
    expect(workFailure(item, error)).toBe(error);
  });

  test.each([
    ['an error of user code', new RangeError('too much'), true],
    ['a mistake, which a retry does not mend', new TypeError('x is not a function'), false],
    ['what is no error', 'gone', true],
  ])('has a code that says whose it is: %s', (_what, error, retryable) => {
    expect(workFailure(item, error)).toMatchObject({
      code: 'WORK_FAILED',
      message: expect.stringMatching(/^work `worker` of operator `ask` for key .*k.* failed: /),
      cause: error,
      retryable,
      details: { uid: 'ask', key: 'k' },
    });
  });
});

test('a journal in which a failed call is overwritten knows that it was made, and gives no outcome', async () => {
  const { journal: store } = await new MemoryStorage().open();
  const journal = new Journal({
    store,
    clock: systemClock,
    recordTurns: () => false,
    from: emptyJournal,
    onFailure: (error) => expect.fail(String(error)),
  });
  const called = { kind: 'called', ...item.facts(), call: 0, id: 'pay', args: '' } as const;
  const write = (outcome: { ok: false; error: unknown } | undefined): Promise<void> =>
    new Promise((resolve) => void journal.append({ ...called, lsn: 7, outcome }, () => resolve()));
  await write({ ok: false, error: new Error('503') });
  await write(undefined);
  const found = [];
  for await (const entry of store.rebuildState()) found.push(decodeJournalEntry(entry));
  expect(found).toEqual([{ ...called, lsn: 7, outcome: undefined }]);
});
