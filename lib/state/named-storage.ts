/** A storage of somebody else: what it throws or rejects with is told as `STORE_FAILED`, with its name. */
import type { ActionStateStore } from '../core/journal.ts';
import { named, namedAsync, type Failing } from '../core/failures.ts';
import { resultWith } from '../core/options.ts';
import type { OpenStorage, Storage, Store, StoreBatch } from './store.ts';

export const namedStorage = (storage: Storage): Storage => {
  const failing = (to: string): Failing => ({
    code: 'STORE_FAILED',
    what: `store \`${storage.name}\` failed to ${to}`,
  });
  const { exists } = storage;
  return {
    name: storage.name,
    ...(exists !== undefined && { exists: () => namedAsync(failing('open'), () => exists.call(storage)) }),
    async open() {
      const found = await namedAsync(failing('open'), async () => opened(await storage.open()));
      return {
        jobId: found.jobId,
        state: namedStore(found.state, failing),
        journal: namedJournal(found.journal, failing),
        close: () => namedAsync(failing('close'), () => found.close()),
      };
    },
  };
};

const opened = (storage: OpenStorage): OpenStorage => {
  const { state, journal } = resultWith('open', storage, ['close']);
  resultWith('open().state', state, ['get', 'entries', 'batch', 'close']);
  resultWith('open().journal', journal, ['append', 'get', 'close']);
  return storage;
};

type FailingTo = (to: string) => Failing;

const namedStore = (store: Store, failing: FailingTo): Store => {
  const [read, write] = [failing('read'), failing('write')];
  return {
    get: (key) => named(read, () => store.get(key)),
    entries: (range) => named(read, () => store.entries(range)),
    batch: () => named(write, () => namedBatch(store.batch(), write)),
    clear: (range) => namedAsync(write, () => store.clear(range)),
    close: () => namedAsync(failing('close'), () => store.close()),
  };
};

const namedBatch = (batch: StoreBatch, failing: Failing): StoreBatch => ({
  get length() {
    return batch.length;
  },
  get bytes() {
    return batch.bytes;
  },
  put: (key, value) => named(failing, () => batch.put(key, value)),
  delete: (key) => named(failing, () => batch.delete(key)),
  write: () => namedAsync(failing, () => batch.write()),
  close: () => namedAsync(failing, () => batch.close()),
});

const namedJournal = (journal: ActionStateStore, failing: FailingTo): ActionStateStore => {
  const [read, write] = [failing('read its journal'), failing('write its journal')];
  const { reaches } = journal;
  return {
    append: (entries) => namedAsync(write, () => journal.append(entries)),
    get: (key) => namedAsync(read, () => journal.get(key)),
    getRecoveryMarker: () => namedAsync(read, () => journal.getRecoveryMarker()),
    ...(reaches !== undefined && {
      reaches: (marker: unknown) => namedAsync(read, () => reaches.call(journal, marker)),
    }),
    rebuildState: (marker) => named(read, () => journal.rebuildState(marker)),
    pruneState: (keys) => namedAsync(write, () => journal.pruneState(keys)),
    close: () => namedAsync(failing('close'), () => journal.close()),
  };
};
