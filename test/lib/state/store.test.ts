import { describe, test } from 'vitest';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import type { StorageFixture } from '../../../lib/state/storage-fixture.ts';
import { actionStateStoreSuite } from '../../../lib/state/action-state-store-suite.ts';
import { stateStoreSuite } from '../../../lib/state/state-store-suite.ts';
import { ManualTimers } from './manual-timers.ts';
import { makeLevelStorage } from './level-fixture.ts';

const memoryFixture = (storage: MemoryStorage): StorageFixture => ({
  storage,
  reopen: async () => storage.crash(),
  cleanup: async () => undefined,
});

const makers = {
  memory: async () => memoryFixture(new MemoryStorage()),
  'memory with delays': async () =>
    memoryFixture(new MemoryStorage({ clock: new ManualTimers(7), writeDelayMs: () => 3 })),
  'memory on a clock': async () => memoryFixture(new MemoryStorage({ clock: new ManualTimers(7) })),
  'memory that lands a write': async () => {
    const storage = new MemoryStorage();
    return { storage, reopen: async () => storage.crash({ state: 1, journal: 3 }), cleanup: async () => undefined };
  },
  level: makeLevelStorage,
};

describe('stores', () => {
  for (const [name, make] of Object.entries(makers)) {
    for (const { name: rule, run } of [
      ...stateStoreSuite(`state in ${name}`, make),
      ...actionStateStoreSuite(`journal in ${name}`, make),
    ]) {
      test(rule, run);
    }
  }
});
