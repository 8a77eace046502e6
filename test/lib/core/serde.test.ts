import { readFile } from 'node:fs/promises';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { CallNotExecuted, InvariantError, StreamError } from '../../../lib/core/errors.ts';
import { registerErrorType } from '../../../lib/core/error-types.ts';
import { frameValue } from '../../../lib/core/frame.ts';
import { decode, decodeText, digest, encode, encodeText } from '../../../lib/core/serde.ts';

const back = (value: unknown): unknown => decode(encode(value));

const backError = (error: unknown): Error & Record<string, unknown> => {
  const revived = back(error);
  if (!(revived instanceof Error)) throw new TypeError('Expected an error to come back');
  return revived as Error & Record<string, unknown>;
};

describe('values', () => {
  test.each([
    [0, '0'],
    [-1.5e300, '-1.5e+300'],
    ['', '""'],
    ['a"\n\u2028', '"a\\"\\n\u2028"'],
    [true, 'true'],
    [false, 'false'],
    [null, 'null'],
    [[1, [2]], '[1,[2]]'],
    [{ a: { b: null } }, '{"a":{"b":null}}'],
  ])('%j stays plain JSON', (value, text) => {
    expect(encodeText(value)).toBe(text);
    expect(encode(value).toString()).toBe(text);
  });

  test.each([
    ['undefined', undefined],
    ['undefined in an array', [undefined, 1, undefined]],
    ['undefined in an object', { a: undefined }],
    ['NaN', Number.NaN],
    ['-0', [-0, 0]],
    ['infinities', { a: Infinity, b: -Infinity }],
    ['bigint', [0n, -(2n ** 80n)]],
    ['dates', [new Date(0), new Date(Number.NaN), new Date(8.64e15)]],
    [
      'maps',
      new Map<unknown, unknown>([
        [{ a: 1 }, new Map([[1, 2]])],
        [undefined, null],
        [Number.NaN, ''],
      ]),
    ],
    ['sets', new Set<unknown>([1n, new Set(), [undefined]])],
    ['bytes', [new Uint8Array([0, 255]), new Uint8Array(0)]],
    ['a buffer', Buffer.from('text')],
    ['part of a larger buffer', Buffer.from('0123456789').subarray(3, 5)],
    ['an object that looks like a tag', { $: 'date', v: 5 }],
    ['a tag inside a tag', { $: 'escaped', v: { $: { $: 'undefined' } } }],
    ['a dollar among others', { a: 1, $: undefined, b: new Map([['$', { $: 1 }]]) }],
    ['text that looks like a tag', '{"$":"undefined"}'],
    ['names of the prototype', JSON.parse('{"__proto__":{"a":1},"constructor":2,"$":{"__proto__":3}}') as unknown],
    ['lone surrogates', ['\ud800', { '\udc00': '\udfff' }]],
  ])('%s', (_name, value) => {
    expect(back(value)).toStrictEqual(value);
    expect(Object.keys(Object(back(value)) as object)).toEqual(Object.keys(Object(value) as object));
  });

  test('bytes keep their class', () => {
    expect(Buffer.isBuffer(back(Buffer.from('a')))).toBe(true);
    expect(Buffer.isBuffer(back(new Uint8Array(1)))).toBe(false);
  });

  test('what identity and form are lost', () => {
    const shared = { a: 1 };
    const [left, right] = back([shared, shared]) as [unknown, unknown];
    expect(left).toEqual(right);
    expect(left).not.toBe(right);
    expect(back(Object.assign(Object.create(null) as object, { a: undefined }))).toStrictEqual({ a: undefined });
    // oxlint-disable-next-line no-sparse-arrays
    expect(back([1, , 2])).toStrictEqual([1, undefined, 2]);
  });

  test('a deep value is kept up to 1000 levels', () => {
    const nested = (levels: number, leaf: unknown): unknown => {
      let value = leaf;
      for (let level = 0; level < levels; level += 1) value = [value];
      return value;
    };
    expect(back(nested(1000, 1))).toEqual(nested(1000, 1));
    expect(back(nested(1000, 1n))).toEqual(nested(1000, 1n));
    expect(() => encode(nested(1001, 1))).toThrow('nested deeper than 1000 levels');
    expect(() => encode(nested(100_000, 1))).toThrow('nested deeper than 1000 levels');
  });
});

