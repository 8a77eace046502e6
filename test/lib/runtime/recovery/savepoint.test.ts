import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import {
  agent,
  InputEvent,
  LevelStorage,
  MemoryStorage,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  type,
  valueState,
  WatermarkStrategy,
  type EnvironmentOptions,
  type Job,
  type Storage,
} from 'millrace';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failure, itemsOf, Ledger, once, Sluice, until, type Item } from '../../../stories/story.ts';
import { temporaryDirectory } from '../../state/level-fixture.ts';

let base = '';
let made = 0;

beforeAll(async () => {
  base = await temporaryDirectory();
});

afterAll(() => rm(base, { recursive: true, force: true }));

/** A path at which nothing is. */
const fresh = (): string => join(base, `${(made += 1)}`);

/** The world that a job and what goes on from its savepoint share. */
class World {
  readonly source: Sluice<Item>;
  readonly ledger = new Ledger<string>();
  readonly charged: number[] = [];
  /** What the second call of a run waits for. */
  readonly released: Promise<void>;
  release: () => void = () => {};

  constructor(items: readonly Item[], upTo: number = items.length) {
    this.source = new Sluice(items, upTo, 3);
    this.released = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  get sorted(): readonly string[] {
    return this.ledger.values.toSorted();
  }
}

const timed = WatermarkStrategy.monotonous<Item>().withTimestamps(({ n }) => n * 10);

const paying = (world: World) =>
  agent<Item, string>('paying').on(InputEvent, async ({ input }, ctx) => {
    await ctx.durableExecute('charge', async () => void world.charged.push(input.n));
    await ctx.durableExecute('wait', () => world.released);
    ctx.output(`paid ${input.n}`);
  });

/** Sums with timers, windows, and runs of an agent that are open until they are released. */
const begin = (world: World, options: EnvironmentOptions, without: 'nothing' | 'windows' = 'nothing'): Promise<Job> => {
  const env = StreamExecutionEnvironment.create({ ...once, stopTimeout: '200ms', ...options });
  const keyed = env.fromSource(world.source.source, timed).keyBy(({ id }) => id);
  const sums = keyed
    .process({
      emits: type<string>(),
      state: { sum: valueState<number>('sum') },
      process({ n }, ctx) {
        const sum = (ctx.state.sum.value() ?? 0) + n;
        ctx.state.sum.update(sum);
        ctx.timers.register(n * 10 + 455);
        ctx.emit(`sum ${ctx.key} ${sum}`);
      },
      onTimer: ({ timestamp }, ctx) => ctx.emit(`timer ${ctx.key} ${timestamp} ${ctx.state.sum.value() === undefined}`),
    })
    .uid('sums');
  const windows = () =>
    keyed
      .window(TumblingEventTimeWindows.of(270))
      .reduce((a, b) => ({ id: a.id, n: a.n + b.n }))
      .uid('windows')
      .map(({ id, n }) => `window ${id} ${n}`)
      .uid('shown');
  const paid = keyed.applyAgent(paying(world), { asyncConcurrency: 1000, pendingMax: 1000 }).uid('paying');
  const all = without === 'windows' ? sums.union(paid) : sums.union(paid, windows());
  all.sinkTo(world.ledger.sink()).uid('out');
  return env.executeAsync('saved');
};

const items = itemsOf(60, 7);

/** What comes out when nothing is in between. */
const plain = async (given = items): Promise<readonly string[]> => {
  const world = new World(given);
  world.release();
  await (
    await begin(world, { storage: new MemoryStorage() })
  ).done;
  return world.sorted;
};

/** A job that has done this many items, stopped with a savepoint. */
const saved = async (world: World, upTo: number, options: EnvironmentOptions, charges = true): Promise<string> => {
  const path = fresh();
  const job = await begin(world, options);
  // Each key has one run at a time.
  const busy = new Set(items.slice(0, upTo).map(({ id }) => id)).size;
  await until(() => job.status.state === 'running' && world.source.given === upTo);
  if (charges) await until(() => world.charged.length === busy);
  await job.stop({ savepoint: path });
  return path;
};

const storages: Readonly<Record<string, () => Storage>> = {
  memory: () => new MemoryStorage(),
  level: () => new LevelStorage(fresh()),
};

for (const [name, storage] of Object.entries(storages)) {
  test(`${name}: a job goes on from a savepoint, also with other key groups, and pays nothing again`, async () => {
    for (const maxParallelism of [128, 3, 1000]) {
      const world = new World(items, 31);
      const path = await saved(world, 31, { storage: storage() });
      const paid = [...world.charged];
      expect(paid.length).toBeGreaterThan(0);
      world.release();
      world.source.raise();
      await (
        await begin(world, { storage: storage(), maxParallelism, restoreFrom: { path } })
      ).done;
      expect(world.sorted).toEqual(await plain());
      expect(world.charged.toSorted((a, b) => a - b)).toEqual(items.map(({ n }) => n));
      expect(existsSync(path)).toBe(true);
    }
  });
}

test('however much was done, and with whatever key groups, what comes out is the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd'), gap: fc.nat(3) }), { minLength: 1, maxLength: 40 }),
      fc.array(
        fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), groups: fc.constantFrom(1, 2, 7, 128, 500) }),
        {
          maxLength: 3,
        },
      ),
      async (drawn, stops) => {
        let n = 0;
        const given = drawn.map(({ id, gap }) => ({ id, n: (n += gap) }));
        const world = new World(given, 0);
        let path: string | undefined;
        for (const { at, groups: maxParallelism } of stops.toSorted((a, b) => a.at - b.at)) {
          const upTo = Math.floor(at * (given.length - 1));
          world.source.raise(upTo);
          const restoreFrom = path === undefined ? undefined : ({ path, mode: 'claim' } as const);
          const options = { storage: new MemoryStorage(), maxParallelism, restoreFrom };
          path = await saved(world, upTo, options, false);
        }
        world.release();
        world.source.raise();
        const restoreFrom = path === undefined ? undefined : { path };
        await (
          await begin(world, { storage: new MemoryStorage(), maxParallelism: 64, restoreFrom })
        ).done;
        expect(world.sorted).toEqual(await plain(given));
        expect(world.charged).toHaveLength(given.length);
      },
    ),
    { numRuns: 15 },
  );
});

