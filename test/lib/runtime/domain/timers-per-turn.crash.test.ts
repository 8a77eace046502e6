/**
 * The option `timersPerTurn` may be another at each start: a replay fires as many in a turn as those who recorded it.
 */
import { MemoryStorage, StreamExecutionEnvironment, WatermarkStrategy } from 'millrace';
import { expect, test } from 'vitest';
import { once, Sluice, until, Ledger } from '../../../stories/story.ts';

/** Each ten make those before due; what their timers emit is asked about. */
const numbers = Array.from({ length: 80 }, (_, n) => n);
const strategy = WatermarkStrategy.boundedOutOfOrderness<number>(0)
  .withTimestamps((n) => Math.floor(n / 10))
  .withEmitEvery(10);

test('three processes with three numbers, with a checkpoint and without one', async () => {
  const storage = new MemoryStorage();
  const sluice = new Sluice(numbers, 0, 10);
  const ledger = new Ledger<number>();
  let asked = 0;
  /** What has an outcome that is durable. */
  const answered = new Set<number>();
  const start = (timersPerTurn: number) => {
    const env = StreamExecutionEnvironment.create({ ...once, storage, timersPerTurn, strictReplay: true });
    env
      .fromSource(sluice.source, strategy)
      .keyBy((n) => n)
      .process<number>({
        process: (n, ctx) => ctx.timers.register(Math.floor(n / 10)),
        onTimer: (_timer, ctx) => ctx.emit(Number(ctx.key)),
      })
      .asyncMap(async (n) => ((asked += 1), n))
      .map((n) => (answered.add(n), n))
      .sinkTo(ledger.sink());
    return env.executeAsync();
  };
  for (const [timersPerTurn, checkpoints, upTo] of [
    [1, false, 20],
    [7, true, 40],
    [2, false, 60],
  ] as const) {
    const job = await start(timersPerTurn);
    if (checkpoints) await job.checkpoint();
    sluice.raise(upTo);
    await until(() => answered.size === upTo - 10);
    await job.cancel();
  }
  sluice.raise();
  const job = await start(128);
  await job.done;
  expect(ledger.values).toEqual(numbers);
  expect(asked).toBe(numbers.length);
});
