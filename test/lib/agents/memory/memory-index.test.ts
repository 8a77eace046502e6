import { describe, expect, it } from 'vitest';
import type { MemoryBase } from '../../../../lib/agents/memory/memory-index.ts';
import { MemoryHistory } from '../../../../lib/agents/memory/memory-history.ts';
import { applyChanges, MemoryView, type MemoryChange } from '../../../../lib/agents/memory/memory.ts';

/** Counts each look-up and each path that is gone through. */
class Counted implements MemoryBase {
  readonly rows = new Map<string, unknown>();
  steps = 0;

  get(path: string): unknown {
    this.steps += 1;
    return this.rows.get(path);
  }

  *keys(): Iterable<string> {
    for (const path of this.rows.keys()) {
      this.steps += 1;
      yield path;
    }
  }

  set(path: string, value: unknown): void {
    this.rows.set(path, value);
  }

  delete(path: string): void {
    this.rows.delete(path);
  }
}

const objects = 300;
/** Far from one for each other object, which would be 300. */
const stepsPerObject = 60;

const writes = Array.from({ length: objects }, (_, n): MemoryChange => ({ path: `users.u${n}.n`, value: n }));
const deletes = Array.from({ length: objects }, (_, n): MemoryChange => ({ path: `users.u${n}`, deleted: true }));

const stored = (changes: readonly MemoryChange[]): Counted => {
  const base = new Counted();
  applyChanges(base, changes);
  base.steps = 0;
  return base;
};

const viewOf = (base: MemoryBase): MemoryView => new MemoryView({ type: 'SHORT_TERM', base });

const useEach = (view: MemoryView): void => {
  for (let n = 0; n < objects; n += 1) {
    expect(view.get(['users', `u${n}`])).toEqual({ n });
    view.delete(['users', `u${n}`]);
  }
  expect(view.get('users')).toEqual({});
};

describe('one object costs what it holds, whatever else is there', () => {
  it('in what is stored', () => {
    const base = stored(writes);
    useEach(viewOf(base));
    expect(base.steps).toBeLessThan(objects * stepsPerObject);
  });

  it('in what the action has written', () => {
    const base = new Counted();
    const view = viewOf(base);
    for (let n = 0; n < objects; n += 1) view.set(['users', `u${n}`, 'n'], n);
    useEach(view);
    expect(base.steps).toBeLessThan(objects * stepsPerObject);
  });

  it('in what actions of the run have written before', () => {
    const base = new Counted();
    const history = new MemoryHistory(writes);
    useEach(viewOf(history.at(objects, base)));
    history.add(deletes);
    expect(viewOf(history.at(2 * objects, base)).get('users')).toEqual({});
    expect(viewOf(history.at(objects, base)).get('users.u7')).toEqual({ n: 7 });
    expect(base.steps).toBeLessThan(objects * stepsPerObject);
  });

  it('when the changes of a run reach what is stored', () => {
    const base = stored(writes);
    applyChanges(base, deletes);
    expect([...base.rows]).toEqual([['users.', true]]);
    expect(base.steps).toBeLessThan(objects * stepsPerObject);
  });
});

it('names are listed in the order in which they were made, through changes of kind too', () => {
  const base = stored([
    { path: 'b', value: 1 },
    { path: 'a.x', value: 1 },
    { path: 'c', value: 1 },
  ]);
  const view = viewOf(base);
  expect(view.getFieldNames()).toEqual(['b', 'a', 'c']);
  view.newObject('b', true).set('y', 2);
  view.delete('a');
  view.set('d', 3);
  view.set('a', 4);
  expect(view.getFields()).toEqual({ b: 'NestedObject', a: 4, c: 1, d: 3 });
  expect(view.getFieldNames()).toEqual(['c', 'b', 'd', 'a']);
  applyChanges(base, view.written);
  expect(viewOf(base).getFieldNames()).toEqual(['c', 'b', 'd', 'a']);
});
