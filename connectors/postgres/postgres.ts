/** The doors to PostgreSQL, which need the package `pg`: a source of rows in their order, and a sink for them. */
import type { RetryOptions } from '../../lib/core/call.ts';
import { systemClock } from '../../lib/core/clock.ts';
import type { Sink, Source } from '../../lib/core/connector.ts';
import { callable, durationMs, flag, integer, knownOptions, refusal, type Duration } from '../../lib/core/options.ts';
import type { ValuesCommittable } from '../define-sink.ts';
import { Patience, sourceRetry } from '../http/asking.ts';
import { tableRows } from '../sql-table.ts';
import { transactionSink } from '../transaction-sink.ts';
import { RowsReader } from './rows-reader.ts';
import { checkConnection, quotedName, Session } from './session.ts';
import { PostgresTransactions } from './transactions.ts';

/** Where the server is, as options of `pg`; what is not said comes from the variables of the environment (`PGHOST`). */
export interface PostgresConnection {
  /** A name, an address or the directory of a socket. @defaultValue `PGHOST`, else localhost */
  readonly host?: string | undefined;
  /** From 1. @defaultValue `PGPORT`, else 5432 */
  readonly port?: number | undefined;
  /** The database. @defaultValue `PGDATABASE`, else the name of the user */
  readonly database?: string | undefined;
  /** The role. @defaultValue `PGUSER`, else the user of the process */
  readonly user?: string | undefined;
  /** Or what gives one, asked for each connection. @defaultValue `PGPASSWORD`, else none */
  readonly password?: string | (() => string | Promise<string>) | undefined;
  /** Whether it is encrypted, or options of `node:tls` for it. @defaultValue false */
  readonly ssl?: boolean | object | undefined;
}

/** The name of a table, or of its schema and the table. */
export type PostgresName = string | readonly [schema: string, name: string];

/** A cell: what `pg` writes. An object is written as JSON, a list as an array of the database. */
export type PostgresValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | null
  | readonly PostgresValue[]
  | { readonly [name: string]: unknown };

/** A row, in the order of the columns. */
export type PostgresRow = readonly PostgresValue[];

/** A row that was read, by its columns. */
export type PostgresRecord = Readonly<Record<string, unknown>>;

/** The cells of the last row that was read, in the columns of `order`, as the server writes them; none at the start. */
export type PostgresPosition = readonly string[];

export interface PostgresSinkOptions<T> {
  /** Where the server is: an address such as `postgres://user@host/database`, or its parts. */
  readonly connection: string | PostgresConnection;
  /** The table, which must be there. */
  readonly table: PostgresName;
  /**
   * What goes to each column. A `Date` is written as a time of UTC, an object as JSON, a list as an array: give a list
   * that is JSON as text.
   */
  readonly columns: Readonly<Record<string, (value: T) => PostgresValue>>;
  /**
   * Columns by which a row takes the place of an older one; the table needs a unique index on them. Of rows of one
   * checkpoint that have one key the last is written.
   * @defaultValue none: each value is a new row
   */
  readonly key?: readonly string[] | undefined;
  /** The table of marks, one row per sink. It is made when it is not there. @defaultValue 'millrace_epochs' */
  readonly marks?: PostgresName | undefined;
  /** For logs and uids. @defaultValue the table */
  readonly name?: string | undefined;
  /** Rows that may wait for a checkpoint before sources stop, from 1. @defaultValue 10_000 */
  readonly pendingMax?: number | undefined;
  /** How long an attempt to connect, and each statement, may take; then it is tried again. @defaultValue '1m' */
  readonly timeout?: Duration | undefined;
}

