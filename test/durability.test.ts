/**
 * What leaves the process, what stays in the journal, and where sources stop: I8, I10 and I14 seen from the store and
 * from outside.
 */
import {
  agent,
  decodeJournalEntry,
  defineSink,
  InputEvent,
  journaledCalls,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  type Agent,
  type JournalEntry,
  type Storage,
} from 'millrace';
import { simulate } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { itemsOf, later, Ledger, once, Sluice, steppingClock, until, type Item } from './stories/story.ts';

/** Storage that tells which records of the journal are durable. */
const observed = (inner: Storage, onAppended: (entries: readonly JournalEntry[]) => void): Storage => ({
  name: 'observed',
  async open() {
    const open = await inner.open();
    const { journal } = open;
    return {
      ...open,
      journal: {
        append: async (entries) => {
          await journal.append(entries);
          onAppended(entries);
        },
        get: (key) => journal.get(key),
        getRecoveryMarker: () => journal.getRecoveryMarker(),
        rebuildState: (marker) => journal.rebuildState(marker),
        pruneState: (keys) => journal.pruneState(keys),
        close: () => journal.close(),
      },
    };
  },
});

test('I14: a call that follows from the outcome of another leaves only when that one is durable', async () => {
  const durable = new Set<string>();
  const storage = observed(new MemoryStorage({ writeDelayMs: () => 4 }), (entries) => {
    for (const entry of entries) for (const call of journaledCalls(decodeJournalEntry(entry))) durable.add(call);
  });
  const early: string[] = [];
  const chain: Agent<Item, number> = agent<Item, number>('chain').on(
    InputEvent,
    async (event: InputEvent<Item>, ctx) => {
      let before: string | undefined;
      for (const step of ['one', 'two', 'three']) {
        const { id } = await ctx.durableExecute(step, (_signal, call) => {
          if (before !== undefined && !durable.has(before)) early.push(call.id);
          return { id: call.id };
        });
        before = id;
      }
      ctx.sendEvent(new OutputEvent(event.input.n));
    },
    { async: true },
  );
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  const items = itemsOf(12, 3);
  expect(
    await env.executeAndCollect(
      env
        .fromCollection(items)
        .keyBy(({ id }) => id)
        .applyAgent(chain, { outputOrder: 'arrival' }),
    ),
  ).toEqual(items.map(({ n }) => n));
  expect(durable.size).toBeGreaterThan(20);
  expect(early).toEqual([]);
});

describe('the journal is empty when the job has finished', () => {
  const left = async (storage: Storage): Promise<number> => {
    const { journal, close } = await storage.open();
    let count = 0;
    for await (const _ of journal.rebuildState()) count += 1;
    await close();
    return count;
  };

  /** Actions that have gone on behind their call. */
  let goneOn = 0;

  const start = (storage: Storage, ledger: Ledger<number>, go: Promise<void>): StreamExecutionEnvironment => {
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    const slow: Agent<Item, number> = agent<Item, number>('slow').on(
      InputEvent,
      async (event: InputEvent<Item>, ctx) => {
        await ctx.durableExecute('first', () => later(1));
        goneOn += 1;
        await later(2); // The outcome is on its way to the disk when the action ends.
        if (event.input.n > 5) await go;
        ctx.sendEvent(new OutputEvent(event.input.n));
      },
      { async: true },
    );
    env
      .fromSource(new Sluice(itemsOf(12, 3), 12, 2).source)
      .keyBy(({ id }) => id)
      .applyAgent(slow, { outputOrder: 'arrival' })
      .uid('slow')
      .sinkTo(ledger.sink());
    return env;
  };

  test('at once', async () => {
    const [storage, ledger] = [new MemoryStorage({ writeDelayMs: () => 5 }), new Ledger<number>()];
    await start(storage, ledger, Promise.resolve()).execute();
    expect(ledger.values).toHaveLength(12);
    expect(await left(storage)).toBe(0);
  });

  test('also of what an earlier process had written, which died', async () => {
    const [storage, ledger] = [new MemoryStorage({ writeDelayMs: () => 5 }), new Ledger<number>()];
    goneOn = 0;
    const job = await start(storage, ledger, new Promise(() => {})).executeAsync();
    await until(() => goneOn >= 9); // Those of each of three keys up to the first that waits for ever.
    await job.cancel();
    expect(await left(storage)).toBeGreaterThan(3);
    await start(storage, ledger, Promise.resolve()).execute();
    expect(ledger.values).toHaveLength(12);
    expect(await left(storage)).toBe(0);
  });
});

