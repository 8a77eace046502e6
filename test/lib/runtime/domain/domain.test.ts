import { defineSink, MemoryStorage, type Source, type StreamExecutionEnvironment } from 'millrace';
import { describe, expect, test } from 'vitest';
import { decodeJournalEntry } from '../../../../lib/runtime/journal/journal-format.ts';
import { Divergence } from '../../../../lib/runtime/recovery/replay.ts';
import { settled } from '../../../../lib/testing/clock.ts';
import { doneOf, idOf, itemOf } from '../recovery/records.ts';
import { HeldStorage } from '../work/working.ts';
import { openDomain, type OpenDomainOptions } from './open-domain.ts';

const never = (): Promise<never> => new Promise(() => {});

/** What a pipeline reads, asks and writes, over all its lives. */
class World {
  input = [1, 2, 3];
  /** With what is read the input has ended; else the reader waits. */
  ends = true;
  readonly asked: number[] = [];
  /** By number: what is committed again is there once. */
  readonly committed: number[] = [];
  commits = 0;
  /** Positions of which the source is told that they are durable. */
  readonly acknowledged: unknown[] = [];
  /** What a commit waits for. */
  commitsWhen = Promise.resolve();
  /** Whether calls come to an end. */
  answers = true;

  readonly source: Source<number, number> = {
    name: 'numbers',
    replayable: true,
    splits: async () => ['s'],
    open: async (_split, position = 0) => {
      let next = position;
      return {
        read: async () => {
          const first = next;
          const values = this.input.slice(first);
          next += values.length;
          if (values.length === 0 && !this.ends) return never();
          return values.length === 0 ? undefined : { values, position: (count) => first + count };
        },
        committed: async (position) => void this.acknowledged.push(position),
        close: async () => {},
      };
    },
  };

  /** Numbers, each doubled by a call. */
  readonly build = (env: StreamExecutionEnvironment): void => {
    env
      .fromSource(this.source)
      .uid('in')
      .asyncMap((n) => (this.asked.push(n), this.answers ? Promise.resolve(2 * n) : never()), { order: 'arrival' })
      .uid('ask')
      .sinkTo(
        defineSink<number>({
          guarantee: 'exactly-once',
          write: async (values, { firstNumber }) => {
            await this.commitsWhen;
            this.commits += 1;
            values.forEach((value, at) => (this.committed[firstNumber + at] = value));
          },
        }),
      )
      .uid('out');
  };
}

const begun = async (world: World, options: OpenDomainOptions = {}) => {
  const opened = await openDomain(world.build, options);
  await opened.domain.start();
  return opened;
};

/** Runs until everything that can happen without time has. */
const quiet = async (): Promise<void> => {
  for (let rounds = 0; rounds < 60; rounds += 1) await settled();
};