/**
 * A sink that writes rows to a table exactly once: those of an epoch appear together, in one transaction with a mark
 * that says that they have been written, when its checkpoint is durable. A commit whose outcome is not known, since the
 * connection was lost or the process was killed, is repeated: it waits for what is left of the one before and writes
 * only what that did not. Several sinks and jobs may write to one table; each has a mark of its own. A job whose state
 * knows less than its mark says is refused (`OUTPUT_CHANGED`). What may mend itself is tried again; data or SQL that
 * the server refuses is `SINK_FAILED`. Needs the package `pg`.
 *
 * @example
 * const payments = postgresSink<Order>({
 *   connection: 'postgres://localhost/shop',
 *   table: 'payments',
 *   columns: { id: ({ id }) => id, euros: ({ euros }) => euros, paid: ({ ts }) => new Date(ts) },
 *   key: ['id'],
 * });
 * console.log(payments.guarantee); // prints exactly-once
 */
export const postgresSink = <T>(options: PostgresSinkOptions<T>): Sink<T, ValuesCommittable<PostgresRow>> => {
  knownOptions('postgresSink', options, {
    connection: true,
    table: true,
    columns: true,
    key: true,
    marks: true,
    name: true,
    pendingMax: true,
    timeout: true,
  });
  const { connection, table, columns, key = [], marks = 'millrace_epochs', pendingMax = 10_000 } = options;
  checkConnection(connection);
  const names = { table: quotedName('table', table), marks: quotedName('marks', marks) };
  const { name = typeof table === 'string' ? table : table.join('.') } = options;
  const rows = tableRows<T, PostgresValue>({
    columns,
    key,
    cellOf,
    cells: 'a string, a number, a bigint, a boolean, a valid date, bytes, a list, an object or null',
  });
  const timeoutMs = timeoutOf(options.timeout);
  return transactionSink({
    name,
    pendingMax: integer('pendingMax', pendingMax, { min: 1 }),
    rowOf: rows.rowOf,
    async connect(sinkId) {
      const session = new Session({ connection, timeoutMs, owner: `sink "${name}"`, code: 'SINK_FAILED' });
      return new PostgresTransactions({ session, sinkId, ...names, columns: rows });
    },
  });
};

const timeoutOf = (timeout: Duration = '1m'): number => durationMs('timeout', timeout, { min: 1, max: 2 ** 31 - 1 });

/** `pg` writes a date in the zone of the process, which a column without a zone takes for its own. */
const cellOf = (cell: PostgresValue): PostgresValue | undefined => {
  if (!(cell instanceof Date)) return ['undefined', 'function', 'symbol'].includes(typeof cell) ? undefined : cell;
  if (Number.isNaN(cell.getTime())) return undefined;
  const year = cell.getUTCFullYear();
  return year >= 1 && year <= 9999 ? cell.toISOString() : cell;
};

export interface PostgresSourceOptions<T> {
  /** Where the server is: an address such as `postgres://user@host/database`, or its parts. */
  readonly connection: string | PostgresConnection;
  /** The table, or a view. @defaultValue `query` says what is read */
  readonly table?: PostgresName | undefined;
  /** A `SELECT` without an order, in place of a table. @defaultValue all of `table` */
  readonly query?: string | undefined;
  /**
   * The columns by which rows are read, upwards. Together they are different for all rows and none of them is null;
   * what is new comes behind what was read. An index on them makes a page cheap.
   */
  readonly order: readonly string[];
  /** The value of a row. @defaultValue the row, an object by its columns */
  readonly decode?: ((row: PostgresRecord) => T) | undefined;
  /** How long to wait for more where the rows end. @defaultValue the source ends there */
  readonly poll?: Duration | undefined;
  /**
   * How long a row has to be there before those up to it are read; see below. They are read after this long, at the
   * latest after twice as long.
   * @defaultValue 0: at once
   */
  readonly lag?: Duration | undefined;
  /**
   * Whether there are the same rows behind a position later too: rows are added behind the others, and neither changed
   * nor deleted. If not, what was read is journaled. @defaultValue false
   */
  readonly replayable?: boolean | undefined;
  /** Rows that are asked for at a time, from 1. @defaultValue 1000 */
  readonly pageRows?: number | undefined;
  /** For logs and uids. @defaultValue the table, else 'postgres' */
  readonly name?: string | undefined;
  /** How long an attempt to connect, and each statement, may take. @defaultValue '1m' */
  readonly timeout?: Duration | undefined;
  /**
   * How often and when a page is asked for again. @defaultValue for as long as the job runs, after waits from 1 s to 1
   * min
   */
  readonly retry?: Omit<RetryOptions, 'retryOnResult'> | undefined;
}

