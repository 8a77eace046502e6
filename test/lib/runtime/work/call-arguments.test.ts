import { describe, expect, test } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { digestOf } from '../../../../lib/runtime/work/call-arguments.ts';

const refused = (args: unknown): StreamError => {
  try {
    digestOf('pay', args);
  } catch (error) {
    if (error instanceof StreamError) return error;
    throw error;
  }
  throw new Error('it was taken');
};

describe('the fingerprint of the arguments of a call', () => {
  test('is empty where none were given, and never where some were', () => {
    expect(digestOf('pay', undefined)).toBe('');
    const some = [null, '', 0, false, [], {}, Number.NaN, [undefined], { a: undefined }].map((args) =>
      digestOf('pay', args),
    );
    expect(some).not.toContain('');
  });

  test('is the same for the same content, in whatever call', () => {
    expect(digestOf('pay', { to: 'bob', cents: 5n })).toBe(digestOf('refund', { to: 'bob', cents: 5n }));
  });

  test('differs between values that a looser form would write alike', () => {
    const args = [null, 'null', 1, '1', 1n, [1], [[1]], true, { 1: 1 }, new Date(1), 0, -0, new Map([[1, 1]]), [], {}];
    expect(new Set(args.map((each) => digestOf('pay', each))).size).toBe(args.length);
  });

  test('goes by what the arguments were, and changes nothing of them', () => {
    const args = Object.freeze({ list: Object.freeze([1, 2]) });
    const before = digestOf('pay', args);
    expect(digestOf('pay', { list: [1, 2] })).toBe(before);
    expect(digestOf('pay', { list: [1, 2, 3] })).not.toBe(before);
  });
});

describe('arguments that have no bytes', () => {
  test('are refused with the name of the call, the path and the cause', () => {
    const error = refused({ order: { tell: () => 1 } });
    const { cause } = error;
    expect(error).toMatchObject({ code: 'NOT_SERIALISABLE', retryable: false });
    expect(error.message).toMatch(/^`args` of durable call `pay`: .*order\.tell/);
    expect(cause).toBeInstanceOf(StreamError);
    expect(error.details).toEqual((cause as StreamError).details);
  });

  test('are refused the same way when they throw', () => {
    const error = refused({
      get total(): number {
        throw new RangeError('no price');
      },
    });
    expect(error).toMatchObject({ code: 'NOT_SERIALISABLE', message: expect.stringContaining('no price') });
  });
});
