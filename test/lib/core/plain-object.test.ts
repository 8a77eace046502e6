import vm from 'node:vm';
import { describe, expect, it } from 'vitest';
import { isPlainArray, isPlainObject } from '../../../lib/core/plain-object.ts';
import { decode, encode } from '../../../lib/core/serde.ts';

class Extended extends Map {}
class List extends Array {}
class Thing {}
const elsewhere = (code: string): unknown => vm.runInNewContext(code);

describe('plain data of any realm', () => {
  it.each([['({})'], ['({ a: { b: 1 } })'], ['Object.create(null)']])('%s is a plain object', (code) => {
    expect(isPlainObject(elsewhere(code))).toBe(true);
  });

  it.each([
    ['an instance', new Thing()],
    ['an instance of another realm', elsewhere('new (class Thing {})()')],
    ['an object made over another', Object.create({ a: 1 })],
    ['an object over a bare one', Object.create(Object.create(null))],
    ['a map', new Map()],
    ['null', null],
    ['a function', () => 1],
  ])('%s is none', (_name, value) => {
    expect(isPlainObject(value)).toBe(false);
  });

  it('a list that extends arrays is no plain array', () => {
    expect([
      isPlainArray([]),
      isPlainArray(elsewhere('[1]')),
      isPlainArray(new List()),
      isPlainArray(elsewhere('new (class L extends Array {})()')),
    ]).toEqual([true, true, false, false]);
  });

  it.each([
    ['({ a: 1, n: NaN })', { a: 1, n: Number.NaN }],
    ['[1, undefined]', [1, undefined]],
    ['new Date(0)', new Date(0)],
    ['new Map([[1, new Set(["a"])]])', new Map([[1, new Set(['a'])]])],
    ['new Uint8Array([1])', new Uint8Array([1])],
  ])('%s of another realm is stored as one of ours', (code, value) => {
    expect(decode(encode(elsewhere(code)))).toEqual(value);
  });

  it.each([
    ['new (class M extends Map {})()'],
    ['new (class D extends Date {})()'],
    ['new (class T {})()'],
    ['new (class L extends Array {})()'],
  ])('%s of another realm is refused like one of ours', (code) => {
    expect(() => encode(elsewhere(code))).toThrowError(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
    expect(() => encode(new Extended())).toThrowError(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
  });
});
