/**
 * What every source must do, as tests for sources of one's own: no framework, run them with any. They check the rules
 * of `connector.ts`, through readers that are closed in the middle and opened again behind each position.
 */
import { makeAbort } from './abort.ts';
import type { Source, SourceBatch, SourceReader } from './connector.ts';
import assert from 'node:assert/strict';
import type { SuiteCase } from './suite-case.ts';

export interface SourceUnderTest<T> {
  readonly source: Source<T>;
  /** All values of all splits, in the order of the splits. A few dozen are enough. */
  readonly expected: readonly T[];
  /**
   * The source has one split, which waits for more behind these values: its end is not looked at.
   * @defaultValue false: it ends
   */
  readonly endless?: boolean | undefined;
  /** Runs when the case is over, whatever came of it. */
  cleanup(): Promise<void>;
}

/**
 * Gives the cases that a source must pass, for any test runner; `make` is called for each.
 *
 * @example
 * const makeOrders = async () => ({ source: collection([1, 2, 3]), expected: [1, 2, 3], cleanup: async () => {} });
 * for (const { run } of sourceSuite('orders', makeOrders)) await run(); // in a test runner: `test(name, run)`
 */
export const sourceSuite = <T>(name: string, make: () => Promise<SourceUnderTest<T>>): readonly SuiteCase[] => {
  const testCase = (title: string, body: (test: SourceUnderTest<T>) => Promise<void>): SuiteCase => ({
    name: `${name}: ${title}`,
    async run() {
      const test = await make();
      try {
        await body(test);
      } finally {
        await test.cleanup();
      }
    },
  });
  return [
    testCase('gives every value once and in order', readsAll),
    testCase('names the same splits each time', namesSplits),
    testCase('continues behind every position that a batch gives', resumes),
    testCase('stays at its end', staysAtEnd),
    testCase('rejects a read with the reason of the abort', aborts),
    testCase('can be closed twice, and before it was read', closesTwice),
  ];
};

const readsAll = async <T>(test: SourceUnderTest<T>): Promise<void> => {
  const { source, expected } = test;
  const values: T[] = [];
  for (const split of await source.splits(signal)) {
    for (const batch of await batchesOf(test, split, undefined, 0)) {
      values.push(...batch.values);
      if (batch.timestamps !== undefined)
        assert.equal(batch.timestamps.length, batch.values.length, 'one timestamp per value');
      for (const index of batch.sides?.keys() ?? [])
        assert.ok(index >= 0 && index < batch.values.length, 'a side names an index of the batch');
    }
  }
  assert.deepEqual(values, expected);
};

const namesSplits = async <T>({ source }: SourceUnderTest<T>): Promise<void> => {
  const names = await source.splits(signal);
  assert.ok(names.length > 0, 'a source has a split');
  assert.equal(new Set(names).size, names.length, 'no split is named twice');
  assert.deepEqual(await source.splits(signal), names);
};

const resumes = async <T>(test: SourceUnderTest<T>): Promise<void> => {
  const { source } = test;
  // A source that can't replay gives each value to one reader only; the engine journals them instead.
  if (!source.replayable) return;
  for (const split of await source.splits(signal)) {
    const batches = await batchesOf(test, split, undefined, 0);
    const all = batches.flatMap(({ values }) => values);
    let before = 0;
    for (const batch of batches) {
      for (let count = 0; count <= batch.values.length; count += 1) {
        // A checkpoint stores a position, so it has to survive being copied.
        const position: unknown = structuredClone(batch.position(count));
        const rest = (await batchesOf(test, split, position, before + count)).flatMap(({ values }) => values);
        assert.deepEqual(rest, all.slice(before + count), `split "${split}" resumed behind value ${before + count}`);
      }
      before += batch.values.length;
    }
  }
};

const staysAtEnd = async <T>({ source, endless = false }: SourceUnderTest<T>): Promise<void> => {
  if (endless) return;
  for (const split of await source.splits(signal)) {
    await withReader(source, split, async (reader) => {
      while ((await reader.read(signal)) !== undefined);
      assert.equal(await reader.read(signal), undefined);
      assert.equal(await reader.read(signal), undefined);
    });
  }
};

const aborts = async <T>({ source, expected }: SourceUnderTest<T>): Promise<void> => {
  const reason = new Error('aborted by the suite');
  const [split = ''] = await source.splits(signal);
  await withReader(source, split, async (reader) => {
    await assert.rejects(reader.read(AbortSignal.abort(reason)), reason, 'an aborted read rejects with the reason');
    const controller = makeAbort();
    const open = reader.read(controller.signal).then(
      (batch) => ({ batch }),
      (error: unknown) => ({ error }),
    );
    controller.abort(reason);
    const result = await open;
    if ('error' in result) assert.equal(result.error, reason);
    else assert.ok(result.batch === undefined || result.batch.values.length > 0 || expected.length === 0);
  });
};

const closesTwice = async <T>({ source }: SourceUnderTest<T>): Promise<void> => {
  const [split = ''] = await source.splits(signal);
  const unread = await source.open(split, undefined, signal);
  await unread.close();
  await unread.close();
};

/** For everything that the suite does not abort. */
const { signal } = makeAbort();

const withReader = async <T>(
  source: Source<T>,
  split: string,
  body: (reader: SourceReader<T>) => Promise<void>,
): Promise<void> => {
  const reader = await source.open(split, undefined, signal);
  try {
    await body(reader);
  } finally {
    await reader.close();
    await reader.close();
  }
};

/** What a split gives behind a position, before which there are so many values. */
const batchesOf = async <T>(
  { source, expected, endless = false }: SourceUnderTest<T>,
  split: string,
  position: unknown,
  before: number,
): Promise<readonly SourceBatch<T>[]> => {
  const reader = await source.open(split, position, signal);
  const batches: SourceBatch<T>[] = [];
  let count = before;
  try {
    while (!endless || count < expected.length) {
      const batch = await reader.read(signal);
      if (batch === undefined) break;
      batches.push(batch);
      count += batch.values.length;
    }
  } finally {
    await reader.close();
  }
  return batches;
};
