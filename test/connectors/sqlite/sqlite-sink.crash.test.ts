/** A process that writes to SQLite, killed with SIGKILL at random moments: each row stands there once, in order. */
import Database from 'libsql';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { delay, startExample } from '../../example-process.ts';

const kills = Number(process.env['MILLRACE_KILLS'] ?? 6);
const root = mkdtempSync(join(tmpdir(), 'millrace-sqlite-crash-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const records = kills * 1500;
const command = ['--import', 'tsx', 'test/connectors/sqlite/sqlite-job.ts', root, String(records)] as const;
const start = () => startExample('', { command: [process.execPath, ...command] });

test(`each row once over ${kills} kills`, async () => {
  const database = new Database(join(root, 'out.db'));
  // So that reading holds up no writer, nor the other way round.
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('CREATE TABLE numbers (n INTEGER); CREATE TABLE last (third INTEGER PRIMARY KEY, n INTEGER)');
  // The columns are integers.
  const numbers = () => database.prepare('SELECT n FROM numbers ORDER BY rowid').raw().all().flat() as number[];
  for (let kill = 0; kill < kills; kill += 1) {
    const { child, exit } = start();
    const before = numbers().length;
    while (child.exitCode === null && numbers().length === before) await delay(5);
    await delay(Math.random() * 150);
    child.kill('SIGKILL');
    expect((await exit).stderr).toBe('');
    const now = numbers();
    expect(now).toEqual(now.map((_, n) => n));
  }
  const { code, stderr } = await start().exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(numbers()).toEqual(Array.from({ length: records }, (_, n) => n));
  const last = database.prepare('SELECT n FROM last ORDER BY third').raw().all().flat();
  expect(last).toEqual([records - 3, records - 2, records - 1]);
  database.close();
});
