/**
 * What every store must do, as cases for any test runner: both of ours pass these, and so must yours.
 * Covers I5 (a batch is whole or absent) and the prefix rule of the journal; faults of a disk are the store's own tests.
 */
import type { SuiteCase } from '../core/connector-suite.ts';
import type { ActionStateStore, JournalEntry } from '../core/journal.ts';
import type { KeyRange, OpenStorage, Storage, Store } from './store.ts';
import assert from 'node:assert/strict';
import { StreamError } from '../core/errors.ts';

/** A storage under test. */
export interface StorageFixture {
  /** Asked anew after each `reopen`. */
  readonly storage: Storage;
  /** The process dies and comes back: what is open is abandoned without `close`, and `storage` gives what reached the disk. */
  reopen(): Promise<void>;
  /** Runs when the case is over, whatever came of it. */
  cleanup(): Promise<void>;
}

export type MakeStorage = () => Promise<StorageFixture>;

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
export const stateStoreSuite = (name: string, makeStorage: MakeStorage): readonly SuiteCase[] => cases(name, makeStorage, stateCases);

/**
 * Gives the cases that an `ActionStateStore` must pass, for any test runner; `makeStorage` is called for each.
 *
 * @example
 * const makeStorage = async () => {
 *   const storage = new CrashingStorage();
 *   return { storage, reopen: async () => storage.crash(), cleanup: async () => {} };
 * };
 * for (const { run } of actionStateStoreSuite('mine', makeStorage)) await run(); // in a test runner: `test(name, run)`
 */
export const actionStateStoreSuite = (name: string, makeStorage: MakeStorage): readonly SuiteCase[] =>
  cases(name, makeStorage, journalCases);

