import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { deepFreeze, looseCopy, ownCopy, storableCopy } from '../../../lib/core/own-copy.ts';
import { decodeText, encodeOnce, encodeText } from '../../../lib/core/serde.ts';

class Money {
  readonly cents: number;

  constructor(cents: number) {
    this.cents = cents;
  }
}

const storable = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withTypedArray: false,
});

/** What a getter or a proxy may give when it is read: anything, and something else the next time. */
const readings = fc.array(
  fc.oneof(
    fc.constantFrom<unknown>(1, 'text', null, undefined, Number.NaN, 7n),
    fc.constantFrom<() => unknown>(
      () => () => 1,
      () => Symbol('s'),
      () => new Money(5),
      () => ({ toJSON: () => 'other' }),
    ).map((make) => make()),
    fc.constantFrom<unknown>({ a: 1 }, { $: 1 }, [1], new Date(5), new Map([[1, 2]])),
  ),
  { minLength: 1, maxLength: 5 },
);

/** Every object in a value. */
const objectsIn = (value: unknown, found = new Set<object>()): Set<object> => {
  if (typeof value !== 'object' || value === null || found.has(value)) return found;
  found.add(value);
  const members = value instanceof Map ? [...value].flat() : value instanceof Set ? [...value] : Object.values(value);
  for (const member of members) objectsIn(member, found);
  return found;
};

describe('a copy of its own', () => {
  it('is what a store gives back, and shares no object with the value', () => {
    fc.assert(
      fc.property(storable, (value) => {
        const copy = ownCopy(value);
        expect(copy).toStrictEqual(decodeText(encodeText(value)));
        const shared = objectsIn(value);
        for (const object of objectsIn(copy)) expect(shared.has(object)).toBe(false);
      }),
    );
  });

  it('is made of what was looked at, whatever a part of the value says the next time', () => {
    const forms = fc.constantFrom<(read: () => unknown) => object>(
      (read) => Object.defineProperty({ a: 1, z: 2 }, 'm', { get: read, enumerable: true }),
      (read) => new Proxy({ m: 0, z: 2 }, { get: (of, name) => (name === 'm' ? read() : Reflect.get(of, name)) }),
    );
    const around = fc.constantFrom<(part: object) => unknown>(
      (part) => part,
      (part) => [part],
      (part) => ({ part, at: new Date(0) }), // Not what JSON can say.
      (part) => new Map([[1, part]]),
    );
    const partOf = (value: unknown): unknown => {
      if (value instanceof Map) return value.get(1);
      return Array.isArray(value) ? value[0] : (Reflect.get(value as object, 'part') ?? value); // As `around` made it.
    };
    fc.assert(
      fc.property(readings, forms, around, (given, form, wrap) => {
        let reads = 0;
        const value = wrap(form(() => given[reads++ % given.length]));
        const encoded = given.flatMap((each) => {
          try {
            return [encodeText(each)];
          } catch {
            return [];
          }
        });
        let copy: unknown;
        try {
          copy = ownCopy(value);
        } catch (error) {
          expect(error).toMatchObject({ code: 'NOT_SERIALISABLE' });
          expect(encoded.length).toBeLessThan(given.length); // Something was refused for what it is.
          return;
        }
        const part = partOf(copy) as object;
        expect(Object.keys(part)).toContain('m');
        expect(encoded).toContain(encodeText(Reflect.get(part, 'm')));
      }),
      { numRuns: 500 },
    );
  });

  it('is made of a text that is the same as the fast one', () => {
    fc.assert(
      fc.property(storable, (value) => {
        expect(encodeOnce(value)).toBe(encodeText(value));
      }),
    );
  });

  it.each([
    ['bytes', () => new Uint8Array([1, 2])],
    ['a buffer', () => ({ body: Buffer.from('x') })],
    ['an error', () => new RangeError('x', { cause: { at: [1] } })],
    ['an object of another realm', () => runInNewContext('({ a: [1, new Map([[1, {}]])] })') as object],
    ['undefined members and holes', () => ({ a: undefined, b: [undefined, 1] })],
    ['-0 and NaN', () => [-0, Number.NaN]],
    ['a member under a symbol', () => ({ a: 1, [Symbol('s')]: { b: 1 } })],
    ['a member under a symbol, further in', () => ({ a: [{ [Symbol('s')]: { b: 1 } }] })],
    ['a member called __proto__', () => JSON.parse('{"a":{"__proto__":{"b":1}},"__proto__":{"c":1},"d":{}}') as object],
  ])('of %s', (_, make) => {
    const value: unknown = make();
    expect(ownCopy(value)).toStrictEqual(decodeText(encodeText(value)));
    expect(ownCopy(value)).not.toBe(value);
  });

  it.each([
    ['a function', () => {}, /the value/],
    ['a function inside', { a: [1, { greet: () => {} }] }, /\.a\[1\]\.greet/],
    ['an instance of a class', { total: new Money(5) }, /`\.total` can not be stored: it is an instance of `Money`/],
    ['an array of a class', { list: new (class Own extends Array {})() }, /\.list/],
  ])('is refused of %s, with the path', (_, value, message) => {
    expect(() => ownCopy(value)).toThrow(message);
  });
});

