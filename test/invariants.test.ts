import fc from 'fast-check';
import {
  agent,
  callbackSink,
  decodeJournalEntry,
  defineSink,
  exponentialDelay,
  InputEvent,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
  type Agent,
  type EnvironmentBaseOptions,
  type JournalEntry,
  type Key,
  type OpenStorage,
  type Storage,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { keyBytes, keyFromBytes, keyGroupOf } from '../lib/core/key.ts';
import { itemsOf, later, Ledger, once, Sluice, steppingClock, until, type Item } from './stories/story.ts';

describe('I1: one input of a key at a time, in the order of arrival', () => {
  const shape = fc.record({
    keys: fc.array(fc.nat(4), { minLength: 1, maxLength: 25 }),
    delays: fc.array(fc.nat(3), { minLength: 1, maxLength: 7 }),
    asyncConcurrency: fc.integer({ min: 1, max: 4 }),
    pendingMax: fc.integer({ min: 1, max: 6 }),
    pendingPerKeyMax: fc.integer({ min: 1, max: 3 }),
    outputOrder: fc.constantFrom('completion' as const, 'arrival' as const),
  });

  test('whatever the latencies and the bounds', async () => {
    await fc.assert(
      fc.asyncProperty(shape, async ({ keys, delays, ...options }) => {
        const open = new Set<string>();
        const slow: Agent<Item, Item> = agent<Item, Item>('slow').on(
          InputEvent,
          'wait',
          async (event: InputEvent<Item>, ctx) => {
            const { id, n } = event.input;
            expect([...open]).not.toContain(id);
            open.add(id);
            await ctx.durableExecute('wait', () => later(delays[n % delays.length] ?? 0));
            open.delete(id);
            ctx.sendEvent(new OutputEvent(event.input));
          },
          { async: true },
        );
        const env = StreamExecutionEnvironment.create({ ...once, storage: new MemoryStorage() });
        const items = keys.map((key, n) => ({ id: `k${key}`, n }));
        const out = await env.executeAndCollect(
          env
            .fromCollection(items)
            .keyBy(({ id }) => id)
            .applyAgent(slow, options),
        );
        for (const id of new Set(items.map((item) => item.id))) {
          expect(out.filter((item) => item.id === id)).toEqual(items.filter((item) => item.id === id));
        }
        if (options.outputOrder === 'arrival') expect(out).toEqual(items);
        expect(out).toHaveLength(items.length);
      }),
      { numRuns: 25 },
    );
  });
});

describe('I2: state and output are reached only in a turn', () => {
  test('handles, key, timers, emit and side throw afterwards', async () => {
    const late: (() => unknown)[] = [];
    const env = StreamExecutionEnvironment.create(once);
    env
      .fromCollection(itemsOf(1, 1))
      .keyBy(({ id }) => id)
      .process<number, { sum: ReturnType<typeof sumState> }>({
        state: { sum: sumState() },
        process(item, ctx) {
          const { sum } = ctx.state;
          const { timers } = ctx;
          sum.update(item.n);
          late.push(
            () => sum.value(),
            () => sum.update(1),
            () => sum.clear(),
            () => ctx.key,
            () => timers.register(1),
          );
          late.push(
            () => ctx.emit(1),
            () => ctx.side({ id: 'side' }, 1),
          );
        },
        onTimer: () => {},
      })
      .print();
    await env.execute();
    for (const use of late.slice(0, 5)) expect(use).toThrow(TypeError);
    for (const use of late.slice(5)) expect(use).toThrow(expect.objectContaining({ code: 'EMIT_OUTSIDE_TURN' }));
  });
});

const sumState = () => valueState<number>('sum');

test('I11: a key group depends on the bytes of the key and on maxParallelism alone', () => {
  const part = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt(),
    fc.boolean(),
  );
  fc.assert(
    fc.property(
      fc.oneof(part, fc.array(part, { maxLength: 3 })),
      fc.integer({ min: 1, max: 32_768 }),
      (key: Key, maxParallelism) => {
        const group = keyGroupOf(key, maxParallelism);
        expect(group).toBeGreaterThanOrEqual(0);
        expect(group).toBeLessThan(maxParallelism);
        expect(keyGroupOf(keyFromBytes(keyBytes(key)), maxParallelism)).toBe(group);
        if (Array.isArray(key)) expect(keyGroupOf([...(key as readonly string[])], maxParallelism)).toBe(group);
      },
    ),
  );
  expect(keyGroupOf(-0, 128)).toBe(keyGroupOf(0, 128));
});

