/** PostgreSQL: the suite of sinks, rows by key, transactions that were left behind, connections that break. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { postgresSink, type PostgresSinkOptions } from '../../../connectors/postgres/postgres.ts';
import type { Sink } from '../../../lib/core/connector.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';
import { delay } from '../../example-process.ts';
import { startPostgres } from './server.ts';

const server = await startPostgres();
afterAll(() => server?.stop());
const { signal } = new AbortController();
const context = { sinkId: 'a', pending: [], epoch: 1, last: undefined, signal };
const columns = { n: (n: number) => n, half: (n: number) => n / 2 };

/** Seals the values as an epoch. */
const sealed = async <T, C>(sink: Sink<T, C>, values: readonly T[], own: Partial<typeof context> = {}) => {
  const writer = await sink.open({ ...context, ...own });
  values.forEach((value, number) => writer.write(value, 0, number));
  const committable = await writer.seal(own.epoch ?? 1);
  if (committable === undefined) throw new Error('nothing was sealed');
  return { writer, committable };
};

test('what is no connection, table, column or key is refused, and no password is told', () => {
  const sink = (options: object) => () =>
    postgresSink({ connection: 'postgres://localhost/a', table: 'a', columns, ...options });
  // What the types rule out.
  expect(sink({ connection: 5 })).toThrow(/connection/);
  expect(sink({ table: ['a', 'b', 'c'] })).toThrow(/table/);
  expect(sink({ table: '' })).toThrow(/table/);
  expect(sink({ columns: {} })).toThrow(/columns/);
  expect(sink({ key: ['other'] })).toThrow(/key/);
  expect(sink({ timeout: 0 })).toThrow(/timeout/);
  expect(sink({ password: 'secret' })).toThrow(/password/);
});

test('a server that is not there may come yet', async () => {
  const sink = postgresSink({ connection: { host: '/nowhere' }, table: 'a', columns });
  await expect(sink.open(context)).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true });
});

