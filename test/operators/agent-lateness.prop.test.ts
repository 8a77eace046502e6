import * as fc from 'fast-check';
import {
  agent,
  InputEvent,
  outputTag,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type AgentOperatorOptions,
} from 'millrace';
import { expect, it } from 'vitest';

interface Item {
  readonly key: string;
  readonly ts: number;
  /** How long its call takes, in turns of the loop; undefined: it is answered at once. */
  readonly takes: number | undefined;
}

const item: fc.Arbitrary<Item> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  ts: fc.integer({ min: 0, max: 40 }),
  takes: fc.option(fc.nat(12), { nil: undefined }),
});

const late = outputTag<number>('late');

/** The windows and the late ones behind an agent, or behind none. */
const windowsOf = async (
  items: readonly Item[],
  options: AgentOperatorOptions | undefined,
): Promise<readonly string[]> => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const strategy = WatermarkStrategy.boundedOutOfOrderness<Item>(2)
    .withTimestamps(({ ts }) => ts)
    .withEmitEvery(1);
  const source = env.fromCollection(items, strategy);
  const asked = agent<Item, number>('asked')
    .on(InputEvent, 'at once', ({ input }, ctx) => void (input.takes === undefined && ctx.output(input.ts)))
    .on(InputEvent, 'later', async ({ input }, ctx) => {
      if (input.takes === undefined) return;
      await ctx.durableExecute('wait', async () => {
        for (let turn = 0; turn < (input.takes ?? 0); turn += 1) await new Promise((resolve) => setImmediate(resolve));
      });
      ctx.output(input.ts);
    });
  const keyed = source.keyBy(({ key }) => key);
  const results = options === undefined ? source.map(({ ts }) => ts) : keyed.applyAgent(asked, options);
  const windows = results
    .keyBy(() => 'all')
    .window(TumblingEventTimeWindows.of(10))
    .sideOutputLateData(late)
    .process((values, { window }) => `${window.start}: ${[...values].sort((x, y) => x - y).join()}`);
  const told = windows.union(windows.sideOutput(late).map((ts) => `late ${ts}`));
  return (await told.executeAndCollect()).map(String).toSorted();
};

it.each<[AgentOperatorOptions]>([
  [{}],
  [{ outputOrder: 'arrival' }],
  [{ asyncConcurrency: 1, pendingMax: 3 }],
  [{ pendingPerKeyMax: 1 }],
])('I17: which results are late, and the windows of all others, depend on no latency: %o', async (options) => {
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 30 }), async (items) => {
      expect(await windowsOf(items, options)).toEqual(await windowsOf(items, undefined));
    }),
    { numRuns: 40 },
  );
});
