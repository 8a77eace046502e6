/**
 * A process that reads a directory and writes parts and a CSV file, killed with SIGKILL at random moments and started
 * again: every record stands in the output once, and nobody ever sees half a part.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { delay, startExample } from '../../example-process.ts';

const kills = Number(process.env['MILLRACE_KILLS'] ?? 6);
const root = mkdtempSync(join(tmpdir(), 'millrace-files-crash-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const [files, perFile] = [kills, 1000];
const records = Array.from({ length: files * perFile }, (_, n) => n);

const start = () =>
  startExample('', { command: [process.execPath, '--import', 'tsx', 'test/connectors/files/files-job.ts', root] });

const partsNow = (): Map<string, number[]> => {
  const parts = new Map<string, number[]>();
  if (!existsSync(join(root, 'parts'))) return parts;
  for (const entry of readdirSync(join(root, 'parts'), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || path.includes('/.')) continue;
    const text = readFileSync(path, 'utf8');
    expect(text.endsWith('\n')).toBe(true);
    const lines = text.split('\n').slice(0, -1);
    parts.set(path, lines.map((line) => (JSON.parse(line) as { readonly n: number }).n));
  }
  return parts;
};

test(`each record once over ${kills} kills`, async () => {
  mkdirSync(join(root, 'in'));
  for (let file = 0; file < files; file += 1) {
    const lines = records.slice(file * perFile, (file + 1) * perFile).map((n) => `{"n":${n}}\n`);
    const [ending, content] = file % 2 === 0 ? ['', lines.join('')] : ['.gz', gzipSync(lines.join(''))];
    writeFileSync(join(root, 'in', `${file}.jsonl${ending}`), content);
  }
  let seen = new Map<string, number[]>();
  for (let kill = 0; kill < kills; kill += 1) {
    const { child, exit } = start();
    const before = partsNow().size;
    while (child.exitCode === null && partsNow().size === before) await delay(5);
    await delay(Math.random() * 150);
    child.kill('SIGKILL');
    expect((await exit).stderr).toBe('');
    // What was seen stays as it was.
    const now = partsNow();
    for (const [path, lines] of seen) expect(now.get(path)).toEqual(lines);
    seen = now;
  }
  const { code, stderr } = await start().exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect([...partsNow().values()].flat().toSorted((a, b) => a - b)).toEqual(records);
  expect(readFileSync(join(root, 'all.csv'), 'utf8')).toBe(`n\n${records.join('\n')}\n`);
  const [hidden = ''] = readdirSync(join(root, 'parts')).filter((name) => name.startsWith('.'));
  expect(readdirSync(join(root, 'parts', hidden))).toEqual([]);
});