// ---------- jobs that are cut, crashed and refused their writes

const slowScore: Agent<Item, Item> = agent<Item, Item>('score').on(
  InputEvent,
  'score',
  async (event: InputEvent<Item>, ctx) => {
    const before = ctx.shortTermMemory.get<number>('sum') ?? 0;
    const doubled = await ctx.durableExecute('double', () => event.input.n * 2);
    ctx.shortTermMemory.set('sum', before + doubled);
    ctx.sendEvent(new OutputEvent({ id: event.input.id, n: before + doubled }));
  },
  { async: true },
);

/** Agent, then a window: what it gives is fixed by design, so every life of it can be compared with the first. */
const build = (env: StreamExecutionEnvironment, ledger: Ledger<unknown>, items: readonly Item[]): void => {
  const byTime = WatermarkStrategy.monotonous<Item>().withTimestamps(({ n }) => n * 1000);
  env
    .fromSource(new Sluice(items, items.length, 3).source, byTime.withEmitEvery(4))
    .keyBy(({ id }) => id)
    .applyAgent(slowScore, { outputOrder: 'arrival', pendingMax: 2 })
    .uid('agent')
    .keyBy(({ id }) => id)
    .window(TumblingEventTimeWindows.of('7s'))
    .process((values, ctx) => ({ key: ctx.key, window: ctx.window.start, values: values.map(({ n }) => n) }))
    .sinkTo(ledger.sink(), 'ledger');
};

const items = itemsOf(24, 3);

const runToEnd = async (
  storage: Storage,
  ledger: Ledger<unknown>,
  environment: EnvironmentBaseOptions = {},
): Promise<void> => {
  const env = StreamExecutionEnvironment.create({ ...once, storage, ...environment });
  build(env, ledger, items);
  await env.execute();
};

const reference = async (): Promise<readonly unknown[]> => {
  const ledger = new Ledger<unknown>();
  await runToEnd(new MemoryStorage(), ledger);
  expect(ledger.values.length).toBeGreaterThan(8);
  return ledger.values;
};

/** A clock that lets the loop leave the event loop after each turn. */
test('I4, I5: cut after any turn, and started again from there, the job gives the same', async () => {
  const whole = await reference();
  let turns = 0;
  await runToEnd(new MemoryStorage(), new Ledger(), { clock: steppingClock(), onTurn: () => (turns += 1) });
  expect(turns).toBeGreaterThan(20);
  let cuts = 0;
  for (let cutAfter = 1; cutAfter < turns; cutAfter += 1) {
    const [storage, ledger] = [new MemoryStorage(), new Ledger<unknown>()];
    let seen = 0;
    let cut: (() => void) | undefined;
    const env = StreamExecutionEnvironment.create({
      ...once,
      storage,
      clock: steppingClock(),
      onTurn: () => (seen += 1) === cutAfter && cut?.(),
    });
    build(env, ledger, items);
    const job = await env.executeAsync();
    const isCut = new Promise<void>((resolve) => {
      const done = (): void => {
        cuts += 1;
        resolve();
      };
      // Before it is running, and once it is over, there is nothing to cut.
      cut = () => void job.checkpoint().then(done, resolve);
    });
    await Promise.race([isCut, job.done]);
    await job.cancel();
    await runToEnd(storage, ledger);
    expect([cutAfter, ledger.values]).toEqual([cutAfter, whole]);
  }
  expect(cuts).toBeGreaterThan(turns / 2);
});

describe('I15: a write fails, the store is opened anew, and the job comes to the same end', () => {
  test.each(['fail-before', 'fail-after'] as const)('%s, at every write', async (fault) => {
    const whole = await reference();
    let operations = 0;
    await runToEnd(new MemoryStorage({ fault: () => ((operations += 1), 'none') }), new Ledger());
    expect(operations).toBeGreaterThan(15);
    const restart = exponentialDelay({ initial: 1, max: 1 });
    let reopened = 0;
    for (let number = 0; number < operations; number += 1) {
      const ledger = new Ledger<unknown>();
      let failed: string | undefined;
      let after: string | undefined;
      const storage = new MemoryStorage({
        fault: (operation) => {
          if (operation.database === failed) after ??= operation.kind;
          if (operation.number !== number) return 'none';
          failed = operation.database;
          return fault;
        },
      });
      await runToEnd(storage, ledger, { restart });
      expect([number, ledger.values]).toEqual([number, whole]);
      // How writes are grouped depends on time, so a life may have fewer of them than the one that was counted.
      if (failed === undefined) continue;
      // The first that the database hears after its failure is that it is opened.
      expect([number, after]).toEqual([number, 'open']);
      reopened += 1;
    }
    expect(reopened).toBeGreaterThan(operations / 2);
  });
});

