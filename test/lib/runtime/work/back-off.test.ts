/** What a call does between two attempts: it blocks nobody, and it does not outlive the stop of its job. */
import { MemoryStorage, agent, InputEvent, OutputEvent, StreamExecutionEnvironment, type CallContext } from 'millrace';
import { expect, test } from 'vitest';
import { later, Ledger, once, Sluice, until } from '../../../stories/story.ts';

interface Order {
  readonly key: string;
  /** How often its call fails. */
  readonly failures: number;
}

const retry = { attempts: 10, initialIntervalMs: 40, backoffFactor: 1, jitter: 0 };

test('a call in back-off gives its place to other keys, and takes one again for its next attempt', async () => {
  const [open, most]: [Set<string>, number[]] = [new Set(), []];
  const call = async (order: Order, { attempt }: CallContext): Promise<string> => {
    open.add(order.key);
    most.push(open.size);
    await later(2);
    open.delete(order.key);
    if (attempt <= order.failures) throw new Error('not now');
    return order.key;
  };
  const calls = agent<Order, string>('calls').on(InputEvent, async (event, ctx) => {
    const { input } = event;
    // Two calls of one body may wait at once: they share its place.
    const both = await Promise.all(
      [0, 1].map((at) => ctx.durableExecute(`call ${at}`, (_signal, durable) => call(input, durable), { retry })),
    );
    ctx.sendEvent(new OutputEvent(both.join()));
  });
  const ledger = new Ledger<string>();
  const env = StreamExecutionEnvironment.create(once);
  env
    .fromCollection<Order>([
      { key: 'bad', failures: 3 },
      { key: 'worse', failures: 5 },
      { key: 'good', failures: 0 },
    ])
    .keyBy(({ key }) => key)
    .applyAgent(calls, { asyncConcurrency: 1, pendingMax: 10 })
    .sinkTo(ledger.sink());
  await env.execute();
  expect(ledger.values).toEqual(['good,good', 'bad,bad', 'worse,worse']);
  expect(Math.max(...most)).toBe(1); // Never two bodies at once.
});

test('no attempt starts once the job stops; the call goes on when the job does', async () => {
  let attempts = 0;
  const sluice = new Sluice([1]);
  const env = StreamExecutionEnvironment.create({ ...once, storage: new MemoryStorage() });
  env
    .fromSource(sluice.source)
    .asyncMap(
      async () => {
        attempts += 1;
        throw new Error('not now');
      },
      { retry: { ...retry, attempts: 1000, initialIntervalMs: 5 } },
    )
    .sinkTo(new Ledger<never>().sink());
  const job = await env.executeAsync();
  await until(() => attempts > 2);
  const stopped = job.stop({ timeout: '50ms' });
  const before = attempts;
  await later(40);
  expect(attempts - before).toBeLessThanOrEqual(1); // The one that was running.
  await stopped;
});