describe('a life', () => {
  test('runs to the end of its input, and its effects are there with the last checkpoint (I7)', async () => {
    const [world, storage] = [new World(), new MemoryStorage()];
    const { domain, checkpoints, failures, clock } = await begun(world, { storage });
    expect([domain.resumed, domain.finished, domain.branch, domain.hasCommitted]).toEqual([undefined, false, 0, false]);
    expect(await domain.run()).toBe(true);
    expect(world.committed).toEqual([]);
    await domain.checkpoint({ finished: true });
    expect([world.committed, domain.hasCommitted, checkpoints.length, failures]).toEqual([[2, 4, 6], true, 1, []]);
    expect(clock.waiting).toBe(0);
    await Promise.all(domain.close().map(({ closed }) => closed));
  });

  test('goes on from its checkpoint, and asks nobody again what the journal holds (I8)', async () => {
    const [world, storage] = [new World(), new MemoryStorage()];
    world.ends = false;
    const first = await begun(world, { storage });
    const over = first.domain.run();
    await quiet();
    await first.domain.checkpoint();
    world.input = [1, 2, 3, 4, 5];
    first.domain.stopLoop();
    expect(await over).toBe(false);
    first.domain.kill();
    await first.storage?.close();
    expect(world.committed).toEqual([2, 4, 6]);
    const second = await begun(world, { storage });
    expect(second.domain.resumed).toMatchObject({ checkpoint: 1 });
    void second.domain.run();
    await quiet();
    second.domain.kill(); // The process dies: the journal holds two turns more.
    await second.storage?.close();
    world.ends = true;
    const third = await begun(world, { storage });
    expect(third.domain.resumed).toMatchObject({ checkpoint: 1, records: 2, outcomes: 2 });
    expect(await third.domain.run()).toBe(true);
    await third.domain.checkpoint({ finished: true });
    expect([world.committed, world.asked]).toEqual([
      [2, 4, 6, 8, 10],
      [1, 2, 3, 4, 5],
    ]);
    // What the lives before had recorded is covered too.
    const kinds = [];
    for await (const entry of third.storage?.journal.rebuildState() ?? []) kinds.push(decodeJournalEntry(entry).kind);
    expect([kinds, world.acknowledged]).toEqual([[], [3, 5]]);
  });

  test('keeps nothing without a storage, and commits all the same', async () => {
    const world = new World();
    const { domain } = await begun(world, { storage: null });
    expect(await domain.run()).toBe(true);
    await domain.checkpoint({ finished: true });
    expect([world.committed, domain.hasCommitted]).toEqual([[2, 4, 6], false]);
  });
});

describe('a domain that has finished', () => {
  const finished = async (world: World, storage: MemoryStorage): Promise<void> => {
    const { domain, storage: opened } = await begun(world, { storage });
    await domain.run();
    await domain.checkpoint({ finished: true });
    domain.kill();
    await opened?.close();
  };

  test('says so, and has nothing to do unless its input has grown', async () => {
    const [world, storage] = [new World(), new MemoryStorage()];
    await finished(world, storage);
    const { domain } = await openDomain(world.build, { storage });
    expect(domain.finished).toBe(true);
    await domain.refuseGrownInput();
    await domain.commitSealed();
    expect(world.committed).toEqual([2, 4, 6]);
    world.input.push(4);
    await expect(domain.refuseGrownInput()).rejects.toMatchObject({ code: 'JOB_FINISHED' });
  });

  test('stays so, whatever checkpoint comes behind its last one', async () => {
    const [world, storage] = [new World(), new MemoryStorage()];
    const { domain, storage: opened } = await begun(world, { storage });
    await domain.run();
    await domain.checkpoint({ finished: true });
    await domain.checkpoint();
    domain.kill();
    await opened?.close();
    expect((await openDomain(world.build, { storage })).domain.finished).toBe(true);
  });

  test('commits what its last checkpoint sealed, in case it died before it had', async () => {
    const [world, storage] = [new World(), new MemoryStorage()];
    const { domain, storage: opened } = await begun(world, { storage });
    await domain.run();
    await domain.durableCheckpoint({ finished: true });
    domain.kill();
    await opened?.close();
    const before = world.commits;
    const { domain: again } = await openDomain(world.build, { storage });
    await again.commitSealed();
    expect([world.commits, world.committed]).toEqual([before + 1, [2, 4, 6]]);
  });
});

describe('a failure', () => {
  test('ends the domain, once: the first one counts', async () => {
    const [world, error] = [new World(), new Error('first')];
    world.ends = false;
    const { domain, failures } = await begun(world);
    const over = domain.run();
    domain.fail(error);
    domain.fail(new Error('second'));
    await expect(over).rejects.toBe(error);
    expect([failures, domain.signal.reason]).toEqual([[error], error]);
    await expect(domain.checkpoint()).rejects.toBe(error);
    await expect(domain.committed()).rejects.toBe(error);
  });

  test('after the end is nobody’s', async () => {
    const { domain, failures } = await begun(new World());
    domain.kill();
    domain.fail(new Error('late'));
    expect(failures).toEqual([]);
  });

  test('in the start is thrown there', async () => {
    const world = new World();
    const { domain } = await openDomain((env) => {
      env.fromSource({ ...world.source, splits: () => Promise.reject(new Error('away')) }).print({ write: () => {} });
    });
    await expect(domain.start()).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { message: 'away' } });
  });
});

