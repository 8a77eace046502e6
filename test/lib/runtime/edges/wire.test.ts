/** The keyed edge: a key belongs to the code that made it, and the engine works by a copy of its own (I21). */
import { describe, expect, test } from 'vitest';
import type { Key } from '../../../../lib/core/key.ts';
import { keyedEdge } from '../../../../lib/runtime/edges/wire.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';

/** The keys that stand behind an edge when records pass it. */
const keysBehind = <T>(keyOf: (value: T) => Key, values: readonly T[]): readonly Key[] => {
  const keys = new KeyContext();
  const seen: Key[] = [];
  const edge = keyedEdge<T>({
    uid: 'op',
    keyOf,
    keys,
    to: { record: () => void seen.push(keys.key), watermark: () => {}, status: () => {} },
    gate: { isClosed: false, finish: () => {} },
    counter: new Float64Array(1),
    serialise: false,
  });
  for (const value of values) edge.record(value, 0);
  return seen;
};

describe('the key behind a keyed edge', () => {
  test('is the one of its record, though `keyOf` gives one list again and again', () => {
    const list = ['t', 0];
    const keyOf = (n: number): Key => {
      list[1] = n;
      return list;
    };
    expect(keysBehind(keyOf, [1, 2, 3])).toEqual([
      ['t', 1],
      ['t', 2],
      ['t', 3],
    ]);
  });

  test('stays when the record that it was taken from changes', () => {
    const record = { path: ['a', 'b'] };
    const keys = keysBehind(({ path }: typeof record) => path, [record]);
    record.path.push('c');
    expect(keys).toEqual([['a', 'b']]);
  });

  test('can not be changed by who is told it', () => {
    const [key] = keysBehind(() => ['a', 1], [0]);
    expect(() => (key as unknown[]).push('x')).toThrow(TypeError); // As code without types would.
  });

  test('is read once, whatever a proxy or a getter would say next', () => {
    let reads = 0;
    const counting = Object.defineProperty(['t', 0], 1, { get: () => (reads += 1) });
    const proxy = new Proxy(['t', 0], { get: (list, name) => (name === '1' ? (reads += 1) : Reflect.get(list, name)) });
    expect(keysBehind<Key>((key) => key, [counting, proxy])).toEqual([
      ['t', 1],
      ['t', 2],
    ]);
  });

  test.each(['a', '', 1, 3n, true])('is what it was for a primitive: %s', (key) => {
    expect(keysBehind<Key>((same) => same, [key])).toEqual([key]);
  });

  test.each([
    ['a hole', Array(2)],
    ['a list in it', ['a', ['b']]],
    ['no number', ['a', NaN]],
    ['no list', { a: 1 }],
    ['null', null],
  ])('is refused: %s', (_, key) => {
    // As code without types would give it.
    expect(() => keysBehind(() => key as Key, [0])).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }));
  });
});
