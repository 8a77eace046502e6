import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  agent,
  defineSink,
  InputEvent,
  jsonLinesSink,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
  type Agent,
  type DataStream,
  type EnvironmentBaseOptions,
  type Sink,
} from 'millrace';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import {
  failure,
  freshDirectory,
  itemsOf,
  later,
  Ledger,
  once,
  Sluice,
  steppingClock,
  stillness,
  until,
  type Item,
} from './stories/story.ts';

const byTime = WatermarkStrategy.monotonous<Item>()
  .withTimestamps(({ n }) => n * 1000)
  .withEmitEvery(3);

const waiting = (ms: (n: number) => number): Agent<Item, Item> =>
  agent<Item, Item>('waiting').on(
    InputEvent,
    'wait',
    async (event: InputEvent<Item>, ctx) => {
      await ctx.durableExecute('wait', () => later(ms(event.input.n)));
      ctx.sendEvent(new OutputEvent(event.input));
    },
    { async: true },
  );

describe('risk 5: a function changes a value that is state', () => {
  interface Seen {
    readonly ns: number[];
  }
  const seenState = () => valueState<Seen>('seen');

  /** `inPlace` changes the stored value without a word to its handle; else a new one is made. */
  const collecting = (stream: DataStream<Item>, inPlace: boolean): DataStream<number> =>
    stream
      .keyBy(({ id }) => id)
      .process<number, { seen: ReturnType<typeof seenState> }>({
        state: { seen: seenState() },
        process({ n }, ctx) {
          const seen = ctx.state.seen.value();
          if (seen === undefined || !inPlace) ctx.state.seen.update({ ns: [...(seen?.ns ?? []), n] });
          else seen.ns.push(n);
          ctx.emit(ctx.state.seen.value()?.ns.length ?? 0);
        },
      });

  const run = (inPlace: boolean, environment: EnvironmentBaseOptions): Promise<number[]> => {
    const env = StreamExecutionEnvironment.create({ ...once, storage: new MemoryStorage(), ...environment });
    return env.executeAndCollect(collecting(env.fromCollection(itemsOf(12)), inPlace));
  };

  test('with frozen state it is found, and a function that makes new values is not disturbed', async () => {
    const error = await failure(run(true, { freezeState: true }), 'OPERATOR_FAILED');
    expect(error.message).toMatch(/not extensible|read only/);
    expect(error.retryable).toBe(false);
    expect(await run(false, { freezeState: true })).toEqual(await run(false, {}));
  });

  test('an agent, windows and a reduce give the same with frozen state', async () => {
    const all = async (freezeState: boolean): Promise<unknown[]> => {
      const env = StreamExecutionEnvironment.create({ ...once, storage: new MemoryStorage(), freezeState });
      const scored = env
        .fromCollection(itemsOf(40), byTime)
        .keyBy(({ id }) => id)
        .applyAgent(
          waiting(() => 0),
          { outputOrder: 'arrival' },
        );
      const summed = scored.keyBy(({ id }) => id).reduce((a, b) => ({ ...a, n: a.n + b.n }));
      const windows = scored
        .keyBy(({ id }) => id)
        .window(TumblingEventTimeWindows.of('5s'))
        .process((values, ctx) => [ctx.key, ctx.window.start, values.map(({ n }) => n)]);
      return env.executeAndCollect(summed.union(windows));
    };
    expect(await all(true)).toEqual(await all(false));
  });
});

describe('risk 6: full bounds and held watermarks', () => {
  const bounds = fc.record({
    first: fc.integer({ min: 1, max: 3 }),
    second: fc.integer({ min: 1, max: 3 }),
    perKey: fc.integer({ min: 1, max: 2 }),
    sinkMax: fc.integer({ min: 1, max: 3 }),
    delay: fc.integer({ min: 0, max: 2 }),
    order: fc.constantFrom('completion' as const, 'arrival' as const),
  });

  test('two agents, a union, a window and a sink, each with the least room, come to their end', async () => {
    await fc.assert(
      fc.asyncProperty(bounds, async ({ first, second, perKey, sinkMax, delay, order }) => {
        const got: number[] = [];
        const env = StreamExecutionEnvironment.create({ ...once, storage: new MemoryStorage() });
        const left = env.fromSource(new Sluice(itemsOf(14), 14, 4).source, byTime, 'left');
        const right = env.fromSource(new Sluice(itemsOf(10), 10, 2).source, byTime, 'right');
        const sink = defineSink<number>({
          pendingMax: sinkMax,
          guarantee: 'exactly-once',
          write: (values) => void got.push(...values),
        });
        left
          .union(right)
          .keyBy(({ id }) => id)
          .applyAgent(
            waiting((n) => (n % 2) * delay),
            { asyncConcurrency: first, pendingMax: first, pendingPerKeyMax: perKey, outputOrder: order },
          )
          .keyBy(({ n }) => n)
          .applyAgent(
            waiting((n) => (n % 3) * delay),
            { asyncConcurrency: second, pendingMax: second, outputOrder: order },
          )
          .keyBy(({ id }) => id)
          .window(TumblingEventTimeWindows.of('4s'))
          .process((values) => values.length)
          .sinkTo(sink);
        await env.execute();
        expect(got.reduce((sum, count) => sum + count, 0)).toBe(24);
      }),
      { numRuns: 12 },
    );
  });
});

