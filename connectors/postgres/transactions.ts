/** Writes the rows of an epoch to PostgreSQL together with its mark. Keeps I7 (one transaction for both). */
import { StreamError } from '../../lib/core/errors.ts';
import { encodeText } from '../../lib/core/serde.ts';
import { insertInto } from '../sql-table.ts';
import type { EpochTransactions } from '../transaction-sink.ts';
import type { PostgresRow } from './postgres.ts';
import { sqlState, type Queries, type Session } from './session.ts';

export interface TransactionsOptions {
  readonly session: Session;
  readonly sinkId: string;
  /** Names as SQL reads them. */
  readonly table: string;
  readonly marks: string;
  readonly columns: { readonly names: readonly string[]; readonly key: readonly string[] };
}

/** The protocol counts the values of a statement with 16 bits. */
const valuesMax = 65_535;
/** More rows in a statement make it no faster, and it holds the event loop while it is written. */
const rowsMax = 1000;

/**
 * At this level of isolation a statement sees what was committed while it waited. What is committed is on the server's
 * disk, whatever the role is set to: the checkpoint forgets the rows then.
 */
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`;

export class PostgresTransactions implements EpochTransactions<PostgresRow> {
  readonly #options: TransactionsOptions;
  readonly #rowsMax: number;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.#rowsMax = Math.min(rowsMax, Math.floor(valuesMax / options.columns.names.length));
  }

  async marked(signal: AbortSignal): Promise<number> {
    const { session, sinkId, marks } = this.#options;
    return session.use(signal, async (queries) => {
      await makeMarks(queries, marks);
      return epochOf(await queries.query(`SELECT epoch FROM ${marks} WHERE sink_id = $1`, [sinkId]));
    });
  }

  async write(epoch: number, rows: readonly PostgresRow[], signal: AbortSignal): Promise<number> {
    try {
      return await this.#write(epoch, this.#newest(rows), this.#rowsMax, signal);
    } catch (error) {
      // Two rows of a statement have one key for the server that are told apart here, such as two spellings of a name.
      if (!(error instanceof StreamError) || sqlState(error.cause) !== '21000') throw error;
      return this.#write(epoch, rows, 1, signal);
    }
  }

  close(): Promise<void> {
    return this.#options.session.close();
  }

  /**
   * The mark is there before it is looked at, so that there is a row to lock: whoever writes for this sink waits for a
   * transaction that was left behind by a process that was killed, and sees what came of it.
   */
  async #write(epoch: number, rows: readonly PostgresRow[], size: number, signal: AbortSignal): Promise<number> {
    const { session, sinkId, marks } = this.#options;
    return session.use(signal, async (queries) => {
      await queries.query(begin);
      await queries.query(`INSERT INTO ${marks} (sink_id, epoch) VALUES ($1, 0) ON CONFLICT (sink_id) DO NOTHING`, [
        sinkId,
      ]);
      const found = epochOf(await queries.query(`SELECT epoch FROM ${marks} WHERE sink_id = $1 FOR UPDATE`, [sinkId]));
      if (found < epoch) {
        for (let at = 0; at < rows.length; at += size) await this.#insert(queries, rows.slice(at, at + size));
        await queries.query(`UPDATE ${marks} SET epoch = $2 WHERE sink_id = $1`, [sinkId, epoch]);
      }
      await queries.query('COMMIT');
      return found;
    });
  }

  async #insert(queries: Queries, rows: readonly PostgresRow[]): Promise<void> {
    const { table, columns } = this.#options;
    let place = 0;
    const places = rows.map((row) => `(${row.map(() => `$${(place += 1)}`).join()})`).join();
    await queries.query(insertInto(table, columns, places), rows.flat(1));
  }

  /** A statement may change a row once, so of the rows with one key the last is written. */
  #newest(rows: readonly PostgresRow[]): readonly PostgresRow[] {
    const { names, key } = this.#options.columns;
    if (key.length === 0) return rows;
    const places = key.map((column) => names.indexOf(column));
    const newest = new Map<unknown, PostgresRow>();
    for (const row of rows) {
      const cells = places.map((place) => row[place]);
      // A key with null in it is the key of no other row.
      const id = cells.includes(null) ? row : encodeText(cells);
      newest.delete(id);
      newest.set(id, row);
    }
    return [...newest.values()];
  }
}

const epochOf = ({ rows }: { readonly rows: readonly Readonly<Record<string, unknown>>[] }): number =>
  Number(rows[0]?.['epoch'] ?? 0);

/** Looked for first: who may write need not be allowed to make a table. */
const makeMarks = async (queries: Queries, marks: string): Promise<void> => {
  const isThere = async (): Promise<boolean> => {
    const { rows } = await queries.query('SELECT to_regclass($1)::text AS found', [marks]);
    return typeof rows[0]?.['found'] === 'string';
  };
  if (await isThere()) return;
  try {
    await queries.query(`CREATE TABLE IF NOT EXISTS ${marks} (sink_id text PRIMARY KEY, epoch bigint NOT NULL)`);
  } catch (error) {
    // When two make it at once, one of them is told so in several ways.
    if (!(await isThere())) throw error;
  }
};
