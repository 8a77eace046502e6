import { collection, defineSink, MemoryStorage, valueState, type Operator } from 'millrace';
import type { Source, SourceBatch, StreamExecutionEnvironment } from 'millrace';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import { MetricTree } from '../../../../lib/runtime/job/metric-group.ts';
import { decodeJournalEntry } from '../../../../lib/runtime/journal/journal-format.ts';
import { unpackTurn, type Turn } from '../../../../lib/runtime/journal/turn.ts';
import { settled } from '../../../../lib/testing/clock.ts';
import { openDomain } from './open-domain.ts';

/** Notes what each operator was told that it is part of. */
const noting =
  (seen: unknown[]): Operator<number, number> =>
  (context) => {
    const last = context.state(valueState<number>('last'));
    return {
      process: (value, timestamp) => {
        context.metrics.getCounter('seen').inc();
        seen.push([context.jobId, context.branch, context.uid]);
        last.update(value);
        context.output.emit(value, timestamp);
      },
    };
  };

const pipeline =
  (seen: unknown[] = []) =>
  (env: StreamExecutionEnvironment): void => {
    env
      .fromSource(collection([1, 2, 3]))
      .uid('in')
      .keyBy((n) => n)
      .transform('op', noting(seen))
      .sinkTo(defineSink<number>({ guarantee: 'exactly-once', write: () => {} }));
  };

const calling = (env: StreamExecutionEnvironment): void => {
  env
    .fromSource(collection([1, 2, 3]))
    .asyncMap(async (n) => n)
    .print({ write: () => {} });
};

describe('the parts of a domain', () => {
  test('are put together and do nothing yet', async () => {
    const { domain, turns, clock, failures } = await openDomain(pipeline());
    await settled();
    expect([turns, clock.waiting, failures, domain.parts.workingSet.entries]).toEqual([[], 0, [], 0]);
  });

  test('know the job by what the storage calls it, or by another name in each run where there is none', async () => {
    const [stored, kept] = [new MemoryStorage(), [] as unknown[]];
    const { domain, storage } = await openDomain(pipeline(kept), { storage: stored });
    await domain.start();
    await domain.run();
    const inMemory: unknown[] = [];
    const other = await openDomain(pipeline(inMemory), { storage: null, memoryId: 'run-7' });
    await other.domain.start();
    await other.domain.run();
    expect([kept[0], inMemory[0]]).toEqual([
      [storage?.jobId, 0, 'op'],
      ['run-7', 0, 'op'],
    ]);
  });

  test('have checkpoints that come early only where something is stored', async () => {
    const [stored, inMemory] = [await openDomain(pipeline()), await openDomain(pipeline(), { storage: null })];
    expect([stored.domain.parts.early === undefined, inMemory.domain.parts.early === undefined]).toEqual([false, true]);
    expect(inMemory.domain.parts.journal.keeps).toBe(false);
  });

  test('start one when the dirty set is full, though nobody asks for it', async () => {
    const { domain, checkpoints } = await openDomain(pipeline(), { settings: { dirtyMax: 2 } });
    await domain.start();
    await domain.run();
    for (let rounds = 0; rounds < 60; rounds += 1) await settled();
    expect(checkpoints.length).toBeGreaterThan(0);
  });
});

describe('turns', () => {
  test.each([
    ['are recorded where work can tell a replay from the life before', calling, true],
    ['are not where nothing needs it: the state is that of the checkpoint', pipeline(), false],
  ])('%s', async (_what, build, recorded) => {
    const { domain, storage } = await openDomain(build);
    await domain.start();
    await domain.run();
    await new Promise<void>((resolve) => domain.parts.journal.flush(resolve));
    let entries = 0;
    for await (const _ of storage?.journal.rebuildState() ?? []) entries += 1;
    expect([domain.parts.journal.state.turns > 0, entries > 0]).toEqual([recorded, recorded]);
  });

  test('are told as copies: who is told of them changes nothing of the log (I21)', async () => {
    const told: Turn[] = [];
    const { domain, storage } = await openDomain(calling, {
      onTurn: (turn) => {
        told.push(turn);
        if (turn.kind === 'records') Object.assign(turn, { count: 99, split: 'another' });
      },
    });
    await domain.start();
    expect(await domain.run()).toBe(true);
    expect(told.some((turn) => turn.kind === 'records' && turn.count === 99)).toBe(true);
    const { journal } = domain.parts;
    await new Promise<void>((resolve) => journal.flush(resolve));
    const recorded: Turn[] = [];
    for await (const entry of storage?.journal.rebuildState() ?? []) {
      const record = decodeJournalEntry(entry);
      if (record.kind === 'turns') recorded.push(...record.turns.map(unpackTurn));
    }
    expect(recorded.filter(({ kind }) => kind === 'records')).toMatchObject([{ split: 'collection', count: 3 }]);
  });

  test('wake the ticker, which had slept for good: what they bring may wait for time', async () => {
    let give = (): void => {};
    const given = new Promise<void>((resolve) => (give = resolve));
    const fired: number[] = [];
    const reads: Promise<SourceBatch<number, number>>[] = [given.then(() => ({ values: [1], position: (at) => at }))];
    const source: Source<number, number> = {
      name: 'one',
      replayable: true,
      splits: async () => ['s'],
      open: async () => ({ read: () => reads.shift() ?? new Promise(() => {}), close: async () => {} }),
    };
    const { domain, clock } = await openDomain((env) => {
      env
        .fromSource(source)
        .keyBy((n) => n)
        .transform<number>('op', (context) => {
          const timers = context.timers(() => fired.push(context.now()));
          return { process: () => timers.register(context.now() + 500, { domain: 'processing' }) };
        })
        .print({ write: () => {} });
    });
    await domain.start();
    const over = domain.run();
    await clock.advance(1000);
    expect(clock.waiting).toBe(0);
    give();
    await clock.advance(1000);
    expect(fired).toEqual([1501]);
    domain.stopLoop();
    expect(await over).toBe(false);
  });

  test('whoever is told of them fails the job when that fails', async () => {
    const error = new RangeError('no more');
    const { domain, failures } = await openDomain(pipeline(), {
      onTurn: () => {
        throw error;
      },
    });
    await expect(domain.start()).rejects.toBe(error);
    expect(failures).toEqual([error]);
  });
});

test('metrics of an operator are in a group of its own, and the journal says how long its writes take', async () => {
  const tree = new MetricTree({ job: 'job', clock: systemClock });
  const { domain } = await openDomain(
    (env) => {
      pipeline()(env);
      calling(env);
    },
    { metrics: tree.root },
  );
  await domain.start();
  await domain.run();
  await new Promise<void>((resolve) => domain.parts.journal.flush(resolve));
  expect(tree.snapshot()['operator.op.seen']).toBe(3);
  expect(tree.snapshot()['journalAckMs.count']).toBeGreaterThan(0);
});

test('the work of all operators is found by their queues', async () => {
  const { domain } = await openDomain((env) => {
    const numbers = env.fromSource(collection([1, 2]));
    numbers.asyncMap(async (n) => n).print({ write: () => {} });
    numbers.map((n) => n).asyncMap(async (n) => n).print({ write: () => {} });
  });
  expect(domain.queues()).toHaveLength(2);
  expect((await openDomain(pipeline())).domain.queues()).toEqual([]);
});