test('a savepoint of a job that goes on is that of its instant', async () => {
  const world = new World(items, 20);
  const path = fresh();
  const job = await begin(world, { storage: new MemoryStorage() });
  await until(() => world.source.given === 20);
  await job.savepoint(path);
  const then = world.ledger.values.length;
  world.release();
  world.source.raise();
  await job.done;
  expect(world.sorted).toEqual(await plain());
  const other = new World(items);
  other.ledger.values.push(...world.ledger.values.slice(0, then));
  other.release();
  await (
    await begin(other, { storage: new MemoryStorage(), restoreFrom: { path } })
  ).done;
  expect(other.sorted).toEqual(await plain());
  expect(other.charged.length).toBeLessThan(items.length); // What was paid for by then is not paid again.
});

test('claimed, the file is gone, and a later start with the same option goes on', async () => {
  const world = new World(items, 20);
  const path = await saved(world, 20, { storage: new MemoryStorage() });
  const options = { storage: new LevelStorage(fresh()), restoreFrom: { path, mode: 'claim' } } as const;
  const job = await begin(world, options);
  await until(() => job.status.state === 'running');
  expect(existsSync(path)).toBe(false);
  await job.stop();
  world.release();
  world.source.raise();
  await (
    await begin(world, options)
  ).done;
  expect(world.sorted).toEqual(await plain());
});

