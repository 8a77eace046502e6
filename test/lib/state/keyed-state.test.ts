/** Keyed state as operators meet it: handles, their registration, versions, and visits of every key. */
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../lib/core/key.ts';
import type { Store } from '../../../lib/state/store.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { WorkingSet } from '../../../lib/state/keyed-state.ts';
import { listState, mapState, valueState } from '../../../lib/core/state-descriptor.ts';
import { openStore, setUp, save, rowCount } from './working-set-fixture.ts';

describe('handles', () => {
  it('I2: throw while no key is current', async () => {
    const { state, at } = setUp(await openStore());
    const [value, list, map] = [
      state(valueState<number>('v')),
      state(listState<number>('l')),
      state(mapState<string, number>('m')),
    ];
    at('a', () => {
      value.update(1);
      list.add(1);
      map.set('x', 1);
    });
    const uses = [
      () => value.value(),
      () => value.update(1),
      () => value.clear(),
      () => list.size,
      () => list.add(1),
      () => list.shift(),
      () => list.values(),
      () => list.clear(),
      () => map.get('x'),
      () => map.set('x', 1),
      () => map.delete('x'),
      () => map.keys(),
      () => map.entries(),
      () => map.clear(),
    ];
    for (const use of uses) expect(use).toThrow(/current key/);
  });

  it('refuse what can not be a key when it is first used', async () => {
    const { state, at } = setUp(await openStore());
    const value = state(valueState<number>('v'));
    const list = state(listState<number>('l'));
    for (const key of [undefined, Number.NaN, Infinity, () => 1] as unknown as Key[]) {
      expect(() => at(key, () => value.update(1))).toThrow(/can not be a key/);
      expect(() => at(key, () => list.add(1))).toThrow(/can not be a key/);
    }
  });

  it('a map refuses a key that is neither a string nor a number', async () => {
    const { state, at } = setUp(await openStore());
    const map = state(mapState<string | number, number>('m'));
    for (const sub of [Number.NaN, undefined, null, {}] as unknown as number[])
      expect(() => at('a', () => map.set(sub, 1))).toThrow(TypeError);
    at('a', () => map.set(-0, 1));
    expect(at('a', () => [...map.keys()])).toEqual([0]);
  });

  it('a map without an index does not list', async () => {
    const { state, at } = setUp(await openStore());
    const map = state(mapState<string, number>('m', { indexed: false }));
    at('a', () => map.set('x', 1));
    for (const use of [() => map.keys(), () => map.entries(), () => map.clear()])
      expect(() => at('a', use)).toThrow(/without|index/);
  });

  it('undefined is no value', async () => {
    const { state, at } = setUp(await openStore());
    const value = state(valueState<number | undefined>('v'));
    const map = state(mapState<string, number | undefined>('m'));
    const list = state(listState<number | undefined | null>('l'));
    at('a', () => {
      value.update(1);
      value.update(undefined);
      map.set('x', 1);
      map.set('x', undefined);
      list.add(undefined);
      list.add(null);
      expect(value.value()).toBeUndefined();
      expect([...map.keys()]).toEqual([]);
      expect([...list.values()]).toEqual([undefined, null]);
    });
  });

  it('a list keeps a snapshot of what it hands out', async () => {
    const { state, at } = setUp(await openStore());
    const list = state(listState<number>('l'));
    const values = at('a', () => {
      list.add(1);
      return list.values();
    });
    at('a', () => list.add(2));
    expect([...values]).toEqual([1]);
  });

  it('test mode finds whoever changes a value behind the handle', async () => {
    const store = await openStore();
    const { state, at, set } = setUp(store, { freeze: true });
    const value = state(valueState<{ deep: { count: number } }>('v'));
    const box = { deep: { count: 1 } };
    at('a', () => value.update(box));
    expect(() => (box.deep.count = 2)).toThrow(TypeError);
    await save(set, store);
    const again = setUp(store, { freeze: true, restored: true });
    const loaded = again.state(valueState<{ deep: { count: number } }>('v'));
    const kept = again.at('a', () => loaded.value());
    expect(() => Object.assign(kept?.deep ?? {}, { count: 3 })).toThrow(TypeError);
  });
});

describe('registration', () => {
  it('lists the states with number, kind and version', async () => {
    const { set, operator } = setUp(await openStore());
    operator.state(valueState('v', { version: 3 }));
    operator.state(mapState('m', { indexed: false }), 7);
    operator.state(listState('l'));
    expect(set.states()).toEqual([
      { operator: 1, state: 0, kind: 'value', name: 'v', version: 3, indexed: true },
      { operator: 1, state: 7, kind: 'map', name: 'm', version: 1, indexed: false },
      { operator: 1, state: 8, kind: 'list', name: 'l', version: 1, indexed: true },
    ]);
  });

  it('refuses a name or number twice, and numbers that do not fit', async () => {
    const { set, operator } = setUp(await openStore());
    operator.state(valueState('v'));
    expect(() => operator.state(listState('v'))).toThrow(/'v'/);
    expect(() => operator.state(valueState('w'), 0)).toThrow(/number 0/);
    expect(() => operator.state(valueState('w'), 256)).toThrow(/stateNumber/);
    expect(() => set.operator(65_536, new KeyContext())).toThrow(/operator/);
    expect(() => set.operator(1, new KeyContext())).toThrow(/key context/);
  });

  it('refuses nonsense in its options', async () => {
    const store = await openStore();
    expect(() => new WorkingSet({ store, maxParallelism: 0, restored: false })).toThrow(/maxParallelism/);
    expect(() => new WorkingSet({ store, maxParallelism: 128, restored: false, cacheMax: 0 })).toThrow(/cacheMax/);
  });

  it('keeps operators and states with equal keys apart', async () => {
    const store = await openStore();
    const make = (restored: boolean) => {
      const keys = new KeyContext();
      const set = new WorkingSet({ store, maxParallelism: 128, restored });
      const handles = [1, 2].flatMap((number) => {
        const operator = set.operator(number, keys);
        return [operator.state(valueState<string>('v')), operator.state(valueState<string>('w'))];
      });
      return { keys, set, handles };
    };
    const first = make(false);
    first.keys.enter('a');
    first.handles.forEach((handle, index) => handle.update(`value ${index}`));
    first.keys.leave();
    await save(first.set, store);
    const second = make(true);
    second.keys.enter('a');
    expect(second.handles.map((handle) => handle.value())).toEqual(['value 0', 'value 1', 'value 2', 'value 3']);
  });
});

