import {
  defineSink,
  fixedDelay,
  MemoryStorage,
  StreamExecutionEnvironment,
  StreamError,
  valueState,
  type Sink,
  type ValueState,
} from 'millrace';
import { expect, test } from 'vitest';
import { later, Ledger, once, Sluice } from '../../../stories/story.ts';

test('a sink that fills up while a checkpoint is written gets one of its own (I10)', async () => {
  const storage = new MemoryStorage({ writeDelayMs: () => 100 });
  const sluice = new Sluice(
    Array.from({ length: 60 }, (_, i) => i),
    5,
    1,
  );
  const ledger = new Ledger<number>();
  // The checkpoints of an interval would let the sink go on too.
  const checkpoint = { interval: '1h' } as const;
  const env = StreamExecutionEnvironment.create({ ...once, storage, checkpoint });
  const sink = defineSink<number>({
    guarantee: 'exactly-once',
    pendingMax: 10,
    write: (values, call) => ledger.take(values, call.firstNumber),
  });
  env.fromSource(sluice.source).sinkTo(sink);
  const job = await env.executeAsync();
  await later(20);
  const writing = job.checkpoint();
  sluice.raise(); // Its instant is over: what comes now is in no checkpoint that anybody asked for.
  await writing;
  await job.done;
  expect(ledger.values).toEqual(Array.from({ length: 60 }, (_, i) => i));
});

test('a sink that fails to seal while the state is still written fails the job and not the process', async () => {
  const env = StreamExecutionEnvironment.create({
    logger: 'silent',
    storage: new MemoryStorage(),
    restart: fixedDelay({ attempts: 1, delay: 1 }),
  });
  const failing: Sink<number> = {
    name: 'failing',
    guarantee: 'exactly-once',
    open: async () => ({
      full: false,
      write() {},
      seal: async () => {
        throw new Error('disk full');
      },
      commit: async () => {},
      close: async () => {},
    }),
  };
  env
    .fromCollection(Array.from({ length: 20_000 }, (_, i) => i))
    .keyBy((value) => value)
    .process<number>({
      state: { last: valueState<number>('last') },
      process(value, ctx) {
        (ctx.state as { readonly last: ValueState<number> }).last.update(value);
      },
    })
    .sinkTo(failing);
  const error = await env.execute().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StreamError);
  expect(String((error as StreamError).cause ?? error)).toContain('failed to seal');
});
