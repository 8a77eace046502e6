/** Rows of PostgreSQL in their order: the suite of sources, cells that no number holds, rows that come late. */
import { afterAll, describe, expect, test } from 'vitest';
import { Client } from 'pg';
import { postgresSource, type PostgresSourceOptions } from '../../../connectors/postgres/postgres.ts';
import type { Source } from '../../../lib/core/connector.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { ManualClock } from '../../../lib/testing/clock.ts';
import { startPostgres } from './server.ts';

const server = await startPostgres();
afterAll(() => server?.stop());
const { signal } = new AbortController();

const readAll = async <T, P>(source: Source<T, P>, position?: P): Promise<readonly T[]> => {
  const reader = await source.open('', position, signal);
  const values: T[] = [];
  try {
    for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
      values.push(...batch.values);
  } finally {
    await reader.close();
  }
  return values;
};

test('what is no order, table or query is refused', () => {
  const source = (options: object) => () =>
    postgresSource({ connection: 'postgres://localhost/a', table: 'a', order: ['n'], ...options });
  expect(source({ order: [] })).toThrow(/order/);
  expect(source({ query: 'SELECT 1' })).toThrow(/query/);
  expect(source({ table: undefined })).toThrow(/query/);
  expect(source({ pageRows: 0 })).toThrow(/pageRows/);
  expect(source({ poll: 0 })).toThrow(/poll/);
  expect(source({ lag: 'soon' })).toThrow(/lag/);
});