describe('risk 8: the process dies around a commit of the file sink', () => {
  const items = itemsOf(60);
  const whole = items.map((item) => `${JSON.stringify(item)}\n`).join('');

  /**
   * A: before the checkpoint is durable. B: behind it, before the commit. C: behind the commit, which is not
   * acknowledged. D: later.
   */
  type Failpoint = 'A' | 'B' | 'C' | 'D';

  /** The sink, whose `number`-th commit fails behind its back (C) or is followed by the end of the process (D). */
  const failing = (
    sink: Sink<Item>,
    point: Failpoint,
    number: number,
    sluice: Sluice<Item>,
    die: () => void,
  ): Sink<Item> => ({
    name: sink.name,
    guarantee: sink.guarantee,
    async open(context) {
      const writer = await sink.open(context);
      let commits = 0;
      return {
        write: (value, timestamp, at) => writer.write(value, timestamp, at),
        get full() {
          return writer.full;
        },
        seal: (epoch) => writer.seal(epoch),
        close: () => writer.close(),
        async commit(committable, signal) {
          await writer.commit(committable, signal);
          commits += 1;
          sluice.raise((commits + 1) * 12);
          if (commits !== number) return;
          if (point === 'D') setTimeout(die, 3);
          if (point !== 'C') return;
          die();
          throw new Error('the process is gone');
        },
      };
    },
  });

  const start = (storage: MemoryStorage, sink: Sink<Item>, sluice = new Sluice(items)): StreamExecutionEnvironment => {
    const checkpoint = { interval: 1 };
    const env = StreamExecutionEnvironment.create({ ...once, storage, checkpoint, clock: steppingClock() });
    env.fromSource(sluice.source).sinkTo(sink, 'file');
    return env;
  };

  test.each(
    (['A', 'B', 'C', 'D'] as const).flatMap((point) => [1, 2, 3, 4, 5].map((number) => [point, number] as const)),
  )('at %s, checkpoint %i: byte for byte the output of a job that lives', async (point, number) => {
    const output = join(await freshDirectory(), 'out.jsonl');
    let writes = 0;
    const storage = new MemoryStorage({
      fault: ({ database, kind }) => {
        if (database !== 'state' || kind !== 'write') return 'none';
        writes += 1;
        if (writes !== number) return 'none';
        return point === 'A' ? 'fail-before' : point === 'B' ? 'fail-after' : 'none';
      },
    });
    let die = (): void => {};
    // Each commit lets the next twelve items through: five epochs in all.
    const sluice = new Sluice(items, 12, 3);
    const sink = failing(jsonLinesSink(output), point, number, sluice, () => die());
    const job = await start(storage, sink, sluice).executeAsync();
    die = () => void job.cancel();
    await job.done.catch(() => {});
    expect(job.status.state).toMatch(point === 'D' ? /cancelled|finished/ : /cancelled|failed/);
    const before = await readFile(output, 'utf8');
    expect(whole.startsWith(before)).toBe(true);
    await start(storage, jsonLinesSink(output)).execute();
    expect(await readFile(output, 'utf8')).toBe(whole);
  });
});

