/**
 * `npm run bench -- --beside flink`: the same pipelines in Flink 2.2.1, one slot with object reuse, and in Millrace, in
 * turn on this machine, each in a process of its own. Needs Maven and Java 17 or newer. Flink's keyBy is an exchange
 * between two threads, so its slot uses up to two processors where Millrace uses one: both ratios are printed, by
 * events a second and by CPU time an event of the whole process.
 */
import { execFile, fork, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { median, short } from './case.ts';

export interface Workload {
  readonly pipeline: 'map-filter' | 'ten-stateless' | 'keyed-count' | 'two-stage' | 'tumbling' | 'session';
  readonly keys?: number | undefined;
  readonly checkpointMs?: number | undefined;
  readonly warmSeconds: number;
  /** Length of a measured segment. */
  readonly seconds: number;
  readonly segments: number;
}

export interface Measurement {
  /** Records that the source has made. */
  readonly perSecond: number;
  /** CPU time of the whole process for each of them, in nanoseconds. */
  readonly cpuNs: number;
  /** Records that have reached the sink: nothing is measured that does nothing. */
  readonly results: number;
}

interface BesideRow {
  readonly name: string;
  readonly workload: Pick<Workload, 'pipeline' | 'keys' | 'checkpointMs'>;
  /** How many times Flink's CPU time an event ours is to be less than. */
  readonly aim: number;
}

const kept = { checkpointMs: 1000 } as const;

const rows: readonly BesideRow[] = [
  { name: 'map + filter', workload: { pipeline: 'map-filter' }, aim: 1.3 },
  { name: '10 stateless', workload: { pipeline: 'ten-stateless' }, aim: 2 },
  { name: 'keyed count, 10k', workload: { pipeline: 'keyed-count', keys: 10_000 }, aim: 3 },
  { name: 'keyed count, 100k', workload: { pipeline: 'keyed-count', keys: 100_000 }, aim: 3 },
  { name: 'tumbling, 10k', workload: { pipeline: 'tumbling', keys: 10_000 }, aim: 2 },
  { name: 'tumbling, 100k', workload: { pipeline: 'tumbling', keys: 100_000 }, aim: 1.5 },
  { name: 'two stages, 10k', workload: { pipeline: 'two-stage', keys: 10_000 }, aim: 2 },
  { name: 'session, 10k', workload: { pipeline: 'session', keys: 10_000 }, aim: 2 },
  { name: 'keyed count, 10k, checkpoint 1 s', workload: { pipeline: 'keyed-count', keys: 10_000, ...kept }, aim: 2 },
  { name: 'keyed count, 100k, checkpoint 1 s', workload: { pipeline: 'keyed-count', keys: 100_000, ...kept }, aim: 2 },
  { name: 'tumbling, 10k, checkpoint 1 s', workload: { pipeline: 'tumbling', keys: 10_000, ...kept }, aim: 1.5 },
  { name: 'tumbling, 100k, checkpoint 1 s', workload: { pipeline: 'tumbling', keys: 100_000, ...kept }, aim: 1.5 },
];

/** How many times Flink on RocksDB by events a second, wherever there are checkpoints. */
const rocksAim = 10;
const rounds = 2;

/** What Flink's own scripts open to it of the Java it runs on. */
const opened = [
  'lang',
  'net',
  'io',
  'nio',
  'util',
  'util.concurrent',
  'util.concurrent.atomic',
  'util.concurrent.locks',
  'time',
  'text',
];

/** Compiles the Flink side where that has not been done. Gives the class path. */
const buildFlink = async (root: string): Promise<string> => {
  // Where the compiled bench is too: nothing of it is committed.
  const built = `${root}node_modules/.cache/millrace-bench-flink`;
  const classPathFile = `${built}/class-path.txt`;
  if (!existsSync(classPathFile)) {
    const goals = [
      '-q',
      '-B',
      'compile',
      'dependency:build-classpath',
      `-Dmdep.outputFile=${classPathFile}`,
      `-Dbuild.folder=${built}`,
    ];
    await promisify(execFile)('mvn', goals, { cwd: `${root}test/bench/flink` }).catch((cause: unknown) => {
      throw new Error('the Flink side could not be built: it needs Maven, Java 17 or newer and Maven Central', {
        cause,
      });
    });
  }
  return `${built}/classes:${(await readFile(classPathFile, 'utf8')).trim()}`;
};

const runFlink = (
  classPath: string,
  workload: Workload,
  backend: 'hashmap' | 'rocksdb',
): Promise<readonly Measurement[]> =>
  new Promise((resolve, reject) => {
    const { pipeline, keys = 10_000, checkpointMs = 0, warmSeconds, seconds, segments } = workload;
    const opens = opened.flatMap((name) => ['--add-opens', `java.base/java.${name}=ALL-UNNAMED`]);
    const settings = [`keys=${keys}`, `checkpointMs=${checkpointMs}`, `backend=${backend}`, `warm=${warmSeconds}`];
    const measuring = [`seconds=${seconds}`, `segments=${segments}`];
    const machine = ['-Xms2g', '-Xmx2g', '-XX:+AlwaysPreTouch', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'];
    const java = spawn('java', [
      ...machine,
      ...opens,
      '-cp',
      classPath,
      'bench.Beside',
      pipeline,
      ...settings,
      ...measuring,
    ]);
    let [out, errors] = ['', ''];
    java.stdout.on('data', (data) => (out += String(data)));
    java.stderr.on('data', (data) => (errors += String(data)));
    java.on('error', reject);
    java.on('exit', (code) => {
      const lines = out.split('\n').filter((line) => line.startsWith('{'));
      if (lines.length < segments) reject(new Error(`Flink ended with code ${code}: ${errors.slice(0, 2000)}`));
      else resolve(lines.map((line) => JSON.parse(line) as Measurement));
    });
  });

const runMillrace = (
  runner: string,
  workload: Workload,
  execArgv: readonly string[],
): Promise<readonly Measurement[]> =>
  new Promise((resolve, reject) => {
    const child = fork(runner, [JSON.stringify(workload)], { execArgv: [...execArgv] });
    let measured: readonly Measurement[] | undefined;
    child.on('message', (message) => (measured = message as readonly Measurement[])); // It sends nothing else.
    child.on('error', reject);
    child.on('exit', (code) =>
      measured === undefined ? reject(new Error(`a segment ended with code ${code}`)) : resolve(measured),
    );
  });

interface Side {
  readonly perSecond: number;
  readonly cpuNs: number;
}

const sideOf = (measurements: readonly Measurement[]): Side => {
  if (measurements.some(({ perSecond }) => !(perSecond > 0))) throw new Error('a segment has measured nothing');
  return {
    perSecond: median(measurements.map((each) => each.perSecond)),
    cpuNs: median(measurements.map((each) => each.cpuNs)),
  };
};

const columns = (cells: readonly string[]): string =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(index > 6 ? 9 : 12))).join(' ');

