import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyChanges, MemoryView, type MemoryChange } from '../../../../lib/agents/memory/memory.ts';

/** The model: a tree of maps; a leaf is anything else. */
type Tree = Map<string, Tree | number>;

type Step =
  | { readonly kind: 'set'; readonly path: string; readonly value: number }
  | { readonly kind: 'delete'; readonly path: string }
  | { readonly kind: 'object'; readonly path: string; readonly overwrite: boolean };

const name = fc.constantFrom('a', 'b', 'c', '__proto__');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('.'));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), path, value: fc.integer() }),
  fc.record({ kind: fc.constant('delete' as const), path }),
  fc.record({ kind: fc.constant('object' as const), path, overwrite: fc.boolean() }),
);

/** Does to the model what the step should do; false when it should throw. */
const apply = (root: Tree, step: Step): boolean => {
  const names = step.path.split('.');
  const last = names.pop() as string;
  let node = root;
  const missing: (() => void)[] = [];
  for (const each of names) {
    const next = node.get(each);
    if (typeof next === 'number') return step.kind === 'delete';
    if (next === undefined && step.kind === 'delete') return true;
    const child: Tree = next ?? new Map();
    const parent = node;
    if (next === undefined) missing.push(() => parent.set(each, child));
    node = child;
  }
  const at = node.get(last);
  if (step.kind === 'delete') return node.delete(last) || true;
  if (step.kind === 'set' && at instanceof Map) return false;
  if (step.kind === 'object' && typeof at === 'number' && !step.overwrite) return false;
  for (const make of missing) make();
  if (step.kind === 'set') node.set(last, step.value);
  else if (!(at instanceof Map)) node.set(last, new Map());
  return true;
};

/** Does a step whatever stands in its way: a value gives way to an object and an object to a value. */
const force = (root: Tree, { kind, path: at, ...step }: Step): void => {
  const names = at.split('.');
  const last = names.pop() as string;
  let node = root;
  for (const each of names) {
    const next = node.get(each);
    if (!(next instanceof Map) && kind === 'delete') return;
    const child: Tree = next instanceof Map ? next : new Map();
    node.set(each, child);
    node = child;
  }
  if (kind === 'delete') node.delete(last);
  else if (kind === 'set') node.set(last, (step as { value: number }).value);
  else if (!(node.get(last) instanceof Map)) node.set(last, new Map());
};

const run = (view: MemoryView, step: Step): boolean => {
  try {
    if (step.kind === 'set') view.set(step.path, step.value);
    else if (step.kind === 'delete') view.delete(step.path);
    else view.newObject(step.path, step.overwrite);
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
};

const plain = (tree: Tree): Record<string, unknown> =>
  Object.fromEntries([...tree].map(([key, value]) => [key, value instanceof Map ? plain(value) : value]));

const contentOf = (view: MemoryView): Record<string, unknown> =>
  Object.fromEntries(view.getFieldNames().map((each) => [each, view.get(each)]));

const sorted = (value: unknown): unknown =>
  typeof value === 'object' && value !== null
    ? Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, each]) => [key, sorted(each)])
    : value;

/** Every entry's ancestors are marked, and nothing is value and object at once. */
const checkFlat = (flat: ReadonlyMap<string, unknown>): void => {
  for (const key of flat.keys()) {
    const path = key.endsWith('.') ? key.slice(0, -1) : key;
    expect(flat.has(path) && flat.has(`${path}.`)).toBe(false);
    for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1))
      expect(flat.has(path.slice(0, dot + 1))).toBe(true);
  }
};

/** The flat form of a base with changes on top; the base stays as it is. */
const mergeChanges = (base: ReadonlyMap<string, unknown>, changes: readonly MemoryChange[]): Map<string, unknown> => {
  const merged = new Map(base);
  applyChanges(merged, changes);
  return merged;
};

describe('memory against a tree', () => {
  it('views over views say what the tree says', () => {
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 5 }), (actions) => {
        const tree: Tree = new Map();
        const base = new Map<string, unknown>();
        let changes: MemoryChange[] = [];
        for (const [index, steps] of actions.entries()) {
          const view = new MemoryView({ type: 'SHORT_TERM', base, changes });
          for (const each of steps) expect(run(view, each)).toBe(apply(tree, each));
          expect(sorted(contentOf(view))).toEqual(sorted(plain(tree)));
          changes.push(...view.written);
          const merged = mergeChanges(base, changes);
          checkFlat(merged);
          expect(sorted(contentOf(new MemoryView({ type: 'SHORT_TERM', base: merged })))).toEqual(sorted(plain(tree)));
          if (index % 2 === 1) {
            applyChanges(base, changes); // the run ends
            changes = [];
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it('of actions that did not see each other, the later turn wins per path', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 6 }),
        fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 4 }),
        (before, actions) => {
          const base = new Map<string, unknown>();
          const first = new MemoryView({ type: 'SENSORY', base });
          const tree: Tree = new Map();
          for (const each of before) if (run(first, each)) force(tree, each);
          applyChanges(base, first.written);
          // All see the base; each does what it can on what it sees, and the tree has it done in the order of the
          // turns.
          const written: MemoryChange[] = [];
          for (const steps of actions) {
            const view = new MemoryView({ type: 'SENSORY', base });
            for (const each of steps) if (run(view, each)) force(tree, each);
            written.push(...view.written);
          }
          expect(sorted(contentOf(new MemoryView({ type: 'SENSORY', base: mergeChanges(base, written) })))).toEqual(
            sorted(plain(tree)),
          );
        },
      ),
      {
        numRuns: 400,
        examples: [
          // Seed 667485178: an object in place of a value took along what an action beside it had put there.
          [
            [{ kind: 'set', path: 'a', value: 0 }],
            [
              [
                { kind: 'delete', path: 'a' },
                { kind: 'set', path: 'a.a', value: 0 },
              ],
              [{ kind: 'object', path: 'a', overwrite: true }],
            ],
          ],
        ],
      },
    );
  });

  it('merges changes of actions that did not see each other, and stays well formed', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 6 }),
        fc.array(fc.array(step, { maxLength: 5 }), { maxLength: 4 }),
        (before, actions) => {
          const base = new Map<string, unknown>();
          const first = new MemoryView({ type: 'SENSORY', base });
          for (const each of before) run(first, each);
          applyChanges(base, first.written);
          const written = actions.map((steps) => {
            const view = new MemoryView({ type: 'SENSORY', base });
            for (const each of steps) run(view, each);
            return view.written;
          });
          const merged = mergeChanges(base, written.flat());
          checkFlat(merged);
          // What the last action set last, and did not delete or replace after, is there.
          const final = new Map<string, unknown>();
          applyChanges(final, written.at(-1) ?? []);
          const seen = new MemoryView({ type: 'SENSORY', base: merged });
          for (const [key, value] of final) if (!key.endsWith('.')) expect(seen.get(key)).toEqual(value);
        },
      ),
      { numRuns: 400 },
    );
  });
});
