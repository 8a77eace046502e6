import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Worker } from '../../../../lib/core/work.ts';
import { fingerprintOf, WorkItem } from '../../../../lib/runtime/work/work-item.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';
import { idOf, itemOf } from '../recovery/records.ts';

interface Ask {
  readonly id: number;
  readonly tags: string[];
}

const made = (worker: Partial<Worker<Ask, unknown>>, item: Ask = { id: 7, tags: ['a'] }, key = 'k') => {
  const whole: Worker<Ask, unknown> = { name: 'ask', run: async () => {}, apply: () => {}, ...worker };
  return new WorkItem({
    id: idOf(3),
    key,
    keys: new KeyContext(),
    // A queue keeps its workers so; each gets the items that it has taken.
    known: { worker: whole as Worker<unknown, unknown>, uid: 'op', timeoutMs: 500 },
    row: { worker: 'ask', item, submittedAt: 12, branch: 0 },
  });
};

describe('what names an item', () => {
  test('its place: branch, operator, key group and number', () => {
    expect(made({}).name).toBe('0.1.2.3');
    expect(itemOf('x', idOf(4, { branch: 2, operator: 9 })).name).toBe('2.9.2.4');
  });

  test('in messages worker, operator and key, or what the worker says of it', () => {
    expect(made({}).title).toBe('work `ask` of operator `op` for key "k"');
    expect(made({}, undefined, '').title).toBe('work `ask` of operator `op`'); // A stream without keys.
    expect(made({ describe: ({ id }, key) => `ask ${id} of ${String(key)}` }).title).toBe('ask 7 of k');
    const describe = (): never => {
      throw new RangeError('no words');
    };
    expect(made({ describe }).title).toBe(made({}).title); // What tells of a failure must not hide it.
    expect(made({}).details).toEqual({ uid: 'op', work: '0.1.2.3', key: 'k' });
  });

  test('it has the facts of its row and its worker', () => {
    const item = made({});
    expect([item.submittedAt, item.timeoutMs, item.item, item.worker.name]).toEqual([
      12,
      500,
      { id: 7, tags: ['a'] },
      'ask',
    ]);
  });
});

describe('what tells an item from others', () => {
  test('is what it holds, or what its worker says: not its number, its branch or its key', () => {
    const digests = [itemOf({ a: 1 }, idOf(1)), itemOf({ a: 1 }, idOf(2, { branch: 3 }), 'other')].map((item) =>
      item.digest(),
    );
    expect(digests[0]).toBe(digests[1]);
    expect(itemOf({ a: 2 }, idOf(1)).digest()).not.toBe(digests[0]);
    const byId = { identity: ({ id }: Ask) => id };
    expect(made(byId, { id: 1, tags: ['x'] }).digest()).toBe(made(byId, { id: 1, tags: ['y'] }).digest());
    expect(made(byId, { id: 2, tags: ['x'] }).digest()).not.toBe(made(byId, { id: 1, tags: ['x'] }).digest());
  });

  test('is what it was when that was first asked for, whatever is done to the item later', () => {
    const content: Ask = { id: 7, tags: ['a'] };
    let asked = 0;
    const item = made({ identity: (each) => ((asked += 1), each) }, content);
    const before = [item.digest(), item.fingerprint];
    content.tags.push('b');
    expect([item.digest(), item.fingerprint]).toEqual(before);
    expect(item.fingerprint).toBe(fingerprintOf(item.id, item.digest()));
    expect([asked, item.facts()]).toEqual([1, { work: idOf(3), key: 'k', digest: before[0] }]);
    expect(made({}, content).digest()).not.toBe(before[0]);
  });

  test('can not be something that has no bytes', () => {
    expect(() => made({ identity: () => () => 1 }).digest()).toThrow(
      expect.objectContaining({ code: 'NOT_SERIALISABLE' }),
    );
  });
});

describe('a worker that is told of an item', () => {
  const changing = {
    describe: ({ tags }: Ask) => `tags ${tags.push('described')}`,
    identity: ({ tags }: Ask) => tags.push('identified'),
  };

  test('gets a copy, whose changes are nothing of the row (I21)', () => {
    const item = made(changing);
    expect([item.title, item.title]).toEqual(['tags 2', 'tags 2']);
    item.digest();
    expect(item.item).toEqual({ id: 7, tags: ['a'] });
  });

  test('gets the item itself where nobody else holds it', () => {
    const item = made({ owned: true });
    expect(item.shown).toBe(item.item);
    expect(made({}).shown).not.toBe(item.item);
  });
});

test('a fingerprint goes by operator, key group and content, and fits 32 bits', () => {
  const id = fc.record({ branch: fc.nat(), operator: fc.nat(500), keyGroup: fc.nat(32_767), number: fc.nat() });
  const digest = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(id, id, digest, digest, (one, other, a, b) => {
      const print = fingerprintOf(one, a);
      expect(Number.isInteger(print) && print >= 0 && print < 2 ** 32).toBe(true);
      expect(fingerprintOf({ ...other, operator: one.operator, keyGroup: one.keyGroup }, a)).toBe(print);
      if (a !== b) expect(fingerprintOf(one, b)).not.toBe(print); // Each step can be undone.
      if (one.operator !== other.operator)
        expect(fingerprintOf({ ...one, operator: other.operator }, a)).not.toBe(print);
      if (one.keyGroup !== other.keyGroup)
        expect(fingerprintOf({ ...one, keyGroup: other.keyGroup }, a)).not.toBe(print);
    }),
  );
});

test('it gathers the keys of its records, in their order', () => {
  const item = made({});
  const keys = [1, 2, 3].map((each) => Uint8Array.of(each)) as [Uint8Array, Uint8Array, Uint8Array];
  expect(item.journaled).toEqual([]);
  item.addJournaledKey(keys[0]);
  item.addJournaled([keys[1], keys[2]]);
  item.addJournaled([]);
  expect(item.journaled).toEqual(keys);
  expect(made({}).journaled).toEqual([]); // Its own, not that of all.
});
