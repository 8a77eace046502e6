/**
 * A key's memory as the actions of one run see it: that of the key state itself, which stays as it is while the run is
 * open. So nothing is copied, and a look costs what it looks at.
 */
import type { MapState } from '../lib/core/state-descriptor.ts';
import type { WorkContext } from '../lib/core/work.ts';
import { PathIndex, type MemoryTreeBase } from '../lib/agents/memory/memory-index.ts';

export class RunMemory {
  readonly #kept: MapState<string, unknown>;
  /** Made when an action first lists what is there. */
  #index: PathIndex | undefined;
  #over = false;

  constructor(kept: MapState<string, unknown>) {
    this.#kept = kept;
  }

  /** For an action of the run: outside a turn it is read under the action's key. */
  seenBy(work: WorkContext | undefined): MemoryTreeBase {
    const read = <T>(look: () => T): T => {
      // What came then belongs to other runs.
      if (this.#over) throw new TypeError('Expected memory to be used while the run of the action is open');
      return work === undefined ? look() : work.read(look);
    };
    return {
      get: (path) => read(() => this.#kept.get(path)),
      keys: () => read(() => this.#kept.keys()),
      under: (prefix) => read(() => (this.#index ??= new PathIndex(this.#kept.keys())).under(prefix)),
    };
  }

  /** The run is over: an action that goes on, because its time was up or its run has failed, sees nothing more. */
  end(): void {
    this.#over = true;
  }
}
