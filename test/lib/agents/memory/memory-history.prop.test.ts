import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { MemoryHistory } from '../../../../lib/agents/memory/memory-history.ts';
import type { MemoryBase } from '../../../../lib/agents/memory/memory-index.ts';
import { applyChanges, MemoryView, type MemoryChange } from '../../../../lib/agents/memory/memory.ts';

const name = fc.constantFrom('a', 'b', 'c', '__proto__');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('.'));
const change: fc.Arbitrary<MemoryChange> = fc.oneof(
  fc.record({ path, value: fc.integer() }),
  fc.record({ path, deleted: fc.constant(true as const) }),
  fc.record({ path, object: fc.constant(true as const) }),
);
const changes = fc.array(change, { maxLength: 25 });

/** What an action sees, in the order in which it sees it. */
const seen = (view: MemoryView): string => JSON.stringify(view.getFieldNames().map((each) => [each, view.get(each)]));

const viewOf = (base: MemoryBase, made: readonly MemoryChange[] = []): MemoryView =>
  new MemoryView({ type: 'SHORT_TERM', base, changes: made });

it('I6: shows what a copy of the list would, whoever has looked before and however far', () => {
  fc.assert(
    fc.property(changes, changes, fc.array(fc.nat(25), { maxLength: 12 }), (before, made, looks) => {
      const base = new Map<string, unknown>();
      applyChanges(base, before);
      const history = new MemoryHistory();
      let given = 0;
      for (const look of looks) {
        const count = Math.min(look, made.length);
        if (count > given) history.add(made.slice(given, count));
        given = Math.max(given, count);
        expect(seen(viewOf(history.at(count, base)))).toBe(seen(viewOf(base, made.slice(0, count))));
      }
    }),
    { numRuns: 2000 },
  );
});

it('what was shown stays as it was when more is added', () => {
  const history = new MemoryHistory([{ path: 'a', value: 1 }]);
  const base = new Map<string, unknown>();
  const early = history.at(1, base);
  history.add([
    { path: 'a', deleted: true },
    { path: 'b.c', value: 2 },
  ]);
  expect([seen(viewOf(history.at(3, base))), seen(viewOf(early))]).toEqual(['[["b",{"c":2}]]', '[["a",1]]']);
});

it('is looked at 20,000 times for 20,000 changes, each look seeing one more, with a few steps each', () => {
  let reads = 0;
  const base: MemoryBase = {
    get: () => {
      reads += 1;
      return undefined;
    },
    keys: () => [],
  };
  const history = new MemoryHistory();
  for (let n = 0; n < 20_000; n += 1) {
    history.add([{ path: `n${n % 7}`, value: n }]);
    expect(history.at(n + 1, base).get(`n${n % 7}`)).toBe(n);
  }
  expect(reads).toBeLessThan(5 * 20_000);
});
