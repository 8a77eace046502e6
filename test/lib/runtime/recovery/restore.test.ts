import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  fixedDelay,
  listState,
  MemoryStorage,
  StreamExecutionEnvironment,
  type,
  valueState,
  type EnvironmentOptions,
  type Job,
  type KeyedStream,
} from 'millrace';
import { expect, test } from 'vitest';
import { readSavepoint } from '../../../../lib/state/savepoint/savepoint-file.ts';
import { stateOf } from '../../../../lib/state/savepoint/re-keyed.ts';
import { failure, freshDirectory, itemsOf, Ledger, once, Sluice, until, type Item } from '../../../stories/story.ts';

/** What is restored, where to and when: refused, nothing is made; filled, it is not filled again. */
const items = itemsOf(30, 3);

class World {
  readonly source = new Sluice<Item>(items, 20, 3);
  readonly ledger = new Ledger<string>();
  /** The number at which the operator throws, once. */
  failAt = -1;

  take({ n }: Item): number {
    if (n !== this.failAt) return n;
    this.failAt = -1;
    throw new RangeError('once');
  }
}

const emits = type<string>();
const [total, count] = [valueState<number>('total'), valueState<number>('count')];

/** One operator in three versions: it has a count, has none any more, or another kind of it. */
const versions = {
  counting: (keyed: KeyedStream<Item, string>, world: World) =>
    keyed.process({
      emits,
      state: { total, count },
      process(item, { key, state, emit }) {
        state.total.update((state.total.value() ?? 0) + world.take(item));
        state.count.update((state.count.value() ?? 0) + 1);
        emit(`${key} ${state.total.value()} ${state.count.value()}`);
      },
    }),
  plain: (keyed: KeyedStream<Item, string>, world: World) =>
    keyed.process({
      emits,
      state: { total },
      process(item, { key, state, emit }) {
        state.total.update((state.total.value() ?? 0) + world.take(item));
        emit(`${key} ${state.total.value()}`);
      },
    }),
  listing: (keyed: KeyedStream<Item, string>) =>
    keyed.process({ emits, state: { total, count: listState<number>('count') }, process() {} }),
};

const begin = (
  world: World,
  options: EnvironmentOptions,
  version: keyof typeof versions = 'counting',
): Promise<Job> => {
  const env = StreamExecutionEnvironment.create({ ...once, stopTimeout: '1s', ...options });
  const keyed = env.fromSource(world.source.source).keyBy(({ id }) => id);
  versions[version](keyed, world).uid('counts').sinkTo(world.ledger.sink()).uid('out');
  return env.executeAsync('counting');
};

/** What comes out when nothing is in between. */
const whole = async (): Promise<readonly string[]> => {
  const world = new World();
  world.source.raise();
  await (
    await begin(world, {})
  ).done;
  return world.ledger.values;
};

/** The savepoint of a job that has done 20 items. */
const saved = async (world: World): Promise<string> => {
  const path = join(await freshDirectory(), 'savepoint');
  const job = await begin(world, { storage: new MemoryStorage() });
  await until(() => world.source.given === 20);
  await job.stop({ savepoint: path });
  return path;
};

test('a file that is missing or damaged is refused, and the directory is not made', async () => {
  const base = await freshDirectory();
  const [directory, path] = [join(base, 'state'), join(base, 'savepoint')];
  const options = (mode: 'copy' | 'claim') => ({ checkpoint: { directory }, restoreFrom: { path, mode } });
  for (const mode of ['copy', 'claim'] as const) {
    const error = await failure((await begin(new World(), options(mode))).done, 'SAVEPOINT_FAILED');
    expect(error.retryable).toBe(false);
  }
  await writeFile(path, 'millrace savepoint\n');
  await failure((await begin(new World(), options('claim'))).done, 'SAVEPOINT_DAMAGED');
  expect(existsSync(directory)).toBe(false);
  expect(existsSync(path)).toBe(true);
});

test('state that an operator declares no more, or otherwise, is refused before anything is made, or dropped', async () => {
  const world = new World();
  const path = await saved(world);
  const base = await freshDirectory();
  const directory = join(base, 'state');
  const options = { checkpoint: { directory }, restoreFrom: { path } };
  const refused = await failure((await begin(world, options, 'plain')).done, 'STATE_UNCLAIMED');
  expect(refused.message).toContain('"count" of "counts"');
  await failure((await begin(world, options, 'listing')).done, 'STATE_INCOMPATIBLE');
  expect(existsSync(directory)).toBe(false);

  const allowed = { ...options, restoreFrom: { path, allowNonRestoredState: true }, maxParallelism: 9 };
  const job = await begin(world, allowed, 'plain');
  world.source.raise(25);
  await until(() => world.source.given === 25);
  const second = join(base, 'second');
  await job.stop({ savepoint: second });
  const states = new Set<string | undefined>();
  for await (const { of, rows } of (await readSavepoint(second)).rows())
    if (of === 'state') for (const row of rows) states.add(stateOf(row));
  expect([...states].filter((state) => state !== undefined)).toHaveLength(1);

  // It comes back with the same name, and begins anew.
  world.source.raise();
  await (
    await begin(world, { storage: new MemoryStorage(), maxParallelism: 9, restoreFrom: { path: second } })
  ).done;
  const cut = (line: string): string => line.split(' ').slice(0, 2).join(' ');
  expect(world.ledger.values.map(cut)).toEqual((await whole()).map(cut));
  expect(world.ledger.values.slice(25).map((line) => line.split(' ')[2])).toEqual(['1', '1', '1', '2', '2']);
});

test('a life that comes after a failure goes on with its state, whatever it has written where it came from', async () => {
  const world = new World();
  const path = await saved(world);
  const restart = fixedDelay({ attempts: 1, delay: 0 });
  const directory = join(await freshDirectory(), 'state');
  const job = await begin(world, { checkpoint: { directory }, restart, restoreFrom: { path } });
  world.source.raise(25);
  await until(() => world.source.given === 25);
  await job.savepoint(path);
  world.failAt = 27;
  world.source.raise();
  await job.done;
  expect(job.status.restarts).toBe(1);
  expect(world.ledger.values).toEqual(await whole());
});

test('a place that was filled goes on, with a file that is gone or damaged behind its beginning; another file is refused', async () => {
  const world = new World();
  const path = await saved(world);
  const directory = join(await freshDirectory(), 'state');
  const options = { checkpoint: { directory }, restoreFrom: { path } };
  const bytes = await readFile(path);
  const other = await readFile(await saved(new World()));
  const lives: readonly (readonly [number, () => Promise<void>])[] = [
    [22, async () => {}],
    [24, () => rm(path)],
    [26, () => writeFile(path, bytes.subarray(0, -10))],
    [28, () => writeFile(path, bytes)],
  ];
  for (const [upTo, change] of lives) {
    await change();
    const job = await begin(world, options);
    world.source.raise(upTo);
    await until(() => world.source.given === upTo);
    await job.stop();
  }
  await writeFile(path, other);
  await failure((await begin(world, options)).done, 'STATE_NOT_EMPTY');
  world.source.raise();
  await (
    await begin(world, { checkpoint: { directory } })
  ).done;
  expect(world.ledger.values).toEqual(await whole());
});
