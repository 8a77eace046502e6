/** A PostgreSQL server of a test's own, in a directory that goes with it: where one is installed, else undefined. */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { Client } from 'pg';

export interface PostgresServer {
  /** Through a socket in this directory, as its owner. */
  readonly connection: { readonly host: string; readonly user: string; readonly database: string };
  /** Rows of a statement, each as a list of its cells. */
  rows(sql: string): Promise<readonly (readonly unknown[])[]>;
  stop(): Promise<void>;
}

/** Where `initdb` is: Debian keeps it beside the server and off the path. */
const programs = (): string | undefined => {
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'postgres'))
    .filter((path) => existsSync(path))
    .map((path) => dirname(realpathSync(path)));
  const packaged = '/usr/lib/postgresql';
  const versions = existsSync(packaged) ? readdirSync(packaged).map((version) => join(packaged, version, 'bin')) : [];
  return [...onPath, ...versions].find((directory) => existsSync(join(directory, 'initdb')));
};

/** The server refuses to run as root, so it runs as somebody else then. */
const owner = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const idOf = (option: string): number =>
      Number(execFileSync('id', [option, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
    try {
      return { uid: idOf('-u'), gid: idOf('-g') };
    } catch {} // There is nobody of this name.
  }
  return undefined;
};

const started = (bin: string, directory: string): void => {
  const who = owner();
  if (who !== undefined) chownSync(directory, who.uid, who.gid);
  const run = (program: string, ...parameters: string[]): void =>
    void execFileSync(join(bin, program), parameters, { cwd: directory, stdio: 'ignore', ...who });
  const data = join(directory, 'data');
  run('initdb', '-D', data, '-A', 'trust', '-U', 'millrace', '-E', 'UTF8', '--no-sync');
  const settings = `-k '${directory}' -c listen_addresses= -c fsync=off`;
  run('pg_ctl', 'start', '-D', data, '-w', '-o', settings, '-l', join(directory, 'log'));
};

export const startPostgres = async (): Promise<PostgresServer | undefined> => {
  const bin = programs();
  if (bin === undefined) {
    console.warn('No PostgreSQL server is installed: the tests that need one are skipped.');
    return undefined;
  }
  const directory = mkdtempSync(join(tmpdir(), 'millrace-postgres-'));
  started(bin, directory);
  const connection = { host: directory, user: 'millrace', database: 'postgres' };
  const client = new Client(connection);
  await client.connect();
  return {
    connection,
    rows: async (sql) => (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows,
    async stop() {
      await client.end();
      const who = owner();
      const parameters = ['stop', '-D', join(directory, 'data'), '-m', 'immediate', '-w'];
      execFileSync(join(bin, 'pg_ctl'), parameters, { cwd: directory, stdio: 'ignore', ...who });
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
