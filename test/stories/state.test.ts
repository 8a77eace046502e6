import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { fork } from 'node:child_process';
import { once as event } from 'node:events';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ClassicLevel } from 'classic-level';
import {
  LevelStorage,
  MemoryStorage,
  StreamExecutionEnvironment,
  valueState,
  type EnvironmentBaseOptions,
  type ProcessObject,
  type StateDescriptor,
  type Storage,
  type ValueState,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, freshDirectory, Ledger, once, Sluice, until } from './story.ts';

interface Order {
  readonly id: string;
  readonly sum: number;
}

const orders: readonly Order[] = Array.from({ length: 40 }, (_, i) => ({ id: `k${i % 7}`, sum: i }));
const half = 20;

const summing = (
  state: StateDescriptor<ValueState<number>> = valueState<number>('sum'),
): ProcessObject<Order, Order> => ({
  state: { sum: state },
  process(order, ctx) {
    const handle = (ctx.state as { readonly sum: ValueState<number> }).sum;
    const sum = (handle.value() ?? 0) + order.sum;
    handle.update(sum);
    ctx.emit({ id: order.id, sum });
  },
});

/** What the whole job gives, worked out by hand. */
const expected = (): readonly Order[] => {
  const sums = new Map<string, number>();
  return orders.map(({ id, sum }) => {
    sums.set(id, (sums.get(id) ?? 0) + sum);
    return { id, sum: sums.get(id) ?? 0 };
  });
};

interface Parts {
  readonly storage: Storage;
  readonly sluice: Sluice<Order>;
  readonly ledger: Ledger<Order>;
  readonly uid?: string;
  readonly operator?: ProcessObject<Order, Order>;
  readonly environment?: EnvironmentBaseOptions;
}

const pipeline = ({
  storage,
  sluice,
  ledger,
  uid = 'totals',
  operator = summing(),
  environment = {},
}: Parts): StreamExecutionEnvironment => {
  const env = StreamExecutionEnvironment.create({ ...once, ...environment, storage });
  env
    .fromSource(sluice.source)
    .uid('orders')
    .keyBy(({ id }) => id)
    .process<Order>(operator)
    .uid(uid)
    .sinkTo(ledger.sink(), 'ledger');
  return env;
};

/** Runs the first half and stops with a checkpoint, which the second start has to go on from. */
const firstHalf = async (parts: Parts): Promise<void> => {
  parts.sluice.raise(half);
  let records = 0;
  const environment = {
    ...parts.environment,
    onTurn: (turn: { kind: string; count?: number }) => void (records += turn.count ?? 0),
  };
  const job = await pipeline({ ...parts, environment }).executeAsync();
  await until(() => records === half);
  await job.stop();
  expect(parts.ledger.values).toEqual(expected().slice(0, half));
  parts.sluice.raise();
};

const made = (storage: Storage = new MemoryStorage()): Parts => ({
  storage,
  sluice: new Sluice(orders, 0),
  ledger: new Ledger(),
});

/** After the cause is mended the job goes on from its state, and the whole output is there once. */
const goesOn = async (parts: Parts): Promise<void> => {
  await pipeline(parts).execute();
  expect(parts.ledger.values).toEqual(expected());
};