describe('I10: sources stop', () => {
  test('at the bound of an agent, without a turn for nothing', async () => {
    let [records, empty] = [0, 0];
    let go = (): void => {};
    const released = new Promise<void>((resolve) => (go = resolve));
    const env = StreamExecutionEnvironment.create({
      ...once,
      storage: new MemoryStorage(),
      clock: steppingClock(),
      onTurn: (turn) => {
        if (turn.kind !== 'records') return;
        records += turn.count;
        if (turn.count === 0) empty += 1;
      },
    });
    const waiting: Agent<Item, number> = agent<Item, number>('waiting').on(
      InputEvent,
      async (event: InputEvent<Item>, ctx) => {
        await released;
        ctx.sendEvent(new OutputEvent(event.input.n));
      },
      { async: true },
    );
    const ledger = new Ledger<number>();
    env
      .fromSource(new Sluice(itemsOf(60, 9), 60, 7).source)
      .keyBy(({ id }) => id)
      .applyAgent(waiting, { pendingMax: 5, outputOrder: 'arrival' })
      .sinkTo(ledger.sink());
    const job = await env.executeAsync();
    await until(() => records >= 5);
    await later(30);
    expect([records, empty]).toEqual([5, 0]);
    go();
    await job.done;
    expect(ledger.values).toHaveLength(60);
    expect(empty).toBe(0);
  });

  test('when three sealed epochs wait for their commit', async () => {
    const total = 60;
    const sluice = new Sluice(itemsOf(total, 3), 1, 1);
    let go = (): void => {};
    const released = new Promise<void>((resolve) => (go = resolve));
    const got: number[] = [];
    let records = 0;
    const env = StreamExecutionEnvironment.create({
      ...once,
      storage: new MemoryStorage(),
      clock: steppingClock(),
      checkpoint: { interval: 1 },
      onTurn: (turn) => void (records += turn.kind === 'records' ? turn.count : 0),
    });
    const sink = defineSink<Item>({
      guarantee: 'exactly-once',
      write: async (values) => {
        await released;
        got.push(...values.map(({ n }) => n));
      },
    });
    env.fromSource(sluice.source).sinkTo(sink);
    const job = await env.executeAsync();
    let upTo = 1;
    // Each checkpoint lets one more record come.
    job.checkpoints$.subscribe(() => sluice.raise((upTo += 1)));
    await until(() => records > 2);
    await later(250); // In which all would come.
    expect(records).toBeLessThan(10);
    sluice.raise();
    go();
    await job.done;
    expect(got).toEqual(itemsOf(total, 3).map(({ n }) => n));
  });
});

test('I8: outcomes that come at one and the same moment resume a body one after the other, as they will after a crash', async () => {
  const hops = async (value: string, count: number): Promise<string> => {
    for (let hop = 0; hop < count; hop += 1) await Promise.resolve();
    return value;
  };
  for (const at of ['before-write', 'after-write'] as const) {
    for (let number = 1; number <= 14; number += 1) {
      const { received } = await simulate({
        seed: 3,
        crashes: [{ at, number, landed: 1 }],
        checkpointIntervalMs: 10_000,
        pipeline: (env, process) => {
          const asker = agent<string, string>('asker').on(InputEvent, async (event, ctx) => {
            const ask = (name: string, latencyMax = 0): Promise<string> =>
              ctx.durableExecute(name, (_signal, call) =>
                process.call(call, { latencyMax, answer: (execution) => `${name}${execution}` }),
              );
            // Both answers are there at once; what follows the first one takes longer to be asked for.
            const long = ask('a')
              .then((value) => hops(value, 20))
              .then(() => ask('x', 30));
            const short = ask('b').then(() => ask('y', 30));
            const last = Promise.all([long, short]).then(() => ask('z', 30));
            await last;
            ctx.sendEvent(new OutputEvent(event.input));
          });
          env
            .fromSource(process.source({ name: 'inputs', splits: { a: ['p', 'q'] }, latencyMax: 0 }))
            .keyBy((value) => value)
            .applyAgent(asker)
            .sinkTo(process.collect('out'));
        },
      });
      expect(received.get('out')).toHaveLength(2);
    }
  }
});

test('I4: records that come behind the instant of a checkpoint belong to a turn of their own', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    for (const number of [2, 3, 5, 8]) {
      const { received } = await simulate({
        seed,
        crashes: [{ at: 'after-write', number, landed: 1 }],
        checkpointIntervalMs: 5,
        pipeline: (env, process) =>
          // Turns that ask for nothing stay noted until one does, so that a checkpoint falls between them.
          env
            .fromSource(process.source({ name: 'numbers', splits: { a: itemsOf(24, 3) }, latencyMax: 6, batchMax: 1 }))
            .filter(({ n }) => n % 6 === 5)
            .asyncMap(({ n }, call) => process.call(call, { latencyMax: 8, answer: () => n }))
            .sinkTo(process.collect('out')),
      });
      expect(received.get('out')).toHaveLength(4);
    }
  }
});
