/** The working set of keyed state: what a checkpoint takes of it, and what leaves memory. */
import { describe, expect, it } from 'vitest';
import { listState, mapState, valueState } from '../../../lib/core/state-descriptor.ts';
import { openStore, setUp, toEnd, save, rowCount } from './working-set-fixture.ts';

describe('the cut', () => {
  it('I4: one at a time, never under a key, durable only when written', async () => {
    const { set, keys, state, at } = setUp(await openStore());
    const value = state(valueState<number>('v'));
    at('a', () => value.update(1));
    keys.enter('a');
    expect(() => set.cut()).toThrow(/I4/);
    keys.leave();
    const cut = set.cut();
    expect(() => set.cut()).toThrow(/I4/);
    expect(() => cut.durable()).toThrow(/I5/);
  });

  it('yields at least every 64 puts', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const value = state(valueState<number>('v'));
    for (let i = 0; i < 1000; i += 1) at(i, () => value.update(i));
    expect(set.dirtyEntries).toBe(1000);
    const cut = set.cut();
    const batch = store.batch();
    const slices = cut.write(batch);
    let steps = 0;
    for (let before = 0; slices.next().done !== true; steps += 1) {
      expect(batch.length - before).toBeLessThanOrEqual(64);
      before = batch.length;
    }
    expect(batch.length).toBe(1000);
    expect(steps).toBeGreaterThanOrEqual(15);
  });

  it('holds what was true at the instant, when entries are touched before there is a batch', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const value = state(valueState<{ count: number }>('v'));
    at('a', () => value.update({ count: 1 }));
    at('b', () => value.update({ count: 1 }));
    const cut = set.cut();
    at('a', () => {
      const box = value.value();
      if (box !== undefined) box.count = 100;
    });
    at('b', () => value.clear());
    const batch = store.batch();
    const slices = cut.write(batch);
    while (slices.next().done !== true);
    expect(batch.length).toBe(2);
    await batch.write();
    const again = setUp(store, { restored: true });
    const restored = again.state(valueState<{ count: number }>('v'));
    expect(again.at('a', () => restored.value())).toEqual({ count: 1 });
    expect(again.at('b', () => restored.value())).toEqual({ count: 1 });
  });

  it('writes nothing for what came and went within an epoch, and keeps no trace of it', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const [value, list, map] = [
      state(valueState<number>('v')),
      state(listState<number>('l')),
      state(mapState<number, number>('m')),
    ];
    for (let i = 0; i < 5000; i += 1) {
      at(i % 7, () => {
        value.update(i);
        list.add(i);
        map.set(i, i);
        value.clear();
        list.shift();
        map.delete(i);
      });
    }
    expect(set.dirtyEntries).toBe(0);
    expect(set.entries).toBe(0);
    expect(await save(set, store)).toBe(0);
  });

  it('deletes the row of what was stored, once', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const [value, list, map] = [
      state(valueState<number>('v')),
      state(listState<number>('l')),
      state(mapState<number, number>('m')),
    ];
    at('a', () => {
      value.update(1);
      for (let i = 0; i < 200; i += 1) list.add(i);
      map.set(1, 1);
      map.set(2, 2);
    });
    expect(await save(set, store)).toBe(1 + 4 + 3);
    at('a', () => {
      value.clear();
      list.clear();
      map.clear();
    });
    expect(await save(set, store)).toBe(8);
    expect(await rowCount(store)).toBe(0);
    expect(set.entries).toBe(0);
    expect(await save(set, store)).toBe(0);
  });

  it('keeps what was cleared in the cut and came back before it was durable', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const [value, list, map] = [
      state(valueState<number>('v')),
      state(listState<number>('l')),
      state(mapState<number, number>('m')),
    ];
    const fill = (n: number): void =>
      at('a', () => {
        value.update(n);
        list.add(n);
        map.set(1, n);
      });
    const clear = (): void =>
      at('a', () => {
        value.clear();
        list.clear();
        map.clear();
      });
    const read = (): unknown => at('a', () => [value.value(), [...list.values()], [...map.entries()]]);
    fill(1);
    await save(set, store);
    clear();
    const cut = set.cut();
    const batch = store.batch();
    const slices = cut.write(batch);
    while (slices.next().done !== true);
    fill(2);
    await batch.write();
    toEnd(cut.durable());
    expect(read()).toEqual([2, [2], [[1, 2]]]);
    clear();
    expect(read()).toEqual([undefined, [], []]);
    await save(set, store);
    expect(await rowCount(store)).toBe(0);
  });

  it('does not serialise a long list whole', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const list = state(listState<number>('l'));
    at('a', () => {
      for (let i = 0; i < 1000; i += 1) list.add(i);
    });
    await save(set, store);
    at('a', () => {
      list.add(1000);
      list.shift();
    });
    expect(await save(set, store)).toBe(1);
    const again = setUp(store, { restored: true });
    const restored = again.state(listState<number>('l'));
    expect(again.at('a', () => [...restored.values()])).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
  });

  it('says which state and key hold a value that can not be stored', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const value = state(valueState<unknown>('callbacks', { inPlace: true })); // Nothing is copied.
    const changed: { fn?: () => number } = {};
    at('k1', () => value.update(changed));
    changed.fn = () => 1; // Behind the back of the state.
    expect(() => set.dirtyBytes).not.toThrow();
    const slices = set.cut().write(store.batch());
    expect(() => slices.next()).toThrow(
      expect.objectContaining({ code: 'NOT_SERIALISABLE', message: expect.stringMatching(/callbacks.*k1/) }) as Error,
    );
  });

  it('estimates the bytes of the first epoch too', async () => {
    const { set, state, at } = setUp(await openStore());
    const value = state(valueState<string>('v'));
    for (let i = 0; i < 100; i += 1) at(i, () => value.update('x'.repeat(10_000)));
    expect(set.dirtyBytes).toBeGreaterThan(900_000);
    expect(set.dirtyBytes).toBeLessThan(1_200_000);
  });
});