describe('a changed pipeline on the state of an earlier one', () => {
  test('two operators with one uid', async () => {
    const env = StreamExecutionEnvironment.create(once);
    env.fromCollection([1]).map(String).uid('same').map(Number).uid('same').print();
    const error = await failure(env.execute(), 'UID_CLASH');
    expect(error.message).toContain('"same"');
  });

  test('no source', async () => {
    await failure(StreamExecutionEnvironment.create(once).execute(), 'GRAPH_INVALID');
  });

  test('another maxParallelism', async () => {
    const parts = made();
    await firstHalf(parts);
    const error = await failure(
      pipeline({ ...parts, environment: { maxParallelism: 64 } }).execute(),
      'STATE_INCOMPATIBLE',
    );
    expect(error.message).toMatch(/maxParallelism 128.*64/);
    await goesOn(parts);
  });

  test('an operator with state was removed, or renamed', async () => {
    const parts = made();
    await firstHalf(parts);
    const error = await failure(pipeline({ ...parts, uid: 'sums' }).execute(), 'STATE_UNCLAIMED');
    expect(error.message).toContain('totals');
    await goesOn(parts);
  });

  test('the same, and the user says to drop that state', async () => {
    const parts = made();
    await firstHalf(parts);
    await pipeline({ ...parts, uid: 'sums', environment: { allowUnclaimedState: true } }).execute();
    // The renamed operator begins from nothing, and says so in its results; nothing of the input is lost or read twice.
    expect(parts.ledger.values).toHaveLength(orders.length);
    expect(parts.ledger.values[half]).toEqual(orders[half]);
  });

  test('the source was removed', async () => {
    const parts = made();
    await firstHalf(parts);
    const env = StreamExecutionEnvironment.create({ ...once, storage: parts.storage });
    env
      .fromSource(parts.sluice.source)
      .keyBy(({ id }) => id)
      .process<Order>(summing())
      .uid('totals')
      .sinkTo(parts.ledger.sink(), 'ledger');
    expect((await failure(env.execute(), 'STATE_UNCLAIMED')).message).toContain('orders');
    await goesOn(parts);
  });

  test('a state of another kind', async () => {
    const parts = made();
    await firstHalf(parts);
    const operator = summing({ ...valueState<number>('sum'), kind: 'list' } as never);
    expect((await failure(pipeline({ ...parts, operator }).execute(), 'STATE_INCOMPATIBLE')).message).toMatch(
      /"sum".*value.*list/,
    );
    await goesOn(parts);
  });

  test('a state of a newer version', async () => {
    const parts = made();
    const operator = summing(valueState<number>('sum', { version: 3 }));
    await firstHalf({ ...parts, operator });
    expect((await failure(pipeline(parts).execute(), 'STATE_INCOMPATIBLE')).message).toMatch(/"sum".*version 3/);
    await goesOn({ ...parts, operator });
  });

  test('a state of an older version is brought up to date', async () => {
    const parts = made();
    await firstHalf(parts);
    const operator = summing(valueState<number>('sum', { version: 2, migrate: (value) => (value as number) + 1000 }));
    await pipeline({ ...parts, operator }).execute();
    expect(parts.ledger.values).toHaveLength(orders.length);
    expect(parts.ledger.values[half]?.sum).toBe((expected()[half]?.sum ?? 0) + 1000);
  });

  test('a job that has finished starts to no effect, and refuses an input that has grown', async () => {
    const parts = made();
    parts.sluice.raise();
    await goesOn(parts);
    await goesOn(parts);
    const grown = { ...parts, sluice: new Sluice([...orders, { id: 'new', sum: 1 }]) };
    await failure(pipeline(grown).execute(), 'JOB_FINISHED');
    expect(parts.ledger.values).toEqual(expected());
  });
});

describe('a state directory of a newer version', () => {
  test('the directory', async () => {
    const directory = await freshDirectory();
    const parts = made(new LevelStorage(directory));
    await firstHalf(parts);
    const marker = await readFile(join(directory, 'millrace.json'), 'utf8');
    const { jobId } = JSON.parse(marker) as { readonly jobId: string };
    await writeFile(join(directory, 'millrace.json'), JSON.stringify({ format: 2, jobId, crc: crc32(`2 ${jobId}`) }));
    expect((await failure(pipeline(parts).execute(), 'STORE_FORMAT')).message).toMatch(/format 2/);
    await writeFile(join(directory, 'millrace.json'), marker);
    await goesOn(parts);
  });

  test('a stored value', async () => {
    const directory = await freshDirectory();
    const parts = made(new LevelStorage(directory));
    await firstHalf(parts);
    const kept = await changeRows(directory, (key, value) =>
      key[0] === 's'.charCodeAt(0) ? newerSeal(value) : undefined,
    );
    expect(kept.length).toBeGreaterThan(0);
    const error = await failure(pipeline(parts).execute(), 'STORE_FORMAT');
    expect(error.message).toMatch(/format 2/);
    await putRows(directory, kept);
    await goesOn(parts);
  });

  test('the header of the checkpoint', async () => {
    const directory = await freshDirectory();
    const parts = made(new LevelStorage(directory));
    await firstHalf(parts);
    const kept = await changeRows(directory, (key, value) =>
      key[0] === 'c'.charCodeAt(0) ? newerSeal(value) : undefined,
    );
    await failure(pipeline(parts).execute(), 'STORE_FORMAT');
    await putRows(directory, kept);
    await goesOn(parts);
  });
});