/** Storage whose journal and state tell when a write is durable. */
const observed = (
  inner: Storage,
  onAppend: (entries: readonly JournalEntry[]) => void,
  onCheckpoint: () => void,
): Storage => ({
  name: 'observed',
  async open(): Promise<OpenStorage> {
    const { jobId, state, journal, close } = await inner.open();
    return {
      jobId,
      close,
      journal: {
        append: async (entries) => {
          await journal.append(entries);
          onAppend(entries);
        },
        get: (key) => journal.get(key),
        getRecoveryMarker: () => journal.getRecoveryMarker(),
        rebuildState: (marker) => journal.rebuildState(marker),
        pruneState: (keys) => journal.pruneState(keys),
        close: () => journal.close(),
      },
      state: {
        get: (key) => state.get(key),
        entries: (range) => state.entries(range),
        clear: (range) => state.clear(range),
        close: () => state.close(),
        batch: () => {
          const batch = state.batch();
          return {
            get length() {
              return batch.length;
            },
            get bytes() {
              return batch.bytes;
            },
            put: (key, value) => batch.put(key, value),
            delete: (key) => batch.delete(key),
            close: () => batch.close(),
            write: async () => {
              await batch.write();
              onCheckpoint();
            },
          };
        },
      },
    };
  },
});

test('I14: a call leaves the process only when the turn that asked for it is durable', async () => {
  let durableRecords = 0;
  const storage = observed(
    new MemoryStorage({ writeDelayMs: () => 5 }),
    (entries) => {
      for (const entry of entries) {
        const record = decodeJournalEntry(entry);
        if (record.kind !== 'turns') continue;
        // A packed turn that hands over records: its letter, source, split and count.
        for (const [letter, , , count] of record.turns) if (letter === 'r') durableRecords += count as number;
      }
    },
    () => {},
  );
  const early: number[] = [];
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  const out = env.fromSource(new Sluice(items, items.length, 2).source).asyncMap(
    async ({ n }) => {
      if (n >= durableRecords) early.push(n);
      return n;
    },
    { order: 'arrival', inFlightMax: 4 },
  );
  expect(await env.executeAndCollect(out)).toEqual(items.map(({ n }) => n));
  expect(early).toEqual([]);
});

test('I7: effects of an epoch become visible only when its checkpoint is durable', async () => {
  let durable = 0;
  const storage = observed(
    new MemoryStorage({ writeDelayMs: () => 3 }),
    () => {},
    () => (durable += 1),
  );
  const seen: (readonly [epoch: number, durable: number])[] = [];
  const got: number[] = [];
  const sluice = new Sluice(items, 8);
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  const sink = defineSink<Item>({
    guarantee: 'exactly-once',
    write(values, { epoch }) {
      seen.push([epoch, durable]);
      got.push(...values.map(({ n }) => n));
    },
  });
  env.fromSource(sluice.source).sinkTo(sink);
  const job = await env.executeAsync();
  await until(() => job.status.state === 'running');
  for (const upTo of [12, 20, undefined]) {
    await later(5);
    await job.checkpoint();
    sluice.raise(upTo);
  }
  await job.done;
  expect(got).toEqual(items.map(({ n }) => n));
  expect(seen.length).toBeGreaterThan(2);
  for (const [epoch, then] of seen) expect(then).toBeGreaterThanOrEqual(epoch);
});

describe('I10: what only a checkpoint lets go of is bounded', () => {
  const countAll = (env: StreamExecutionEnvironment, keys: number, batch: number) =>
    env
      .fromSource(new Sluice(itemsOf(keys, keys), keys, batch).source)
      .keyBy(({ id }) => id)
      .process<number, { sum: ReturnType<typeof sumState> }>({
        state: { sum: sumState() },
        process({ n }, ctx) {
          ctx.state.sum.update(n);
          ctx.emit(n);
        },
      });

  test('changed entries start a checkpoint at their bound, and stop the sources when one is under way', async () => {
    const [dirtyMax, keys] = [50, 2000];
    const env = StreamExecutionEnvironment.create({
      ...once,
      dirtyMax,
      clock: steppingClock(),
      storage: new MemoryStorage({ writeDelayMs: () => 3 }),
    });
    const got: number[] = [];
    countAll(env, keys, 10).sinkTo(callbackSink((value: number) => void got.push(value)));
    const job = await env.executeAsync();
    const entries: number[] = [];
    job.checkpoints$.subscribe((stats) => entries.push(stats.entries));
    await job.done;
    expect(got).toHaveLength(keys);
    // Without a bound all would be in the last one.
    expect(entries.length).toBeGreaterThan(keys / (4 * dirtyMax) / 2);
    expect(Math.max(...entries)).toBeLessThan(6 * dirtyMax);
  });
});

