/** The benchmarks still run: tiny sizes of all of them, in one process. What they measure is not looked at. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { cases } from './bench/cases.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const bench = (...args: readonly string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', 'test/bench/main.ts', ...args], {
    cwd: root,
  });

test('every case runs and gives its rows', async () => {
  const { stdout } = await bench('--quick');
  const [head, ...lines] = stdout.trimEnd().split('\n');
  expect(head).toMatch(/^case +per s +loop x +figures +orientation$/);
  expect(lines.at(-1)).toMatch(/^\d+ of \d+ orientation values met$/);
  expect(lines.length - 1).toBeGreaterThanOrEqual(cases.length);
  for (const name of [
    '10 stateless operators',
    'keyed count, 10k keys, checkpoint 1 s',
    'tumbling window, 100k keys',
    'memory per busy key',
  ]) {
    expect(lines.some((line) => line.startsWith(name))).toBe(true);
  }
  expect(stdout).not.toMatch(/NaN|Infinity/);
});

test('a name that no case has is refused', async () => {
  await expect(bench('--only', 'nothing')).rejects.toThrow(/Expected `--only` to be part of fsync, map-filter/);
});