describe.skipIf(server === undefined)('with a server', () => {
  if (server === undefined) return;
  const { connection, rows } = server;
  let tables = 0;
  const fresh = async (options: Partial<PostgresSinkOptions<number>> = {}) => {
    const table = `the "numbers ${(tables += 1)}`;
    const name = `"${table.replace('"', '""')}"`;
    await rows(`CREATE TABLE ${name} (n bigint, half numeric UNIQUE, at serial)`);
    return {
      sink: postgresSink<number>({ connection, table, marks: `marks ${tables}`, columns, ...options }),
      numbers: async () => (await rows(`SELECT n FROM ${name} ORDER BY at`)).map(([n]) => Number(n)),
      name,
      marks: `"marks ${tables}"`,
    };
  };

  for (const { name, run } of sinkSuite('postgres', async () => {
    const { sink, numbers } = await fresh();
    return { sink, values: [1, 2, 3, 4, 5, 6], visible: numbers, cleanup: async () => {} };
  }))
    test(name, run);

  test('what the server refuses leaves nothing of its epoch, and is not tried again', async () => {
    const { sink, numbers } = await fresh();
    const { writer, committable } = await sealed(sink, [1, 2, 1]);
    const failure = { code: 'SINK_FAILED', retryable: false, details: { sqlState: '23505' } };
    await expect(writer.commit(committable, signal)).rejects.toMatchObject(failure);
    expect(await numbers()).toEqual([]);
    await writer.close();
  });

  test('of rows with one key the last is there, also where the server alone knows that it is one', async () => {
    // 1 and '1' are two values here.
    const half = (n: number) => (n > 4 ? String(n % 2) : n % 2);
    const { sink, numbers } = await fresh({ columns: { n: (n) => n, half }, key: ['half'] });
    const { writer, committable } = await sealed(sink, [1, 2, 3, 4, 5, 6, 8]);
    await writer.commit(committable, signal);
    await writer.commit(committable, signal);
    expect((await numbers()).toSorted()).toEqual([5, 8]);
    await writer.close();
  });

  test('a row whose key is null is the only one of its key', async () => {
    const { sink, numbers } = await fresh({ columns: { n: (n) => n, half: () => null }, key: ['half'] });
    const { writer, committable } = await sealed(sink, [1, 2]);
    await writer.commit(committable, signal);
    expect(await numbers()).toEqual([1, 2]);
    await writer.close();
  });

  test('more values than a statement takes', async () => {
    const { sink, numbers } = await fresh();
    const values = Array.from({ length: 2500 }, (_, n) => n);
    const { writer, committable } = await sealed(sink, values);
    await writer.commit(committable, signal);
    expect(await numbers()).toEqual(values);
    await writer.close();

    const wide = Array.from({ length: 400 }, (_, n) => `c${n}`);
    await rows(`CREATE TABLE wide (${wide.map((column) => `${column} int`).join()})`);
    const all = Object.fromEntries(wide.map((column) => [column, (n: number) => n]));
    const second = await sealed(
      postgresSink<number>({ connection, table: 'wide', columns: all }),
      values.slice(0, 700),
    );
    await second.writer.commit(second.committable, signal);
    expect(await rows('SELECT count(*)::int, sum(c399)::int FROM wide')).toEqual([[700, (700 * 699) / 2]]);
    await second.writer.close();
  });

  test('values of every kind', async () => {
    await rows('CREATE SCHEMA other');
    await rows(
      'CREATE TABLE other.kinds (a text, b bigint, c bytea, d timestamp, e timestamptz, f jsonb, g int[], h bool, i float8)',
    );
    const date = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    const sink = postgresSink<number>({
      connection,
      table: ['other', 'kinds'],
      marks: ['other', 'marks'],
      columns: {
        a: () => 'ä\u2028',
        b: () => 2n ** 62n,
        c: () => Uint8Array.of(0, 255),
        d: () => date,
        e: () => date,
        f: () => ({ deep: [1, null] }),
        g: () => [1, 2],
        h: () => true,
        i: () => Number.NaN,
      },
    });
    const { writer, committable } = await sealed(sink, [1]);
    await writer.commit(structuredClone(committable), signal);
    const text = "a, b::text, c::text, d::text, (e AT TIME ZONE 'UTC')::text, f::text, g::text, h, i::text";
    expect(await rows(`SELECT ${text} FROM other.kinds`)).toEqual([
      [
        'ä\u2028',
        '4611686018427387904',
        String.raw`\x00ff`,
        ...['2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678'],
        ...['{"deep": [1, null]}', '{1,2}', true, 'NaN'],
      ],
    ]);
    await writer.close();
  });

  test('what can not be stored is refused when it comes', async () => {
    const { sink } = await fresh({ columns: { n: () => new Date(Number.NaN) } });
    const writer = await sink.open(context);
    expect(() => writer.write(1, 0, 0)).toThrow(/columns\.n/);
    await writer.close();
  });

  test('an older life that comes late, and a state that was put back, write nothing', async () => {
    const { sink, numbers } = await fresh();
    const old = await sealed(sink, [7]);
    const now = await sealed(sink, [1]);
    await now.writer.commit(now.committable, signal);
    now.writer.write(2, 0, 1);
    const next = await now.writer.seal(2);
    if (next !== undefined) await now.writer.commit(next, signal);
    await expect(old.writer.commit(old.committable, signal)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
    await expect(sink.open(context)).rejects.toMatchObject({ code: 'OUTPUT_CHANGED' });
    expect(await numbers()).toEqual([1, 2]);
    await Promise.all([old.writer.close(), now.writer.close()]);
  });

  test('sinks of one table that start together have marks of their own', async () => {
    const { sink, numbers } = await fresh();
    const open = ['a', 'b', 'c', 'd'].map((sinkId, n) => sealed(sink, [n], { sinkId }));
    for (const { writer, committable } of await Promise.all(open)) {
      await writer.commit(committable, signal);
      await writer.close();
    }
    expect(await numbers()).toEqual([0, 1, 2, 3]);
  });

  test.each([
    ['COMMIT', 'the first'],
    ['ROLLBACK', 'the first'],
    ['COMMIT', 'a later'],
    ['ROLLBACK', 'a later'],
  ])('a transaction that was left behind is waited for: %s of %s epoch', async (end, which) => {
    const { sink, numbers, name, marks } = await fresh();
    const { writer, committable } = await sealed(sink, [1]);
    if (which === 'a later') await rows(`INSERT INTO ${marks} VALUES ('a', 0)`);
    const left = new Client(connection);
    await left.connect();
    const mark = `INSERT INTO ${marks} VALUES ('a', 1) ON CONFLICT (sink_id) DO UPDATE SET epoch = 1`;
    await left.query(`BEGIN; ${mark}; INSERT INTO ${name} (n) VALUES (1)`);
    let over = false;
    const commit = writer.commit(committable, signal).then(() => (over = true));
    await delay(50);
    expect(over).toBe(false);
    await left.query(end);
    await left.end();
    await commit;
    expect(await numbers()).toEqual([1]);
    await writer.close();
  });

  test('commits of one epoch at the same time write it once', async () => {
    // Whatever the level of isolation is where nobody says it.
    const serializable = encodeURIComponent('-c default_transaction_isolation=serializable');
    const address = `postgres://millrace@/postgres?host=${encodeURIComponent(connection.host)}&options=${serializable}`;
    const { sink, numbers, marks } = await fresh({ connection: address });
    const values = Array.from({ length: 3000 }, (_, n) => n);
    const all = await Promise.all([1, 2, 3].map(() => sealed(sink, values)));
    await rows(`INSERT INTO ${marks} VALUES ('a', 0)`);
    // Else the constraint of the table would see to it.
    await rows(
      'ALTER TABLE "the ""numbers NUMBER" DROP CONSTRAINT "the ""numbers NUMBER_half_key"'.replaceAll(
        'NUMBER',
        String(tables),
      ),
    );
    await Promise.all(all.map(({ writer, committable }) => writer.commit(committable, signal)));
    expect(await numbers()).toEqual(values);
    for (const { writer } of all) await writer.close();
  });

  test('a wait ends with the signal, and with the time of a statement', async () => {
    const { sink, numbers, marks } = await fresh({ timeout: 100 });
    const { writer, committable } = await sealed(sink, [1]);
    const left = new Client(connection);
    await left.connect();
    await left.query(`BEGIN; INSERT INTO ${marks} VALUES ('a', 1)`);
    const stop = new AbortController();
    const aborted = writer.commit(committable, stop.signal);
    stop.abort(new Error('stopped'));
    await expect(aborted).rejects.toThrow('stopped');
    await expect(writer.commit(committable, signal)).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true });
    await left.query('ROLLBACK');
    await left.end();
    await writer.commit(committable, signal);
    expect(await numbers()).toEqual([1]);
    await writer.close();
  });

  test.each(['before', 'behind'] as const)('a connection that breaks %s the end of a transaction', async (when) => {
    const directory = mkdtempSync(join(tmpdir(), 'millrace-broken-'));
    let breaks = 1;
    const proxy = createServer((client: Socket) => {
      const real = connect(join(connection.host, '.s.PGSQL.5432'));
      let deaf = false;
      client.on('data', (data) => {
        const ends = data.includes('COMMIT\0') && (breaks -= 1) >= 0;
        deaf ||= ends;
        if (!ends || when === 'behind') real.write(data);
        if (!ends) return;
        // The server has done it when it says so, and that is what nobody hears.
        if (when === 'behind') real.once('data', () => client.destroy());
        else client.destroy();
      });
      real.on('data', (data) => deaf || client.write(data));
      client.on('close', () => real.destroy()).on('error', () => {});
      real.on('close', () => client.destroy()).on('error', () => {});
    });
    await new Promise<void>((resolve) => void proxy.listen(join(directory, '.s.PGSQL.5432'), resolve));
    const { sink, numbers } = await fresh({ connection: { ...connection, host: directory } });
    const { writer, committable } = await sealed(sink, [1, 2]);
    await expect(writer.commit(committable, signal)).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true });
    expect(await numbers()).toEqual(when === 'behind' ? [1, 2] : []);
    await writer.commit(committable, signal);
    expect(await numbers()).toEqual([1, 2]);
    await writer.close();
    await new Promise((resolve) => void proxy.close(resolve));
    rmSync(directory, { recursive: true });
  });

  test('a connection that the server has ended between two commits is made anew', async () => {
    const { sink, numbers } = await fresh();
    const { writer, committable } = await sealed(sink, [1]);
    await rows(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = $$client backend$$',
    );
    await expect
      .poll(() =>
        writer.commit(committable, signal).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
    expect(await numbers()).toEqual([1]);
    await writer.close();
  });
});
