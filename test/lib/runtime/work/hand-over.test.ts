import { describe, expect, test } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import type { Outcome } from '../../../../lib/core/work.ts';
import { registerErrorType } from '../../../../lib/core/error-types.ts';
import { decodeText, encodeText } from '../../../../lib/core/serde.ts';
import { fixed, handOver } from '../../../../lib/runtime/work/hand-over.ts';

class Declined extends Error {
  override readonly name = 'Declined';
  readonly reason = { code: 7 };
}

class Known extends Error {
  override readonly name = 'KnownHere';
}
registerErrorType('Known', Known);

const options = { what: () => 'durable call `c`', freeze: false };

/** What a crash would give back. */
const readBack = (recorded: Outcome<unknown>): unknown => decodeText(encodeText(recorded));

describe('an outcome that is handed over', () => {
  test.each([
    ['an object', { ok: true, value: { n: 1, list: [1], at: new Date(5), gone: undefined } }],
    ['null', { ok: true, value: null }],
    ['nothing', { ok: true, value: undefined }],
    ['-0', { ok: true, value: -0 }],
    ['an error', { ok: false, error: new RangeError('no', { cause: { why: 1 } }) }],
    ['an error of a class of its own', { ok: false, error: new Declined('no') }],
    ['an error of a class that is known', { ok: false, error: new Known('no') }],
    ['an error of ours', { ok: false, error: new StreamError('MODEL_REQUEST', 'no', { details: { status: 400 } }) }],
    ['a thrown text', { ok: false, error: 'no' }],
  ] as const)('is given as it would be read: %s', (_, outcome) => {
    const { recorded, given } = handOver(outcome, options);
    expect(given).toStrictEqual(readBack(recorded));
    if (!given.ok && given.error instanceof Error)
      expect(given.error.constructor).toBe((readBack(recorded) as { error: Error }).error.constructor);
  });

  test('is recorded as it was, whatever its maker and its reader do with it', () => {
    const value = { list: [1] };
    const { recorded, given } = handOver({ ok: true, value }, options);
    value.list.push(2);
    if (given.ok) (given.value as typeof value).list.push(3);
    expect(readBack(recorded)).toEqual({ ok: true, value: { list: [1] } });
    expect(given).toEqual({ ok: true, value: { list: [1, 3] } });
  });

  describe('is read once, so that record and reader have one value:', () => {
    let count = 0;
    const members: Record<string, () => unknown> = {
      'a getter': () => ({
        get id() {
          return (count += 1);
        },
      }),
      'a getter deep inside': () => ({
        list: [
          {
            get at() {
              return new Date((count += 1));
            },
          },
        ],
      }),
      'a getter whose kind of value changes': () => ({
        get n() {
          return (count += 1) % 2 === 0 ? 1 : new Map([[1, count]]);
        },
      }),
      'a proxy': () =>
        new Proxy({ n: 0 }, { get: (value, name) => (name === 'n' ? (count += 1) : Reflect.get(value, name)) }),
      'a proxy of a list': () =>
        new Proxy([1, 2], { get: (list, name) => (name === '1' ? (count += 1) : Reflect.get(list, name)) }),
      'a hidden toJSON': () => Object.defineProperty({ n: 1 }, 'toJSON', { value: () => ({ other: true }) }),
      'a list with a hidden toJSON': () => ({
        list: Object.defineProperty([1, 2], 'toJSON', { value: () => 'other' }),
      }),
      'errors that hang on it': () => ({
        declined: new Declined('no'),
        known: new Known('no', { cause: new Declined('why') }),
      }),
    };
    test.each(Object.keys(members))('%s', (name) => {
      const { recorded, given } = handOver({ ok: true, value: members[name]?.() }, options);
      expect(given.ok).toBe(true);
      const first = readBack(recorded);
      expect(given).toStrictEqual(first);
      expect(readBack(recorded)).toStrictEqual(first);
    });
  });

  test('keeps the trace of where it was thrown', () => {
    const error = new Declined('no');
    const { given } = handOver({ ok: false, error }, options);
    expect(given).toMatchObject({ ok: false, error: { name: 'Declined', reason: { code: 7 }, stack: error.stack } });
  });

  test.each([
    ['a result', { ok: true, value: { greet: () => 'hello' } }],
    ['what was thrown', { ok: false, error: { greet: () => 'hello' } }],
  ] as const)('is an error that names the call when %s can not be stored', (_, outcome) => {
    const { recorded, given } = handOver(outcome, options);
    expect(given).toMatchObject({
      ok: false,
      error: { code: 'NOT_SERIALISABLE', message: expect.stringMatching(/durable call `c`.*\.greet/) },
    });
    expect(readBack(recorded)).toStrictEqual(given);
  });

  test('is frozen in the test mode', () => {
    const { given } = handOver({ ok: true, value: { list: [1] } }, { ...options, freeze: true });
    expect(() => given.ok && (given.value as { list: number[] }).list.push(2)).toThrow(TypeError);
  });
});

test('of a primitive nothing is made', () => {
  for (const value of [1, 'a', true, null, undefined, 3n]) expect(fixed(value)).toBe(value);
  const outcome = { ok: true, value: 1 } as const;
  expect(handOver(outcome, options)).toEqual({ recorded: outcome, given: outcome });
});
