/**
 * Memory of an agent: a tree of values under dot-separated paths, seen as it was when the action was submitted plus the
 * action's own writes. Nothing is written in place: a view records changes, and the operator applies them (DESIGN 5.5).
 *
 * Stored flat. A value stands under its path; an object node under its path with a dot at the end (`a.` for `a`), which
 * no path can have. Every ancestor of a stored entry has its marker, so whether a path is a value or an object is one
 * look-up.
 *
 * Rules of a merge: changes are applied in the order of their turns; the later wins per path; a delete takes the
 * subtree along; where a value meets an object, the later of the two stays and the conflict is reported.
 */
import { StreamError } from '../../core/errors.ts';
import { refusal } from '../../core/options.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { IndexedStore, Overlay, type MemoryBase, type MemoryStore, type MemoryTreeBase } from './memory-index.ts';
import { nameOf, shownPath, storedPath, type MemoryPath } from './memory-path.ts';

/** One write, as plain data. */
export type MemoryChange =
  | { readonly path: string; readonly value: unknown }
  | { readonly path: string; readonly deleted: true }
  /** `overwrites`: said to take the place of a value, so a value that stands there is no conflict. */
  | { readonly path: string; readonly object: true; readonly overwrites?: true | undefined };

export type MemoryType = 'SENSORY' | 'SHORT_TERM';

/** Points at a value, to pass something big along in an event. */
export interface MemoryRef {
  readonly type: MemoryType;
  /** As `storedPath` writes it. */
  readonly path: string;
}

/**
 * The memory, or the part of it under one object node. Values given and returned are copies. A name that comes from
 * data belongs into a list: there a dot is part of it.
 */
export interface MemoryObject {
  /** The value; of an object node its content as one object; undefined when there is nothing. */
  get<T = unknown>(path: MemoryPath | MemoryRef): T | undefined;
  /** Makes missing parents. Throws when the path, or a part of it, is taken by the other kind of node. */
  set(path: MemoryPath, value: unknown): MemoryRef;
  /** Whether there is a value or an object node. */
  has(path: MemoryPath): boolean;
  /** The same as `has`. */
  isExist(path: MemoryPath): boolean;
  /** Forgets a value or a whole subtree; what does not exist is no error. */
  delete(path: MemoryPath): void;
  /** Makes an object node and returns it. On a value it throws unless `overwrite`. */
  newObject(path: MemoryPath, overwrite?: boolean): MemoryObject;
  /** Whether there is an object node. */
  isNestedObject(path: MemoryPath): boolean;
  /** Names of the direct children, in the order in which they were made. */
  getFieldNames(): string[];
  /** The direct children; an object node shows as the string `NestedObject`. */
  getFields(): Record<string, unknown>;
}

/**
 * Applies changes in order. `onConflict` hears of a path where a value met an object; a delete between the two is no
 * conflict.
 */
export const applyChanges = (
  store: MemoryStore,
  changes: readonly MemoryChange[],
  onConflict?: (path: string) => void,
): void => {
  const indexed = new IndexedStore(store);
  for (const change of changes) applyChange(indexed, change, onConflict);
};

const markerOf = (path: string): string => `${path}.`;

/** What changes are applied to, with what stands under what. */
export type ChangedTree = MemoryStore & MemoryTreeBase;

/** Applies one change; `onConflict` as in `applyChanges`. */
export const applyChange = (store: ChangedTree, change: MemoryChange, onConflict?: (path: string) => void): void => {
  const { path } = change;
  if ('deleted' in change) {
    remove(store, path);
    return;
  }
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1))
    mark(store, path.slice(0, dot), onConflict);
  if ('object' in change) {
    mark(store, path, change.overwrites === true ? undefined : onConflict);
    return;
  }
  if (store.get(markerOf(path)) !== undefined) {
    onConflict?.(path);
    remove(store, path);
  }
  store.set(path, change.value);
};

/** Makes an object node. */
const mark = (store: ChangedTree, path: string, onConflict?: (path: string) => void): void => {
  if (store.get(markerOf(path)) !== undefined) return;
  if (store.get(path) !== undefined) {
    onConflict?.(path);
    store.delete(path);
  }
  store.set(markerOf(path), true);
};

const remove = (store: ChangedTree, path: string): void => {
  store.delete(path);
  const marker = markerOf(path);
  if (store.get(marker) === undefined) return;
  const markers = [marker];
  for (const each of markers) {
    store.delete(each);
    for (const below of Array.from(store.under(each))) {
      if (below.endsWith('.')) markers.push(below);
      else store.delete(below);
    }
  }
};

export interface MemoryViewOptions {
  readonly type: MemoryType;
  readonly base: MemoryBase;
  /** Changes of earlier actions of the run, up to the submission of this one. */
  readonly changes?: readonly MemoryChange[] | undefined;
  /** Called before each use; throws when memory may no longer be used. */
  readonly guard?: (() => void) | undefined;
}

/** What one action sees and what it changed, by stored paths. */
class MemoryTree {
  /** The action's own writes, in order. */
  readonly written: MemoryChange[] = [];
  readonly #type: MemoryType;
  readonly #store: Overlay;
  readonly #guard: (() => void) | undefined;

