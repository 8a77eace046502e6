import { describe, expect, it } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { applyChanges, MemoryView, type MemoryChange } from '../../../../lib/agents/memory/memory.ts';

const empty = (): MemoryView => new MemoryView({ type: 'SHORT_TERM', base: new Map() });

const caught = (fn: () => unknown): unknown => {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('MemoryView', () => {
  it('sees its own writes over the changes over the base, and writes nothing through', () => {
    const base = new Map<string, unknown>([['a', 1]]);
    const view = new MemoryView({ type: 'SHORT_TERM', base, changes: [{ path: 'b', value: 2 }] });
    view.set('c', 3);
    expect([view.get('a'), view.get('b'), view.get('c'), view.get('d')]).toEqual([1, 2, 3, undefined]);
    expect(view.written).toEqual([{ path: 'c', value: 3 }]);
    expect([...base]).toEqual([['a', 1]]);
  });

  it('returns a reference that can be read back, in its own memory only', () => {
    const view = empty();
    const ref = view.set('big.thing', { n: 1 });
    expect(ref).toEqual({ type: 'SHORT_TERM', path: 'big.thing' });
    expect(view.get(ref)).toEqual({ n: 1 });
    expect(() => view.get({ type: 'SENSORY', path: 'big.thing' })).toThrow(/SHORT_TERM/);
  });

  it('keeps null, false, zero and the empty string apart from nothing', () => {
    const view = empty();
    for (const [path, value] of Object.entries({ a: null, b: false, c: 0, d: '' })) {
      view.set(path, value);
      expect([view.has(path), view.get(path)]).toEqual([true, value]);
    }
    expect([view.has('e'), view.isExist('a')]).toEqual([false, true]);
  });

  it('gives and takes copies', () => {
    const view = empty();
    const value = { list: [1] };
    view.set('a', value);
    value.list.push(2);
    view.get<{ list: number[] }>('a')?.list.push(3);
    expect(view.get('a')).toEqual({ list: [1] });
    expect(view.written).toEqual([{ path: 'a', value: { list: [1] } }]);
  });

  it('stores what JSON can not say and refuses what nothing can', () => {
    const view = empty();
    view.set('a', { at: new Date(5), big: 7n, bytes: new Uint8Array([1]) });
    expect(view.get('a')).toEqual({ at: new Date(5), big: 7n, bytes: new Uint8Array([1]) });
    for (const value of [
      () => {},
      { deep: [Symbol('x')] },
      new (class Account {
        readonly n = 1;
      })(),
      undefined,
    ]) {
      const error = caught(() => view.set('b', value));
      expect(error).toMatchObject({ code: 'NOT_SERIALISABLE' });
      expect((error as StreamError).message).toContain('`b`');
    }
    expect(view.has('b')).toBe(false);
  });

  it('makes objects, lists their fields and reads them whole', () => {
    const view = empty();
    const order = view.newObject('order');
    order.set('id', 7);
    order.set('item.name', 'cup');
    view.set('last', 1);
    expect(view.getFieldNames()).toEqual(['order', 'last']);
    expect(order.getFieldNames()).toEqual(['id', 'item']);
    expect(order.getFields()).toEqual({ id: 7, item: 'NestedObject' });
    expect(view.get('order')).toEqual({ id: 7, item: { name: 'cup' } });
    expect([order.get('item.name'), order.has('nope'), order.isNestedObject('item')]).toEqual(['cup', false, true]);
    order.delete('item');
    expect(view.get('order')).toEqual({ id: 7 });
    expect(view.newObject('empty').getFieldNames()).toEqual([]);
    expect(view.get('empty')).toEqual({});
  });

  it('deletes a subtree and forgets nothing else', () => {
    const view = empty();
    for (const path of ['a.b.c', 'a.b.d', 'ab', 'a.bc']) view.set(path, path);
    view.delete('a.b');
    view.delete('never.there');
    expect(view.get('a')).toEqual({ bc: 'a.bc' });
    expect(view.get('ab')).toBe('ab');
  });

  it('records a delete and an object also of what it does not see, for an action beside it may make or delete it', () => {
    const view = new MemoryView({ type: 'SHORT_TERM', base: new Map<string, unknown>([['seen.', true]]) });
    view.delete('unseen');
    view.newObject('seen');
    expect(view.written).toEqual([
      { path: 'unseen', deleted: true },
      { path: 'seen', object: true },
    ]);
  });

  it('refuses to mix values and objects', () => {
    const view = empty();
    view.set('a.b', 1);
    expect(() => view.set('a', 1)).toThrow('Cannot overwrite object with value');
    expect(() => view.set('a.b.c', 1)).toThrow(/`a.b` holds a value/);
    expect(() => view.newObject('a.b')).toThrow(/holds a value/);
    expect(() => view.newObject('a.b.c', true)).toThrow(/holds a value/);
    view.newObject('a.b', true).set('c', 1);
    expect(view.get('a')).toEqual({ b: { c: 1 } });
  });

  it.each(['', '.', 'a.', '.a', 'a..b'])('refuses the path %j', (path) => {
    expect(() => empty().set(path, 1)).toThrow(/`path`/);
    expect(() => empty().get(path)).toThrow(/`path`/);
  });
});

describe('applyChanges', () => {
  const merged = (changes: readonly MemoryChange[], base: [string, unknown][] = []) => {
    const conflicts: string[] = [];
    const flat = new Map(base);
    applyChanges(flat, changes, (path) => conflicts.push(path));
    return { tree: new MemoryView({ type: 'SENSORY', base: flat }), conflicts };
  };

  it('lets the later win per path', () => {
    const { tree, conflicts } = merged([
      { path: 'a', value: 1 },
      { path: 'b', value: 1 },
      { path: 'a', value: 2 },
    ]);
    expect([tree.get('a'), tree.get('b'), conflicts]).toEqual([2, 1, []]);
  });

  it('lets a value over an object win, with one warning', () => {
    const { tree, conflicts } = merged([
      { path: 'a.b', value: 1 },
      { path: 'a.c.d', value: 1 },
      { path: 'a', value: 9 },
    ]);
    expect([tree.get('a'), tree.getFieldNames(), conflicts]).toEqual([9, ['a'], ['a']]);
  });

  it('lets a later object over a value win, with one warning', () => {
    const { tree, conflicts } = merged([{ path: 'a.b.c', value: 1 }], [['a', 9]]);
    expect([tree.get('a'), conflicts]).toEqual([{ b: { c: 1 } }, ['a']]);
  });

  it('brings back parents that an overlapping action deleted', () => {
    const base: [string, unknown][] = [
      ['a.', true],
      ['a.x', 1],
    ];
    const { tree, conflicts } = merged(
      [
        { path: 'a', deleted: true },
        { path: 'a.y', value: 2 },
      ],
      base,
    );
    expect([tree.get('a'), conflicts]).toEqual([{ y: 2 }, []]);
  });
});