describe('an end from outside (I18)', () => {
  const hanging: Readonly<Record<string, (world: World) => (env: StreamExecutionEnvironment) => void>> = {
    'a sink that does not open': (world) => (env) => {
      env.fromSource(world.source).sinkTo({ name: 'out', guarantee: 'exactly-once', open: never });
    },
    'an operator that does not open': (world) => (env) => {
      env
        .fromSource(world.source)
        .transform<number>('op', () => ({ process: () => {}, open: never }))
        .print({ write: () => {} });
    },
    'a source that does not list its splits': (world) => (env) => {
      env.fromSource({ ...world.source, splits: never }).print({ write: () => {} });
    },
    'a split that does not open': (world) => (env) => {
      env.fromSource({ ...world.source, open: never }).print({ write: () => {} });
    },
  };

  test.each(Object.entries(hanging))('ends a start that waits for %s', async (_what, build) => {
    const { domain } = await openDomain(build(new World()));
    const started = domain.start();
    const reason = new Error('cancelled');
    await quiet();
    domain.kill(reason);
    await expect(started).rejects.toBe(reason);
  });

  test('may come twice, and closes by name', async () => {
    const { domain } = await begun(new World());
    domain.kill(new Error('first'));
    domain.kill(new Error('second'));
    expect(domain.signal.reason).toMatchObject({ message: 'first' });
    for (let times = 0; times < 2; times += 1) {
      const closing = domain.close();
      await Promise.all(closing.map(({ closed }) => closed));
      expect(closing.map(({ what }) => what)).toEqual(['source `in`', 'operator `ask`', 'sink `out`']);
    }
  });

  test.each(['quiesce', 'drain'] as const)('leaves no timer of a %s behind', async (how) => {
    const world = new World();
    world.answers = false;
    world.ends = false;
    const { domain, clock } = await begun(world);
    const over = domain.run().catch(() => false);
    await quiet();
    const left = Promise.resolve(domain[how](60_000)).catch(() => {});
    expect(clock.waiting).toBeGreaterThan(0);
    domain.kill();
    await left;
    expect([await over, clock.waiting]).toEqual([false, 0]);
  });
});

test('once it is over, nothing is written and no timer begins (I14)', async () => {
  const storage = new HeldStorage();
  const world = new World();
  world.ends = false;
  const { domain, storage: opened, clock } = await begun(world, { storage });
  await quiet();
  const { journal } = domain.parts;
  storage.hold();
  domain.turns.run(() => {}, { kind: 'start' });
  const stopped = domain.quiesce(1000);
  await quiet();
  const reason = new Error('cancelled');
  domain.kill(reason);
  await expect(stopped).rejects.toBe(reason); // Though the disk does not answer.
  storage.release();
  await quiet();
  const before = journal.state.lsn;
  let acknowledged = false;
  journal.append(doneOf(itemOf('x', idOf(1)), 99), () => (acknowledged = true));
  domain.drain(1000);
  await quiet();
  const kinds = [];
  for await (const entry of opened?.journal.rebuildState() ?? []) kinds.push(decodeJournalEntry(entry).kind);
  expect([acknowledged, journal.state.lsn, clock.waiting]).toEqual([false, before, 0]);
  expect(new Set(kinds)).toEqual(new Set(['turns'])); // What was under way with the disk.
});

describe('a drain', () => {
  test('ends when what has come is done, without the end of the input', async () => {
    const world = new World();
    world.ends = false;
    const { domain } = await begun(world);
    const over = domain.run();
    await quiet();
    domain.drain(60_000);
    expect(await over).toBe(false);
  });

  test('takes no longer than its time', async () => {
    const world = new World();
    [world.ends, world.answers] = [false, false];
    const { domain, clock } = await begun(world);
    let ended = false;
    const over = domain.run().then(() => (ended = true));
    await quiet();
    domain.drain(60_000);
    await clock.advance(59_999);
    expect(ended).toBe(false);
    await clock.advance(1);
    expect(await over).toBe(true);
  });
});