// ---------- the state database

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
    const keys = [[0], [0, 0], [0, 255], [1], [97], [97, 0], [97, 98], [98], [127], [128], [200, 1], [254], [255], [255, 255]];
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
    assert.ok([['a=2', 'b=2'].join(), ['a=2', 'b=2', 'c=3', 'd=3'].join()].includes(found.join()), `found ${found.join()}`);
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
    await assert.rejects(fixture.storage.open(), (error) => error instanceof StreamError && error.code === 'STORE_LOCKED');
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
const applyRandom = async (state: Store, model: Map<string, string>, next: (below: number) => number, round: number): Promise<void> => {
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

// ---------- the journal

const journalCases: Readonly<Record<string, Check>> = {
  'is empty when new': async ({ journal }) => {
    assert.equal(await journal.get(bytes('a')), undefined);
    assert.deepEqual(await listed(journal), []);
  },
  'gives back what was appended, in the order of the keys': async ({ journal }) => {
    await journal.append([entry('b', '2'), entry('a', '1')]);
    await journal.append([entry('aa', '3'), entry('c', '')]);
    assert.deepEqual(await listed(journal), ['a=1', 'aa=3', 'b=2', 'c=']);
    assert.equal(shown(await journal.get(bytes('aa'))), 'aa=3');
    assert.equal(await journal.get(bytes('x')), undefined);
  },
  'replaces an entry by a later one with its key': async ({ journal }) => {
    await journal.append([entry('a', '1'), entry('a', '2')]);
    assert.deepEqual(await listed(journal), ['a=2']);
    await journal.append([entry('a', '3')]);
    assert.deepEqual(await listed(journal), ['a=3']);
  },
  'takes an append of nothing': async ({ journal }) => {
    await journal.append([]);
    assert.deepEqual(await listed(journal), []);
  },
  'owns what it was given': async ({ journal }) => {
    const { key, value } = entry('a', '1');
    const appended = journal.append([{ key, value }]);
    key.fill(0);
    value.fill(0);
    await appended;
    assert.deepEqual(await listed(journal), ['a=1']);
  },
  'forgets pruned keys, known or not': async ({ journal }) => {
    await journal.append([entry('a', '1'), entry('b', '2'), entry('c', '3')]);
    await journal.pruneState([bytes('a'), bytes('c'), bytes('x')]);
    await journal.pruneState([]);
    assert.deepEqual(await listed(journal), ['b=2']);
  },
  'gives at least what came after a marker': async ({ journal }) => {
    await journal.append([entry('a', '1')]);
    const marker = await journal.getRecoveryMarker();
    await journal.append([entry('b', '2'), entry('c', '3')]);
    const found = await listed(journal, marker);
    assert.ok(found.includes('b=2') && found.includes('c=3'), `found ${found.join()}`);
  },
  'gives a marker that can be stored': async ({ journal }) => {
    await journal.append([entry('a', '1')]);
    const marker: unknown = JSON.parse(JSON.stringify((await journal.getRecoveryMarker()) ?? null));
    await journal.append([entry('b', '2')]);
    assert.ok((await listed(journal, marker)).includes('b=2'));
  },
  'keeps what it acknowledged over a crash': async ({ journal }, fixture) => {
    for (let number = 0; number < 20; number += 1) await journal.append([entry(`k${10 + number}`, `${number}`)]);
    await journal.pruneState([bytes('k10')]);
    await fixture.reopen();
    const again = await fixture.storage.open();
    const found = (await listed(again.journal)).filter((text) => text !== 'k10=0');
    assert.deepEqual(
      found,
      Array.from({ length: 19 }, (_, index) => `k${11 + index}=${index + 1}`),
    );
    await again.close();
  },
  'holds a prefix of what was appended after a crash, each append whole': async ({ journal }, fixture) => {
    let acknowledged = 0;
    const appends = Array.from({ length: 40 }, async (_, number) => {
      await journal.append([entry(`a${100 + number}`, 'x'), entry(`b${100 + number}`, 'y')]);
      acknowledged = Math.max(acknowledged, number + 1);
    });
    await appends[12];
    const told = acknowledged;
    await fixture.reopen();
    const again = await fixture.storage.open();
    const found = await listed(again.journal);
    const length = found.length / 2;
    assert.ok(length >= told, `${told} were acknowledged, ${length} are there`);
    const expected = ['a=x', 'b=y'].flatMap((text) => Array.from({ length }, (_, number) => text.replace('=', `${100 + number}=`)));
    assert.deepEqual(found, expected);
    await again.close();
  },
  'may be closed twice, and is of no use then': async ({ journal }) => {
    await journal.close();
    await journal.close();
    await assert.rejects(journal.append([entry('a', '1')]), failed);
    await assert.rejects(journal.get(bytes('a')), failed);
    await assert.rejects(journal.pruneState([bytes('a')]), failed);
    await assert.rejects(listed(journal), failed);
  },
};

// ---------- tools

type Check = (open: OpenStorage, fixture: StorageFixture) => Promise<void>;

const cases = (name: string, makeStorage: MakeStorage, checks: Readonly<Record<string, Check>>): readonly SuiteCase[] =>
  Object.entries(checks).map(([rule, check]) => ({
    name: `${name} ${rule}`,
    run: async () => {
      const fixture = await makeStorage();
      try {
        const open = await fixture.storage.open();
        await check(open, fixture);
        await open.close();
      } finally {
        await fixture.cleanup();
      }
    },
  }));

const everything: KeyRange = { gte: new Uint8Array(0), lt: Uint8Array.of(255, 255) };

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Without the class that a store happens to return, for comparison. */
const plain = (found: Uint8Array | undefined): Uint8Array | undefined => (found === undefined ? undefined : new Uint8Array(found));

const range = (gte: string, lt: string): KeyRange => ({ gte: bytes(gte), lt: bytes(lt) });

const entry = (key: string, value: string): JournalEntry => ({ key: bytes(key), value: bytes(value) });

const text = (found: Uint8Array): string => Buffer.from(found).toString();

const shown = (found: JournalEntry | undefined): string | undefined =>
  found === undefined ? undefined : `${text(found.key)}=${text(found.value)}`;

const read = (state: Store, key: string): string | undefined => {
  const found = state.get(bytes(key));
  return found === undefined ? undefined : text(found);
};

const put = async (state: Store, values: Readonly<Record<string, string>>): Promise<void> => {
  const batch = state.batch();
  for (const [key, value] of Object.entries(values)) batch.put(bytes(key), bytes(value));
  await batch.write();
};

const list = async (entries: AsyncIterable<readonly [Uint8Array, Uint8Array]>): Promise<string[]> => {
  const found: string[] = [];
  for await (const [key, value] of entries) found.push(`${text(key)}=${text(value)}`);
  return found;
};

const rows = (state: Store, within: KeyRange = everything): Promise<string[]> => list(state.entries(within));

const listed = async (journal: ActionStateStore, marker?: unknown): Promise<string[]> => {
  const found: string[] = [];
  for await (const { key, value } of journal.rebuildState(marker)) found.push(`${text(key)}=${text(value)}`);
  return found;
};

const failed = (error: unknown): boolean => error instanceof StreamError && error.code === 'STORE_FAILED';

/** Numbers that look random and are the same each time. */
const sequence = (seed: number): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};
