/** What sinks to tables of SQL share: names, the options of columns, and the statement that writes rows. */
import { callable, refusal, refusedResult } from '../lib/core/options.ts';

/** A name as SQL reads it, whatever stands in it. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What goes to each column, and how a value is told from what is none. */
export interface TableOptions<T, V> {
  readonly columns: Readonly<Record<string, (value: T) => V>>;
  readonly key: readonly string[];
  /** The cell as it is kept; undefined for what is no value of the database. */
  readonly cellOf: (cell: V) => V | undefined;
  /** What a cell may be, in words. */
  readonly cells: string;
}

export interface TableRows<T, V> {
  readonly names: readonly string[];
  readonly key: readonly string[];
  /** The cells in the order of the names. Throws a `TypeError` for what can not be stored. */
  rowOf(value: T): readonly V[];
}

/** Checks the options of columns. */
export const tableRows = <T, V>({ columns, key, cellOf, cells }: TableOptions<T, V>): TableRows<T, V> => {
  const entries = typeof columns === 'object' && columns !== null ? Object.entries(columns) : [];
  if (entries.length === 0) throw refusal('columns', 'a function for at least one column', columns);
  for (const [column, cell] of entries) callable(`columns.${column}`, cell);
  const names = entries.map(([column]) => column);
  if (!Array.isArray(key)) throw refusal('key', 'a list of columns', key);
  for (const column of key) if (!names.includes(column)) throw refusal('key', `among ${names.join(', ')}`, column);
  const checked = (column: string, cell: V): V => {
    const kept = cellOf(cell);
    if (kept !== undefined) return kept;
    throw refusedResult(`columns.${column}`, cells, cell);
  };
  return { names, key, rowOf: (value) => entries.map(([column, cell]) => checked(column, cell(value))) };
};

/** Writes rows; one takes the place of that with its key. `places` stands for the cells, `(?,?)` say. */
export const insertInto = (
  table: string,
  { names, key }: Pick<TableRows<never, never>, 'names' | 'key'>,
  places: string,
): string => {
  const into = `INSERT INTO ${table} (${names.map(quoted).join()}) VALUES ${places}`;
  if (key.length === 0) return into;
  const rest = names.filter((each) => !key.includes(each)).map((each) => `${quoted(each)} = excluded.${quoted(each)}`);
  return `${into} ON CONFLICT (${key.map(quoted).join()}) DO ${rest.length === 0 ? 'NOTHING' : `UPDATE SET ${rest.join()}`}`;
};
