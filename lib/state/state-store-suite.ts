/**
 * What every state store must do, as cases for any test runner: both of ours pass these, and so must yours. Covers I5
 * (a batch is whole or absent); faults of a disk are the store's own tests.
 */
import type { SuiteCase } from '../core/suite-case.ts';
import type { Store } from './store.ts';
import assert from 'node:assert/strict';
import { StreamError } from '../core/errors.ts';
import {
  bytes,
  cases,
  type Check,
  entry,
  everything,
  failed,
  list,
  listed,
  put,
  range,
  read,
  rows,
  type MakeStorage,
} from './storage-fixture.ts';

/**
 * Gives the cases that a `Store` must pass, for any test runner; `makeStorage` is called for each.
 *
 * @example
 * const makeStorage = async () => {
 *   const storage = new CrashingStorage();
 *   return { storage, reopen: async () => storage.crash(), cleanup: async () => {} };
 * };
 * for (const { run } of stateStoreSuite('mine', makeStorage)) await run(); // in a test runner: `test(name, run)`
 */
export const stateStoreSuite = (name: string, makeStorage: MakeStorage): readonly SuiteCase[] =>
  cases(name, makeStorage, stateCases);

const stateCases: Readonly<Record<string, Check>> = {
  'is empty when new': async ({ state }) => {
    assert.equal(state.get(bytes('a')), undefined);
    assert.deepEqual(await rows(state), []);
  },
  'shows a batch when it is written, and not before': async ({ state }) => {
    const batch = state.batch();
    batch.put(bytes('a'), bytes('1'));
    assert.equal(state.get(bytes('a')), undefined);
    await batch.write();
    assert.equal(read(state, 'a'), '1');
  },
  'forgets a batch that is closed': async ({ state }) => {
    const batch = state.batch();
    batch.put(bytes('a'), bytes('1'));
    await batch.close();
    await batch.close();
    assert.deepEqual(await rows(state), []);
  },
  'closes a batch that is being written without harm': async ({ state }) => {
    const first = state.batch();
    const second = state.batch();
    first.put(bytes('a'), bytes('1'));
    second.put(bytes('b'), bytes('2'));
    const written = [first.write(), second.write()];
    await Promise.all([first.close(), second.close(), ...written]);
    assert.deepEqual(await rows(state), ['a=1', 'b=2']);
  },
  'refuses a batch that was written': async ({ state }) => {
    const batch = state.batch();
    await batch.write();
    assert.throws(() => batch.put(bytes('a'), bytes('1')), TypeError);
    assert.throws(() => batch.delete(bytes('a')), TypeError);
    await assert.rejects(batch.write(), TypeError);
    assert.deepEqual(await rows(state), []);
  },
  'takes operations of a batch in their order': async ({ state }) => {
    const batch = state.batch();
    batch.put(bytes('a'), bytes('1'));
    batch.put(bytes('a'), bytes('2'));
    batch.put(bytes('b'), bytes('1'));
    batch.delete(bytes('b'));
    batch.delete(bytes('c'));
    batch.put(bytes('c'), bytes('3'));
    await batch.write();
    assert.deepEqual(await rows(state), ['a=2', 'c=3']);
  },
  'counts operations and bytes of a batch': async ({ state }) => {
    const batch = state.batch();
    assert.deepEqual([batch.length, batch.bytes], [0, 0]);
    batch.put(bytes('ab'), bytes('xyz'));
    batch.delete(bytes('ab'));
    assert.deepEqual([batch.length, batch.bytes], [2, 7]);
    await batch.close();
  },
  'orders keys by their bytes': async ({ state }) => {
    const keys = [
      [0],
      [0, 0],
      [0, 255],
      [1],
      [97],
      [97, 0],
      [97, 98],
      [98],
      [127],
      [128],
      [200, 1],
      [254],
      [255],
      [255, 255],
    ];
    const batch = state.batch();
    for (const key of keys.toReversed()) batch.put(Uint8Array.from(key), Uint8Array.from(key));
    await batch.write();
    const found: number[][] = [];
    for await (const [key, value] of state.entries(everything)) {
      assert.deepEqual([...key], [...value]);
      found.push([...key]);
    }
    assert.deepEqual(found, keys.slice(0, -1));
  },
  'reads from `gte` to before `lt`': async ({ state }) => {
    await put(state, { a: '1', b: '2', ba: '3', c: '4' });
    assert.deepEqual(await rows(state, range('b', 'c')), ['b=2', 'ba=3']);
    assert.deepEqual(await rows(state, range('b\0', 'bb')), ['ba=3']);
    assert.deepEqual(await rows(state, range('b', 'b')), []);
    assert.deepEqual(await rows(state, range('c', 'a')), []);
    assert.deepEqual(await rows(state, range('d', 'z')), []);
  },
  'keeps empty values, large values and all bytes': async ({ state }) => {
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    const large = new Uint8Array(1_500_000).map((_, index) => (index * 7919) >>> 3);
    const batch = state.batch();
    batch.put(all, all);
    batch.put(bytes('empty'), new Uint8Array(0));
    batch.put(bytes('large'), large);
    await batch.write();
    assert.deepEqual(plain(state.get(all)), all);
    assert.equal(state.get(bytes('empty'))?.length, 0);
    assert.ok(Buffer.from(large).equals(state.get(bytes('large')) ?? new Uint8Array(0)));
  },
  'owns what it was given and gives away what it returns': async ({ state }) => {
    const key = bytes('a');
    const value = bytes('1');
    const batch = state.batch();
    batch.put(key, value);
    key[0] = 0;
    value[0] = 0;
    await batch.write();
    state.get(bytes('a'))?.fill(0);
    for await (const [, found] of state.entries(everything)) found.fill(0);
    assert.deepEqual(await rows(state), ['a=1']);
  },
  'iterates over the rows as of the call': async ({ state }) => {
    await put(state, { a: '1', b: '2', c: '3' });
    const entries = state.entries(everything);
    const batch = state.batch();
    batch.put(bytes('a'), bytes('new'));
    batch.delete(bytes('b'));
    batch.put(bytes('d'), bytes('new'));
    await batch.write();
    assert.deepEqual(await list(entries), ['a=1', 'b=2', 'c=3']);
    assert.deepEqual(await rows(state), ['a=new', 'c=3', 'd=new']);
  },
  'can be left in the middle of an iteration': async ({ state, close }) => {
    await put(state, Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`k${index}`, 'v'])));
    for await (const row of state.entries(everything)) if (row.length > 0) break;
    state.entries(everything);
    await put(state, { k0: 'new' });
    assert.equal(read(state, 'k0'), 'new');
    await close();
  },
  'clears a range and nothing else': async ({ state }) => {
    await put(state, { a: '1', b: '2', bz: '3', c: '4' });
    await state.clear(range('b', 'c'));
    await state.clear(range('x', 'y'));
    assert.deepEqual(await rows(state), ['a=1', 'c=4']);
  },
  'keeps everything over close and open': async ({ state, jobId, close }, fixture) => {
    await put(state, { a: '1', b: '2' });
    await close();
    const again = await fixture.storage.open();
    assert.equal(again.jobId, jobId);
    assert.deepEqual(await rows(again.state), ['a=1', 'b=2']);
    await again.close();
  },
  'keeps every acknowledged batch over a crash, and no half one': async (first, fixture) => {
    const { state, jobId } = first;
    await put(state, { a: '1' });
    await put(state, { a: '2', b: '2' });
    const batch = state.batch();
    batch.put(bytes('c'), bytes('3'));
    batch.put(bytes('d'), bytes('3'));
    void batch.write();
    await fixture.reopen();
    const again = await fixture.storage.open();
    assert.equal(again.jobId, jobId);
    const found = await rows(again.state);
    assert.ok(
      [['a=2', 'b=2'].join(), ['a=2', 'b=2', 'c=3', 'd=3'].join()].includes(found.join()),
      `found ${found.join()}`,
    );
    await put(again.state, { e: '5' });
    assert.equal(read(again.state, 'e'), '5');
    await again.close();
  },
  'finishes writes before it closes': async ({ state, close }, fixture) => {
    const batch = state.batch();
    batch.put(bytes('a'), bytes('1'));
    await Promise.all([batch.write(), close()]);
    const again = await fixture.storage.open();
    assert.equal(read(again.state, 'a'), '1');
    await again.close();
  },
  'may be closed twice, and is of no use then': async ({ state, journal, close }) => {
    const batch = state.batch();
    batch.put(bytes('a'), bytes('1'));
    await close();
    await close();
    await state.close();
    await journal.close();
    assert.throws(() => state.get(bytes('a')), failed);
    assert.throws(() => state.batch(), failed);
    await assert.rejects(state.clear(everything), failed);
    await assert.rejects(async () => list(state.entries(everything)), failed);
    await assert.rejects(batch.write(), failed);
  },
  'has one owner': async ({ state, close }, fixture) => {
    await assert.rejects(
      fixture.storage.open(),
      (error) => error instanceof StreamError && error.code === 'STORE_LOCKED',
    );
    await put(state, { a: '1' });
    await close();
    const again = await fixture.storage.open();
    assert.equal(read(again.state, 'a'), '1');
    await again.close();
  },
  'does not mix state and journal': async ({ state, journal }) => {
    await put(state, { a: 'state' });
    await journal.append([entry('a', 'journal')]);
    await state.clear(everything);
    assert.deepEqual(await rows(state), []);
    assert.deepEqual(await listed(journal), ['a=journal']);
  },
  'behaves like a sorted map over many random batches': async (first, fixture) => {
    const model = new Map<string, string>();
    const next = sequence(42);
    let open = first;
    for (let round = 0; round < 60; round += 1) {
      await applyRandom(open.state, model, next, round);
      if (round % 20 === 19) {
        await fixture.reopen();
        open = await fixture.storage.open();
      }
      const from = `k${next(40)}`;
      const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`);
      assert.deepEqual(await rows(open.state), expected);
      assert.equal(read(open.state, from), model.get(from));
    }
    await open.close();
  },
};

/** One batch, or now and then a cleared range, on the store and on the model. */
const applyRandom = async (
  state: Store,
  model: Map<string, string>,
  next: (below: number) => number,
  round: number,
): Promise<void> => {
  if (next(10) === 0) {
    const [from = '', to = ''] = [`k${next(40)}`, `k${next(40)}`].sort();
    await state.clear(range(from, to));
    for (const key of model.keys()) if (key >= from && key < to) model.delete(key);
    return;
  }
  const batch = state.batch();
  for (let count = next(20); count > 0; count -= 1) {
    const key = `k${next(40)}`;
    if (next(3) === 0) {
      batch.delete(bytes(key));
      model.delete(key);
    } else {
      batch.put(bytes(key), bytes(`${round}.${count}`));
      model.set(key, `${round}.${count}`);
    }
  }
  await batch.write();
};

/** Without the class that a store happens to return, for comparison. */
const plain = (found: Uint8Array | undefined): Uint8Array | undefined =>
  found === undefined ? undefined : new Uint8Array(found);

/** Numbers that look random and are the same each time. */
const sequence = (seed: number): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};