describe.skipIf(server === undefined)('with a server', () => {
  if (server === undefined) return;
  const { connection, rows } = server;
  let tables = 0;
  /** A table of numbers, with these in it. */
  const fresh = async (numbers: readonly number[], options: Partial<PostgresSourceOptions<number>> = {}) => {
    const table = `some "rows ${(tables += 1)}`;
    const name = `"${table.replace('"', '""')}"`;
    await rows(`CREATE TABLE ${name} (a int, b int, PRIMARY KEY (a, b))`);
    const add = async (more: readonly number[]) => {
      for (const n of more) await rows(`INSERT INTO ${name} VALUES (${Math.floor(n / 10)}, ${n % 10})`);
    };
    await add(numbers);
    const decode = ({ a, b }: Readonly<Record<string, unknown>>) => Number(a) * 10 + Number(b);
    return {
      source: postgresSource<number>({
        connection,
        table,
        order: ['a', 'b'],
        replayable: true,
        decode,
        pageRows: 4,
        ...options,
      }),
      add,
      name,
    };
  };
  const expected = [3, 10, 11, 19, 20, 21, 22, 23, 105];

  for (const poll of [undefined, '1s'] as const)
    for (const { name, run } of sourceSuite(poll === undefined ? 'to the end' : 'polled', async () => {
      const { source } = await fresh(expected, { poll });
      return { source, expected, endless: poll !== undefined, cleanup: async () => {} };
    }))
      test(name, run);

  test('never, and one', async () => {
    expect(await readAll((await fresh([])).source)).toEqual([]);
    expect(await readAll((await fresh([7])).source)).toEqual([7]);
  });

  test('a query, with a comment at its end', async () => {
    const { name } = await fresh([1, 2, 3]);
    const query = `SELECT b AS "the b", count(*) AS number FROM ${name} WHERE b > 1 GROUP BY b -- all`;
    const source = postgresSource({ connection, query, order: ['the b'] });
    expect(await readAll(source)).toEqual([
      { 'the b': 2, number: '1' },
      { 'the b': 3, number: '1' },
    ]);
  });

  test.each([
    ['bigint', ['9007199254740993', '9007199254740994', '9007199254740995']],
    ['numeric', ['0.1000000000000000000001', '0.1000000000000000000002', '123456789012345678901234567890']],
    ['timestamp', ['2026-01-01 00:00:00.000001', '2026-01-01 00:00:00.000002', '2026-01-01 00:00:00.000003']],
    ['timestamptz', ['2026-01-01 00:00:00.000001+00', '2026-01-01 00:00:00.000002+00', 'infinity']],
    ['float8', ['0.1', '0.10000000000000002', 'NaN']],
    ['jsonb', ['9007199254740993', '9007199254740994', '{"a": 9007199254740993}']],
    ['uuid', [1, 2, 3].map((n) => `00000000-0000-0000-0000-00000000000${n}`)],
    ['text', ['', "a'b", 'a,b\\']],
    ['bytea', [String.raw`\x00`, String.raw`\x00ff`, String.raw`\xff`]],
    ['interval', ['00:00:01', '00:00:01.000001', '1 day']],
    ['date', ['2026-01-01', '2026-01-02', 'infinity']],
  ])('a position keeps a cell of %s', async (type, cells) => {
    const table = `cells of ${type}`;
    await rows(`CREATE TABLE "${table}" (cell ${type} PRIMARY KEY)`);
    for (const cell of cells) await rows(`INSERT INTO "${table}" VALUES ('${cell.replace("'", "''")}')`);
    // A role may be set to write otherwise.
    await rows("ALTER ROLE millrace SET datestyle = 'SQL, DMY'; ALTER ROLE millrace SET extra_float_digits = 0");
    const query = `SELECT cell, row_number() OVER (ORDER BY cell)::int AS n FROM "${table}"`;
    const decode = ({ n }: Readonly<Record<string, unknown>>) => n;
    const source = postgresSource({ connection, query, order: ['cell'], pageRows: 1, replayable: true, decode });
    const [suite] = sourceSuite(type, async () => ({ source, expected: [1, 2, 3], cleanup: async () => {} })).slice(2);
    expect(await readAll(source)).toEqual([1, 2, 3]);
    await suite?.run();
    await rows('ALTER ROLE millrace RESET ALL');
  });

  test('values of every kind, whatever the zone of the process is', async () => {
    const query = `SELECT 1 AS n, 2::bigint AS big, 1.50::numeric AS exact, '2026-01-02 03:04:05'::timestamp AS at,
      '2026-01-02 03:04:05+01'::timestamptz AS zoned, '2026-01-02'::date AS day, '1 day 00:00:01'::interval AS long,
      '{"a": [1]}'::jsonb AS json, '{{1,NULL}}'::int[] AS list, '{"2026-01-02 03:04:05",NULL}'::timestamp[] AS ats,
      '\\xff'::bytea AS bytes, true AS yes, NULL::text AS none`;
    const zone = process.env['TZ'];
    process.env['TZ'] = 'Asia/Tokyo';
    const [value] = await readAll(postgresSource({ connection, query, order: ['n'] }));
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
    expect(value).toEqual({
      n: 1,
      big: '2',
      exact: '1.50',
      at: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
      zoned: new Date(Date.UTC(2026, 0, 2, 2, 4, 5)),
      day: '2026-01-02',
      long: '1 day 00:00:01',
      json: { a: [1] },
      list: [[1, null]],
      ats: [new Date(Date.UTC(2026, 0, 2, 3, 4, 5)), null],
      bytes: Buffer.of(255),
      yes: true,
      none: null,
    });
  });

  test.each([
    ['the same', "VALUES (1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')", 2],
    ['the same', "VALUES (1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')", 10],
    ['null', "VALUES (1, 'a'), (NULL, 'b')", 10],
  ])('rows whose order is %s are refused', async (what, values, pageRows) => {
    const query = `SELECT * FROM (${values}) AS listed (n, t)`;
    const source = postgresSource({ connection, query, order: ['n'], pageRows });
    await expect(readAll(source)).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      retryable: false,
      message: expect.stringContaining(what) as unknown,
    });
  });

  test('what the server refuses is not asked for again, nor a position of other columns', async () => {
    const source = postgresSource({ connection, table: 'nowhere', order: ['n'] });
    const failure = { code: 'SOURCE_FAILED', retryable: false };
    await expect(readAll(source)).rejects.toMatchObject({ ...failure, details: { sqlState: '42P01' } });
    await expect(source.open('', ['1', '2'], signal)).rejects.toMatchObject(failure);
  });

  test('what comes is read when it is asked for again, over a connection that was lost', async () => {
    const clock = new ManualClock();
    const { source, add } = await fresh([1], { poll: '1s' });
    const reader = await source.open('', undefined, signal, clock);
    expect((await reader.read(signal))?.values).toEqual([1]);
    await rows(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    );
    const next = reader.read(signal);
    await expect.poll(() => reader.waiting).toBe(true);
    await add([2]);
    const timer = setInterval(() => void clock.advance(1000), 20);
    expect((await next)?.values).toEqual([2]);
    clearInterval(timer);
    await reader.close();
  });

  test('a row that is committed behind one that comes after it is read with a lag, and missed without', async () => {
    for (const lag of [0, '1m'] as const) {
      const { source, add, name } = await fresh([], { poll: '1m', lag });
      const clock = new ManualClock();
      const reader = await source.open('', undefined, signal, clock);
      const late = new Client(connection);
      await late.connect();
      await late.query(`BEGIN; INSERT INTO ${name} VALUES (0, 1)`);
      await add([2]);
      const read = reader.read(signal);
      if (lag !== 0) {
        await expect.poll(() => reader.waiting).toBe(true);
        await add([3]);
      } else await read;
      await late.query('COMMIT');
      await late.end();
      await clock.advance(60_000);
      expect((await read)?.values).toEqual(lag === 0 ? [2] : [1, 2]);
      if (lag !== 0) {
        // It has been there for as long, but what comes before it may not have been.
        const next = reader.read(signal);
        await expect.poll(() => reader.waiting).toBe(true);
        await clock.advance(60_000);
        expect((await next)?.values).toEqual([3]);
      }
      await reader.close();
    }
  });

  test('no row is missed where transactions are the order', async () => {
    await rows('CREATE TABLE outbox (tx xid8 DEFAULT pg_current_xact_id(), n serial)');
    const query = 'SELECT * FROM outbox WHERE tx < pg_snapshot_xmin(pg_current_snapshot())';
    const source = postgresSource({ connection, query, order: ['tx', 'n'], decode: ({ n }) => n });
    const late = new Client(connection);
    await late.connect();
    await late.query('BEGIN; INSERT INTO outbox DEFAULT VALUES');
    await rows('INSERT INTO outbox DEFAULT VALUES');
    expect(await readAll(source)).toEqual([]);
    await late.query('COMMIT');
    await late.end();
    expect(await readAll(source)).toEqual([1, 2]);
  });
});