const rowText = (row: BesideRow, ours: Side, heap: Side, rocks: Side | undefined): string => {
  const [byTime, byCpu] = [ours.perSecond / heap.perSecond, heap.cpuNs / ours.cpuNs];
  const byRocks = rocks === undefined ? undefined : ours.perSecond / rocks.perSecond;
  const met = byCpu >= row.aim && byTime >= 1 && (byRocks === undefined || byRocks >= rocksAim);
  const ofRocks =
    rocks === undefined || byRocks === undefined ? ['', ''] : [short(rocks.perSecond), `${byRocks.toFixed(1)}x`];
  const times = [short(heap.perSecond), short(ours.perSecond), `${byTime.toFixed(2)}x`];
  const cpus = [`${heap.cpuNs.toFixed(0)} ns`, `${ours.cpuNs.toFixed(0)} ns`, `${byCpu.toFixed(2)}x`];
  return columns([row.name, ...times, ...cpus, ...ofRocks, `${row.aim}x`, met ? 'met' : 'MISSED']);
};

export interface BesideOptions {
  readonly root: string;
  /** Runs a segment of Millrace: the file, and how node is called. */
  readonly runner: string;
  readonly execArgv: readonly string[];
  /** Part of the names of the rows to run. */
  readonly only: string;
  readonly quick: boolean;
}

/** Runs the rows and prints each when it is done. */
export const besideFlink = async ({ root, runner, execArgv, only, quick }: BesideOptions): Promise<void> => {
  const classPath = await buildFlink(root);
  const lengths = quick ? { warmSeconds: 1, seconds: 1, segments: 1 } : { warmSeconds: 5, seconds: 2, segments: 2 };
  const head = [
    'events/s: Flink',
    'Millrace',
    'ratio',
    'CPU: Flink',
    'Millrace',
    'ratio',
    'RocksDB',
    'ratio',
    'aim',
    '',
  ];
  console.log(columns(['', ...head]));
  for (const row of rows.filter(({ name }) => name.includes(only))) {
    const workload = { ...row.workload, ...lengths };
    const found: { ours: Measurement[]; heap: Measurement[]; rocks: Measurement[] } = { ours: [], heap: [], rocks: [] };
    for (let round = quick ? 1 : rounds; round > 0; round -= 1) {
      found.heap.push(...(await runFlink(classPath, workload, 'hashmap')));
      found.ours.push(...(await runMillrace(runner, workload, execArgv)));
      if (workload.checkpointMs !== undefined) found.rocks.push(...(await runFlink(classPath, workload, 'rocksdb')));
    }
    const rocks = found.rocks.length === 0 ? undefined : sideOf(found.rocks);
    console.log(rowText(row, sideOf(found.ours), sideOf(found.heap), rocks));
  }
};