describe('a checkpoint', () => {
  test('is taken between two turns, behind a replay, and at no other time (I4)', async () => {
    const { domain } = await openDomain(new World().build);
    expect(() => domain.cut(1)).toThrow('I4: a checkpoint covers all turns that the journal holds');
    await domain.start();
    let refused: unknown;
    const cut = (): void => {
      try {
        domain.cut(1);
      } catch (error) {
        refused = error;
      }
    };
    domain.turns.run(cut, { kind: 'start' });
    expect(String(refused)).toContain('I4: a checkpoint is the state between two turns');
  });

  test('is durable before its effects are there, and committed when they are (I7)', async () => {
    const world = new World();
    let commit = (): void => {};
    world.commitsWhen = new Promise((resolve) => (commit = resolve));
    const { domain } = await begun(world);
    await domain.run();
    await domain.durableCheckpoint();
    let committed = false;
    const over = domain.committed().then(() => (committed = true));
    await quiet();
    expect([committed, world.committed, world.acknowledged]).toEqual([false, [], [3]]);
    commit();
    await over;
    expect(world.committed).toEqual([2, 4, 6]);
  });

  test('that is asked for while the domain starts comes when it has', async () => {
    const { domain, checkpoints } = await openDomain(new World().build);
    domain.checkpointSoon();
    await quiet();
    expect(checkpoints).toEqual([]);
    await domain.start();
    await quiet();
    expect(checkpoints).toHaveLength(1);
    domain.checkpointSoon();
    await quiet();
    expect(checkpoints).toHaveLength(2);
  });
});

describe('where the code gives something else than was recorded', () => {
  /** A life that dies with outcomes journaled, of code that asks of other numbers than the next one. */
  const died = async (storage: MemoryStorage): Promise<World> => {
    const world = new World();
    world.ends = false;
    const { domain, storage: opened } = await begun(world, { storage });
    void domain.run();
    await quiet();
    domain.kill();
    await opened?.close();
    world.ends = true;
    world.input = [7, 8, 9];
    return world;
  };

  test('the start says where', async () => {
    const storage = new MemoryStorage();
    const world = await died(storage);
    const { domain } = await openDomain(world.build, { storage });
    await expect(domain.start()).rejects.toBeInstanceOf(Divergence);
  });

  test('which is an error where replay is strict', async () => {
    const storage = new MemoryStorage();
    const world = await died(storage);
    const { domain } = await openDomain(world.build, { storage, settings: { strictReplay: true } });
    await expect(domain.start()).rejects.toMatchObject({ code: 'DIVERGED' });
  });

  test('and told of it, a life goes on in another branch, which a checkpoint says before any live turn', async () => {
    const storage = new MemoryStorage();
    const world = await died(storage);
    const first = await openDomain(world.build, { storage });
    const divergence = await first.domain.start().catch((error: unknown) => error);
    await first.storage?.close();
    const second = await openDomain(world.build, { storage, divergence: divergence as Divergence });
    await second.domain.start();
    expect([second.domain.branch, second.checkpoints.length, second.lines[0]?.['code']]).toEqual([1, 1, 'DIVERGED']);
    expect(await second.domain.run()).toBe(true);
    await second.domain.checkpoint({ finished: true });
    expect(world.committed).toEqual([14, 16, 18]);
  });
});

test('who holds the job up is told while it runs', async () => {
  const { domain, clock, lines } = await begun(new World());
  domain.parts.places.make({ name: 'mine', max: 1 }).add(1);
  const over = domain.run();
  await clock.advance(29_000);
  expect(lines).toEqual([]);
  await clock.advance(3000);
  expect(lines).toMatchObject([{ msg: expect.stringContaining('mine (1 of 1)') }]);
  domain.stopLoop();
  await over;
});
