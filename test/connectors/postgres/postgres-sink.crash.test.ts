/** A process that writes to PostgreSQL, killed with SIGKILL at random moments: each row stands there once, in order. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { delay, startExample } from '../../example-process.ts';
import { startPostgres } from './server.ts';

const kills = Number(process.env['MILLRACE_KILLS'] ?? 6);
const state = mkdtempSync(join(tmpdir(), 'millrace-postgres-crash-'));
const server = await startPostgres();
afterAll(async () => {
  await server?.stop();
  rmSync(state, { recursive: true, force: true });
});

test.skipIf(server === undefined)(`each row once over ${kills} kills`, async () => {
  if (server === undefined) return;
  const { rows, connection } = server;
  const records = kills * 1500;
  const job = ['--import', 'tsx', 'test/connectors/postgres/postgres-job.ts', state, String(records), connection.host];
  const start = () => startExample('', { command: [process.execPath, ...job] });
  await rows('CREATE TABLE numbers (at serial, n int); CREATE TABLE last (third int PRIMARY KEY, n int)');
  const numbers = async () => (await rows('SELECT n FROM numbers ORDER BY at')).flat();
  for (let kill = 0; kill < kills; kill += 1) {
    const { child, exit } = start();
    const before = (await numbers()).length;
    while (child.exitCode === null && (await numbers()).length === before) await delay(5);
    await delay(Math.random() * 150);
    child.kill('SIGKILL');
    expect((await exit).stderr).toBe('');
    const now = await numbers();
    expect(now).toEqual(now.map((_, n) => n));
  }
  const { code, stderr } = await start().exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(await numbers()).toEqual(Array.from({ length: records }, (_, n) => n));
  expect((await rows('SELECT n FROM last ORDER BY third')).flat()).toEqual([records - 3, records - 2, records - 1]);
});
