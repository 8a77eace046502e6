/**
 * Writes values to a table of SQLite, exactly once. Keeps I7 (mark and rows in one transaction). The drivers of SQLite
 * are synchronous, so a transaction holds the event loop; `pendingMax` bounds how long (I20).
 */
import type { Sink } from '../../lib/core/connector.ts';
import { messageOf, StreamError } from '../../lib/core/errors.ts';
import { callable, integer, knownOptions, refusal, resultWith } from '../../lib/core/options.ts';
import type { ValuesCommittable } from '../define-sink.ts';
import { insertInto, quoted, tableRows } from '../sql-table.ts';
import { transactionSink, type EpochTransactions } from '../transaction-sink.ts';
import { mayMend, type SqliteDatabase, type SqliteStatement, type SqliteValue } from './database.ts';

export interface SqliteSinkOptions<T> {
  /** Opens the database, of better-sqlite3, libsql or node:sqlite. The sink closes it; each start opens it again. */
  readonly open: () => SqliteDatabase;
  /** The table, which must be there. */
  readonly table: string;
  /** What goes to each column. */
  readonly columns: Readonly<Record<string, (value: T) => SqliteValue>>;
  /**
   * Columns by which a row takes the place of an older one; the table needs a unique index on them.
   * @defaultValue none: each value is a new row
   */
  readonly key?: readonly string[] | undefined;
  /** The table of marks, one row per sink. It is made when it is not there. @defaultValue 'millrace_epochs' */
  readonly marks?: string | undefined;
  /** For logs and uids. @defaultValue the table */
  readonly name?: string | undefined;
  /**
   * Rows that may wait for a checkpoint before sources stop, from 1. They are written in one go, which holds the event
   * loop: thousands of rows take some milliseconds. @defaultValue 10_000
   */
  readonly pendingMax?: number | undefined;
}

/** A row, in the order of the columns. */
export type SqliteRow = readonly SqliteValue[];

/**
 * A sink that writes rows to a table exactly once: those of an epoch appear together, in one transaction with a mark
 * that says that they have been written, when its checkpoint is durable. Several sinks and jobs may write to one table;
 * each has a mark of its own. A job whose state knows less than its mark says is refused (`OUTPUT_CHANGED`).
 *
 * @example
 * import Database from 'libsql';
 *
 * const path = '.totals.db';
 * const database = new Database(path);
 * database.exec('CREATE TABLE totals (id TEXT PRIMARY KEY, total REAL)');
 * const columns = { id: ({ id }: { id: string }) => id, total: () => 5 };
 * env.fromCollection([{ id: 'a' }, { id: 'b' }, { id: 'a' }]).sinkTo(
 *   sqliteSink({ open: () => new Database(path), table: 'totals', columns, key: ['id'] }),
 * );
 * await env.execute();
 * console.log(database.prepare('SELECT id FROM totals').all().length); // prints 2
 */
export const sqliteSink = <T>(options: SqliteSinkOptions<T>): Sink<T, ValuesCommittable<SqliteRow>> => {
  knownOptions('sqliteSink', options, {
    open: true,
    table: true,
    columns: true,
    key: true,
    marks: true,
    name: true,
    pendingMax: true,
  });
  const { open, table, columns, key = [], marks = 'millrace_epochs', name = table, pendingMax = 10_000 } = options;
  callable('open', open);
  for (const [option, text] of Object.entries({ table, marks }))
    if (typeof text !== 'string' || text === '') throw refusal(option, 'the name of a table', text);
  integer('pendingMax', pendingMax, { min: 1 });
  const rows = tableRows({
    columns,
    key,
    cellOf: (cell: SqliteValue) => (isValue(cell) ? cell : undefined),
    cells: 'a string, a number, a bigint, bytes or null',
  });
  const insert = insertInto(quoted(table), rows, `(${rows.names.map(() => '?').join()})`);
  return transactionSink({
    name,
    pendingMax,
    rowOf: rows.rowOf,
    async connect(sinkId) {
      const database = resultWith('open', open(), ['exec', 'prepare', 'close']);
      try {
        return new SqliteTransactions(database, { name, sinkId, insert, marks: quoted(marks) });
      } catch (error) {
        database.close();
        throw failed(name, error);
      }
    },
  });
};

const isValue = (cell: unknown): boolean =>
  cell === null || cell instanceof Uint8Array || ['string', 'number', 'bigint'].includes(typeof cell);

const failed = (name: string, cause: unknown): unknown =>
  cause instanceof StreamError
    ? cause
    : new StreamError('SINK_FAILED', `sink "${name}": ${messageOf(cause)}`, { cause, retryable: mayMend(cause) });

interface SessionOptions {
  readonly name: string;
  readonly sinkId: string;
  readonly insert: string;
  readonly marks: string;
}

class SqliteTransactions implements EpochTransactions<SqliteRow> {
  readonly #database: SqliteDatabase;
  readonly #options: SessionOptions;
  readonly #insert: SqliteStatement;
  readonly #select: SqliteStatement;
  readonly #mark: SqliteStatement;
  #closed = false;

  constructor(database: SqliteDatabase, options: SessionOptions) {
    const { insert, marks } = options;
    this.#database = database;
    this.#options = options;
    database.exec(`CREATE TABLE IF NOT EXISTS ${marks} (sink_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL)`);
    this.#insert = database.prepare(insert);
    this.#select = database.prepare(`SELECT epoch FROM ${marks} WHERE sink_id = ?`);
    this.#mark = database.prepare(
      `INSERT INTO ${marks} (sink_id, epoch) VALUES (?, ?) ON CONFLICT (sink_id) DO UPDATE SET epoch = excluded.epoch`,
    );
  }

  async marked(): Promise<number> {
    try {
      return this.#marked();
    } catch (error) {
      throw failed(this.#options.name, error);
    }
  }

  async write(epoch: number, rows: readonly SqliteRow[], signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    let begun = false;
    try {
      // Takes the lock at once, so nobody sets the mark between the look at it and the rows. From here to the end
      // nobody else of this process runs: who waited for the lock would block the event loop that is to give it back.
      this.#database.exec('BEGIN IMMEDIATE');
      begun = true;
      const found = this.#marked();
      if (found < epoch) {
        for (const row of rows) this.#insert.run(...row);
        this.#mark.run(this.#options.sinkId, epoch);
      }
      this.#database.exec('COMMIT');
      return found;
    } catch (error) {
      if (begun) this.#rollBack();
      throw failed(this.#options.name, error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#database.close();
  }

  #marked(): number {
    const row = this.#select.get(this.#options.sinkId);
    return typeof row === 'object' && row !== null ? Number(Reflect.get(row, 'epoch')) : 0;
  }

  /** Some failures have rolled back already, and then this one says nothing new. */
  #rollBack(): void {
    try {
      this.#database.exec('ROLLBACK');
    } catch {}
  }
}