describe.each([
  ['of its own', ownCopy],
  ['loose', looseCopy],
])('a copy, %s', (_, copyOf) => {
  it('reads a value once, so that what is looked at is what is kept', () => {
    let reads = 0;
    const inner = { n: 1 };
    const value = Object.defineProperty({} as { at?: unknown }, 'at', {
      enumerable: true,
      get: () => ((reads += 1) === 1 ? 'flat' : inner),
    });
    expect(copyOf(value)).toEqual({ at: 'flat' });
    expect(reads).toBe(1);
    expect(copyOf({ value }).value.at).not.toBe(inner);
  });
});

describe('a loose copy', () => {
  it('passes on what can not be stored and copies what is around it, cycles too', () => {
    const money = new Money(5);
    const value: Record<string, unknown> = { list: [money], map: new Map([['m', { money }]]), fn: Math.max };
    value['self'] = value;
    const copy = looseCopy(value) as typeof value & { list: Money[]; map: Map<string, { money: Money }> };
    expect(copy).toEqual(value);
    expect(copy).not.toBe(value);
    expect(copy['self']).toBe(copy);
    expect(copy.list).not.toBe(value['list']);
    expect(copy.list[0]).toBe(money);
    expect(copy.map.get('m')).not.toBe((value['map'] as typeof copy.map).get('m'));
    expect(copy.map.get('m')?.money).toBe(money);
  });
});

test.each([
  [new Money(5), '[Money]'],
  [
    { a: 1, money: new Money(5), list: [() => 1] },
    { a: 1, money: '[Money]', list: ['[function]'] },
  ],
  [Symbol('s'), '[symbol]'],
])('what can be stored of anything: %o', (value, expected) => expect(storableCopy(value)).toEqual(expected));

test('what contains itself is told by its name', () => {
  const value: unknown[] = [];
  value.push(value);
  expect(storableCopy(value)).toBe('[Array]');
});

test.each([
  ['a member', (value: ReturnType<typeof everything>) => (value.a.b = 2)],
  ['a list', (value: ReturnType<typeof everything>) => value.list.push(2)],
  ['a map', (value: ReturnType<typeof everything>) => value.map.set('x', 1)],
  ['a set', (value: ReturnType<typeof everything>) => value.set.add(3)],
  ['a date', (value: ReturnType<typeof everything>) => value.date.setTime(0)],
])('frozen through and through: %s can not be changed, and is read and stored as before', (_, change) => {
  const value = deepFreeze(everything());
  expect(() => change(value)).toThrow(TypeError);
  expect(encodeText(value)).toBe(encodeText(everything()));
});

const everything = () => ({ a: { b: 1 }, list: [1], map: new Map([['k', 1]]), set: new Set([1]), date: new Date(5) });

test('what lies deeper than any store takes is passed on as it is', () => {
  interface Level {
    next?: Level;
  }
  const deepest: Level = {};
  let value = deepest;
  for (let depth = 0; depth < 50_000; depth += 1) value = { next: value };
  const copy = looseCopy(value);
  expect(copy === value || copy.next === value.next).toBe(false);
  let found: Level = copy;
  while (found.next !== undefined) found = found.next;
  expect(found === deepest).toBe(true);
  expect(() => storableCopy(value)).not.toThrow();
});
