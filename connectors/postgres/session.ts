/**
 * A connection to PostgreSQL that is made when it is used, and made anew when it was lost. Keeps I10: every statement
 * has a time, and ends with the signal.
 */
import type { Client } from 'pg';
import { messageOf, StreamError, type ErrorCode } from '../../lib/core/errors.ts';
import { refusal } from '../../lib/core/options.ts';
import { loadPackage } from '../../lib/core/package-loading.ts';
import { openedUntilAborted, untilAborted } from '../../lib/core/waits.ts';
import { quoted } from '../sql-table.ts';
import { cellTypes } from './cells.ts';
import type { PostgresConnection, PostgresName } from './postgres.ts';

/** A name as SQL reads it, whatever stands in it. */
export const quotedName = (option: string, name: PostgresName): string => {
  const parts = typeof name === 'string' ? [name] : name;
  const areNames = Array.isArray(parts) && parts.every((part) => typeof part === 'string' && part !== '');
  if (!areNames || parts.length > 2) throw refusal(option, 'the name of a table, or of a schema and a table', name);
  return parts.map(quoted).join('.');
};

export const checkConnection = (connection: string | PostgresConnection): void => {
  const isOne = typeof connection === 'string' ? connection !== '' : typeof connection === 'object' && connection;
  // What it is stays untold: a password may stand in it.
  if (!isOne)
    throw new TypeError("Expected `connection` to be a text like 'postgres://host/database', or options of it");
};

/** Classes of SQLSTATE that come back however often it is tried: what the server does not do, data, access, SQL. */
const lasting = new Set(['0A', '22', '23', '28', '3D', '3F', '42', '44']);

export const sqlState = (error: unknown): string => {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : '';
};

export interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** An answer whose columns may have the same name twice. */
export interface Table {
  readonly names: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

export interface Queries {
  /** Runs a statement; or several, without values, whose answers are let go of. */
  query(text: string, values?: readonly unknown[]): Promise<Answer>;
  /** Runs a statement that reads rows which become values. */
  table(text: string, values: readonly unknown[]): Promise<Table>;
}

export interface SessionOptions {
  readonly connection: string | PostgresConnection;
  /** Of a connection attempt and of each statement. */
  readonly timeoutMs: number;
  /** Says whose error it is: `sink "orders"`. */
  readonly owner: string;
  readonly code: ErrorCode;
}

export class Session {
  readonly #options: SessionOptions;
  #client: Client | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * Runs statements on the connection, from which a failure takes it away: with it the server ends the transaction that
   * was open, if there was one. Rejects with the reason of the signal, or with an error that says whether it may mend.
   */
  async use<R>(signal: AbortSignal, work: (queries: Queries) => Promise<R>): Promise<R> {
    signal.throwIfAborted();
    try {
      const client = (this.#client ??= await openedUntilAborted(this.#connect(), signal, end));
      const query = async (text: string, values: readonly unknown[] = []): Promise<Answer> =>
        client.query(text, [...values]);
      const table = async (text: string, values: readonly unknown[]): Promise<Table> => {
        const { types } = await packaged();
        const { fields, rows } = await client.query<unknown[]>({
          text,
          values: [...values],
          rowMode: 'array',
          types: cellTypes(types),
        });
        return { names: fields.map(({ name }) => name), rows };
      };
      return await untilAborted(work({ query, table }), signal);
    } catch (error) {
      await this.close();
      if (signal.aborted || error instanceof StreamError) throw error;
      throw this.#failed(error);
    }
  }

  /** May be called twice; what is used afterwards connects again. */
  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    // A statement that is under way ends with the socket, which is not waited for.
    if (client !== undefined) void end(client);
  }

  async #connect(): Promise<Client> {
    const { connection, timeoutMs } = this.#options;
    const { Client } = await packaged();
    const where = typeof connection === 'string' ? { connectionString: connection } : defined(connection);
    const client = new Client({
      ...where,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      keepAlive: true,
    });
    // Also of a connection that nobody uses just now.
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined;
    });
    await client.connect();
    return client;
  }

  #failed(cause: unknown): StreamError {
    const { owner, code } = this.#options;
    const state = sqlState(cause);
    const details = state === '' ? {} : { details: { sqlState: state } };
    const retryable = !(lasting.has(state.slice(0, 2)) || cause instanceof TypeError);
    return new StreamError(code, `${owner}: ${messageOf(cause)}`, { cause, retryable, ...details });
  }
}

const packaged = () => loadPackage('pg', 'PostgreSQL connectors', () => import('pg'));

/** What was given: `pg` takes what is undefined for said. */
const defined = (connection: PostgresConnection): PostgresConnection =>
  Object.fromEntries(Object.entries(connection).filter(([, value]) => value !== undefined));

const end = async (client: Client): Promise<void> => {
  try {
    await client.end();
  } catch {} // It is over either way.
};