describe('risk 9: a function that gives something else each time', () => {
  test('a random number in a map: one warning that names the operator, a new branch, and nothing lost', async () => {
    const warnings: { readonly msg: string; readonly code?: string }[] = [];
    const logger = pino(
      { level: 'warn' },
      { write: (line: string) => void warnings.push(JSON.parse(line) as (typeof warnings)[number]) },
    );
    const [storage, items, calls] = [new MemoryStorage(), itemsOf(12), new Map<number, number>()];
    const start = (wait: Promise<void>): StreamExecutionEnvironment => {
      const env = StreamExecutionEnvironment.create({ ...once, storage, logger });
      const asked = agent<Item & { random: number }, Item>('asker').on(
        InputEvent,
        'ask',
        async (event: InputEvent<Item & { random: number }>, ctx) => {
          const { id, n } = event.input;
          await ctx.durableExecute('count', () => void calls.set(n, (calls.get(n) ?? 0) + 1));
          if (n >= 6) await wait;
          ctx.sendEvent(new OutputEvent({ id, n }));
        },
        { async: true },
      );
      const out = env
        .fromCollection(items)
        .map((item) => ({ ...item, random: Math.random() }))
        .keyBy(({ id }) => id)
        .applyAgent(asked, { outputOrder: 'arrival' })
        .uid('asker');
      out.sinkTo(ledger.sink(), 'ledger');
      return env;
    };
    const ledger = new Ledger<Item>();
    const job = await start(new Promise(() => {})).executeAsync();
    await until(() => calls.size >= 9);
    await stillness(job);
    await job.cancel(); // As a crash: no checkpoint.
    expect(warnings).toEqual([]);
    await start(Promise.resolve()).execute();
    const diverged = warnings.filter(({ code }) => code === 'DIVERGED');
    expect(diverged).toHaveLength(1);
    expect(diverged[0]?.msg).toMatch(/asker.*branch 1/);
    expect(ledger.values).toEqual(items);
  });

  test('strict replay makes it an error', async () => {
    const [storage, items] = [new MemoryStorage(), itemsOf(9)];
    let calls = 0;
    const start = (wait: Promise<void>): StreamExecutionEnvironment => {
      const env = StreamExecutionEnvironment.create({ ...once, storage, strictReplay: true });
      env
        .fromCollection(items)
        .map((item) => ({ ...item, random: Math.random() }))
        .asyncMap(async ({ n }) => {
          calls += 1;
          if (n > 4) await wait;
          return n;
        })
        .print({ write: () => {} });
      return env;
    };
    const job = await start(new Promise(() => {})).executeAsync();
    await until(() => calls === items.length);
    await stillness(job);
    await job.cancel();
    const error = await failure(start(Promise.resolve()).execute(), 'DIVERGED');
    expect(error.message).toContain('async-map');
  });
});

// ---------- where the other risks are tested

describe('each risk of the design review that applies has a test', () => {
  const elsewhere: readonly (readonly [risk: string, file: string, title: string])[] = [
    [
      '1, run identity with chained agents and unions',
      'test/simulation.crash.test.ts',
      'comes to what its surviving turns say',
    ],
    ['1', 'test/simulation-sweep.crash.test.ts', 'a job may die at every turn and every write'],
    ['2, something awaits inside a turn', 'test/stories/values.test.ts', 'a promise where a turn is synchronous (I13)'],
    ['2, a body touches live state', 'test/invariants.test.ts', 'I2: state and output are reached only in a turn'],
    ['2, cut after every turn', 'test/invariants.test.ts', 'I4, I5: cut after any turn'],
    [
      '3, concurrent calls in an action',
      'test/promise-order.crash.test.ts',
      'no tree of promises asks for another call',
    ],
    ['3, calls that fail with their action', 'test/failed-calls.crash.test.ts', 'no outcome is asked for twice'],
    ['4, a full disk', 'test/full-disk.test.ts', 'the disk of the state is full while the job runs'],
    ['4, torn tails', 'test/lib/state/level-store.test.ts', 'a log cut anywhere is an error'],
    ['4, damage', 'test/stories/damage.test.ts', 'a bit flipped, or a file cut, anywhere'],
    [
      '5, eager and lazy serialisation',
      'test/lib/state/keyed-state.prop.test.ts',
      'a cut is the same whenever it is written',
    ],
    ['7, big dirty sets', 'test/invariants.test.ts', 'changed entries start a checkpoint at their bound'],
    ['7, acknowledgements during a checkpoint', 'test/bench/state.bench.ts', 'ack'],
    ['8, commits repeated', 'test/connectors/json-lines/json-lines-sink.test.ts', 'files after a crash'],
    ['9, names after a divergence', 'test/branches.crash.test.ts', 'has another name'],
    ['10, changed plans with open runs', 'test/stories/actions.test.ts', 'a plan that changed while runs were open'],
    ['10, changed graphs', 'test/stories/state.test.ts', 'a changed pipeline on the state of an earlier one'],
  ];

  test.each(elsewhere)('%s: %s', async (_risk, file, title) => {
    expect(await readFile(new URL(`../${file}`, import.meta.url), 'utf8')).toContain(title);
  });
});
