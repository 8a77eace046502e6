/**
 * What every sink must do, as tests for sinks of one's own: no framework, run them with any. They check the rules of
 * `connector.ts` and I7, through crashes that leave a writer lying as it is.
 */
import { makeAbort } from './abort.ts';
import type { Sink, SinkWriter } from './connector.ts';
import assert from 'node:assert/strict';
import type { SuiteCase } from './suite-case.ts';

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
    const context = {
      sinkId: 'suite.sink.1',
      pending: structuredClone(this.#pending),
      epoch: this.#epoch,
      last: structuredClone(this.#last),
      signal,
    };
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
  assert.deepEqual(once.slice(0, values.length), [
    ...new Set(values.map((value) => JSON.stringify(value) ?? 'undefined')),
  ]);
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

/** For everything that the suite does not abort. */
const { signal } = makeAbort();
