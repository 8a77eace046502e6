/**
 * Each released version has left a store whose job died; this version goes on with every one of them, and pays no call
 * twice.
 */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { coveredCount, Life, orders, readCount } from './pipeline.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const versions = (await readdir(here, { withFileTypes: true }))
  .filter((each) => each.isDirectory())
  .map(({ name }) => name);

const rows = orders.map(({ key, n }) => {
  const before = orders.filter((each) => each.key === key && each.n <= n);
  return `${key}:${n}:${before.length}:${before.reduce((sum, each) => sum + each.n, 0)}`;
});
const windows = [0, 6].flatMap((first) =>
  ['k0', 'k1', 'k2'].map((key) => {
    const inside = orders.filter((each) => each.key === key && each.n >= first && each.n < first + 6);
    return `${key}:${inside.reduce((sum, { n }) => sum + n, 0)}`;
  }),
);

test('this version has a store', async () => {
  const { version } = JSON.parse(await readFile(join(here, '../../../package.json'), 'utf8')) as {
    readonly version: string;
  };
  expect(versions).toContain(version);
});

test.each(versions)('%s: state, open work and the journal behind the checkpoint', async (version) => {
  const directory = await mkdtemp(join(tmpdir(), 'golden-'));
  await cp(join(here, version), directory, { recursive: true });
  const life = new Life({ limit: orders.length, openFrom: Number.POSITIVE_INFINITY });
  const job = await life.start(directory);
  await job.done;
  // What was committed before may come again, under its number.
  for (const [number, row] of life.rows) expect([number, row]).toEqual([number, rows[number]]);
  for (let number = coveredCount; number < orders.length; number += 1) expect(life.rows.get(number)).toBe(rows[number]);
  for (let number = 3; number < 6; number += 1) expect(windows).toContain(life.sums.get(number));
  expect(new Set([...life.sums.values()].filter((_, index) => index >= life.sums.size - 3))).toEqual(
    new Set(windows.slice(3)),
  );
  // Of the inputs that were read before, every call was journaled.
  expect(life.calls.map((call) => Number(call.split(' ')[1])).filter((n) => n < readCount)).toEqual([]);
  expect(life.calls.length).toBe(2 * (orders.length - readCount));
  const again = new Life({ limit: orders.length, openFrom: Number.POSITIVE_INFINITY });
  await (
    await again.start(directory)
  ).done;
  expect(again.calls).toEqual([]);
  await rm(directory, { recursive: true });
});
