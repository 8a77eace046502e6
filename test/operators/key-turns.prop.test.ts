import * as fc from 'fast-check';
import { listState, valueState, type Operator } from 'millrace';
import { OperatorHarness } from 'millrace/testing';
import { expect, it } from 'vitest';
import { KeyTurns, type KeyTurnsOptions } from '../../operators/key-turns.ts';

interface Item {
  readonly key: string;
  readonly n: number;
  /** It ends as soon as it has begun. */
  readonly atOnce: boolean;
}

/** An item, or the end of the open item of a key. */
type Fed = Item | { readonly key: string; readonly ends: true };

/** Emits each item as it begins. */
const turns =
  (options: Omit<KeyTurnsOptions<Item>, 'name' | 'begin'> = {}): Operator<Fed, string> =>
  (context) => {
    const busy = context.state(valueState<true>('busy'));
    const begin = ({ key, n, atOnce }: Item): boolean => {
      context.output.emit(`${key}${n}`, 0);
      if (n < 0) throw new Error('below zero');
      if (!atOnce) busy.update(true);
      return !atOnce;
    };
    const items = new KeyTurns<Item>(context, { ...options, name: 'items', begin });
    return {
      process(fed) {
        if (!('ends' in fed)) items.arrive(fed);
        else if (items.busy) {
          busy.clear();
          items.ended();
        }
      },
      async open() {
        await items.open(busy);
      },
    };
  };

const open = (options?: Omit<KeyTurnsOptions<Item>, 'name' | 'begin'>): Promise<OperatorHarness<Fed, string>> =>
  OperatorHarness.open(turns(options), { keyOf: ({ key }: Fed) => key });

type Step =
  | { readonly kind: 'item'; readonly key: string; readonly atOnce: boolean }
  | { readonly kind: 'end'; readonly key: string }
  | { readonly kind: 'restore' };

const key = fc.constantFrom('a', 'b', 'c');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('item' as const), key, atOnce: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), key }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
);

/** What should begin: a list per key, whose first is open. */
class Model {
  readonly #lists = new Map<string, Item[]>();

  feed(fed: Fed): string[] {
    const list = this.#lists.get(fed.key) ?? [];
    this.#lists.set(fed.key, list);
    const begun: string[] = [];
    if (!('ends' in fed)) {
      list.push(fed);
      if (list.length > 1) return [];
    } else if (list.shift() === undefined) return [];
    for (let first = list[0]; first !== undefined; first = list[0]) {
      begun.push(`${first.key}${first.n}`);
      if (!first.atOnce) break;
      list.shift();
    }
    return begun;
  }
}

it('I1: items of a key begin one after the other and in order, those of others meanwhile, over restarts too; nothing is left behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const [harness, model] = [await open(), new Model()];
      const feed = (fed: Fed): string[] => {
        const expected = model.feed(fed);
        expect(harness.element(fed, 0).map((each) => (each.kind === 'record' ? each.value : each))).toEqual(expected);
        return expected;
      };
      for (const [n, each] of steps.entries()) {
        if (each.kind === 'restore') await harness.restore(await harness.snapshot());
        else feed(each.kind === 'end' ? { key: each.key, ends: true } : { key: each.key, n, atOnce: each.atOnce });
      }
      for (const each of ['a', 'b', 'c'])
        for (let left = steps.length; left > 0; left -= 1) feed({ key: each, ends: true });
      expect((await harness.snapshot()).rows).toEqual([]);
    }),
    { numRuns: 400 },
  );
});

it('what beginning an item throws comes back to whoever ended the one before, and nothing behind it begins', async () => {
  const harness = await open();
  for (const n of [1, -1, 2]) harness.element({ key: 'a', n, atOnce: false }, 0);
  expect(() => harness.element({ key: 'a', ends: true }, 0)).toThrow('below zero');
  expect(harness.read('a', listState<Item>('items'), (items) => [...items.values()].map(({ n }) => n))).toEqual([2]);
});

it('50,000 items that end at once behind one that was open begin without recursion', async () => {
  const harness = await open();
  harness.element({ key: 'a', n: 0, atOnce: false }, 0);
  for (let n = 1; n <= 50_000; n += 1) harness.element({ key: 'a', n, atOnce: true }, 0);
  expect(harness.element({ key: 'a', ends: true }, 0)).toHaveLength(50_000);
});