describe('versions', () => {
  const written = async (): Promise<Store> => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const [value, list, map] = [
      state(valueState<number>('v')),
      state(listState<number>('l')),
      state(mapState<string, number>('m')),
    ];
    at('a', () => {
      value.update(1);
      for (let i = 0; i < 70; i += 1) list.add(i);
      map.set('x', 1);
    });
    await save(set, store);
    return store;
  };

  it('migrates what an older version wrote, value by value', async () => {
    const { state, at } = setUp(await written(), { restored: true });
    const options = { version: 2, migrate: (old: unknown, version: number) => `${String(old)} of ${version}` };
    const value = state(valueState<string>('v', options));
    const list = state(listState<string>('l', options));
    const map = state(mapState<string, string>('m', options));
    at('a', () => {
      expect(value.value()).toBe('1 of 1');
      expect([...list.values()]).toEqual(Array.from({ length: 70 }, (_, i) => `${i} of 1`));
      expect([...map.entries()]).toEqual([['x', '1 of 1']]);
    });
  });

  it('asks for no element that is gone, and for one that is null', async () => {
    const store = await openStore();
    const first = setUp(store);
    const old = first.state(listState<number | null>('l'));
    first.at('a', () => {
      for (let i = 0; i < 70; i += 1) old.add(i === 5 ? null : i);
      for (let i = 0; i < 5; i += 1) old.shift();
    });
    await save(first.set, store);
    const { state, at } = setUp(store, { restored: true });
    const asked: unknown[] = [];
    const list = state(listState<unknown>('l', { version: 2, migrate: (value) => asked.push(value) }));
    at('a', () => expect([...list.values()]).toHaveLength(65));
    expect(asked.filter((value) => value === null)).toHaveLength(1);
    expect(new Set(asked)).toEqual(new Set([null, ...Array.from({ length: 64 }, (_, i) => i + 6)]));
  });

  it('refuses what a newer version wrote', async () => {
    const store = await openStore();
    const first = setUp(store);
    const newer = first.state(valueState<number>('v', { version: 2 }));
    first.at('a', () => newer.update(1));
    await save(first.set, store);
    const { state, at } = setUp(store, { restored: true });
    const value = state(valueState<number>('v'));
    expect(() => at('a', () => value.value())).toThrow(
      expect.objectContaining({ code: 'STATE_INCOMPATIBLE' }) as Error,
    );
  });

  it('notices a damaged row', async () => {
    const store = await written();
    const batch = store.batch();
    for await (const [key, value] of store.entries({ gte: Buffer.of(0), lt: Buffer.of(0xff) }))
      batch.put(
        key,
        value.map((byte, i) => (i === 7 ? byte ^ 1 : byte)),
      );
    await batch.write();
    const { state, at } = setUp(store, { restored: true });
    const value = state(valueState<number>('v'));
    expect(() => at('a', () => value.value())).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }) as Error);
  });
});

describe('forEachKey and forEachEntry', () => {
  it('are refused outside the open phase', async () => {
    const { operator, state } = setUp(await openStore());
    const map = state(mapState<string, number>('m'));
    const value = state(valueState<number>('v'));
    await expect(map.forEachKey(() => {})).rejects.toThrow(TypeError);
    await expect(map.forEachEntry(() => {})).rejects.toThrow(/open/);
    operator.openPhase = true;
    await expect(value.forEachKey(() => {})).resolves.toBeUndefined();
  });

  it('visit with the key current, see changes made by visits, and leave no key behind when one throws', async () => {
    const store = await openStore();
    const first = setUp(store);
    const map = first.state(mapState<string, number>('m'));
    for (const key of ['a', 'b', 'c']) {
      first.at(key, () => {
        map.set('x', 1);
        map.set('y', 2);
      });
    }
    await save(first.set, store);
    const second = setUp(store, { restored: true });
    second.operator.openPhase = true;
    const restored = second.state(mapState<string, number>('m'));
    const seen: string[] = [];
    await restored.forEachEntry((key, sub, value) => {
      expect(second.keys.key).toBe(key);
      seen.push(`${String(key)}${sub}${value()}`);
      restored.delete(sub === 'x' ? 'y' : 'x');
    });
    expect(seen.sort()).toEqual(['ax1', 'bx1', 'cx1']);
    const keysLeft: Key[] = [];
    await restored.forEachKey((key) => {
      keysLeft.push(key);
      if (key !== 'b') restored.clear();
    });
    expect(keysLeft.sort()).toEqual(['a', 'b', 'c']);
    await expect(
      restored.forEachKey(() => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(second.keys.active).toBe(false);
    await save(second.set, store);
    expect(await rowCount(store)).toBe(2);
  });
});
