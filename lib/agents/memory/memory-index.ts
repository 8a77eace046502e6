/**
 * What memory is stored in, and which of its paths stand directly under which: looking at one object costs what it
 * holds, whatever else is there. The index is made when somebody first asks, and goes along with the changes.
 */

/** What stands under the changes, stored flat: a `MapState<string, unknown>` in a turn, a `Map` anywhere. */
export interface MemoryBase {
  get(path: string): unknown;
  keys(): Iterable<string>;
}

/** Where changes are applied to: a `MapState<string, unknown>` or a `Map`. */
export interface MemoryStore extends MemoryBase {
  set(path: string, value: unknown): unknown;
  delete(path: string): unknown;
}

/** A base that knows what stands under an object node. */
export interface MemoryTreeBase extends MemoryBase {
  /** The stored paths directly under a prefix, which is empty or ends in a dot; in the order of `keys`. */
  under(prefix: string): Iterable<string>;
}

/** The prefix that a stored path stands directly under. */
const prefixOf = (path: string): string => path.slice(0, path.lastIndexOf('.', path.length - 2) + 1);

/** Stored paths by the prefix that they stand under, each in the order in which they were added. */
export class PathIndex {
  readonly #byPrefix = new Map<string, Set<string>>();

  constructor(paths: Iterable<string> = []) {
    for (const path of paths) this.add(path);
  }

  add(path: string): void {
    const prefix = prefixOf(path);
    const siblings = this.#byPrefix.get(prefix);
    if (siblings === undefined) this.#byPrefix.set(prefix, new Set([path]));
    else siblings.add(path);
  }

  delete(path: string): void {
    const prefix = prefixOf(path);
    const siblings = this.#byPrefix.get(prefix);
    if (siblings?.delete(path) === true && siblings.size === 0) this.#byPrefix.delete(prefix);
  }

  under(prefix: string): Iterable<string> {
    return this.#byPrefix.get(prefix) ?? [];
  }
}

/** A base as one that knows what stands under an object; it must change through what is given here only. */
export const indexedBase = (base: MemoryBase): MemoryTreeBase =>
  'under' in base
    ? (base as MemoryTreeBase) // Nothing else that is stored flat has such a method.
    : new IndexedBase(base);

class IndexedBase<B extends MemoryBase = MemoryBase> implements MemoryTreeBase {
  protected readonly base: B;
  #index: PathIndex | undefined;

  constructor(base: B) {
    this.base = base;
  }

  get(path: string): unknown {
    return this.base.get(path);
  }

  keys(): Iterable<string> {
    return this.base.keys();
  }

  under(prefix: string): Iterable<string> {
    return (this.#index ??= new PathIndex(this.base.keys())).under(prefix);
  }

  protected get index(): PathIndex | undefined {
    return this.#index;
  }
}

/** A store, and what stands under what in it. */
export class IndexedStore extends IndexedBase<MemoryStore> implements MemoryStore {
  set(path: string, value: unknown): void {
    this.base.set(path, value);
    this.index?.add(path);
  }

  delete(path: string): void {
    this.base.delete(path);
    this.index?.delete(path);
  }
}

const gone = Symbol('gone');

/** A base with changes on top that are not written through. */
export class Overlay implements MemoryTreeBase, MemoryStore {
  readonly #base: MemoryTreeBase;
  readonly #own = new Map<string, unknown>();
  #ownIndex: PathIndex | undefined;

  constructor(base: MemoryBase) {
    this.#base = indexedBase(base);
  }

  get(path: string): unknown {
    const own = this.#own.get(path);
    return own === undefined ? this.#base.get(path) : own === gone ? undefined : own;
  }

  set(path: string, value: unknown): void {
    this.#own.set(path, value);
    this.#ownIndex?.add(path);
  }

  delete(path: string): void {
    if (this.#base.get(path) !== undefined) {
      this.set(path, gone);
      return;
    }
    this.#own.delete(path);
    this.#ownIndex?.delete(path);
  }

  keys(): Iterable<string> {
    return this.#both(this.#base.keys(), this.#own.keys());
  }

  under(prefix: string): Iterable<string> {
    const own = (this.#ownIndex ??= new PathIndex(this.#own.keys())).under(prefix);
    return this.#both(this.#base.under(prefix), own);
  }

  *#both(base: Iterable<string>, own: Iterable<string>): Iterable<string> {
    for (const path of base) if (this.#own.get(path) !== gone) yield path;
    for (const path of own) if (this.#own.get(path) !== gone && this.#base.get(path) === undefined) yield path;
  }
}
