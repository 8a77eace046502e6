/**
 * Reads the rows of a table in the order of some columns, page by page behind the cells of the last row. Keeps I9
 * (waits on the clock of the job) and I10 (pages are bounded, every wait takes the signal).
 */
import { sleep, type Clock } from '../../lib/core/clock.ts';
import type { SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import { StreamError } from '../../lib/core/errors.ts';
import type { Patience } from '../http/asking.ts';
import { quoted } from '../sql-table.ts';
import type { PostgresPosition, PostgresRecord } from './postgres.ts';
import type { Queries, Session, Table } from './session.ts';

export interface RowsOptions<T> {
  readonly session: Session;
  readonly name: string;
  /** What stands behind `FROM`. */
  readonly from: string;
  readonly order: readonly string[];
  readonly decode: (row: PostgresRecord) => T;
  /** Undefined: it ends where the rows end. */
  readonly pollMs: number | undefined;
  readonly lagMs: number;
  readonly pageRows: number;
  readonly clock: Clock;
  readonly patience: Patience;
}

/** Rows up to here may be read from then on, by the clock's `elapsed`. */
interface Bound {
  readonly newest: PostgresPosition;
  readonly dueMs: number;
}

/** So that a cell that became a text becomes the same cell again, whatever the role is set to. */
const begin = `BEGIN READ ONLY; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres';
SET LOCAL extra_float_digits = 1`;

export class RowsReader<T> implements SourceReader<T, PostgresPosition> {
  readonly #options: RowsOptions<T>;
  /** The columns, and their cells as texts, which keep what a number or a `Date` of JavaScript would lose. */
  readonly #columns: string;
  readonly #texts: string;
  #position: PostgresPosition;
  #bound: Bound | undefined;
  #ended = false;
  #sleeping = false;

  constructor(options: RowsOptions<T>, position: PostgresPosition) {
    const { order, name } = options;
    if (position.length > 0 && position.length !== order.length)
      throw new StreamError(
        'SOURCE_FAILED',
        `source "${name}": its position is not one of the columns ${order.join()}`,
        {
          retryable: false,
          hint: '`order` has changed; give the source another uid to read from the start',
        },
      );
    this.#options = options;
    this.#position = position;
    const columns = order.map((column) => `millrace.${quoted(column)}`);
    this.#columns = columns.join();
    this.#texts = columns.map((column) => `${column}::text`).join();
  }

  get waiting(): boolean {
    return this.#sleeping;
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, PostgresPosition> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#ended) return undefined;
      const page = await this.#page(signal).catch(async (error: unknown) => {
        await this.#waiting(this.#options.patience.failed(error, signal));
        return 'failed' as const;
      });
      if (page === 'failed') continue;
      this.#options.patience.succeeded();
      if (page !== undefined && page.rows.length > 0) return this.#batchOf(page);
      const { pollMs, clock } = this.#options;
      if (pollMs === undefined) this.#ended = true;
      else await this.#waiting(sleep(clock, pollMs, signal));
    }
  }

  end(): void {
    this.#ended = true;
  }

  close(): Promise<void> {
    return this.#options.session.close();
  }

  /** Undefined when there is nothing new. */
  async #page(signal: AbortSignal): Promise<Table | undefined> {
    const { session, lagMs, clock, pageRows } = this.#options;
    if (lagMs > 0) {
      this.#bound ??= await this.#observed(signal);
      if (this.#bound === undefined) return undefined;
      const waitMs = this.#bound.dueMs - clock.elapsed();
      if (waitMs > 0) await this.#waiting(sleep(clock, waitMs, signal));
    }
    const page = await session.use(signal, (queries) => this.#select(queries));
    if (page.rows.length < pageRows) this.#bound = undefined;
    return page;
  }

  /** What is the newest row now may be read later; undefined when all was read. */
  async #observed(signal: AbortSignal): Promise<Bound | undefined> {
    const { session, from, clock, lagMs } = this.#options;
    const descending = this.#columns.replaceAll(',', ' DESC,');
    const text = `SELECT ${this.#texts} FROM ${from} ORDER BY ${descending} DESC LIMIT 1`;
    const { rows } = await session.use(signal, (queries) => transaction(queries, text, []));
    const [row] = rows;
    const newest = row === undefined ? this.#position : this.#tuple(row);
    if (isSame(newest, this.#position)) return undefined;
    return { newest, dueMs: clock.elapsed() + lagMs };
  }

  /** One row more than a page has: it tells whether the last one can be told from it. */
  async #select(queries: Queries): Promise<Table> {
    const { from, pageRows, order } = this.#options;
    const places = (at: number): string => order.map((_, index) => `$${at + index + 1}`).join();
    const values = [...this.#position];
    const limits = values.length === 0 ? [] : [`(${this.#columns}) > (${places(0)})`];
    if (this.#bound !== undefined) {
      limits.push(`(${this.#columns}) <= (${places(values.length)})`);
      values.push(...this.#bound.newest);
    }
    const where = limits.length === 0 ? '' : ` WHERE ${limits.join(' AND ')}`;
    const text = `SELECT millrace.*, ${this.#texts} FROM ${from}${where} ORDER BY ${this.#columns} LIMIT ${pageRows + 1}`;
    const { names, rows } = await transaction(queries, text, values);
    const tuples = rows.map((row) => this.#tuple(row));
    const same = tuples.findIndex((tuple, at) => at > 0 && isSame(tuple, tuples[at - 1]));
    if (same >= 0) throw this.#refusal(`two rows have the same ${order.join()}: ${tuples[same]?.join()}`);
    return { names, rows: rows.slice(0, pageRows) };
  }

  #batchOf({ names, rows }: Table): SourceBatch<T, PostgresPosition> {
    const before = this.#position;
    const columns = names.slice(0, names.length - this.#options.order.length);
    const values = rows.map((row) =>
      this.#options.decode(Object.fromEntries(columns.map((column, at) => [column, row[at]]))),
    );
    const positions = rows.map((row) => this.#tuple(row));
    this.#position = positions.at(-1) ?? before;
    return { values, position: (count) => positions[count - 1] ?? before };
  }

  /** The texts of the columns, which stand last. */
  #tuple(row: readonly unknown[]): readonly string[] {
    const { order } = this.#options;
    return row.slice(-order.length).map((cell, at) => {
      if (typeof cell === 'string') return cell;
      throw this.#refusal(`there is a row whose ${order[at]} is null`);
    });
  }

  #refusal(what: string): StreamError {
    return new StreamError('SOURCE_FAILED', `source "${this.#options.name}": ${what}`, {
      retryable: false,
      hint: 'the columns of `order` together are different for all rows, and none of them is null',
    });
  }

  async #waiting(wait: Promise<void>): Promise<void> {
    this.#sleeping = true;
    try {
      await wait;
    } finally {
      this.#sleeping = false;
    }
  }
}

const isSame = (tuple: PostgresPosition, other: PostgresPosition = []): boolean =>
  tuple.length === other.length && tuple.every((cell, part) => cell === other[part]);

const transaction = async (queries: Queries, text: string, values: readonly unknown[]): Promise<Table> => {
  await queries.query(begin);
  const table = await queries.table(text, values);
  await queries.query('COMMIT');
  return table;
};