test('progress resets the count of fruitless restarts: a job that fails again and again further on is not given up', async () => {
  const failed = new Set<number>();
  const ledger = new Ledger<number>();
  const checkpoint = { interval: 1 };
  const restart = exponentialDelay({ initial: 1, max: 1 });
  const env = StreamExecutionEnvironment.create({
    ...once,
    storage: new MemoryStorage(),
    restart,
    checkpoint,
    clock: steppingClock(),
  });
  const sluice = new Sluice(items, 1, 1);
  env
    .fromSource(sluice.source)
    .map(({ n }) => {
      // Each third one fails twice; it is let through once a checkpoint holds those before it.
      const times = n % 3 === 2 ? [n * 2, n * 2 + 1].filter((each) => !failed.has(each)) : [];
      if (times[0] === undefined) return n;
      failed.add(times[0]);
      throw new RangeError(`not yet ${n}`);
    })
    .sinkTo(ledger.sink());
  const job = await env.executeAsync();
  job.checkpoints$.subscribe(() => sluice.raise(ledger.values.length + 2));
  await job.done;
  expect(ledger.values).toEqual(items.map(({ n }) => n));
  expect(job.status.restarts).toBe(failed.size);
  expect(failed.size).toBeGreaterThan(10);
});

test('a durable record is progress too: without any checkpoint, an action of each input fails twice', async () => {
  const failures = new Map<number, number>();
  const ledger = new Ledger<number>();
  const env = StreamExecutionEnvironment.create({
    ...once,
    storage: new MemoryStorage(),
    restart: exponentialDelay({ initial: 1, max: 1 }),
  });
  const stubborn: Agent<Item, number> = agent<Item, number>('stubborn').on(
    InputEvent,
    async (event: InputEvent<Item>, ctx) => {
      const { n } = event.input;
      await ctx.durableExecute('look-up', () => n);
      failures.set(n, (failures.get(n) ?? -1) + 1);
      if ((failures.get(n) ?? 0) < 2) throw new RangeError(`not yet ${n}`);
      ctx.sendEvent(new OutputEvent(n));
    },
    { async: true },
  );
  env
    .fromSource(new Sluice(itemsOf(6, 1)).source)
    .keyBy(({ id }) => id)
    .applyAgent(stubborn)
    .sinkTo(ledger.sink());
  const job = await env.executeAsync();
  await job.done;
  expect(ledger.values).toEqual([0, 1, 2, 3, 4, 5]);
  expect(job.status.restarts).toBe(12);
});

test('I8: the failure of a call that its action did not handle is no outcome, also when it was durable: the call is made again', async () => {
  const made: string[] = [];
  let broken = true;
  const storage = new MemoryStorage();
  const [ledger, few] = [new Ledger<number>(), itemsOf(4, 4)];
  const run = (): Promise<void> => {
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    const careful: Agent<Item, number> = agent<Item, number>('careful').on(
      InputEvent,
      async (event: InputEvent<Item>, ctx) => {
        const { n } = event.input;
        try {
          await ctx.durableExecute('charge', () => {
            made.push(`charge ${n}`);
            if (broken && n === 2) throw new RangeError('no money');
          });
        } finally {
          // It leaves when the outcome above is durable.
          await ctx.durableExecute('note', () => void made.push(`note ${n}`));
        }
        ctx.sendEvent(new OutputEvent(n));
      },
      { async: true },
    );
    env
      .fromSource(new Sluice(few).source)
      .keyBy(({ id }) => id)
      .applyAgent(careful, { outputOrder: 'arrival' })
      .uid('careful')
      .sinkTo(ledger.sink());
    return env.execute();
  };
  await expect(run()).rejects.toMatchObject({ code: 'ACTION_FAILED' });
  broken = false;
  await run();
  expect(ledger.values).toEqual([0, 1, 2, 3]);
  expect(made.filter((each) => each === 'charge 2')).toHaveLength(2);
  for (const n of [0, 1, 3]) expect(made.filter((each) => each === `charge ${n}`)).toHaveLength(1);
  expect(made.filter((each) => each === 'note 2')).toHaveLength(1);
});
