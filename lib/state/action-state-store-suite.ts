/**
 * What every journal store must do, as cases for any test runner: both of ours pass these, and so must yours. Covers
 * the prefix rule: what a crash leaves of the appends are the first ones, each whole, and among them all that were
 * acknowledged.
 */
import type { SuiteCase } from '../core/suite-case.ts';
import assert from 'node:assert/strict';
import { bytes, cases, type Check, entry, failed, listed, shown, type MakeStorage } from './storage-fixture.ts';

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
    const expected = ['a=x', 'b=y'].flatMap((text) =>
      Array.from({ length }, (_, number) => text.replace('=', `${100 + number}=`)),
    );
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
