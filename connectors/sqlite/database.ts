/** What is used of a SQLite database: the shape that better-sqlite3, libsql and `DatabaseSync` of node:sqlite share. */
export type SqliteValue = string | number | bigint | Uint8Array | null;

export interface SqliteStatement {
  /** Runs it with these values in the places of `?`. */
  run(...values: SqliteValue[]): unknown;
  /** The first row, as an object by column; undefined when there is none. */
  get(...values: SqliteValue[]): unknown;
  /** All rows. */
  all(...values: SqliteValue[]): unknown[];
}

export interface SqliteDatabase {
  /** Runs SQL that gives no rows. */
  exec(sql: string): unknown;
  /** Makes a statement that may be run many times. */
  prepare(sql: string): SqliteStatement;
  /** Ends the connection. */
  close(): unknown;
}

/** Result codes that come back however often it is tried: a mistake in SQL, a constraint, what is no database. */
const lasting = new Map([
  [1, 'SQLITE_ERROR'],
  [8, 'SQLITE_READONLY'],
  [11, 'SQLITE_CORRUPT'],
  [19, 'SQLITE_CONSTRAINT'],
  [20, 'SQLITE_MISMATCH'],
  [25, 'SQLITE_RANGE'],
  [26, 'SQLITE_NOTADB'],
]);

/** Whether another attempt can help, as far as the error of a driver says it: by a word in `code`, or by `errcode`. */
export const mayMend = (error: unknown): boolean => {
  if (typeof error !== 'object' || error === null) return true;
  const number: unknown = Reflect.get(error, 'errcode');
  if (typeof number === 'number') return !lasting.has(number & 0xff);
  const code: unknown = Reflect.get(error, 'code');
  if (typeof code !== 'string') return true;
  return ![...lasting.values()].some((word) => code === word || code.startsWith(`${word}_`));
};