/**
 * A source of the rows of a table, or of a query, in the order of some columns. A position is the cells of the last row
 * in these columns, as texts of the server: no digit of a `bigint`, a `numeric` or a time is lost in it. A restart
 * reads on behind it.
 *
 * Transactions take their numbers and times before they commit, so a row may come to be seen when one behind it has
 * been read: it is missed. With `lag` the source looks which row is the newest, waits that long, and then reads up to
 * it; so no row is missed as long as no transaction stays open for longer than that after it took its number. To miss
 * none at all, let a column have `DEFAULT pg_current_xact_id()`, read `SELECT * FROM t WHERE that_column <
 * pg_snapshot_xmin(pg_current_snapshot())` as `query`, and put the column first in `order`. A row that is changed or
 * deleted is not read again, unless it gets a cell that puts it behind the others.
 *
 * `bigint` and `numeric` come as texts, `timestamp` as a `Date` of UTC, `date` and `interval` as texts, JSON as what it
 * says; a cast in a query makes others of them. Rejects with `SOURCE_FAILED`. Needs the package `pg`.
 *
 * @example
 * const payments = postgresSource<{ id: string; euros: number }>({
 *   connection: 'postgres://localhost/shop',
 *   table: 'payments',
 *   order: ['paid', 'id'],
 *   poll: '2s',
 *   lag: '10s',
 * });
 * console.log(payments.name, payments.replayable); // prints payments false
 */
export const postgresSource = <T = PostgresRecord>(options: PostgresSourceOptions<T>): Source<T, PostgresPosition> => {
  knownOptions('postgresSource', options, {
    connection: true,
    table: true,
    query: true,
    order: true,
    decode: true,
    poll: true,
    lag: true,
    replayable: true,
    pageRows: true,
    name: true,
    timeout: true,
    retry: true,
  });
  const { connection, table, order, poll, lag = 0, replayable = false, pageRows = 1000, retry = {} } = options;
  checkConnection(connection);
  const { name = table === undefined ? 'postgres' : [table].flat().join('.') } = options;
  if (!Array.isArray(order) || order.length === 0 || order.some((column) => typeof column !== 'string'))
    throw refusal('order', 'a list of columns', order);
  const timeoutMs = timeoutOf(options.timeout);
  const retries = sourceRetry(retry);
  const parts = {
    name,
    order: [...order],
    from: fromOf(options),
    // A row is what T is when nothing else is said.
    decode: callable('decode', options.decode ?? ((row) => row as T)),
    pollMs: poll === undefined ? undefined : durationMs('poll', poll, { min: 1 }),
    lagMs: durationMs('lag', lag),
    pageRows: integer('pageRows', pageRows, { min: 1 }),
  };
  return {
    name,
    replayable: flag('replayable', replayable),
    splits: async () => [name],
    async open(_split, position = [], signal, clock = systemClock) {
      signal.throwIfAborted();
      const session = new Session({ connection, timeoutMs, owner: `source "${name}"`, code: 'SOURCE_FAILED' });
      return new RowsReader({ ...parts, session, clock, patience: new Patience(retries, clock) }, position);
    },
  };
};

const fromOf = ({ table, query }: Pick<PostgresSourceOptions<never>, 'table' | 'query'>): string => {
  if ((table === undefined) === (query === undefined))
    throw refusal('query', 'there without `table`, or the other way round', query);
  if (table !== undefined) return `${quotedName('table', table)} AS millrace`;
  if (typeof query !== 'string' || query === '') throw refusal('query', 'a `SELECT`', query);
  // On a line of its own: the query may end with a comment.
  return `(${query}\n) AS millrace`;
};