describe('a damaged state directory is refused, never taken for a new one; from a copy the job goes on', () => {
  const damages: readonly [what: string, damage: (directory: string) => Promise<unknown>][] = [
    ['CURRENT of the state is gone', (directory) => rm(join(directory, 'state', 'CURRENT'))],
    ['CURRENT of the journal is gone', (directory) => rm(join(directory, 'journal', 'CURRENT'))],
    ['the state is gone', (directory) => rm(join(directory, 'state'), { recursive: true })],
    ['the marker is gone', (directory) => rm(join(directory, 'millrace.json'))],
    ['the marker is no JSON', (directory) => writeFile(join(directory, 'millrace.json'), '{"for')],
    [
      'a bit of a value has flipped',
      (directory) => changeRows(directory, (key, value) => (key[0] === 's'.charCodeAt(0) ? flipped(value) : undefined)),
    ],
    [
      'a bit of the header has flipped',
      (directory) => changeRows(directory, (key, value) => (key[0] === 'c'.charCodeAt(0) ? flipped(value) : undefined)),
    ],
    ['a table was cut', cutTables],
    ['a table is gone', removeTables],
  ];

  test.each(damages)('%s', async (_what, damage) => {
    const directory = await freshDirectory();
    const copy = await freshDirectory();
    const parts = made(new LevelStorage(directory));
    await firstHalf(parts);
    await intoTables(directory);
    await cp(directory, copy, { recursive: true });
    await damage(directory);
    const error: unknown = await pipeline(parts)
      .execute()
      .catch((reason: unknown) => reason);
    expect((error as { code?: string }).code).toMatch(/^(STORE_DAMAGED|VALUE_DAMAGED)$/);
    expect((error as { hint: string }).hint).toMatch(/copy/);
    expect(parts.ledger.values).toEqual(expected().slice(0, half));
    await rm(directory, { recursive: true });
    await cp(copy, directory, { recursive: true });
    await goesOn(parts);
  });
});

test('a state directory that another process has open', async () => {
  const directory = await freshDirectory();
  const parts = made(new LevelStorage(directory));
  await firstHalf(parts);
  const holder = fork(new URL('hold-directory.mjs', import.meta.url), [join(directory, 'state')], {
    execArgv: [],
    stdio: 'inherit',
  });
  try {
    await event(holder, 'message');
    const error = await failure(pipeline(parts).execute(), 'STORE_LOCKED');
    expect(error.message).toContain(directory);
    expect(error.retryable).toBe(true);
  } finally {
    holder.kill();
    await event(holder, 'exit');
  }
  await goesOn(parts);
});

// ---------- the state directory from outside

type Row = readonly [key: Buffer, value: Buffer];

const withState = async <T>(
  directory: string,
  body: (level: ClassicLevel<Buffer, Buffer>) => Promise<T>,
): Promise<T> => {
  const level = new ClassicLevel<Buffer, Buffer>(join(directory, 'state'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: false,
  });
  await level.open();
  try {
    return await body(level);
  } finally {
    await level.close();
  }
};

/** Replaces values, and gives what was there before. */
const changeRows = (directory: string, change: (key: Buffer, value: Buffer) => Buffer | undefined): Promise<Row[]> =>
  withState(directory, async (level) => {
    const before: Row[] = [];
    for await (const [key, value] of level.iterator()) {
      const changed = change(key, value);
      if (changed === undefined) continue;
      before.push([key, value]);
      await level.put(key, changed);
    }
    return before;
  });

const putRows = (directory: string, rows: readonly Row[]): Promise<void> =>
  withState(directory, (level) => level.batch(rows.map(([key, value]) => ({ type: 'put', key, value }))));

const flipped = (value: Buffer): Buffer => {
  const copy = Buffer.from(value);
  const last = copy.length - 1;
  copy[last] = (copy[last] ?? 0) ^ 0x10;
  return copy;
};

/** The value with a seal as a later version would make it: its version is 2 and its checksum fits. */
function newerSeal(value: Buffer): Buffer {
  const copy = Buffer.from(value);
  copy[4] = 2;
  copy.writeUInt32BE(crc32(copy.subarray(4)));
  return copy;
}

/** A database that was opened again has its log in tables. */
const intoTables = (directory: string): Promise<void> =>
  withState(directory, (level) => level.compactRange(Buffer.of(0), Buffer.of(0xff)));

async function tablesOf(directory: string): Promise<readonly string[]> {
  const tables = (await readdir(join(directory, 'state'))).filter((name) => /\.(ldb|sst)$/.test(name));
  expect(tables.length).toBeGreaterThan(0);
  return tables.map((table) => join(directory, 'state', table));
}

async function cutTables(directory: string): Promise<void> {
  for (const table of await tablesOf(directory)) await truncate(table, 20);
}

async function removeTables(directory: string): Promise<void> {
  for (const table of await tablesOf(directory)) await rm(table);
}
