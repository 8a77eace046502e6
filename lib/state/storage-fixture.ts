/**
 * What the suites of a store are given, and how they look into it: rows as text, in the order of their keys.
 */
import type { SuiteCase } from '../core/suite-case.ts';
import type { ActionStateStore, JournalEntry } from '../core/journal.ts';
import type { KeyRange, OpenStorage, Storage, Store } from './store.ts';
import { StreamError } from '../core/errors.ts';

/** A storage under test. */
export interface StorageFixture {
  /** Asked anew after each `reopen`. */
  readonly storage: Storage;
  /**
   * The process dies and comes back: what is open is abandoned without `close`, and `storage` gives what reached the
   * disk.
   */
  reopen(): Promise<void>;
  /** Runs when the case is over, whatever came of it. */
  cleanup(): Promise<void>;
}

export type MakeStorage = () => Promise<StorageFixture>;

export type Check = (open: OpenStorage, fixture: StorageFixture) => Promise<void>;

export const cases = (
  name: string,
  makeStorage: MakeStorage,
  checks: Readonly<Record<string, Check>>,
): readonly SuiteCase[] =>
  Object.entries(checks).map(([rule, check]) => ({
    name: `${name} ${rule}`,
    run: async () => {
      const fixture = await makeStorage();
      try {
        const open = await fixture.storage.open();
        await check(open, fixture);
        await open.close();
      } finally {
        await fixture.cleanup();
      }
    },
  }));

export const everything: KeyRange = { gte: new Uint8Array(0), lt: Uint8Array.of(255, 255) };

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export const range = (gte: string, lt: string): KeyRange => ({ gte: bytes(gte), lt: bytes(lt) });

export const entry = (key: string, value: string): JournalEntry => ({ key: bytes(key), value: bytes(value) });

const text = (found: Uint8Array): string => Buffer.from(found).toString();

export const shown = (found: JournalEntry | undefined): string | undefined =>
  found === undefined ? undefined : `${text(found.key)}=${text(found.value)}`;

export const read = (state: Store, key: string): string | undefined => {
  const found = state.get(bytes(key));
  return found === undefined ? undefined : text(found);
};

export const put = async (state: Store, values: Readonly<Record<string, string>>): Promise<void> => {
  const batch = state.batch();
  for (const [key, value] of Object.entries(values)) batch.put(bytes(key), bytes(value));
  await batch.write();
};

export const list = async (entries: AsyncIterable<readonly [Uint8Array, Uint8Array]>): Promise<string[]> => {
  const found: string[] = [];
  for await (const [key, value] of entries) found.push(`${text(key)}=${text(value)}`);
  return found;
};

export const rows = (state: Store, within: KeyRange = everything): Promise<string[]> => list(state.entries(within));

export const listed = async (journal: ActionStateStore, marker?: unknown): Promise<string[]> => {
  const found: string[] = [];
  for await (const { key, value } of journal.rebuildState(marker)) found.push(`${text(key)}=${text(value)}`);
  return found;
};

export const failed = (error: unknown): boolean => error instanceof StreamError && error.code === 'STORE_FAILED';
