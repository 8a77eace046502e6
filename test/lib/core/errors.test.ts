import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../lib/core/errors.ts';
import {
  CallNotExecuted,
  errorTable,
  invariant,
  InvariantError,
  messageOf,
  StreamError,
  unreachable,
} from '../../../lib/core/errors.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

describe('the table', () => {
  test.each(codes)('%s is a constant name with advice', (code) => {
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
    const { hint, retryable } = errorTable[code];
    expect(typeof retryable).toBe('boolean');
    expect(hint.length).toBeGreaterThan(10);
    expect(hint).not.toMatch(/^[A-Z][a-z]|\.$/);
  });
});

describe('StreamError', () => {
  test.each(codes)('%s takes hint and retryability from the table', (code) => {
    const error = new StreamError(code, 'it went wrong');
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'StreamError',
      code,
      message: 'it went wrong',
      ...errorTable[code],
      details: {},
    });
    expect('cause' in error).toBe(false);
  });

  test('says more when it knows more', () => {
    const cause = new Error('root');
    const error = new StreamError('STORE_FAILED', 'x', {
      cause,
      hint: 'free the disk',
      retryable: false,
      details: { path: '/a' },
    });
    expect(error).toMatchObject({ cause, hint: 'free the disk', retryable: false, details: { path: '/a' } });
  });
});

test('invariant stops on a false condition only', () => {
  expect(() => invariant(true, 'I4: fine')).not.toThrow();
  expect(() => invariant(false, 'I4: broken')).toThrow(InvariantError);
  expect(() => invariant(false, 'I4: broken')).toThrow('I4: broken');
});

test('unreachable names the value', () => {
  expect(() => unreachable({ kind: 'new' } as never)).toThrow('unreachable: {"kind":"new"}');
});

test('the classes have their names', () => {
  expect(new CallNotExecuted('x').name).toBe('CallNotExecuted');
  expect(new InvariantError('x').name).toBe('InvariantError');
});

test.each([
  [new Error('a'), 'a'],
  ['text', 'text'],
  [undefined, 'undefined'],
  [null, 'null'],
  [5, '5'],
])('messageOf %s', (thrown, message) => {
  expect(messageOf(thrown)).toBe(message);
});
