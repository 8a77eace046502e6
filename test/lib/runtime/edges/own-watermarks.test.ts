import { ABORT, scriptedSource, simulate } from 'millrace/testing';
import { StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy, fixedDelay } from 'millrace';
import { describe, expect, it } from 'vitest';

interface Visit {
  readonly ts: number;
  readonly mark?: true;
}

const visit = (ts: number, mark?: true): Visit => (mark === true ? { ts, mark } : { ts });

const timeOf = ({ ts }: Visit): number => ts;

const punctuated = WatermarkStrategy.punctuated<Visit>(({ mark }, ts) =>
  mark === true ? ts : undefined,
).withTimestamps(timeOf);

/** The watermark that each record meets. */
const met = async (visits: readonly Visit[], strategy: WatermarkStrategy<Visit>): Promise<readonly string[]> => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const seen = env
    .fromCollection(visits, strategy)
    .keyBy(() => 'all')
    .process<string>({ process: ({ ts }, ctx) => ctx.emit(`${ts}:${ctx.timers.watermark}`), onTimer: () => {} });
  return seen.executeAndCollect();
};

describe('watermarks of records', () => {
  it('follow the record that brings them, and never go back', async () => {
    const visits = [visit(5), visit(7, true), visit(6), visit(3, true), visit(9, true), visit(8)];
    expect(await met(visits, punctuated)).toEqual(['5:-Infinity', '7:-Infinity', '6:7', '3:7', '9:7', '8:9']);
  });

  it.each([[Number.NaN], [Infinity], ['x'], [Promise.resolve(1)]])('refuses %s', async (watermark) => {
    const strategy = WatermarkStrategy.punctuated<Visit>(() => watermark as number).withTimestamps(timeOf);
    await expect(met([visit(1)], strategy)).rejects.toMatchObject({
      code: typeof watermark === 'object' ? 'ASYNC_IN_TURN' : 'TIMESTAMP_INVALID',
    });
  });

  it('names the source whose generator throws', async () => {
    const strategy = WatermarkStrategy.punctuated<Visit>(() => JSON.parse('{') as number);
    await expect(met([visit(1)], strategy)).rejects.toMatchObject({ details: { uid: expect.any(String) } });
    expect(() => WatermarkStrategy.punctuated(5 as never)).toThrow('`fn`');
    expect(() => WatermarkStrategy.forGenerator({ initial: () => 0 } as never)).toThrow('`generator`');
  });
});

describe("a generator of the user's own", () => {
  /** The third greatest timestamp so far. */
  const third = WatermarkStrategy.forGenerator<Visit, readonly number[]>({
    initial: () => [],
    onRecord: (newest, { ts }) => [...newest, ts].toSorted((a, b) => b - a).slice(0, 3),
    watermark: (newest) => newest[2],
  })
    .withEmitEvery(2)
    .withTimestamps(timeOf);

  it('is asked at record counts', async () => {
    const visits = [10, 20, 30, 40, 50, 60].map((ts) => visit(ts));
    const none = ['10:-Infinity', '20:-Infinity', '30:-Infinity', '40:-Infinity'];
    expect(await met(visits, third)).toEqual([...none, '50:20', '60:20']);
  });

  it('goes on with its state after a failure', async () => {
    const script = [...[10, 20, 30, 40].map((ts) => visit(ts)), ABORT, ...[50, 60].map((ts) => visit(ts))] as const;
    const env = StreamExecutionEnvironment.create({ restart: fixedDelay({ attempts: 1, delay: 1 }), logger: 'silent' });
    const sums = env
      .fromSource(scriptedSource<Visit>([...script]), third)
      .keyBy(() => 'all')
      .window(TumblingEventTimeWindows.of(20))
      .process((visits) => visits.map(({ ts }) => ts).join());
    expect(await sums.executeAndCollect()).toEqual(['10', '20,30', '40,50', '60']);
  });

  it('gives the same through crashes: what is late does not change', async () => {
    const visits = Array.from({ length: 30 }, (_, n) =>
      visit(n * 10 - (n % 4 === 3 ? 45 : 0), n % 5 === 0 ? true : undefined),
    );
    for (const strategy of [third, punctuated]) {
      const results = new Set<string>();
      for (let seed = 1; seed <= 15; seed += 1) {
        const { received } = await simulate({
          seed,
          pipeline: (env, process) => {
            env
              .fromSource(process.source<Visit>({ name: 'visits', splits: { only: visits } }), strategy)
              .keyBy(() => 'all')
              .window(TumblingEventTimeWindows.of(20))
              .process((all, { window }) => `${window.start}: ${all.map(({ ts }) => ts).join()}`)
              .sinkTo(process.collect<string>('windows'));
          },
        });
        results.add((received.get('windows') ?? []).join(' | '));
      }
      expect(results.size).toBe(1);
    }
  });
});
