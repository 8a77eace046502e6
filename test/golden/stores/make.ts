/**
 * Makes the golden store of this version: `node --import tsx test/golden/stores/make.ts`. Run it once for each version
 * that is released, before it is, and commit what it writes; a store that is there already is never made again.
 */
import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { coveredCount, Life, readCount } from './pipeline.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { readonly version: string };
const target = fileURLToPath(new URL(`./${version}`, import.meta.url));
if (await stat(target).catch(() => undefined))
  throw new Error(`${target} is there already: remove it if its version was not released yet`);

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
};

const directory = await mkdtemp(join(tmpdir(), 'golden-'));
const life = new Life({ limit: coveredCount, openFrom: coveredCount });
const job = await life.start(join(directory, 'store'));
await until(() => life.calls.length === 2 * coveredCount && job.status.state === 'running');
await new Promise((resolve) => setTimeout(resolve, 200)); // The ends of the runs are journaled.
await job.checkpoint();
life.limit = readCount;
await until(() => life.calls.length === 2 * readCount);
await job.cancel(); // Dies: turns, outcomes and open runs stand behind the checkpoint.
await cp(join(directory, 'store'), target, { recursive: true, filter: (path) => !/\/(LOCK|LOG|LOG\.old)$/.test(path) });
await rm(directory, { recursive: true });
process.stdout.write(`made ${target}\n`);
