import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { durationMs, integer, knownOptions, oneOf, refusal } from '../../../lib/core/options.ts';

describe('durationMs', () => {
  test.each([
    [0, 0],
    [1500, 1500],
    [0.5, 0.5],
    ['250ms', 250],
    ['10s', 10_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0s', 0],
    [Infinity, Infinity],
  ] as const)('%s is %d ms', (value, ms) => {
    expect(durationMs('timeout', value)).toBe(ms);
  });

  test.each([
    '',
    '10',
    '10 s',
    '10S',
    's',
    '-1s',
    '1e3s',
    '1w',
    '1.s',
    '0x10s',
    Number.NaN,
    -1,
    null,
    undefined,
    {},
    true,
  ])('refuses %j', (value) => {
    expect(() => durationMs('timeout', value as never)).toThrow(TypeError);
    expect(() => durationMs('timeout', value as never)).toThrow('Expected `timeout` to be a duration of at least 0 ms');
  });

  test('keeps to its lower limit', () => {
    expect(durationMs('interval', '1s', { min: 1000 })).toBe(1000);
    expect(() => durationMs('interval', '999ms', { min: 1000 })).toThrow(
      "Expected `interval` to be a duration of at least 1000 ms (a number or like '10s'), got `999ms` (string)",
    );
  });

  test('a number with a unit is that many times the unit', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.constantFrom('ms', 's', 'm', 'h', 'd'), (count, unit) => {
        const one = durationMs('x', `1${unit}` as never);
        expect(durationMs('x', `${count}${unit}` as never)).toBe(count * one);
      }),
    );
  });
});

describe('integer', () => {
  test('takes whole numbers within the limits', () => {
    expect(integer('capacity', 0)).toBe(0);
    expect(integer('capacity', 5, { min: 5, max: 5 })).toBe(5);
    expect(integer('capacity', Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER);
  });

  test.each([-1, 1.5, Number.NaN, Infinity, 2 ** 53, '5', null, undefined])('refuses %s', (value) => {
    expect(() => integer('capacity', value as never)).toThrow(TypeError);
  });

  test('says the option, the rule and the value', () => {
    expect(() => integer('capacity', 0, { min: 1 })).toThrow(
      'Expected `capacity` to be an integer from 1 up, got `0` (number)',
    );
    expect(() => integer('capacity', 9, { min: 1, max: 8 })).toThrow(
      'Expected `capacity` to be an integer from 1 to 8, got `9` (number)',
    );
  });
});

test('oneOf takes a word of the list and names the others', () => {
  expect(oneOf('order', 'arrival', ['completion', 'arrival'])).toBe('arrival');
  expect(() => oneOf<string>('order', 'Arrival', ['completion', 'arrival'])).toThrow(
    "Expected `order` to be one of 'completion', 'arrival', got `Arrival` (string)",
  );
});

describe('knownOptions', () => {
  interface WindowOptions {
    readonly size: number;
    readonly slide?: number | undefined;
  }
  const check = (options: unknown): void =>
    knownOptions('window', options as WindowOptions, { size: true, slide: true });

  test('finds a misspelt one', () => {
    expect(() => check({})).not.toThrow();
    expect(() => check({ size: 1, slide: undefined })).not.toThrow();
    expect(() => check({ sise: 1 })).toThrow('Expected options of `window` to be among size, slide, got `sise`');
    for (const name of ['toString', 'constructor', 'hasOwnProperty'])
      expect(() => check({ [name]: 1 })).toThrow(`got \`${name}\``);
    for (const none of [null, undefined, 'size'])
      expect(() => check(none)).toThrow('Expected `window` to be an object of options');
  });

  test('the compiler holds the names to the type', () => {
    const options: WindowOptions = { size: 1 };
    // @ts-expect-error: `slide` is missing
    knownOptions('window', options, { size: true });
    // @ts-expect-error: `offset` is none
    knownOptions('window', options, { size: true, slide: true, offset: true });
    // @ts-expect-error: a list would not say what it lacks
    expect(() => knownOptions('window', options, ['size', 'slide'])).toThrow('among 0, 1, got `size`');
  });
});

test.each([
  [null, '`null` (null)'],
  [undefined, '`undefined` (undefined)'],
  [{ a: 1 }, '`{"a":1}` (object)'],
  [5n, '`5` (bigint)'],
  [Symbol('x'), '`Symbol(x)` (symbol)'],
  [class LongerThanThatCode extends Map<string, number> {}, '`LongerThanThatCode` (function)'],
  [() => 1, '`() => 1` (function)'],
  ['x'.repeat(201), `\`${'x'.repeat(200)}...\` (string)`],
  ['', '`` (string)'],
  [{}, '`{}` (object)'],
  [Object.create(null), '`{}` (object)'],
  [new Set([1]), '`Set {}` (object)'],
  [new (class {})(), '`{}` (object)'],
  [(async function* () {})(), '`AsyncGenerator {}` (object)'],
])('refusal shows %s', (value, shown) => {
  expect(refusal('x', 'good', value).message).toBe(`Expected \`x\` to be good, got ${shown}`);
});

test('refusal shows a value that can not be written as JSON', () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  expect(refusal('x', 'good', cycle).message).toContain('[object Object]');
});
