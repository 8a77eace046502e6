/**
 * What the actions of one run have changed in a memory so far: a list that only grows, readable as it was behind any
 * number of changes. So an action sees the memory as of its submission (DESIGN 5.5) without a copy of the list, and
 * what it costs to look does not grow with what the run has changed before.
 */
import { applyChanges, type MemoryBase, type MemoryChange, type MemoryStore } from './memory.ts';

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
    for (; this.#applied < count; this.#applied += 1) this.#apply(this.#applied, base);
    return {
      get: (path) => this.#get(path, count, base),
      keys: () => this.#keys(count, base),
    };
  }

  #apply(number: number, base: MemoryBase): void {
    const change = this.changes[number];
    if (change === undefined) return;
    const put = (path: string, value: unknown): void => {
      const versions = this.#versions.get(path);
      const last = versions?.at(-1);
      const order = last === undefined || last.value === gone ? this.#order++ : last.order;
      const version = { change: number, value, order };
      if (versions === undefined) this.#versions.set(path, [version]);
      else versions.push(version);
    };
    const head = number + 1;
    const store: MemoryStore = {
      get: (path) => this.#get(path, head, base),
      keys: () => this.#keys(head, base),
      set: put,
      delete: (path) => {
        if (this.#get(path, head, base) !== undefined) put(path, gone);
      },
    };
    applyChanges(store, [change]);
  }

  #get(path: string, count: number, base: MemoryBase): unknown {
    const version = this.#find(path, count);
    return version === undefined ? base.get(path) : version.value === gone ? undefined : version.value;
  }

  *#keys(count: number, base: MemoryBase): Iterable<string> {
    for (const path of base.keys()) if (this.#find(path, count)?.value !== gone) yield path;
    const own: { readonly path: string; readonly order: number }[] = [];
    for (const path of this.#versions.keys()) {
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
