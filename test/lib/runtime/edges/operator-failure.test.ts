import { expect, test } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { operatorFailure } from '../../../../lib/runtime/edges/operator-failure.ts';

test.each([
  ['a TypeError', new TypeError('x is undefined'), false],
  ['a ReferenceError', new ReferenceError('nope is not defined'), false],
  ['a TypeError that brings a cause', new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }), true],
  ['any other error', new Error('broken'), true],
  ['a value that is no error', 'broken', true],
])('%s of an operator: whether a retry can help', (_what, cause, retryable) => {
  const failure = operatorFailure('totals', cause);
  expect(failure).toMatchObject({ code: 'OPERATOR_FAILED', retryable, cause, details: { uid: 'totals' } });
  expect((failure as StreamError).hint.includes('mend the code')).toBe(!retryable);
});

test('an error that has a code passes as it is', () => {
  const error = new StreamError('STORE_FAILED', 'full');
  expect(operatorFailure('totals', error)).toBe(error);
});
