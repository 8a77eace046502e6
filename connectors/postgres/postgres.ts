/** The doors to PostgreSQL, which need the package `pg`: a sink that writes rows exactly once. */
import type { Sink } from '../../lib/core/connector.ts';
import { durationMs, integer, knownOptions, type Duration } from '../../lib/core/options.ts';
import type { ValuesCommittable } from '../define-sink.ts';
import { tableRows } from '../sql-table.ts';
import { transactionSink } from '../transaction-sink.ts';
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
