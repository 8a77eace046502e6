/** The handle of a value: the one cell that the current key has. */
import type { ValueState } from '../core/state-descriptor.ts';
import { ColumnHandle } from './column-handle.ts';

export class KeyedValueState<T> extends ColumnHandle implements ValueState<T> {
  value(): T | undefined {
    return this.read(undefined) as T | undefined; // Only `update` and the store put values in.
  }

  update(value: T): void {
    this.put(undefined, value);
  }

  clear(): void {
    this.remove(undefined);
  }
}