test('an operator that is gone is refused before anything is touched, or dropped; a new one begins with nothing', async () => {
  const world = new World(items, 20);
  const path = await saved(world, 20, { storage: new MemoryStorage() });
  const directory = fresh();
  const options = { checkpoint: { directory }, restoreFrom: { path } };
  const refused = await begin(world, options, 'windows');
  expect((await failure(refused.done, 'STATE_UNCLAIMED')).message).toContain('"windows"');
  expect(existsSync(directory)).toBe(false);
  const allowed = { ...options, restoreFrom: { path, allowNonRestoredState: true } };
  const second = fresh();
  const job = await begin(world, allowed, 'windows');
  await until(() => job.status.state === 'running');
  await job.stop({ savepoint: second });
  world.release();
  world.source.raise();
  const grown = { checkpoint: { directory: fresh() }, restoreFrom: { path: second } };
  await (
    await begin(world, grown)
  ).done;
  const isWindow = (line: string): boolean => line.startsWith('window');
  const all = await plain();
  expect(world.sorted.filter((line) => !isWindow(line))).toEqual(all.filter((line) => !isWindow(line)));
  expect(world.sorted.some(isWindow)).toBe(true);
  expect(world.sorted).not.toEqual(all);
});

test('state that is there is not written over', async () => {
  const world = new World(items, 20);
  const storage = new MemoryStorage();
  const path = await saved(world, 20, { storage });
  await failure((await begin(world, { storage, restoreFrom: { path } })).done, 'STATE_NOT_EMPTY');
});

test('a file with a changed byte or without its end is refused, and the directory is not made', async () => {
  const world = new World(items, 20);
  const path = await saved(world, 20, { storage: new MemoryStorage() });
  const whole = await readFile(path);
  const directory = fresh();
  const refused = async (bytes: Uint8Array): Promise<void> => {
    await writeFile(path, bytes);
    const job = await begin(world, { checkpoint: { directory }, restoreFrom: { path } });
    await failure(job.done, 'SAVEPOINT_DAMAGED');
  };
  const step = Math.ceil(whole.length / 150);
  for (let at = 0; at < whole.length; at += at < 60 || at > whole.length - 60 ? 1 : step) {
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(at) ^ 0x10, at);
    await refused(flipped);
    if (at % 3 === 0) await refused(whole.subarray(0, at));
  }
  await refused(Buffer.concat([whole, Buffer.from([0])]));
  expect(existsSync(directory)).toBe(false);
});

test('a file that can not be written fails the stop, and the one before is kept', async () => {
  const world = new World(items, 20);
  const storage = new MemoryStorage();
  const job = await begin(world, { storage });
  await until(() => world.source.given === 20);
  const path = fresh();
  await job.savepoint(path);
  const before = await readFile(path);
  await writeFile(`${path}.tmp`, 'what a process left that died while it wrote');
  await failure(job.savepoint(join(path, 'below a file')), 'SAVEPOINT_FAILED');
  expect(await readFile(path)).toEqual(before);
  await failure(job.stop({ savepoint: join(path, 'below a file') }), 'SAVEPOINT_FAILED');
  expect((await readdir(base)).filter((name) => name.endsWith('.tmp'))).toHaveLength(1);
  await expect(job.savepoint('')).rejects.toThrow(TypeError);
});

test('a restore that was interrupted at any write begins again', async () => {
  const source = new World(items, 31);
  const path = await saved(source, 31, { storage: new MemoryStorage() });
  const before = [...source.ledger.values];
  for (let crashAt = 0; crashAt < 12; crashAt += 1) {
    const world = new World(items);
    world.ledger.values.push(...before);
    world.release();
    let writes = 0;
    const storage = new MemoryStorage({
      fault: ({ kind }) =>
        (kind !== 'write' && kind !== 'append') || (writes += 1) !== crashAt + 1 ? 'none' : 'fail-before',
    });
    const job = await begin(world, { storage, maxParallelism: 5, restoreFrom: { path } });
    await job.done.catch(() => {});
    if (job.status.state === 'failed') {
      storage.crash();
      await (
        await begin(world, { storage, maxParallelism: 5, restoreFrom: { path } })
      ).done;
    }
    expect(world.sorted).toEqual(await plain());
  }
});
