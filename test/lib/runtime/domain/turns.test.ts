import { systemClock } from 'millrace';
import { expect, test } from 'vitest';
import { InvariantError, StreamError } from '../../../../lib/core/errors.ts';
import { emptyJournal, Journal } from '../../../../lib/runtime/journal/journal.ts';
import type { Turn } from '../../../../lib/runtime/journal/turn.ts';
import { Turns } from '../../../../lib/runtime/domain/turns.ts';

const made = (): { turns: Turns; failures: unknown[]; seen: Turn[]; abort: AbortController } => {
  const [failures, seen, abort]: [unknown[], Turn[], AbortController] = [[], [], new AbortController()];
  const fail = (error: unknown): void => void failures.push(error);
  const journal = new Journal({
    store: undefined,
    clock: systemClock,
    recordTurns: () => true,
    from: emptyJournal,
    onFailure: fail,
  });
  const turns = new Turns({
    clock: { ...systemClock, now: () => 7 },
    journal,
    signal: abort.signal,
    fail,
    onTurn: (turn) => seen.push(turn),
  });
  return { turns, failures, seen, abort };
};

const start = (): Turn => ({ kind: 'start' });

test('I13: a turn inside a turn is a broken invariant, and the job is over', () => {
  const { turns, failures } = made();
  expect(turns.run(() => void turns.run(() => {}, start), start)).toBe('ran');
  expect(failures).toHaveLength(1);
  expect(failures[0]).toBeInstanceOf(InvariantError);
  expect(String(failures[0])).toContain('I13');
  expect(turns.running).toBe(false);
});

test('what a turn throws fails the job, and the turn is not noted', () => {
  const { turns, failures, seen } = made();
  const boom = (): never => {
    throw new RangeError('boom');
  };
  expect(turns.run(boom, start)).toBe('failed');
  expect(failures[0]).toBeInstanceOf(StreamError);
  expect(failures[0]).toMatchObject({ code: 'OPERATOR_FAILED', cause: { message: 'boom' } });
  expect(seen).toEqual([]);
  expect(turns.running).toBe(false);
});

test('the time that a turn reads is read once, and recorded with it; a turn that reads none records none', () => {
  const { turns, seen } = made();
  turns.run(
    () => expect([turns.now(), turns.now()]).toEqual([7, 7]),
    () => ({ kind: 'end', source: 1, split: 'a' }),
  );
  turns.run(() => {}, start);
  expect(seen).toEqual([{ kind: 'end', source: 1, split: 'a', now: 7 }, { kind: 'start' }]);
});

test('a recorded turn sees its recorded time, and no live turn runs once the job is over', () => {
  const { turns, abort } = made();
  let now = 0;
  turns.replay(3, () => (now = turns.now()));
  expect(now).toBe(3);
  abort.abort();
  expect(turns.run(() => expect.fail('it ran'), start)).toBe('failed');
});
