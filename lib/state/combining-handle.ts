/** The handle of a state that keeps what its values come to: the one cell of the current key, and its function. */
import type { AggregatingState, Combine } from '../core/state-descriptor.ts';
import { ColumnHandle } from './column-handle.ts';
import type { ColumnTable } from './column-table.ts';
import type { HandleOwner } from './state-handle.ts';

export class KeyedCombiningState<T, R> extends ColumnHandle implements AggregatingState<T, R> {
  readonly #combine: Combine;

  constructor(table: ColumnTable, owner: HandleOwner, combine: Combine) {
    super(table, owner);
    this.#combine = combine;
  }

  get(): R | undefined {
    const kept = this.read(undefined);
    return kept === undefined ? undefined : (this.#combine.result(kept) as R); // The descriptor's types say so.
  }

  add(value: T): void {
    const after = this.#combine.add(this.read(undefined), value);
    if (after === undefined) {
      const { kind, name } = this.table.options.descriptor;
      throw new TypeError(`Expected what ${kind} state '${name}' keeps of a value not to be undefined`);
    }
    this.put(undefined, after);
  }

  clear(): void {
    this.remove(undefined);
  }
}
