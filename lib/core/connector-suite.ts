/**
 * What every source and sink must do, as tests for connectors of one's own: no framework, run them with any. They check the rules of
 * `connector.ts`, I7 and I10, through crashes that leave a writer or a reader lying as it is.
 */
import type { Sink, SinkWriter, Source, SourceBatch, SourceReader } from './connector.ts';
import assert from 'node:assert/strict';

/** One rule that a connector or a store must keep. */
export interface SuiteCase {
  readonly name: string;
  /** Rejects with an `AssertionError` when what is tested breaks the rule. */
  run(): Promise<void>;
}

export interface SourceUnderTest<T> {
  readonly source: Source<T>;
  /** All values of all splits, in the order of the splits. A few dozen are enough; the source must end. */
  readonly expected: readonly T[];
  /** Runs when the case is over, whatever came of it. */
  cleanup(): Promise<void>;
}

export interface SinkUnderTest<T> {
  readonly sink: Sink<T>;
  /** At least six values to write. */
  readonly values: readonly T[];
  /** What a reader of the output sees now, in order. */
  visible(): Promise<readonly T[]>;
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

const readsAll = async <T>({ source, expected }: SourceUnderTest<T>): Promise<void> => {
  const values: T[] = [];
  for (const split of await source.splits(signal)) {
    for (const batch of await batchesOf(source, split, undefined)) {
      values.push(...batch.values);
      if (batch.timestamps !== undefined) assert.equal(batch.timestamps.length, batch.values.length, 'one timestamp per value');
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

const resumes = async <T>({ source }: SourceUnderTest<T>): Promise<void> => {
  // A source that can't replay gives each value to one reader only; the engine journals them instead.
  if (!source.replayable) return;
  for (const split of await source.splits(signal)) {
    const batches = await batchesOf(source, split, undefined);
    const all = batches.flatMap(({ values }) => values);
    let before = 0;
    for (const batch of batches) {
      for (let count = 0; count <= batch.values.length; count += 1) {
        // A checkpoint stores a position, so it has to survive being copied.
        const position: unknown = structuredClone(batch.position(count));
        const rest = (await batchesOf(source, split, position)).flatMap(({ values }) => values);
        assert.deepEqual(rest, all.slice(before + count), `split "${split}" resumed behind value ${before + count}`);
      }
      before += batch.values.length;
    }
  }
};

const staysAtEnd = async <T>({ source }: SourceUnderTest<T>): Promise<void> => {
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
    const controller = new AbortController();
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

// ---------- sinks

/**
 * Gives the cases that a sink must pass, for any test runner; `make` is called for each. A crash is a writer that is
 * left as it is, or closed as the engine closes it when a job fails; then the same sink is opened again with what a
 * checkpoint would hold.
 *
 * @example
 * const makeTable = async () => {
 *   const rows: number[] = [];
 *   const sink = defineSink<number>({
 *     guarantee: 'exactly-once',
 *     write(values, { firstNumber }) {
 *       for (const [index, value] of values.entries()) rows[firstNumber + index] = value;
 *     },
 *   });
 *   return { sink, values: [1, 2, 3, 4, 5, 6], visible: async () => rows, cleanup: async () => {} };
 * };
 * for (const { run } of sinkSuite('table', makeTable)) await run(); // in a test runner: `test(name, run)`
 */
export const sinkSuite = <T>(name: string, make: () => Promise<SinkUnderTest<T>>): readonly SuiteCase[] => {
  const testCase = (title: string, body: (run: SinkRun<T>) => Promise<void>): SuiteCase => ({
    name: `${name}: ${title}`,
    async run() {
      const test = await make();
      const run = new SinkRun(test);
      try {
        assert.ok(test.values.length >= 6, 'the suite needs six values');
        await body(run);
      } finally {
        await run.closeAll();
        await test.cleanup();
      }
    },
  });
  const crashes = (title: string, body: (run: SinkRun<T>, crash: Crash) => Promise<void>): readonly SuiteCase[] => [
    testCase(`${title} (killed)`, (run) => body(run, 'killed')),
    testCase(`${title} (closed)`, (run) => body(run, 'closed')),
  ];
  return [
    testCase('shows three epochs in order', showsEpochs),
    testCase('takes an epoch without values', takesEmptyEpoch),
    testCase('commits twice', commitsTwice),
    testCase('can be closed twice, and before it was written', writersCloseTwice),
    ...crashes('crash before the seal', crashBeforeSeal),
    ...crashes('crash between seal and checkpoint', crashBeforeCheckpoint),
    ...crashes('crash between checkpoint and commit', crashBeforeCommit),
    ...crashes('crash behind the commit', crashBehindCommit),
  ];
};

type Crash = 'killed' | 'closed';

/** A job with one sink, as far as the sink can see it: epochs, a checkpoint that holds committables, crashes. */
class SinkRun<T> {
  readonly test: SinkUnderTest<T>;
  readonly #writers: SinkWriter<T>[] = [];
  #writer: SinkWriter<T> | undefined;
  /** Of the epoch that is open. */
  #epoch = 1;
  /** What the newest durable checkpoint knows. */
  #last: unknown;
  #pending: unknown[] = [];
  #sealed: unknown;
  /** Records written, and records of durable checkpoints. */
  #written = 0;
  #durable = 0;

  constructor(test: SinkUnderTest<T>) {
    this.test = test;
  }

  get exactlyOnce(): boolean {
    return this.test.sink.guarantee === 'exactly-once';
  }

  /** The first `count` of the values. */
  first(count: number): readonly T[] {
    return this.test.values.slice(0, count);
  }

  async writer(): Promise<SinkWriter<T>> {
    if (this.#writer !== undefined) return this.#writer;
    const context = { sinkId: 'suite.sink.1', pending: structuredClone(this.#pending), epoch: this.#epoch, last: structuredClone(this.#last), signal };
    this.#writer = await this.test.sink.open(context);
    this.#writers.push(this.#writer);
    for (const committable of context.pending) await this.#writer.commit(committable, signal);
    this.#pending = [];
    return this.#writer;
  }

  async write(count: number): Promise<void> {
    const writer = await this.writer();
    for (const value of this.test.values.slice(this.#written, this.#written + count)) {
      writer.write(value, 1000 + this.#written, this.#written);
      this.#written += 1;
    }
    await writer.flush?.(signal);
  }

  async seal(): Promise<void> {
    this.#sealed = structuredClone(await (await this.writer()).seal(this.#epoch));
    this.#epoch += 1;
  }

  /** The checkpoint with what was sealed is durable. */
  checkpoint(): void {
    this.#durable = this.#written;
    if (this.#sealed === undefined) return;
    this.#pending.push(this.#sealed);
    this.#last = this.#sealed;
  }

  async commit(): Promise<void> {
    const writer = await this.writer();
    if (this.#sealed !== undefined) await writer.commit(this.#sealed, signal);
  }

  /** What the engine does between two checkpoints. */
  async epoch(count: number): Promise<void> {
    await this.write(count);
    await this.seal();
    this.checkpoint();
    await this.commit();
    this.#pending = [];
  }

  /** Back to the newest durable checkpoint; what was written since is written again. */
  async crash(crash: Crash, epoch: number): Promise<void> {
    if (crash === 'closed') await this.#writer?.close();
    this.#writer = undefined;
    this.#sealed = undefined;
    this.#epoch = epoch;
    this.#written = this.#durable;
  }

  async closeAll(): Promise<void> {
    for (const writer of this.#writers) await writer.close();
  }

  async expectVisible(count: number): Promise<void> {
    const visible = await this.test.visible();
    if (this.exactlyOnce) assert.deepEqual(visible, this.first(count));
    else expectEach(visible, this.first(count));
  }
}

/** Every value is there, and leaving repeats out the first of them come in order. */
const expectEach = <T>(visible: readonly T[], values: readonly T[]): void => {
  const seen = new Set<string>();
  const once = visible
    .map((value) => JSON.stringify(value) ?? 'undefined')
    .filter((text) => !seen.has(text) && seen.add(text) !== undefined);
  assert.deepEqual(once.slice(0, values.length), [...new Set(values.map((value) => JSON.stringify(value) ?? 'undefined'))]);
};

const showsEpochs = async <T>(run: SinkRun<T>): Promise<void> => {
  for (let epoch = 1; epoch <= 3; epoch += 1) {
    await run.write(2);
    if (run.exactlyOnce) await run.expectVisible(2 * epoch - 2);
    await run.seal();
    if (run.exactlyOnce) await run.expectVisible(2 * epoch - 2);
    run.checkpoint();
    await run.commit();
    await run.expectVisible(2 * epoch);
  }
};

const takesEmptyEpoch = async <T>(run: SinkRun<T>): Promise<void> => {
  await run.epoch(0);
  await run.expectVisible(0);
  await run.epoch(2);
  await run.epoch(0);
  await run.epoch(1);
  await run.expectVisible(3);
};

const commitsTwice = async <T>(run: SinkRun<T>): Promise<void> => {
  await run.epoch(2);
  await run.commit();
  await run.expectVisible(2);
  await run.epoch(1);
  await run.commit();
  await run.expectVisible(3);
};

const writersCloseTwice = async <T>(run: SinkRun<T>): Promise<void> => {
  const writer = await run.writer();
  await writer.close();
  await writer.close();
  await run.expectVisible(0);
};

const crashBeforeSeal = async <T>(run: SinkRun<T>, crash: Crash): Promise<void> => {
  await run.epoch(2);
  await run.write(3);
  await run.crash(crash, 2);
  await run.writer();
  if (run.exactlyOnce) await run.expectVisible(2);
  await run.epoch(2);
  await run.expectVisible(4);
  await run.epoch(2);
  await run.expectVisible(6);
};

const crashBeforeCheckpoint = async <T>(run: SinkRun<T>, crash: Crash): Promise<void> => {
  await run.write(2);
  await run.seal();
  await run.crash(crash, 1);
  await run.writer();
  if (run.exactlyOnce) await run.expectVisible(0);
  await run.epoch(1);
  await run.write(2);
  await run.seal();
  await run.crash(crash, 2);
  await run.epoch(3);
  await run.expectVisible(4);
};

const crashBeforeCommit = async <T>(run: SinkRun<T>, crash: Crash): Promise<void> => {
  await run.epoch(1);
  await run.write(2);
  await run.seal();
  run.checkpoint();
  await run.crash(crash, 3);
  if (run.exactlyOnce) await run.expectVisible(1);
  await run.writer();
  await run.expectVisible(3);
  await run.epoch(2);
  await run.expectVisible(5);
};

const crashBehindCommit = async <T>(run: SinkRun<T>, crash: Crash): Promise<void> => {
  await run.write(2);
  await run.seal();
  run.checkpoint();
  await run.commit();
  // The checkpoint that would know of the commit was not written, so the committable is pending again.
  await run.crash(crash, 2);
  await run.writer();
  await run.expectVisible(2);
  await run.epoch(2);
  await run.crash(crash, 3);
  await run.epoch(2);
  await run.expectVisible(6);
};

// ---------- shared

/** For everything that the suite does not abort. */
const { signal } = new AbortController();

const withReader = async <T>(source: Source<T>, split: string, body: (reader: SourceReader<T>) => Promise<void>): Promise<void> => {
  const reader = await source.open(split, undefined, signal);
  try {
    await body(reader);
  } finally {
    await reader.close();
    await reader.close();
  }
};

const batchesOf = async <T>(source: Source<T>, split: string, position: unknown): Promise<readonly SourceBatch<T>[]> => {
  const reader = await source.open(split, position, signal);
  const batches: SourceBatch<T>[] = [];
  try {
    for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal)) batches.push(batch);
  } finally {
    await reader.close();
  }
  return batches;
};
