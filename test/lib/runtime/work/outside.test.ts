import { expect, test } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { isOutside, noteOutside } from '../../../../lib/runtime/work/outside.ts';

test('a failure that was noted came from outside, and no other', () => {
  const [error, equal] = [new StreamError('WORK_FAILED', '503'), new StreamError('WORK_FAILED', '503')];
  expect(isOutside(error)).toBe(false);
  noteOutside(error);
  noteOutside(error);
  expect([isOutside(error), isOutside(equal)]).toEqual([true, false]);
});

test('it is that failure itself: what merely has it as its cause is told of by somebody else', () => {
  const error = Object.freeze(new Error('503'));
  noteOutside(error);
  expect([isOutside(error), isOutside(new Error('wrapped', { cause: error }))]).toEqual([true, false]);
});

test.each([undefined, null, 'gone', 7, Symbol('x')])('what is no object is never known: %s', (thrown) => {
  noteOutside(thrown);
  expect(isOutside(thrown)).toBe(false);
});
