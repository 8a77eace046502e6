import {
  defineSink,
  exponentialDelay,
  MemoryStorage,
  StreamExecutionEnvironment,
  type EnvironmentBaseOptions,
  type Job,
  type Sink,
  type Storage,
} from 'millrace';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import { failure, Ledger, once, Sluice, until } from '../../../stories/story.ts';

/** Waits take a hundredth of their time. */
const hasty: Clock = { ...systemClock, setTimer: (delayMs, fn) => systemClock.setTimer(delayMs / 100, fn) };

/** A receiver that fails so many times before it takes anything. */
const receiver = (
  ledger: Ledger<number>,
  failures: number,
  error: () => unknown = () => new Error('receiver down'),
): Sink<number> => {
  let left = failures;
  return defineSink<number>({
    name: 'receiver',
    guarantee: 'exactly-once',
    write(values, { firstNumber }) {
      left -= 1;
      if (left >= 0) throw error();
      ledger.take(values, firstNumber);
    },
  });
};

interface Life {
  readonly storage?: Storage | undefined;
  readonly sink: Sink<number>;
  readonly sluice?: Sluice<number>;
  readonly options?: EnvironmentBaseOptions;
}

const start = ({ storage, sink, sluice = new Sluice([1, 2, 3]), options = {} }: Life): Promise<Job> => {
  const env = StreamExecutionEnvironment.create({ ...once, ...(storage === undefined ? {} : { storage }), ...options });
  env.fromSource(sluice.source).sinkTo(sink);
  return env.executeAsync('books');
};

test('a commit that fails is logged at the first time and whenever the failures have doubled, and its retries are counted', async () => {
  const lines: { readonly msg: string; readonly level: number }[] = [];
  const logger = pino(
    { level: 'warn' },
    { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
  );
  const ledger = new Ledger<number>();
  const sluice = new Sluice([1, 2, 3], 2);
  const job = await start({
    storage: new MemoryStorage(),
    sink: receiver(ledger, 5),
    sluice,
    options: { logger, clock: hasty },
  });
  await until(() => sluice.given === 2);
  await job.checkpoint();
  const numbers = await job.metrics.snapshot();
  sluice.raise();
  await job.done;
  expect(ledger.values).toEqual([1, 2, 3]);
  // How far the first epoch reaches depends on when the checkpoint comes.
  expect(lines.map(({ msg }) => msg.replace(/ to commit.*?: (.*) 0 to [12]: (.*);/, ', $1: $2;'))).toEqual(
    ['', ' 2 times', ' 4 times'].map(
      (times) => `sink "receiver" failed${times}, sink "receiver" failed with records: receiver down; trying again`,
    ),
  );
  expect(numbers).toMatchObject({ 'operator.receiver.numCommitRetries': 5 });
});

describe('a stop does not wait for a commit for ever: what is left is committed by the next start', () => {
  test.each<readonly [string, (job: Job, sluice: Sluice<number>) => Promise<unknown>]>([
    ['while the job runs', (job) => job.stop({ timeout: 20 })],
    [
      'when the input has ended',
      async (job, sluice) => {
        sluice.raise();
        await until(() => sluice.given === 3);
        await new Promise((resolve) => setTimeout(resolve, 20));
        await job.stop({ timeout: 20 });
      },
    ],
  ])('%s', async (_when, stop) => {
    const [storage, ledger, sluice] = [new MemoryStorage(), new Ledger<number>(), new Sluice([1, 2, 3], 2, 1)];
    const down = receiver(ledger, Number.POSITIVE_INFINITY);
    const job = await start({ storage, sink: down, sluice });
    await until(() => sluice.given === 2);
    await stop(job, sluice);
    expect([job.status.state, ledger.values]).toEqual(['stopped', []]);

    const still = await start({ storage, sink: down, sluice });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await still.stop({ timeout: 20 }); // It has not even started: it commits what is left first.
    expect(still.status.state).toBe('stopped');

    sluice.raise();
    await (
      await start({ storage, sink: receiver(ledger, 0), sluice })
    ).done;
    expect(ledger.values).toEqual([1, 2, 3]);
  });

  test('without a place for state it would be lost, which is a failure', async () => {
    const sluice = new Sluice([1, 2, 3], 2);
    const job = await start({ sink: receiver(new Ledger(), Number.POSITIVE_INFINITY), sluice });
    await until(() => job.status.state === 'running' && sluice.given === 2);
    const error = await failure(job.stop({ timeout: 20 }), 'SINK_FAILED');
    expect(error.message).toContain('before a sink had written or committed');
  });
});

test.each([
  ['with state', new MemoryStorage()],
  ['without state', undefined],
])('a mistake in the code of a sink ends the job, and is not retried, %s', async (_what, storage) => {
  const ledger = new Ledger<number>();
  const sink = receiver(ledger, 1, () => new TypeError("Cannot read properties of undefined (reading 'post')"));
  const restart = exponentialDelay({ initial: 1 });
  const error = await failure(
    (await start({ storage, sink, options: storage === undefined ? {} : { restart } })).done,
    'SINK_FAILED',
  );
  expect(error.message).toContain("reading 'post'");
  expect(error).toMatchObject({ retryable: false, hint: expect.stringContaining('mend the code') });
  if (storage !== undefined) await (await start({ storage, sink })).done; // Mended: what is pending is committed.
  expect(ledger.values).toEqual(storage === undefined ? [] : [1, 2, 3]);
});

test('what fetch rejects with when nobody answers is no mistake', async () => {
  const ledger = new Ledger<number>();
  const sink = receiver(ledger, 5, () => new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }));
  await (
    await start({ storage: new MemoryStorage(), sink, options: { clock: hasty } })
  ).done;
  expect(ledger.values).toEqual([1, 2, 3]);
});
