/** A working set over a store in memory, and how it is saved. */
import type { Key } from '../../../lib/core/key.ts';
import type { StateDescriptor } from '../../../lib/core/state-descriptor.ts';
import type { Store } from '../../../lib/state/store.ts';
import type { WorkingSetOptions } from '../../../lib/state/keyed-state.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import { WorkingSet } from '../../../lib/state/keyed-state.ts';

export const openStore = async (): Promise<Store> => (await new MemoryStorage().open()).state;

export const setUp = (store: Store, options: Partial<WorkingSetOptions> = {}) => {
  const keys = new KeyContext();
  const set = new WorkingSet({ store, maxParallelism: 128, restored: false, ...options });
  const operator = set.operator(1, keys);
  const state = <H>(descriptor: StateDescriptor<H>, number?: number): H => operator.state(descriptor, number);
  const at = <R>(key: Key, fn: () => R): R => {
    keys.enter(key);
    try {
      return fn();
    } finally {
      keys.leave();
    }
  };
  return { keys, set, operator, state, at };
};

export const toEnd = (steps: Iterator<void>): void => {
  while (steps.next().done !== true);
};

/** Writes a cut whole and returns how many operations it took. */
export const save = async (set: WorkingSet, store: Store): Promise<number> => {
  const cut = set.cut();
  const batch = store.batch();
  const slices = cut.write(batch);
  while (slices.next().done !== true);
  const { length } = batch;
  await batch.write();
  await batch.close();
  toEnd(cut.durable());
  return length;
};

export const rowCount = async (store: Store): Promise<number> => {
  let count = 0;
  for await (const _ of store.entries({ gte: Buffer.of(0), lt: Buffer.of(0xff) })) count += 1;
  return count;
};
