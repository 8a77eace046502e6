/** A line at level `info` when a job starts, goes on, and is over. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { callbackSink } from '../../../../connectors/callback-sink.ts';
import { StreamExecutionEnvironment } from '../../../../lib/environment.ts';
import type { Job } from '../../../../lib/runtime/job/job.ts';
import { noRestart } from '../../../../lib/runtime/job/restart.ts';
import { MemoryStorage } from '../../../../lib/state/memory-storage.ts';

type Line = Readonly<Record<string, unknown>>;

interface Run {
  /** @defaultValue 'told' */
  readonly name?: string;
  readonly storage?: MemoryStorage;
  /** How many values there are. */
  readonly count: number;
  /** What is done when the first of them has left. */
  readonly then?: (job: Job) => Promise<void>;
  readonly failsAt?: number;
}

/** Runs a job of the same pipeline and gives its lines of level `info`. */
const linesOf = async ({ name = 'told', storage, count, then, failsAt }: Run): Promise<readonly Line[]> => {
  const lines: Line[] = [];
  const logger = pino(
    { level: 'info', base: null, timestamp: false },
    { write: (line: string) => void lines.push(JSON.parse(line) as Line) }, // a line of pino's is an object
  );
  const env = StreamExecutionEnvironment.create({ logger, restart: noRestart(), ...(storage && { storage }) });
  let seen = (): void => {};
  const first = new Promise<void>((resolve) => (seen = resolve));
  env
    .generate({ generate: (index) => index, count, perSecond: 1000 })
    .map((index) => {
      if (index === failsAt) throw new Error('no more');
      return index;
    })
    .asyncMap(async (value) => value, { order: 'arrival' })
    .sinkTo(callbackSink(() => seen()));
  const job = await env.executeAsync(name);
  if (then !== undefined) await first.then(() => then(job));
  await job.done.catch(() => {});
  return lines.filter(({ level }) => level === 30 || level === 40);
};

test('of a job that runs to its end', async () => {
  expect(await linesOf({ count: 3 })).toEqual([
    { level: 30, job: 'told', sources: 1, operators: 2, sinks: 1, msg: 'job "told" starts' },
    {
      ...{ level: 30, job: 'told', state: 'finished', restarts: 0, recordsRead: 3, recordsWritten: 3 },
      msg: 'job "told" is finished: 3 records read, 3 given to sinks',
    },
  ]);
});

test('of one that fails', async () => {
  const lines = await linesOf({ count: 10, failsAt: 5 });
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ state: 'failed', error: { code: 'OPERATOR_FAILED' } });
});

test('of one that is stopped, of one that is cancelled, and of those that go on', async () => {
  const storage = new MemoryStorage();
  const endless = 1_000_000;
  const [, stopped] = await linesOf({ storage, count: endless, then: (job) => job.stop() });
  expect(stopped).toMatchObject({
    state: 'stopped',
    msg: expect.stringMatching(/^job "told" is stopped: \d+ records read/),
  });
  const [resumed, cancelled] = await linesOf({ storage, count: endless, then: (job) => job.cancel() });
  expect(resumed).toMatchObject({ checkpoint: expect.any(Number), turns: 0, records: 0, outcomes: 0 });
  expect(resumed?.['msg']).toMatch(/^job "told" goes on from checkpoint \d+: 0 turns with 0 records to do again/);
  expect(cancelled).toMatchObject({ state: 'cancelled' });
  const [again] = await linesOf({ storage, count: endless, then: (job) => job.cancel() });
  // The first value had left, so its turn and its outcome are in the journal.
  const { checkpoint, turns, records, outcomes } = again as Record<
    'checkpoint' | 'turns' | 'records' | 'outcomes',
    number
  >;
  expect(checkpoint).toBe(resumed?.['checkpoint']);
  expect([turns > 0, records > 0, outcomes > 0]).toEqual([true, true, true]);
});

test('of one that goes on from the state of a job with another name', async () => {
  const storage = new MemoryStorage();
  await linesOf({ name: 'billing', storage, count: 1000, then: (job) => job.stop() });
  const warned = async (name: string): Promise<readonly unknown[]> => {
    const lines = await linesOf({ name, storage, count: 1000, then: (job) => job.stop() });
    return lines.flatMap(({ formerName }) => (formerName === undefined ? [] : [formerName]));
  };
  expect(await warned('billing')).toEqual([]);
  expect((await warned('marketing'))[0]).toBe('billing');
  expect(await warned('marketing')).toEqual([]); // By now it is its own.
});