  constructor({ type, base, changes = [], guard }: MemoryViewOptions) {
    this.#type = type;
    this.#store = new Overlay(base);
    this.#guard = guard;
    for (const change of changes) applyChange(this.#store, change);
  }

  /** Throws when memory may no longer be used. */
  use(): void {
    this.#guard?.();
  }

  pathOf(ref: MemoryRef): string {
    if (ref.type !== this.#type) throw refusal('ref', `a reference into ${this.#type} memory`, ref.type);
    return ref.path;
  }

  get(path: string): unknown {
    const value = this.#store.get(path);
    if (value !== undefined) return ownCopy(value);
    return this.isObject(path) ? this.#content(markerOf(path)) : undefined;
  }

  has(path: string): boolean {
    return this.#store.get(path) !== undefined || this.isObject(path);
  }

  isObject(path: string): boolean {
    return this.#store.get(markerOf(path)) !== undefined;
  }

  set(path: string, value: unknown): MemoryRef {
    const shown = shownPath(path);
    if (value === undefined)
      throw new StreamError('NOT_SERIALISABLE', `memory \`${shown}\` can not be undefined`, {
        hint: 'use `delete` to forget a value, or null',
      });
    if (this.isObject(path)) {
      throw new TypeError(`Cannot overwrite object with value: \`${shown}\` holds an object; delete it first`);
    }
    this.#checkParents(path);
    this.#write({ path, value: this.#copy(path, value) });
    return { type: this.#type, path };
  }

  delete(path: string): void {
    // Also of what this view does not see: an action beside this one may have set it.
    this.#write({ path, deleted: true });
  }

  newObject(path: string, overwrite: boolean): void {
    this.#checkParents(path);
    if (this.#store.get(path) === undefined) {
      this.#write({ path, object: true }); // Also of one that is there: an action beside this one may have deleted it.
      return;
    }
    if (!overwrite) {
      const shown = shownPath(path);
      throw new TypeError(
        `Cannot overwrite value with object: \`${shown}\` holds a value; pass overwrite, or delete it first`,
      );
    }
    // No delete: what an action beside this one has put under the path by then stays, since only the value gives way.
    this.#write({ path, object: true, overwrites: true });
  }

  /** Names, as they are stored, of the direct children under a prefix that is empty or ends in a dot. */
  namesUnder(prefix: string): string[] {
    return Array.from(this.#store.under(prefix), (each) =>
      each.slice(prefix.length, each.endsWith('.') ? -1 : undefined),
    );
  }

  #content(prefix: string): Record<string, unknown> {
    return Object.fromEntries(this.namesUnder(prefix).map((name) => [nameOf(name), this.get(`${prefix}${name}`)]));
  }

  #write(change: MemoryChange): void {
    applyChange(this.#store, change);
    this.written.push(change);
  }

  #copy(path: string, value: unknown): unknown {
    try {
      return ownCopy(value);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const shown = shownPath(path);
      throw new StreamError('NOT_SERIALISABLE', `memory \`${shown}\`: ${why}`, { cause, details: { path: shown } });
    }
  }

  #checkParents(path: string): void {
    for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
      const parent = path.slice(0, dot);
      if (this.#store.get(parent) !== undefined) {
        throw new TypeError(`Cannot write \`${shownPath(path)}\`: \`${shownPath(parent)}\` holds a value`);
      }
    }
  }
}

/** The part of a tree under one object node, or all of it. */
class MemoryNode implements MemoryObject {
  readonly #tree: MemoryTree;
  /** Empty, or a stored path with a dot at the end. */
  readonly #prefix: string;

  constructor(tree: MemoryTree, prefix: string) {
    this.#tree = tree;
    this.#prefix = prefix;
  }

  get<T = unknown>(path: MemoryPath | MemoryRef): T | undefined {
    const isRef = typeof path === 'object' && path !== null && 'type' in path;
    if (isRef) this.#tree.use();
    // The caller says what was stored.
    return this.#tree.get(isRef ? this.#tree.pathOf(path) : this.#under(path)) as T | undefined;
  }

  set(path: MemoryPath, value: unknown): MemoryRef {
    return this.#tree.set(this.#under(path), value);
  }

  has(path: MemoryPath): boolean {
    return this.#tree.has(this.#under(path));
  }

  isExist(path: MemoryPath): boolean {
    return this.has(path);
  }

  delete(path: MemoryPath): void {
    this.#tree.delete(this.#under(path));
  }

  newObject(path: MemoryPath, overwrite = false): MemoryObject {
    const under = this.#under(path);
    this.#tree.newObject(under, overwrite);
    return new MemoryNode(this.#tree, markerOf(under));
  }

  isNestedObject(path: MemoryPath): boolean {
    return this.#tree.isObject(this.#under(path));
  }

  getFieldNames(): string[] {
    this.#tree.use();
    return this.#tree.namesUnder(this.#prefix).map(nameOf);
  }

  getFields(): Record<string, unknown> {
    this.#tree.use();
    const fieldOf = (name: string): unknown => {
      const path = `${this.#prefix}${name}`;
      return this.#tree.isObject(path) ? 'NestedObject' : this.#tree.get(path);
    };
    return Object.fromEntries(this.#tree.namesUnder(this.#prefix).map((name) => [nameOf(name), fieldOf(name)]));
  }

  #under(path: MemoryPath): string {
    this.#tree.use();
    return `${this.#prefix}${storedPath(path)}`;
  }
}

/** What one action sees and what it changed. */
export class MemoryView extends MemoryNode {
  /** The action's own writes, in order. */
  readonly written: readonly MemoryChange[];

  constructor(options: MemoryViewOptions) {
    const tree = new MemoryTree(options);
    super(tree, '');
    this.written = tree.written;
  }
}
