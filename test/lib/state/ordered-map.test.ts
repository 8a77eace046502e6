/** A map in order: what it refuses, what a checkpoint writes of it, and visits of all entries. */
import { describe, expect, it } from 'vitest';
import { mapState } from '../../../lib/core/state-descriptor.ts';
import { openStore, rowCount, save, setUp } from './working-set-fixture.ts';

const ordered = <V>(name = 'm') => mapState<number, V>(name, { ordered: true });

describe('a map in order', () => {
  it('gives the entries from a key on and in front of another', async () => {
    const { state, at } = setUp(await openStore());
    const map = state(mapState<string | number, number>('m', { ordered: true }));
    at('a', () => {
      expect([...map.range(0, 10)]).toEqual([]);
      expect([map.isEmpty(), map.get(1)]).toEqual([true, undefined]);
      map.delete(1);
      for (const key of [10, 'b', 2, -0, 'a', 9, -1]) map.set(key, Number(key) || 0);
      expect([...map.keys()]).toEqual([-1, 0, 2, 9, 10, 'a', 'b']);
      expect([...map.range(0, 10)].map(([key]) => key)).toEqual([0, 2, 9]);
      expect([...map.range(undefined, 0)].map(([key]) => key)).toEqual([-1]);
      expect([...map.range('a', undefined)].map(([key]) => key)).toEqual(['a', 'b']);
      expect([...map.range(10, 2)]).toEqual([]);
      map.set(2, undefined as never);
      expect(map.get(2)).toBeUndefined();
    });
    expect(at('b', () => map.isEmpty())).toBe(true);
    for (const use of [() => map.range(1, 2), () => map.isEmpty(), () => map.get(1), () => map.set(1, 1)])
      expect(use).toThrow(/current key/);
    expect(() => at('a', () => map.range(Number.NaN, 1))).toThrow(TypeError);
  });

  it('finds what came before its first key, when chunks have split there', async () => {
    const { state, at } = setUp(await openStore());
    const map = state(ordered<number>());
    at('a', () => {
      for (let key = 1000; key > 0; key -= 1) map.set(key, 0);
      for (let key = 1; key <= 1000; key += 1) map.set(key, key);
      expect([...map.entries()]).toEqual(Array.from({ length: 1000 }, (_, i) => [i + 1, i + 1]));
    });
  });

  it('shares nothing with who sets and who reads (I21), and may be changed while a range is read', async () => {
    const { state, at } = setUp(await openStore());
    const map = state(ordered<{ n: number }>());
    at('a', () => {
      const box = { n: 1 };
      for (let key = 0; key < 200; key += 1) map.set(key, box);
      box.n = 2;
      let seen = 0;
      for (const [key, value] of map.range(0, 1000)) {
        value.n += 5;
        map.delete(key);
        map.set(key + 1000, value);
        seen += 1;
      }
      expect(seen).toBe(200);
      expect([...map.range(0, 1000)]).toEqual([]);
      expect(map.get(1001)).toEqual({ n: 6 });
    });
  });

  it('a checkpoint writes the chunks that were touched, and the root when one has come or gone', async () => {
    const store = await openStore();
    const { state, at, set } = setUp(store);
    const map = state(ordered<number>());
    at('a', () => {
      for (let key = 0; key < 10_000; key += 1) map.set(key, key);
    });
    await save(set, store);
    // Full chunks, since it has grown at its end.
    expect(await rowCount(store)).toBe(Math.ceil(10_000 / 64) + 1);
    at('a', () => map.set(5000, 1));
    expect(await save(set, store)).toBe(1);
    at('a', () => map.delete(5000));
    expect(await save(set, store)).toBe(1);
    at('a', () => map.set(10_000, 1));
    at('a', () => map.set(-1, 1));
    // The last chunk has room; the first is full, and becomes two.
    expect(await save(set, store)).toBe(4);
    // What is left of many that went is joined.
    at('a', () => {
      for (let key = -1; key <= 10_000; key += 1) if (key % 20 !== 0) map.delete(key);
    });
    await save(set, store);
    expect(at('a', () => [...map.keys()].length)).toBe(500);
    expect(await rowCount(store)).toBeLessThan(500 / 16 + 2);
  });

  it('is visited entry by entry, by a visitor that may change it', async () => {
    const store = await openStore();
    const first = setUp(store);
    const filled = first.state(ordered<number>());
    for (const key of ['a', 'b'])
      first.at(key, () => {
        for (let each = 0; each < 150; each += 1) filled.set(each, each);
      });
    await save(first.set, store);
    const { state, operator } = setUp(store, { restored: true });
    const map = state(ordered<number>());
    await expect(map.forEachEntry(() => {})).rejects.toThrow(/forEachEntry|forEachKey/);
    operator.openPhase = true;
    const seen: string[] = [];
    await map.forEachEntry((key, sub, value) => {
      seen.push(`${String(key)} ${sub} ${value()}`);
      if (sub % 2 === 0) for (let each = sub; each < sub + 10; each += 1) map.delete(each);
    });
    expect(seen.length).toBe(300);
    expect(seen.includes('b 149 149')).toBe(true);
  });

  it('reads values of an older version by `migrate`', async () => {
    const store = await openStore();
    const first = setUp(store);
    const old = first.state(ordered<number>());
    first.at('a', () => {
      for (let key = 0; key < 100; key += 1) old.set(key, key);
    });
    await save(first.set, store);
    const second = setUp(store, { restored: true });
    const map = second.state(
      mapState<number, string>('m', { ordered: true, version: 2, migrate: (value, by) => `${String(value)} of ${by}` }),
    );
    second.at('a', () => {
      expect([...map.range(98, 200)]).toEqual([
        [98, '98 of 1'],
        [99, '99 of 1'],
      ]);
      map.set(98, 'new');
      expect(map.get(98)).toBe('new');
    });
  });
});

describe('a map that is in no order', () => {
  it('refuses `range`, and says why', async () => {
    const { state, at } = setUp(await openStore());
    const maps = [state(mapState<number, number>('m')), state(mapState<number, number>('n', { indexed: false }))];
    for (const map of maps) expect(() => at('a', () => map.range(1, 2))).toThrow(/ordered: true/);
    expect(() => mapState('x', { ordered: true, indexed: false })).toThrow(/indexed/);
  });

  it('says whether it is empty, where it has an index', async () => {
    const { state, at } = setUp(await openStore());
    const map = state(mapState<string, number>('m'));
    const bare = state(mapState<string, number>('n', { indexed: false }));
    at('a', () => {
      expect(map.isEmpty()).toBe(true);
      map.set('x', 1);
      expect(map.isEmpty()).toBe(false);
      map.delete('x');
      expect(map.isEmpty()).toBe(true);
      expect(() => bare.isEmpty()).toThrow(/index/);
    });
    expect(() => map.isEmpty()).toThrow(/current key/);
  });
});
