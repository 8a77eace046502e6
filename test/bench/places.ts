/**
 * Where benchmarked jobs read from, write to and keep their state: as cheap as the contracts allow, so that the engine
 * is what is measured.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Sink, Source, SourceBatch } from '../../lib/core/connector.ts';
import type { Timestamp } from '../../lib/core/element.ts';
import type { ActionStateStore } from '../../lib/core/journal.ts';
import { LevelStorage } from '../../lib/state/level-storage.ts';
import type { OpenStorage, Storage } from '../../lib/state/store.ts';

/**
 * Runs `body` with a directory that is gone afterwards. `BENCH_DIR` names another disk than that of the system's
 * temporary files.
 */
export const withDirectory = async <T>(body: (directory: string) => Promise<T>): Promise<T> => {
  const directory = await mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'));
  try {
    return await body(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

/**
 * A sink that calls `write` at once. It calls itself exactly-once and commits nothing, so it never asks for the turn
 * log: what is measured is the way to the sink.
 */
export const voidSink = <T>(write: (value: T) => void): Sink<T> => ({
  name: 'void',
  guarantee: 'exactly-once',
  open: async () => ({
    write,
    full: false,
    seal: async () => undefined,
    commit: async () => {},
    close: async () => {},
  }),
});

const batchSize = 256;

/**
 * A source of an array in memory, `laps` times; each lap's timestamps (where values have some) go on behind those of
 * the lap before.
 */
export const laps = <T>(
  values: readonly T[],
  options: { readonly laps?: number; readonly timestampOf?: (value: T) => Timestamp; readonly lapMs?: number } = {},
): Source<T, number> => {
  const { laps: count = 1, timestampOf, lapMs = 0 } = options;
  const end = values.length * count;
  return {
    name: 'laps',
    replayable: true,
    splits: async () => ['laps'],
    async open(_split, position) {
      let next = position ?? 0;
      return {
        async read(): Promise<SourceBatch<T, number> | undefined> {
          if (next >= end) return undefined;
          const first = next;
          const from = first % values.length;
          const part = values.slice(from, from + batchSize);
          next += part.length;
          const behind = Math.floor(first / values.length) * lapMs;
          const timestamps = timestampOf === undefined ? undefined : part.map((value) => timestampOf(value) + behind);
          return { values: part, timestamps, position: (taken) => first + taken };
        },
        async close() {},
      };
    },
  };
};

export interface Tap {
  /** Gives values from position to `until`, waits there, and goes on when `until` is raised. */
  open(until: number): void;
}

/** A source of `valueOf(0)`, `valueOf(1)` ... that never ends and gives only as much as its tap lets through. */
export const tapped = <T>(valueOf: (index: number) => T): { readonly source: Source<T, number>; readonly tap: Tap } => {
  let until = 0;
  let wake: () => void = () => {};
  /** Resolves when the tap lets value `next` through. */
  const opened = (signal: AbortSignal, next: number): Promise<void> =>
    new Promise((resolve, reject) => {
      wake = () => {
        if (next < until) resolve();
      };
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      if (signal.aborted) reject(signal.reason as Error);
    });
  const source: Source<T, number> = {
    name: 'tapped',
    replayable: true,
    splits: async () => ['tapped'],
    async open(_split, position) {
      let next = position ?? 0;
      return {
        async read(signal): Promise<SourceBatch<T, number>> {
          if (next >= until) await opened(signal, next);
          const first = next;
          const length = Math.min(batchSize, until - first);
          next += length;
          return { values: Array.from({ length }, (_, i) => valueOf(first + i)), position: (taken) => first + taken };
        },
        async close() {},
      };
    },
  };
  return {
    source,
    tap: {
      open(count) {
        until = Math.max(until, count);
        wake();
      },
    },
  };
};

/** What was written to a journal. */
export interface JournalUse {
  records: number;
  bytes: number;
  /** When each write began and how long it took, in milliseconds. */
  readonly writes: { readonly at: number; readonly ms: number }[];
}

/** A directory's storage that keeps the books of its journal. */
export const meteredStorage = (directory: string): { readonly storage: Storage; readonly journal: JournalUse } => {
  const journal: JournalUse = { records: 0, bytes: 0, writes: [] };
  const level = new LevelStorage(directory);
  const metered = (store: ActionStateStore): ActionStateStore => ({
    async append(entries) {
      const at = performance.now();
      await store.append(entries);
      journal.writes.push({ at, ms: performance.now() - at });
      journal.records += entries.length;
      for (const { key, value } of entries) journal.bytes += key.length + value.length;
    },
    get: (key) => store.get(key),
    getRecoveryMarker: () => store.getRecoveryMarker(),
    rebuildState: (marker) => store.rebuildState(marker),
    pruneState: (keys) => store.pruneState(keys),
    close: () => store.close(),
  });
  const storage: Storage = {
    name: level.name,
    async open(): Promise<OpenStorage> {
      const { jobId, state, journal: store, close } = await level.open();
      return { jobId, state, journal: metered(store), close };
    },
  };
  return { storage, journal };
};
