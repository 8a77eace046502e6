/**
 * `npm run bench`: runs the cases, each in a process of its own so that none disturbs another, and prints the table.
 * The processes run what `tsc` makes of the source, as a user's process does: `tsx` adds a call to each function that
 * is made, which costs more than some of what is measured. `--beside flink` runs the same pipelines in Flink, in turn
 * with ours. `--only NAME` runs the case of that name, or those whose names contain it; `--quick` runs tiny sizes in
 * this process, to see that nothing is broken; `--source` leaves out `tsc`, so that a profile shows the lines of the
 * source.
 */
import { execFile, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { besideFlink } from './beside.ts';
import { makeScale, type BenchCase, type Row } from './case.ts';
import { cases } from './cases.ts';
import { fsync } from './fsync.bench.ts';
import { headLine, rowLines, summary } from './table.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Inside `node_modules`, where packages are found and nothing is committed. */
const compiled = `${root}node_modules/.cache/millrace-bench`;

const { values: options } = parseArgs({
  options: {
    beside: { type: 'string' },
    only: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false },
    source: { type: 'boolean', default: false },
  },
});

if (options.beside !== undefined && options.beside !== 'flink')
  throw new TypeError(`Expected \`--beside\` to be flink, got \`${options.beside}\``);

const named = cases.filter(({ name }) => name === options.only);
const found = named.length > 0 ? named : cases.filter(({ name }) => name.includes(options.only));
if (found.length === 0 && options.beside === undefined)
  throw new TypeError(
    `Expected \`--only\` to be part of ${cases.map(({ name }) => name).join(', ')}, got \`${options.only}\``,
  );
// What a disk can do is printed beside whatever depends on it.
const chosen = found.includes(fsync) ? found : [fsync, ...found];

const compile = async (file: string): Promise<string> => {
  const tsc = [
    `${root}node_modules/typescript/bin/tsc`,
    '--noEmit',
    'false',
    '--declaration',
    'false',
    '--outDir',
    compiled,
    '--rootDir',
    root,
  ];
  // An error of types elsewhere does not keep it from writing; a missing file below does.
  await promisify(execFile)(process.execPath, tsc, { cwd: root }).catch(() => {});
  const runner = `${compiled}/test/bench/${file}.js`;
  if (!existsSync(runner)) throw new Error(`tsc did not write ${runner}`);
  // The examples import the library by its name.
  const own = { name: 'millrace', type: 'module', exports: { '.': './lib/index.js' } };
  await writeFile(`${compiled}/package.json`, JSON.stringify(own));
  return runner;
};

const inChild = (runner: string, { name }: BenchCase): Promise<readonly Row[]> =>
  new Promise((resolve, reject) => {
    const execArgv = ['--expose-gc', ...(options.source ? ['--import', 'tsx'] : ['--enable-source-maps'])];
    const child = fork(runner, [name], { execArgv, cwd: root });
    let rows: readonly Row[] | undefined;
    // run-case.ts sends its rows and nothing else.
    child.on('message', (message) => (rows = message as readonly Row[]));
    child.on('error', reject);
    child.on('exit', (code) =>
      rows === undefined ? reject(new Error(`case ${name} ended with code ${code}`)) : resolve(rows),
    );
  });

const run = async (each: BenchCase, runner: string | undefined): Promise<readonly Row[]> =>
  runner === undefined ? each.run(makeScale(true)) : inChild(runner, each);

const runnerOf = async (file: string): Promise<string> =>
  options.source ? fileURLToPath(new URL(`${file}.ts`, import.meta.url)) : compile(file);

if (options.beside === 'flink') {
  const execArgv = options.source ? ['--import', 'tsx'] : ['--enable-source-maps'];
  await besideFlink({
    root,
    runner: await runnerOf('beside-segment'),
    execArgv,
    only: options.only,
    quick: options.quick,
  });
  process.exit(0);
}

const runner = options.quick ? undefined : await runnerOf('run-case');
const all: Row[] = [];
console.log(headLine);
for (const each of chosen) {
  const rows = await run(each, runner);
  all.push(...rows);
  for (const line of rows.flatMap(rowLines)) console.log(line);
}
console.log(summary(all));