describe('what can not be stored', () => {
  class Point {
    x = 1;
  }
  const cycle: Record<string, unknown> = { a: [] };
  (cycle['a'] as unknown[]).push({ b: cycle });
  const mapCycle = new Map<string, unknown>();
  mapCycle.set('self', mapCycle);

  test.each([
    ['a function', () => 1, '', 'a function'],
    ['a symbol', Symbol('x'), '', 'a symbol'],
    ['a class instance', new Point(), '', 'an instance of `Point`'],
    ['a path', { a: [0, 1, 2, { b: () => 1 }] }, '.a[3].b', 'a function'],
    ['an odd name', { 'a b': { '0': Symbol('x') } }, '["a b"]["0"]', 'a symbol'],
    ['in a map', { m: new Map([['k', new Point()]]) }, '.m.get("k")', 'an instance of `Point`'],
    ['as the key of a map', new Map([[new Point(), 1]]), '.keys()[0]', 'an instance of `Point`'],
    ['in a set', new Set([1, new Point()]), '.values()[1]', 'an instance of `Point`'],
    ['a cycle', cycle, '.a[0].b', 'a cycle: it contains itself'],
    ['a cycle through a map', mapCycle, '.get("self")', 'a cycle: it contains itself'],
    ['a promise', { p: Promise.resolve() }, '.p', 'an instance of `Promise`'],
    ['a regular expression', /a/, '', 'an instance of `RegExp`'],
    ['a boxed number', Object(1), '', 'an instance of `Number`'],
    ['another typed array', new Uint16Array(1), '', 'an instance of `Uint16Array`'],
    ['a subclass of Map', new (class Special extends Map {})(), '', 'an instance of `Special`'],
    ['a subclass of Array', new (class List extends Array {})(), '', 'an instance of `List`'],
    ['an object with its own toJSON', { toJSON: () => 1 }, '.toJSON', 'a function'],
    ['an object made from another', Object.create({ constructor: undefined }), '', 'an object with a prototype'],
  ])('%s', (_name, value, path, found) => {
    for (const write of [encode, encodeText, frameValue]) {
      expect(() => write(value)).toThrow(
        expect.objectContaining({ code: 'NOT_SERIALISABLE', details: { path, found } }),
      );
    }
    expect(() => encode(value)).toThrow(
      `${path === '' ? 'the value' : `\`${path}\``} can not be stored: it is ${found}`,
    );
  });

  test('after a refusal the next value is not affected', () => {
    expect(() => encode([Symbol('x')])).toThrow();
    expect(back([undefined])).toStrictEqual([undefined]);
  });

  test.each(['', '{', 'undefined', '\u0000', '{"$":"bigint"'])('text that is not ours: %j', (text) => {
    expect(() => decodeText(text)).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
  });

  test('a tag of a later version', () => {
    expect(() => decodeText('{"$":"decimal","v":"1.5"}')).toThrow(expect.objectContaining({ code: 'STORE_FORMAT' }));
  });
});

describe('errors', () => {
  test.each([Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError])(
    '%o comes back as its class',
    (Type) => {
      const error = backError(new Type('bad', { cause: { a: [1n] } }));
      expect(Object.getPrototypeOf(error)).toBe(Type.prototype);
      expect([error.name, error.message, error.cause]).toEqual([Type.name, 'bad', { a: [1n] }]);
      expect(Object.keys(error)).toEqual([]);
      expect(error.stack).toContain(`${Type.name}: bad`);
    },
  );

  test('with code and plain properties, of an error of the system', async () => {
    const original = (await readFile('/does/not/exist').catch((error: unknown) => error)) as NodeJS.ErrnoException;
    const error = backError(original);
    expect(error).toMatchObject({
      code: 'ENOENT',
      errno: original.errno,
      syscall: 'open',
      path: '/does/not/exist',
      message: original.message,
    });
  });

  test('of nested causes', () => {
    const error = backError(
      new Error('outer', { cause: new TypeError('middle', { cause: new StreamError('STORE_LOCKED', 'inner') }) }),
    );
    expect(error.cause).toBeInstanceOf(TypeError);
    expect((error.cause as Error).cause).toMatchObject({ code: 'STORE_LOCKED', message: 'inner', retryable: true });
  });

  test('a StreamError with all it says', () => {
    const original = new StreamError('WORK_TIMEOUT', 'late', {
      hint: 'wait',
      retryable: false,
      details: { at: new Date(5) },
      cause: 'slow',
    });
    const error = backError(original);
    expect(error).toBeInstanceOf(StreamError);
    expect(error).toStrictEqual(original);
    expect({ ...error }).toStrictEqual({ ...original });
    expect(error.cause).toBe('slow');
  });

  test('a StreamError of a code that this version does not know', () => {
    const text = encodeText(new StreamError('WORK_TIMEOUT', 'late')).replace('WORK_TIMEOUT', 'WORK_UNHEARD_OF');
    expect(decodeText(text)).toMatchObject({ code: 'WORK_UNHEARD_OF', message: 'late', retryable: true });
  });

  test('our other classes', () => {
    expect(backError(new CallNotExecuted('no'))).toBeInstanceOf(CallNotExecuted);
    expect(backError(new InvariantError('I1'))).toBeInstanceOf(InvariantError);
  });

  test('an aggregate with its errors', () => {
    const error = backError(new AggregateError([new RangeError('one'), 'two'], 'many')) as unknown as AggregateError;
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.errors[0]).toBeInstanceOf(RangeError);
    expect(error.errors[1]).toBe('two');
    expect(Object.keys(error)).toEqual([]);
  });

  test('an abort keeps its name', () => {
    expect(backError(AbortSignal.abort().reason)).toMatchObject({
      name: 'AbortError',
      message: 'This operation was aborted',
    });
  });

  test('of another realm', () => {
    const error = backError(runInNewContext('new RangeError("far")'));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toBe('far');
  });

  test('a class that is registered, and one that is not', () => {
    class CardDeclined extends Error {
      override readonly name = 'CardDeclined';
      readonly reason: string;
      constructor(reason: string) {
        super(`card declined: ${reason}`);
        this.reason = reason;
      }
      describe(): string {
        return `because ${this.reason}`;
      }
    }
    class SubDeclined extends CardDeclined {}
    const before = backError(new CardDeclined('limit'));
    expect(Object.getPrototypeOf(before)).toBe(Error.prototype);
    expect(before).toMatchObject({ name: 'CardDeclined', reason: 'limit', message: 'card declined: limit' });
    registerErrorType('CardDeclined', CardDeclined);
    registerErrorType('CardDeclined', CardDeclined);
    const after = backError(new CardDeclined('limit'));
    expect(after).toBeInstanceOf(CardDeclined);
    expect((after as unknown as CardDeclined).describe()).toBe('because limit');
    expect(after).toStrictEqual(new CardDeclined('limit'));
    expect(backError(new SubDeclined('limit'))).toBeInstanceOf(CardDeclined);
  });

  test('a class is stored by its declared name, whatever code calls it', () => {
    const plain = { Overdrawn: class extends Error {} }.Overdrawn;
    registerErrorType('bank.Overdrawn', plain);
    const stored = encodeText(new plain('by 5'));
    expect(stored).toContain('"type":"bank.Overdrawn"');
    expect(stored).not.toContain('"Overdrawn"');
    // Two libraries may call theirs the same, and a minifier calls both `t`.
    const [first, second] = [1, 2].map(() => ({ t: class extends Error {} }).t) as [typeof plain, typeof plain];
    registerErrorType('first.Timeout', first);
    registerErrorType('second.Timeout', second);
    expect(backError(new first('late'))).toBeInstanceOf(first);
    expect(backError(new second('late'))).toBeInstanceOf(second);
    // One that is not registered is not taken for one that is, though it says the same name.
    const stranger = Object.assign(new Error('late'), { name: 'first.Timeout' });
    expect(backError(stranger)).not.toBeInstanceOf(first);
    expect(backError(stranger).name).toBe('first.Timeout');
  });

  test('a class is read under each of its names and stored under the first', () => {
    class Refused extends Error {}
    registerErrorType('shop.Refused', Refused);
    registerErrorType('Refused', Refused);
    const stored = encodeText(new Refused('no'));
    expect(stored).toContain('"type":"shop.Refused"');
    expect(decodeText(stored.replace('shop.Refused', 'Refused'))).toBeInstanceOf(Refused);
  });

  test('as earlier versions have stored them: by the name of the class', () => {
    class Bounced extends Error {}
    registerErrorType('Bounced', Bounced);
    const body = '"name":"Error","message":"m","properties":[]';
    const read = (type: string): unknown => decodeText(`{"$":"error","v":{"type":"${type}",${body}}}`);
    const classes = { Error, TypeError, AggregateError, StreamError, CallNotExecuted, InvariantError, Bounced };
    for (const [type, expected] of Object.entries(classes))
      expect(Object.getPrototypeOf(read(type))).toBe(expected.prototype);
    expect(Object.getPrototypeOf(read('NeverHeardOf'))).toBe(Error.prototype);
  });

  test('registering refuses what is no error class, has no declared name, or a name in use', () => {
    class Lost extends Error {}
    expect(() => registerErrorType(Lost as never, undefined as never)).toThrow(
      /^Expected `name` to be .* as in `registerErrorType\('CardDeclined', CardDeclined\)`.*, got `.*Lost.*` \(function\)$/,
    );
    expect(() => registerErrorType('', Lost)).toThrow(/^Expected `name`/);
    expect(() => registerErrorType('Map', Map as never)).toThrow('Expected `type` to be a class that extends Error');
    expect(() => registerErrorType('x', (() => 1) as never)).toThrow(TypeError);
    expect(() => registerErrorType('x', null as never)).toThrow(TypeError);
    expect(() => registerErrorType('TypeError', Lost)).toThrow('stands for another');
  });

  test('is stored whatever hangs on it', () => {
    const original = Object.assign(new Error('http', { cause: () => 1 }), {
      request: { socket: new Map([[1, Symbol('x')]]) },
      status: 500,
      retry: () => 1,
      $: 'mine',
      headers: { a: undefined },
    });
    (original as unknown as Record<string, unknown>)['self'] = original;
    const error = backError({ nested: original }.nested);
    expect({ ...error }).toStrictEqual({ status: 500, $: 'mine', headers: { a: undefined } });
    expect(error.cause).toContain('[not serialisable]');
    expect(backError(new Error('x', { cause: new Map([[1, Symbol('s')]]) })).cause).toBe(
      '[not serialisable] [object Map]',
    );
  });

  test('that is its own cause', () => {
    const original = new Error('loop');
    original.cause = original;
    expect(backError(original).cause).toBe('[not serialisable] [object Error]');
  });

  test('inside other values', () => {
    const { outcome } = back({ outcome: { ok: false, error: new TypeError('x') }, at: [undefined] }) as {
      outcome: { error: unknown };
    };
    expect(outcome.error).toBeInstanceOf(TypeError);
  });
});

test('a digest is the head of SHA-256', () => {
  expect(digest('abc')).toBe('ba7816bf8f01cfea');
  expect(digest(Buffer.from('abc'))).toBe('ba7816bf8f01cfea');
  expect(digest('')).toBe('e3b0c44298fc1c14');
});
