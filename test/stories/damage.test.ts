/**
 * The disk under a job changes or loses bytes. A job with open runs dies, its directory is damaged, and the next start
 * says so, without calling anybody and without a word to the sink; from a copy the job goes on, and no call that was
 * journaled is made again.
 */
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ClassicLevel } from 'classic-level';
import { agent, InputEvent, LevelStorage, OutputEvent, StreamExecutionEnvironment, type StreamError } from 'millrace';
import { seededRandom } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { freshDirectory, Ledger, once, Sluice, until } from './story.ts';

interface Ask {
  readonly key: string;
  readonly n: number;
}

type Database = 'state' | 'journal';

const asks: readonly Ask[] = Array.from({ length: 24 }, (_, n) => ({ key: `k${n % 4}`, n }));
const sums = new Map<string, number>();
const answers = asks.map(({ key, n }) => {
  sums.set(key, (sums.get(key) ?? 0) + n);
  return `${key}:${n}:${sums.get(key)}`;
});

/** A job of an agent with one durable call per input, whose runs from `openFrom` on stay open behind their call. */
class Office {
  readonly directory: string;
  readonly ledger = new Ledger<string>();
  readonly calls = new Map<number, number>();
  readonly #sluice = new Sluice(asks, 8, 4);
  #journaled = 0;

  constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<Office> {
    return new Office(await freshDirectory());
  }

