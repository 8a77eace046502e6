/** SQLite: the suite of sinks, rows by key, two owners of one table, and a life that comes late. */
import Database from 'libsql';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { sqliteSink, type SqliteSinkOptions } from '../../../connectors/sqlite/sqlite-sink.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';

const root = mkdtempSync(join(tmpdir(), 'millrace-sqlite-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const { signal } = new AbortController();

let tables = 0;
const fresh = (options: Partial<SqliteSinkOptions<number>> = {}) => {
  const path = join(root, `${(tables += 1)}.db`);
  const database = new Database(path);
  database.exec(
    'CREATE TABLE "the ""numbers" (n INTEGER, half REAL); CREATE UNIQUE INDEX by_half ON "the ""numbers" (half)',
  );
  const columns = { n: (n: number) => n, half: (n: number) => n / 2 };
  return {
    sink: sqliteSink<number>({ open: () => new Database(path), table: 'the "numbers', columns, ...options }),
    // The column is of integers.
    rows: () => database.prepare('SELECT n FROM "the ""numbers" ORDER BY rowid').raw().all().flat() as number[],
    database,
  };
};

describe('the suite of sinks', () => {
  const cases = sinkSuite('sqlite', async () => {
    const { sink, rows, database } = fresh();
    return {
      sink,
      values: [1, 2, 3, 4, 5, 6],
      visible: async () => rows(),
      cleanup: async () => void database.close(),
    };
  });
  for (const { name, run } of cases) test(name, run);
});

const context = { sinkId: 'a', pending: [], epoch: 1, last: undefined, signal };

test('what fails leaves nothing of its epoch, and a lasting failure says so', async () => {
  const { sink, rows } = fresh();
  const writer = await sink.open(context);
  for (const [number, n] of [1, 2, 1].entries()) writer.write(n, 0, number);
  const sealed = await writer.seal(1);
  if (sealed === undefined) throw new Error('nothing was sealed');
  await expect(writer.commit(sealed, signal)).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: false });
  expect(rows()).toEqual([]);
  await writer.close();
});

test('a row takes the place of the one with its key', async () => {
  const { sink, rows } = fresh({ columns: { n: (n) => n, half: (n) => n % 2 }, key: ['half'] });
  const writer = await sink.open(context);
  for (const [number, n] of [1, 2, 3, 4].entries()) writer.write(n, 0, number);
  const sealed = await writer.seal(1);
  if (sealed === undefined) throw new Error('nothing was sealed');
  await writer.commit(sealed, signal);
  await writer.commit(sealed, signal);
  expect(rows()).toEqual([3, 4]);
  await writer.close();
});

test('owners of one table have marks of their own', async () => {
  const { sink, rows } = fresh();
  for (const [n, sinkId] of ['a', 'b'].entries()) {
    const writer = await sink.open({ ...context, sinkId });
    writer.write(n, 0, 0);
    const sealed = await writer.seal(1);
    if (sealed === undefined) throw new Error('nothing was sealed');
    await writer.commit(sealed, signal);
    await writer.close();
  }
  expect(rows()).toEqual([0, 1]);
});

test('an older life that comes late, and a state that was put back, write nothing', async () => {
  const { sink, rows } = fresh();
  const [old, now] = [await sink.open(context), await sink.open(context)];
  old.write(7, 0, 0);
  const late = await old.seal(1);
  for (const epoch of [1, 2]) {
    now.write(epoch, 0, epoch - 1);
    const sealed = await now.seal(epoch);
    if (sealed === undefined || late === undefined) throw new Error('nothing was sealed');
    await now.commit(sealed, signal);
  }
  if (late === undefined) throw new Error('nothing was sealed');
  await expect(old.commit(late, signal)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
  await expect(sink.open(context)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
  expect(rows()).toEqual([1, 2]);
  await Promise.all([old.close(), now.close(), now.close()]);
});

test('what can not be stored is refused when it comes', async () => {
  // What the type rules out.
  const columns = { n: () => undefined } as unknown as SqliteSinkOptions<number>['columns'];
  const { sink } = fresh({ columns });
  const writer = await sink.open(context);
  expect(() => writer.write(1, 0, 0)).toThrow(/columns\.n/);
  await writer.close();
  expect(() => fresh({ key: ['other'] })).toThrow(/key/);
  expect(() => fresh({ columns: {} })).toThrow(/columns/);
});
