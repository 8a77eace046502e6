import vm from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainJson, plainText } from '../../../lib/core/plain-json.ts';
import { isPlainObject } from '../../../lib/core/plain-object.ts';
import { encodeText } from '../../../lib/core/serde.ts';

class Point {
  readonly x = 1;
  readonly #hidden = 2;
  hidden(): number {
    return this.#hidden;
  }
}
class Hidden {
  readonly #hidden = 2;
  hidden(): number {
    return this.#hidden;
  }
}
const coded = Object.assign(new RangeError('sold out', { cause: new Error('no mug') }), { code: 'SOLD_OUT', left: 0n });

const forms: readonly (readonly [name: string, value: unknown, json: unknown])[] = [
  ['a bigint', 10n, '10'],
  ['NaN', Number.NaN, 'NaN'],
  ['infinity', Number.NEGATIVE_INFINITY, '-Infinity'],
  ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
  ['an invalid date', new Date(Number.NaN), null],
  ['a map of names', new Map([['mug', 3]]), { mug: 3 }],
  [
    'a map with other keys',
    new Map<unknown, number>([
      [1, 3],
      ['1', 4],
    ]),
    [
      [1, 3],
      ['1', 4],
    ],
  ],
  ['an empty map', new Map(), {}],
  ['a set', new Set(['a', 1n]), ['a', '1']],
  ['bytes', new Uint8Array([1, 2]), 'AQI='],
  ['a buffer', Buffer.from([1, 2]), 'AQI='],
  ['a part of a buffer', new Uint8Array([0, 1, 2, 3]).subarray(1, 3), 'AQI='],
  ['an array buffer', new Uint8Array([1, 2]).buffer, 'AQI='],
  ['a list of floats', new Float32Array([1, 0.5]), [1, 0.5]],
  ['an error', new Error('sold out'), { name: 'Error', message: 'sold out' }],
  [
    'an error with facts',
    coded,
    {
      name: 'RangeError',
      message: 'sold out',
      code: 'SOLD_OUT',
      left: '0',
      cause: { name: 'Error', message: 'no mug' },
    },
  ],
  [
    'errors in one',
    new AggregateError([new Error('a')], 'all'),
    { name: 'AggregateError', message: 'all', errors: [{ name: 'Error', message: 'a' }] },
  ],
  ['an address', new URL('http://a.example/b'), 'http://a.example/b'],
  ['an instance', new Point(), { x: 1 }],
  ['a member that is undefined', { a: undefined, b: [undefined, 10n] }, { b: [null, '10'] }],
  ['a boxed text', Object('a'), 'a'],
  ['a name like a setter', new Map([['__proto__', 1n]]), JSON.parse('{"__proto__":"1"}')],
  ['a map of another realm', vm.runInNewContext('new Map([["a", new Set([1])]])'), { a: [1] }],
  ['an error of another realm', vm.runInNewContext('new TypeError("x")'), { name: 'TypeError', message: 'x' }],
  ['a plain object of another realm', vm.runInNewContext('({ a: [1n] })'), { a: ['1'] }],
];

describe('the JSON of plain data', () => {
  it.each(forms)('%s', (_name, value, json) => {
    expect(JSON.parse(plainJson(value))).toEqual(json);
    expect(JSON.parse(plainJson({ deep: [value] }))).toEqual({ deep: [json] });
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = { cycle };
  it.each([
    ['a function', () => 1, 'a function'],
    ['a symbol', Symbol('a'), 'a symbol'],
    ['a promise', Promise.resolve(1), 'an instance of `Promise` without properties'],
    ['a weak map', new WeakMap(), 'an instance of `WeakMap` without properties'],
    ['a pattern', /a/, 'an instance of `RegExp` without properties'],
    ['an instance that shows nothing', new Hidden(), 'an instance of `Hidden` without properties'],
    ['an array used as a map', Object.assign([], { 1_700_000_000: 1 }), 'a list that is too long'],
    ['a cycle', cycle, 'a cycle: it contains itself'],
  ])('%s is refused with its path', (_name, value, found) => {
    expect(() => plainJson({ a: [{ b: value }] })).toThrowError(
      expect.objectContaining({
        code: 'NOT_SERIALISABLE',
        details: expect.objectContaining({ found, path: expect.stringMatching(/^\.a\[0\]\.b/) }),
      }),
    );
  });

  it('a promise that is refused ends no process when it rejects', async () => {
    // A rejection that nobody takes fails the test.
    expect(() => plainJson({ later: Promise.reject(new Error('gone')) })).toThrow(/`Promise`/);
    expect(() => encodeText({ later: Promise.reject(new Error('gone')) })).toThrow(/`Promise`/);
    await new Promise((resolve) => void setImmediate(resolve));
  });

  it('refuses what is too deep instead of ending the process', () => {
    let deep: unknown = 1n;
    for (let level = 0; level < 5000; level += 1) deep = [deep];
    expect(() => plainJson(deep)).toThrowError(/nested deeper/);
  });

  it('says the same as JSON.stringify of what that can say', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(plainJson(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  it('never loses a member, whatever it is', () => {
    const leaf = fc.oneof(
      fc.bigInt(),
      fc.date(),
      fc.uint8Array(),
      fc.double(),
      fc.string(),
      fc.constant(new Error('e')),
    );
    const { node } = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('node')),
        fc.dictionary(fc.string(), tie('node')),
        fc.array(fc.tuple(fc.string(), tie('node'))).map((entries) => new Map(entries)),
        fc.array(tie('node')).map((members) => new Set(members)),
      ),
    }));
    const count = (members: Iterable<unknown>, of: (member: unknown) => number): number =>
      [...members].reduce((sum: number, each) => sum + of(each), 0);
    const given = (value: unknown): number => {
      if (Array.isArray(value) || value instanceof Set) return count(value, given);
      if (value instanceof Map) return count(value.values(), given);
      return isPlainObject(value) ? count(Object.values(value), given) : 1;
    };
    const told = (json: unknown): number => {
      if (Array.isArray(json)) return count(json, told);
      return isPlainObject(json) && !('message' in json && 'name' in json) ? count(Object.values(json), told) : 1;
    };
    fc.assert(
      fc.property(node, (value) => {
        expect(told(JSON.parse(plainJson(value)))).toBe(given(value));
      }),
    );
  });

  it('text stands for itself', () => {
    expect(plainText('a "b"')).toBe('a "b"');
    expect(plainText(new Set(['a']))).toBe('["a"]');
  });
});
