/**
 * What the actions of one run have changed in a memory so far: a list that only grows, readable as it was behind any
 * number of changes. So an action sees the memory as of its submission (DESIGN 5.5) without a copy of the list, and
 * what it costs to look does not grow with what the run has changed before.
 */
import { applyChange, type ChangedTree, type MemoryChange } from './memory.ts';
import { indexedBase, PathIndex, type MemoryBase, type MemoryTreeBase } from './memory-index.ts';

/** A path that holds nothing any more. */
const gone = Symbol('gone');

/** What a path holds from one change on. */
interface Version {
  /** Number of the change. */
  readonly change: number;
  readonly value: unknown;
  /** Paths that the base does not have are listed in the order in which they came to hold something. */
  readonly order: number;
}

export class MemoryHistory {
  readonly changes: MemoryChange[] = [];
  /** By path, the oldest first; of the changes that somebody has looked behind. */
  readonly #versions = new Map<string, Version[]>();
  /** Which of these paths stand under which; made when somebody asks. */
  #index: PathIndex | undefined;
  #applied = 0;
  #order = 0;

  constructor(changes: Iterable<MemoryChange> = []) {
    this.add(changes);
  }

  get length(): number {
    return this.changes.length;
  }

  add(changes: Iterable<MemoryChange>): void {
    for (const change of changes) this.changes.push(change);
  }

  /** The memory behind the first `count` changes. `base` is what stands under them: the same whenever this is asked. */
  at(count: number, base: MemoryBase): MemoryBase {
    if (count === 0) return base;
    const tree = indexedBase(base);
    for (; this.#applied < count; this.#applied += 1) this.#apply(this.#applied, tree);
    return this.#behind(count, tree);
  }

  #behind(count: number, base: MemoryTreeBase): MemoryTreeBase {
    return {
      get: (path) => this.#get(path, count, base),
      keys: () => this.#paths(count, base, [base.keys(), this.#versions.keys()]),
      under: (prefix) => {
        this.#index ??= new PathIndex(this.#versions.keys());
        return this.#paths(count, base, [base.under(prefix), this.#index.under(prefix)]);
      },
    };
  }

  #apply(number: number, base: MemoryTreeBase): void {
    const change = this.changes[number];
    if (change === undefined) return;
    const put = (path: string, value: unknown): void => {
      const versions = this.#versions.get(path);
      const last = versions?.at(-1);
      const order = last === undefined || last.value === gone ? this.#order++ : last.order;
      const version = { change: number, value, order };
      if (versions !== undefined) versions.push(version);
      else {
        this.#versions.set(path, [version]);
        this.#index?.add(path);
      }
    };
    const head = number + 1;
    const store: ChangedTree = {
      ...this.#behind(head, base),
      set: put,
      delete: (path) => {
        if (this.#get(path, head, base) !== undefined) put(path, gone);
      },
    };
    applyChange(store, change);
  }

  #get(path: string, count: number, base: MemoryBase): unknown {
    const version = this.#find(path, count);
    return version === undefined ? base.get(path) : version.value === gone ? undefined : version.value;
  }

  /** Those of the base's paths and of its own that hold something behind the first `count` changes. */
  *#paths(count: number, base: MemoryBase, [ofBase, ofOwn]: readonly Iterable<string>[]): Iterable<string> {
    for (const path of ofBase ?? []) if (this.#find(path, count)?.value !== gone) yield path;
    const own: { readonly path: string; readonly order: number }[] = [];
    for (const path of ofOwn ?? []) {
      const version = this.#find(path, count);
      if (version !== undefined && version.value !== gone && base.get(path) === undefined)
        own.push({ path, order: version.order });
    }
    for (const { path } of own.sort((a, b) => a.order - b.order)) yield path;
  }

  /** What stood under a path behind the first `count` changes; undefined when none of them was about it. */
  #find(path: string, count: number): Version | undefined {
    const versions = this.#versions.get(path);
    if (versions === undefined) return undefined;
    let [low, high] = [0, versions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { change } = versions[middle] as Version; // Inside the list.
      if (change < count) low = middle + 1;
      else high = middle;
    }
    return versions[low - 1];
  }
}