describe('many sub-keys of one key each', () => {
  const panesOf = () => mapState<number, number>('panes', { indexed: false });
  /** By how much a step changes a number at most, the last one too. */
  const longestStep = (steps: Iterator<void>, of: () => number): number => {
    let most = 0;
    for (let isDone = false; !isDone; ) {
      const before = of();
      isDone = steps.next().done === true;
      most = Math.max(most, Math.abs(of() - before));
    }
    return most;
  };

  it('I20: a step writes and forgets a few of them', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store, { cacheMax: 10 });
    const panes = state(panesOf());
    const count = 20_000;
    for (let start = 0; start < count; start += 1) at(start % 7, () => panes.set(start, 1));
    const cut = set.cut();
    const batch = store.batch();
    expect(longestStep(cut.write(batch), () => batch.length)).toBeLessThanOrEqual(64);
    expect(batch.length).toBe(count);
    await batch.write();
    expect(longestStep(cut.durable(), () => set.entries)).toBeLessThanOrEqual(64);
    expect(set.entries).toBeLessThanOrEqual(10);
    for (let start = 0; start < count; start += 999) expect(at(start % 7, () => panes.get(start))).toBe(1);
  });

  it('I10: nothing is kept of what comes and goes, be there never a cut', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const panes = state(panesOf());
    for (let start = 0; start < 20_000; start += 1) {
      at('a', () => panes.set(start, 1));
      at('a', () => panes.delete(start));
    }
    at('a', () => panes.set(-1, 1));
    const batch = store.batch();
    const steps = set.cut().write(batch);
    expect(steps.next().done).toBe(true); // It meets what is there, in one step.
    expect(batch.length).toBe(1);
  });
});

describe('eviction', () => {
  it('goes 10 % below the bound, leaves dirty entries alone, and loses nothing', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store, { cacheMax: 100 });
    const value = state(valueState<number>('v'));
    for (let i = 0; i < 300; i += 1) at(i, () => value.update(i));
    expect(set.entries).toBe(300);
    const cut = set.cut();
    const batch = store.batch();
    const slices = cut.write(batch);
    while (slices.next().done !== true);
    for (let i = 0; i < 120; i += 1) at(i, () => value.update(-1 - i));
    await batch.write();
    toEnd(cut.durable());
    expect(set.entries).toBe(120);
    await save(set, store);
    expect(set.entries).toBe(90);
    for (let i = 0; i < 300; i += 1) expect(at(i, () => value.value())).toBe(i < 120 ? -1 - i : i);
  });

  it('I4: a cut holds what there was, also of a column whose cells move while it is written', async () => {
    const store = await openStore();
    const { set, state, at } = setUp(store);
    const value = state(valueState<number>('value'));
    const panes = state(mapState<number, number>('panes', { indexed: false }));
    for (let key = 0; key < 2000; key += 1) at(key, () => value.update(key));
    await save(set, store);
    // Few of many keys, more than are written in one step; those that come last have the smallest numbers.
    for (let key = 1900; key < 1964; key += 1) at(key, () => panes.set(7, 1));
    for (let key = 0; key < 36; key += 1) at(key, () => panes.set(7, 1));
    const cut = set.cut();
    const batch = store.batch();
    const steps = cut.write(batch);
    steps.next();
    for (let key = 36; key < 1900; key += 1) at(key, () => panes.set(7, 2)); // By now it holds something of most.
    toEnd(steps);
    expect(batch.length).toBe(100);
    await batch.write();
    await batch.close();
    const restored = setUp(store, { restored: true });
    const kept = restored.state(mapState<number, number>('panes', { indexed: false }), 1);
    const read = (key: number): unknown => restored.at(key, () => kept.get(7));
    expect([read(0), read(35), read(36), read(1900)]).toEqual([1, 1, undefined, 1]);
  });

  it('removes a row of which `migrate` makes nothing', async () => {
    const store = await openStore();
    const old = setUp(store);
    const numbers = old.state(valueState<number>('number'));
    old.at('a', () => numbers.update(1));
    await save(old.set, store);
    const { set, state, at } = setUp(store, { restored: true });
    const value = state(valueState<number | undefined>('number', { version: 2, migrate: () => undefined }));
    at('a', () => {
      expect(value.value()).toBeUndefined();
      value.clear();
    });
    await save(set, store);
    expect(await rowCount(store)).toBe(0);
  });
});
