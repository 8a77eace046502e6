/** Ticks of a schedule: by the clock, over restarts, with what was missed, and what is no schedule. */
import type { SourceReader } from '../../lib/core/connector.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { cron, type CronSourceOptions } from '../../connectors/cron.ts';
import { callbackSink } from '../../connectors/callback-sink.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { makeAbort } from '../../lib/core/abort.ts';
import { sourceSuite } from '../../lib/core/source-suite.ts';
import { StepClock } from './manual-clock.ts';

const { signal } = makeAbort();
const everyTen = '*/10 * * * * *';

for (const { name, run } of sourceSuite('cron', async () => ({
  source: cron(everyTen, { from: 0, until: 50_000 }),
  expected: [10_000, 20_000, 30_000, 40_000, 50_000],
  cleanup: async () => {},
}))) {
  test(name, run);
}

const openAt = async (
  nowMs: number,
  options: CronSourceOptions = {},
  position?: number,
): Promise<{ clock: StepClock; reader: SourceReader<number, number> }> => {
  const clock = new StepClock();
  clock.advance(nowMs);
  return { clock, reader: await cron(everyTen, options).open('cron', position, signal, clock) };
};

/** What is due now. */
const dueNow = async (reader: SourceReader<number, number>): Promise<readonly number[]> => {
  const controller = makeAbort();
  const reading = reader.read(controller.signal);
  setImmediate(() => controller.abort(new Error('nothing')));
  return (await reading.catch(() => undefined))?.values ?? [];
};

test('a tick comes when it is due, with its time as its timestamp', async () => {
  const { clock, reader } = await openAt(3_000);
  const reading = reader.read(signal);
  expect(reader.waiting).toBe(true);
  clock.advance(6_999);
  expect(reader.waiting).toBe(true);
  clock.advance(1);
  const batch = await reading;
  expect([batch?.values, batch?.timestamps, batch?.position(0), batch?.position(1)]).toEqual([
    [10_000],
    [10_000],
    3_000,
    10_000,
  ]);
});

test('a machine that was asleep gives every tick of that time', async () => {
  const { clock, reader } = await openAt(3_000, { missed: 'skip' });
  const reading = reader.read(signal);
  clock.advance(30_000);
  expect((await reading)?.values).toEqual([10_000, 20_000, 30_000]);
});

test('a clock that was set back gives no tick again', async () => {
  const { clock, reader } = await openAt(3_000);
  clock.advance(10_000);
  expect(await dueNow(reader)).toEqual([10_000]);
  clock.advance(-8_000);
  expect(await dueNow(reader)).toEqual([]);
  clock.advance(15_000);
  expect(await dueNow(reader)).toEqual([20_000]);
});

test.each([
  ['all', [20_000, 30_000, 40_000], 50_000],
  ['last', [40_000], 50_000],
  ['skip', [], 50_000],
] as const)('missed: %s', async (missed, given, next) => {
  const { clock, reader } = await openAt(45_000, { missed }, 10_000);
  expect(await dueNow(reader)).toEqual(given);
  clock.advance(5_000);
  expect(await dueNow(reader)).toEqual([next]);
});

test.each(['all', 'last', 'skip'] as const)('missed: %s, and nothing was missed', async (missed) => {
  const { reader } = await openAt(45_000, { missed }, 40_000);
  expect(await dueNow(reader)).toEqual([]);
});

test('of a start without a position the first tick is behind the first time that it was opened', async () => {
  const clock = new StepClock();
  const source = cron(everyTen);
  clock.advance(5_000);
  await (await source.open('cron', undefined, signal, clock)).close();
  clock.advance(20_000);
  expect(await dueNow(await source.open('cron', undefined, signal, clock))).toEqual([10_000, 20_000]);
  await source.close?.();
  expect(await dueNow(await source.open('cron', undefined, signal, clock))).toEqual([]);
});

test('the hour that a time zone leaves out and the one that it has twice', async () => {
  const march = cron('30 2 * * *', {
    timezone: 'Europe/Vienna',
    from: Date.UTC(2026, 2, 28),
    until: Date.UTC(2026, 2, 31),
  });
  const values = (await (await march.open('cron', undefined, signal)).read(signal))?.values ?? [];
  expect(values.map((time) => new Date(time).toISOString())).toEqual([
    '2026-03-28T01:30:00.000Z',
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ]);
  const october = cron('30 2 * * *', {
    timezone: 'Europe/Vienna',
    from: Date.UTC(2025, 9, 26),
    until: Date.UTC(2025, 9, 27),
  });
  expect((await (await october.open('cron', undefined, signal)).read(signal))?.values).toHaveLength(1);
});

test('many that were missed come in parts', async () => {
  const source = cron('* * * * * *', { from: 0, until: 250_000 });
  const reader = await source.open('cron', undefined, signal);
  const counts: number[] = [];
  for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
    counts.push(batch.values.length);
  expect(counts).toEqual([100, 100, 50]);
});

test('what is no schedule', async () => {
  const refused = { code: 'SOURCE_FAILED', retryable: false };
  await expect(cron('99 * * * *').open('cron', undefined, signal)).rejects.toMatchObject(refused);
  await expect(cron(everyTen, { timezone: 'Nowhere' }).open('cron', undefined, signal)).rejects.toMatchObject(refused);
  // A day that never comes: the source ends.
  expect(await (await cron('0 0 30 2 *').open('cron', undefined, signal)).read(signal)).toBeUndefined();
  expect(() => cron('')).toThrow(TypeError);
  // A program without types may write it.
  expect(() => cron(everyTen, { missed: 'none' as 'all' })).toThrow('missed');
});

test.each([
  ['journaled', {}],
  ['replayed', { from: 0, until: 100_000 }],
] as const)('%s ticks are each given once over restarts, where the job keeps its state', async (_how, options) => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-cron-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const seen = new Map<number, number>();
  for (let life = 0; life < 3; life += 1) {
    const env = StreamExecutionEnvironment.create({ logger: 'silent', checkpoint: { directory, interval: '1h' } });
    const wanted = life + 1;
    let resolve = (): void => {};
    const enough = new Promise<void>((done) => (resolve = done));
    env.fromSource(cron('* * * * * *', options)).sinkTo(
      callbackSink<number>((time, { number }) => {
        seen.set(number, time);
        if (seen.size >= wanted) resolve();
      }),
    );
    const job = await env.executeAsync('cron');
    await Promise.race([enough, job.done]);
    await job.cancel().catch(() => {});
    await job.done.catch(() => {});
  }
  const times = [...seen].toSorted(([a], [b]) => a - b).map(([, time]) => time);
  expect(new Set(times).size).toBe(times.length);
  expect(times).toEqual(times.map((_, index) => (times[0] ?? 0) + index * 1000));
});
