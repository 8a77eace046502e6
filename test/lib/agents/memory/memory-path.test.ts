import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nameOf, shownPath, storedPath } from '../../../../lib/agents/memory/memory-path.ts';
import { applyChanges, MemoryView } from '../../../../lib/agents/memory/memory.ts';

const empty = (): MemoryView => new MemoryView({ type: 'SHORT_TERM', base: new Map() });

const anyName = fc.oneof(
  fc.string(),
  fc.constantFrom('', '.', '..', '%', '%2E', 'a.b', '3.5 mm', '__proto__', 'constructor', '\ud800'),
);

describe('a list of names', () => {
  test('holds any names: each comes back as it is, and no two lists are one path', () => {
    fc.assert(
      fc.property(
        fc.array(anyName, { minLength: 1, maxLength: 4 }),
        fc.array(anyName, { minLength: 1, maxLength: 4 }),
        (a, b) => {
          expect(storedPath(a).split('.').map(nameOf)).toEqual(a);
          expect(storedPath(a) === storedPath(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
        },
      ),
    );
  });

  test('is the same path as names joined by dots, where no name has one', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z%]{1,4}$/), { minLength: 1, maxLength: 4 }), (names) => {
        expect(storedPath(names)).toBe(storedPath(names.join('.')));
        expect(shownPath(storedPath(names))).toBe(names.join('.'));
      }),
    );
  });

  test.each([[''], ['.a'], ['a.'], ['a..b'], [[]], [[1]], [undefined], [null], [{}]])('%j is no path', (path) => {
    expect(() => storedPath(path as never)).toThrow(/Expected `path` to be names joined by dots/);
  });
});

describe('names from data', () => {
  test('neither nest nor meet each other', () => {
    const memory = empty();
    const names = ['v1', 'v1.2', 'Acme Inc.', 'wait...', '', '__proto__', '50%', '%2E'];
    for (const [at, name] of names.entries()) memory.set(['seen', name], at);
    expect(names.map((name) => memory.get(['seen', name]))).toEqual(names.map((_, at) => at));
    const seen = memory.get<Record<string, number>>('seen') ?? {};
    expect(Object.entries(seen)).toEqual(names.map((name, at) => [name, at]));
    expect(memory.newObject('seen').getFieldNames()).toEqual(names);
    memory.delete(['seen', 'v1.2']);
    expect([memory.has(['seen', 'v1.2']), memory.has(['seen', 'v1'])]).toEqual([false, true]);
  });

  test('survive being stored, and are found by a reference', () => {
    const memory = empty();
    const ref = memory.set(['orders', 'a.b'], { n: 1 });
    const stored = new Map<string, unknown>();
    applyChanges(stored, memory.written);
    const later = new MemoryView({ type: 'SHORT_TERM', base: stored });
    expect([later.get(ref), later.get(['orders', 'a.b']), later.getFields()]).toEqual([
      { n: 1 },
      { n: 1 },
      { orders: 'NestedObject' },
    ]);
  });

  test('are shown as they are in what is refused', () => {
    const memory = empty();
    memory.set(['seen', 'a.b'], 1);
    expect(() => memory.set(['seen', 'a.b', 'c'], 1)).toThrow('Cannot write `seen.a.b.c`: `seen.a.b` holds a value');
  });
});
