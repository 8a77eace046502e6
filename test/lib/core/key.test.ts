import { describe, expect, test } from 'vitest';
import { keyBytes, keyFromBytes, keyGroupOf, mapKeyOf, murmur2, ownKey } from '../../../lib/core/key.ts';

const invalid = expect.objectContaining({ code: 'KEY_INVALID' }) as unknown;

describe('murmur2', () => {
  // From the tests of Kafka's own clients.
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('%s', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
    expect(murmur2(new Uint8Array(Buffer.from(text)))).toBe(hash);
  });

  test('a key group is the positive hash modulo the parallelism, as a partition is', () => {
    expect(keyGroupOf('foobar', 128)).toBe((-790332482 & 0x7fffffff) % 128);
    expect(keyGroupOf('abc', 7)).toBe(479470107 % 7);
    expect(keyGroupOf('foobar', 1)).toBe(0);
  });
});

describe('bytes of a key', () => {
  test.each([
    ['', '01'],
    ['é', '01c3a9'],
    [0, '028000000000000000'],
    [1, '02bff0000000000000'],
    [-1, '02400fffffffffffff'],
    [12n, '033132'],
    [false, '04'],
    [true, '05'],
    [[], '06'],
    [['a', true], '060000000201610000000105'],
    ['\ud800', '0700d8'],
  ])('case %# is fixed: it is what is stored', (key, hex) => {
    expect(Buffer.from(keyBytes(key)).toString('hex')).toBe(hex);
    expect(keyFromBytes(Buffer.from(hex, 'hex'))).toEqual(key);
  });

  test('-0 is 0, also in a tuple and in a group', () => {
    expect(keyBytes(-0)).toEqual(keyBytes(0));
    expect(keyBytes([-0])).toEqual(keyBytes([0]));
    expect(keyGroupOf(-0, 128)).toBe(keyGroupOf(0, 128));
    // What user code is told is what it is told after a restart, when keys come from their bytes.
    expect(ownKey(-0)).toBe(0);
    expect(ownKey([-0, 'a', -1])).toEqual(keyFromBytes(keyBytes([-0, 'a', -1])));
  });

  test('a lone surrogate is not its replacement character', () => {
    expect(keyBytes('\ud800')).not.toEqual(keyBytes('\ufffd'));
    expect(keyBytes(['\ud800'])).not.toEqual(keyBytes(['\udc00']));
  });

  test.each([
    ['NaN', Number.NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
    ['undefined', undefined],
    ['null', null],
    ['an object', {}],
    ['a symbol', Symbol('x')],
    ['a function', () => 1],
    ['NaN in a tuple', ['a', Number.NaN]],
    ['undefined in a tuple', [undefined]],
    ['a tuple in a tuple', [['a']]],
  ])('%s is refused', (_name, key) => {
    expect(() => keyBytes(key as never)).toThrow(invalid);
    expect(() => keyGroupOf(key as never, 128)).toThrow(invalid);
  });

  test('bytes that no key has', () => {
    expect(() => keyFromBytes(Uint8Array.of(9, 1))).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
    expect(() => keyFromBytes(new Uint8Array(0))).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
  });
});

describe('keys of a map', () => {
  test('a primitive is its own, equal tuples share one', () => {
    expect(mapKeyOf('a')).toBe('a');
    expect(mapKeyOf(1)).toBe(1);
    expect(mapKeyOf(1n)).toBe(1n);
    expect(mapKeyOf(true)).toBe(true);
    expect(mapKeyOf(['a', 1])).toBe(mapKeyOf(['a', 1]));
    expect(mapKeyOf(['a', -0])).toBe(mapKeyOf(['a', 0]));
  });

  test('a string that looks like a tuple stays apart from it', () => {
    const tuple = mapKeyOf(['a']) as string;
    expect(mapKeyOf(tuple)).not.toBe(tuple);
    expect(mapKeyOf('\0')).not.toBe(mapKeyOf('\0s\0'));
  });
});