  start(openFrom = Number.POSITIVE_INFINITY): StreamExecutionEnvironment {
    const env = StreamExecutionEnvironment.create({ ...once, storage: new LevelStorage(this.directory) });
    const clerk = agent<Ask, string>('clerk').on(
      InputEvent,
      'answer',
      async (event: InputEvent<Ask>, ctx) => {
        const { key, n } = event.input;
        const value = await ctx.durableExecute('look-up', () => {
          this.calls.set(n, (this.calls.get(n) ?? 0) + 1);
          return n;
        });
        // The second call leaves only when the outcome of the first one is journaled.
        await ctx.durableExecute('note', () => void (this.#journaled += 1));
        if (n >= openFrom) await new Promise(() => {});
        const sum = (ctx.shortTermMemory.get<number>('sum') ?? 0) + value;
        ctx.shortTermMemory.set('sum', sum);
        ctx.sendEvent(new OutputEvent(`${key}:${n}:${sum}`));
      },
      { async: true },
    );
    const keyed = env.fromSource(this.#sluice.source).keyBy(({ key }) => key);
    keyed.applyAgent(clerk, { outputOrder: 'arrival' }).uid('clerk').sinkTo(this.ledger.sink(), 'ledger');
    return env;
  }

  /**
   * Lives through a few checkpoints, and dies with turns, outcomes of calls and open runs behind the newest of them.
   */
  async dies(): Promise<void> {
    const job = await this.start(16).executeAsync();
    await until(() => job.status.state === 'running');
    for (const upTo of [8, 12, 16]) {
      this.#sluice.raise(upTo);
      await until(() => this.#journaled === upTo);
      await job.checkpoint();
    }
    for (const upTo of [18, asks.length]) {
      this.#sluice.raise(upTo);
      await until(() => this.#journaled === Math.min(upTo, 20)); // Each key has one open run.
    }
    await job.cancel();
  }

  /** Refused, and nothing has happened. */
  async refuses(codes: RegExp): Promise<StreamError> {
    const [before, calls] = [[...this.ledger.values], new Map(this.calls)];
    const error: unknown = await this.start()
      .execute()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    const { code, hint } = error as StreamError;
    expect(code, String((error as Error).stack)).toMatch(codes);
    expect(hint.length).toBeGreaterThan(10);
    expect(this.ledger.values).toEqual(before);
    expect(this.calls).toEqual(calls);
    return error as StreamError;
  }

  async goesOn(): Promise<void> {
    await this.start().execute();
    expect(this.ledger.values).toEqual(answers);
    expect(asks.map(({ n }) => this.calls.get(n))).toEqual(asks.map(() => 1));
  }
}

const filesOf = async (directory: string, database: Database, pattern: RegExp): Promise<readonly string[]> => {
  const names = (await readdir(join(directory, database))).filter((name) => pattern.test(name));
  const paths = names.map((name) => join(directory, database, name));
  const full = await Promise.all(paths.map(async (path) => ((await readFile(path)).length > 0 ? path : undefined)));
  return full.flatMap((path) => path ?? []);
};

const flip = async (path: string, share = 0.5): Promise<void> => {
  const bytes = await readFile(path);
  const at = Math.floor(bytes.length * share);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  await writeFile(path, bytes);
};

const cut = async (path: string, share = 0.5): Promise<void> =>
  truncate(path, Math.floor((await readFile(path)).length * share));

const withDatabase = async <T>(
  directory: string,
  database: Database,
  body: (level: ClassicLevel<Buffer, Buffer>) => Promise<T>,
): Promise<T> => {
  const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', createIfMissing: false } as const;
  const level = new ClassicLevel<Buffer, Buffer>(join(directory, database), options);
  await level.open();
  try {
    return await body(level);
  } finally {
    await level.close();
  }
};

/** Everything that is in the log goes to tables. */
const intoTables = (directory: string, database: Database): Promise<void> =>
  withDatabase(directory, database, (level) => level.compactRange(Buffer.of(0), Buffer.of(0xff)));

const whole = async (files: readonly string[], damage: (path: string) => Promise<unknown>): Promise<void> => {
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) await damage(file);
};

const fileDamages: readonly (readonly [
  what: string,
  inTables: boolean,
  pattern: RegExp,
  damage: (path: string) => Promise<unknown>,
])[] = [
  ['CURRENT is gone', false, /^CURRENT$/, rm],
  ['CURRENT names nothing', false, /^CURRENT$/, (path) => writeFile(path, 'MANIFEST-999999\n')],
  ['a bit of the manifest has flipped', false, /^MANIFEST/, flip],
  ['the manifest is gone', false, /^MANIFEST/, rm],
  ['a bit at the start of the log has flipped', false, /\.log$/, (path) => flip(path, 0.01)],
  ['a bit in the middle of the log has flipped', false, /\.log$/, flip],
  ['a bit of the last write has flipped', false, /\.log$/, (path) => flip(path, 0.999)],
  ['the log was cut in the middle', false, /\.log$/, cut],
  ['the last write is not whole', false, /\.log$/, (path) => cut(path, 0.99)],
  ['the log is empty', false, /\.log$/, (path) => truncate(path, 0)],
  ['the log is gone', false, /\.log$/, rm],
  ['a bit of a table has flipped', true, /\.ldb$/, (path) => flip(path, 0.3)],
  ['a bit of a table\u2019s index has flipped', true, /\.ldb$/, (path) => flip(path, 0.9)],
  ['a table was cut', true, /\.ldb$/, cut],
  ['a table is gone', true, /\.ldb$/, rm],
];

describe.each(['state', 'journal'] as const)('the %s database', (database) => {
  test.each(fileDamages)('%s', async (_what, inTables, pattern, damage) => {
    const [office, copy] = [await Office.make(), await freshDirectory()];
    await office.dies();
    if (inTables) await intoTables(office.directory, database);
    await cp(office.directory, copy, { recursive: true });
    await whole(await filesOf(office.directory, database, pattern), damage);
    const error = await office.refuses(/^STORE_DAMAGED$/);
    expect(error.message).toContain(database);
    expect(error.hint).toMatch(/copy/);
    await rm(office.directory, { recursive: true });
    await cp(copy, office.directory, { recursive: true });
    await office.goesOn();
  });
});

// ---------- rows that match no checksum, or are missing

interface RowDamage {
  readonly database: Database;
  /** Letter of the row's key. */
  readonly letter: 'c' | 's' | 't' | 'j';
  readonly which: 'first' | 'last' | 'all';
  /** Undefined removes the row. */
  readonly damage: (value: Buffer) => Buffer | undefined;
  readonly code: RegExp;
}

const flippedValue = (value: Buffer): Buffer => {
  const bytes = Buffer.from(value);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0x10;
  return bytes;
};

/** As a later version would make it: its version is 2 and its checksum fits. */
const newer = (value: Buffer): Buffer => {
  const bytes = Buffer.from(value);
  bytes[4] = 2;
  bytes.writeUInt32BE(crc32(bytes.subarray(4)));
  return bytes;
};

const gone = (): undefined => undefined;
const damaged = /^(STORE_DAMAGED|VALUE_DAMAGED)$/;

const rowDamages: Readonly<Record<string, RowDamage>> = {
  'the header of the newest checkpoint has flipped': {
    database: 'state',
    letter: 'c',
    which: 'last',
    damage: flippedValue,
    code: damaged,
  },
  'the header of the newest checkpoint is gone': {
    database: 'state',
    letter: 'c',
    which: 'last',
    damage: gone,
    code: damaged,
  },
  'the row of an earlier checkpoint has flipped': {
    database: 'state',
    letter: 'c',
    which: 'first',
    damage: flippedValue,
    code: damaged,
  },
  'the row of an earlier checkpoint is gone': {
    database: 'state',
    letter: 'c',
    which: 'first',
    damage: gone,
    code: damaged,
  },
  'all checkpoints are gone': { database: 'state', letter: 'c', which: 'all', damage: gone, code: damaged },
  'a row of keyed state has flipped': {
    database: 'state',
    letter: 's',
    which: 'all',
    damage: flippedValue,
    code: damaged,
  },
  'recorded turns have flipped': {
    database: 'journal',
    letter: 't',
    which: 'first',
    damage: flippedValue,
    code: damaged,
  },
  'recorded turns before others are gone': {
    database: 'journal',
    letter: 't',
    which: 'first',
    damage: gone,
    code: damaged,
  },
  'the outcome of a call has flipped': {
    database: 'journal',
    letter: 'j',
    which: 'first',
    damage: flippedValue,
    code: damaged,
  },
  'the header is of a newer format': {
    database: 'state',
    letter: 'c',
    which: 'last',
    damage: newer,
    code: /^STORE_FORMAT$/,
  },
  'keyed state is of a newer format': {
    database: 'state',
    letter: 's',
    which: 'all',
    damage: newer,
    code: /^STORE_FORMAT$/,
  },
  'recorded turns are of a newer format': {
    database: 'journal',
    letter: 't',
    which: 'last',
    damage: newer,
    code: /^STORE_FORMAT$/,
  },
  'the outcome of a call is of a newer format': {
    database: 'journal',
    letter: 'j',
    which: 'first',
    damage: newer,
    code: /^STORE_FORMAT$/,
  },
};

describe('a row', () => {
  test.each(Object.entries(rowDamages))('%s', async (_what, { database, letter, which, damage, code }) => {
    const office = await Office.make();
    await office.dies();
    const kept = await withDatabase(office.directory, database, async (level) => {
      const all = (await level.iterator().all()).filter(([key]) => key[0] === letter.charCodeAt(0));
      expect(all.length).toBeGreaterThan(which === 'all' ? 0 : 1);
      const rows =
        which === 'all'
          ? all
          : [which === 'first' ? all[0] : all.at(-1)].flatMap((row) => (row === undefined ? [] : [row]));
      for (const [key, value] of rows) {
        const bytes = damage(value);
        await (bytes === undefined ? level.del(key) : level.put(key, bytes));
      }
      return rows;
    });
    await office.refuses(code);
    await withDatabase(office.directory, database, async (level) => {
      for (const [key, value] of kept) await level.put(key, value);
    });
    await office.goesOn();
  });
});

test('a bit flipped, or a file cut, anywhere in either database: refused, and never taken for less than there was', async () => {
  const [office, copy] = [await Office.make(), await freshDirectory()];
  await office.dies();
  await intoTables(office.directory, 'state');
  await cp(office.directory, copy, { recursive: true });
  const random = seededRandom(5);
  for (const database of ['state', 'journal'] as const) {
    const names = await filesOf(copy, database, /^(CURRENT|MANIFEST.*|\d+\.(log|ldb))$/);
    for (const name of names.flatMap((path) => Array.from({ length: 5 }, () => path.slice(copy.length + 1)))) {
      await (random() < 0.7 ? flip : cut)(join(office.directory, name), random());
      await office.refuses(/^STORE_DAMAGED$/);
      await cp(join(copy, name), join(office.directory, name));
    }
  }
  await rm(office.directory, { recursive: true });
  await cp(copy, office.directory, { recursive: true });
  await office.goesOn();
});

test('a log that lost its unacknowledged end, as when the power goes, is none of this: the job goes on', async () => {
  const office = await Office.make();
  await office.dies();
  // A write that never came to its end stands behind all that was acknowledged.
  for (const database of ['state', 'journal'] as const) {
    for (const log of await filesOf(office.directory, database, /\.log$/)) {
      const bytes = await readFile(log);
      await writeFile(log, Buffer.concat([bytes, bytes.subarray(0, 40)]).fill(0, bytes.length + 30));
    }
  }
  await office.goesOn();
});
