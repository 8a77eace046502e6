/**
 * Parts of a state directory are exchanged for older copies of themselves, or lose or change a byte: each part is whole
 * by itself or nearly so, and the next start says what is wrong instead of making paid calls again or beginning from
 * nothing.
 */
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agent, InputEvent, OutputEvent, StreamExecutionEnvironment, callbackSink } from 'millrace';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from './story.ts';

let root = '';
let calls: string[] = [];
/** No call ends before the first copy is made. */
let open = (): void => {};
const gate = new Promise<void>((resolve) => (open = resolve));
/** Copies of the directory: before the last checkpoint, behind it, and as the job has left it with an open run. */
const copies = ['before', 'behind', 'end'] as const;

const start = async (directory: string, finishes: boolean) => {
  const env = StreamExecutionEnvironment.create({ checkpoint: { directory, interval: '1h' }, logger: 'silent' });
  const clerk = agent<number, number>('clerk').on(InputEvent, async ({ input }, ctx) => {
    for (const step of [1, 2])
      await ctx.durableExecute(`step${step}`, () => gate.then(() => void calls.push(`${input}.${step}`)));
    if (input > 2 && !finishes) await new Promise(() => {});
    await ctx.durableExecute('last', () => void calls.push(`${input}.last`));
    ctx.sendEvent(new OutputEvent(input));
  });
  env
    .fromCollection([1, 2, 3, 4])
    .keyBy((value) => value)
    .applyAgent(clerk)
    .sinkTo(callbackSink(() => {}));
  return env.executeAsync('office');
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'older-copy-'));
  const directory = join(root, 'job');
  const job = await start(directory, false);
  const copyTo = (name: (typeof copies)[number]): Promise<void> => cp(directory, join(root, name), { recursive: true });
  await until(() => job.status.state === 'running');
  await copyTo('before');
  open();
  await until(() => calls.includes('2.last') && calls.includes('4.2'));
  await job.checkpoint();
  await copyTo('behind');
  await job.cancel();
  await copyTo('end');
});
afterAll(() => rm(root, { recursive: true }));

/** A directory of its own, at the end of the job, with parts of earlier ones. */
const withParts = async (parts: Readonly<Record<string, (typeof copies)[number]>>): Promise<string> => {
  const directory = await mkdtemp(join(root, 'mixed-'));
  await cp(join(root, 'end'), directory, { recursive: true });
  for (const [part, copy] of Object.entries(parts)) {
    await rm(join(directory, part), { recursive: true });
    await cp(join(root, copy, part), join(directory, part), { recursive: true });
  }
  return directory;
};

const outcome = async (directory: string): Promise<unknown> => {
  calls = [];
  try {
    await (
      await start(directory, true)
    ).done;
    return [...calls].sort();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

const rest = ['3.last', '4.last'];

describe('an older copy', () => {
  test.each<[string, Readonly<Record<string, (typeof copies)[number]>>]>([
    ['of the journal', { journal: 'before' }],
    [
      'of the journal with its note: the checkpoint knows better',
      { journal: 'before', 'journal.acknowledged': 'before' },
    ],
    ['of the state', { state: 'before' }],
    ['of both, but not of what was acknowledged', { journal: 'before', state: 'before' }],
  ])('%s is refused, and nobody is called', async (_, parts) => {
    expect(await outcome(await withParts(parts))).toBe('STORE_DAMAGED');
    expect(calls).toEqual([]);
  });

  test('of the whole directory is a place to go on from', async () => {
    expect(await outcome(await withParts({}))).toEqual(rest);
    expect(
      await outcome(
        await withParts({
          state: 'behind',
          journal: 'behind',
          'state.acknowledged': 'behind',
          'journal.acknowledged': 'behind',
        }),
      ),
    ).toEqual(rest);
  });
});

test('a bit that flips in any file is refused, or changes nothing', async () => {
  const whole = join(root, 'end');
  const files = (await readdir(whole, { recursive: true })).filter((name) => !/(LOCK|LOG|LOG\.old)$/.test(name));
  let refused = 0;
  for (const [index, name] of files.entries()) {
    const bytes = await readFile(join(whole, name)).catch(() => Buffer.alloc(0)); // A directory.
    if (bytes.length === 0) continue;
    for (const share of [0, 0.3, 0.6, 0.999]) {
      const directory = await withParts({});
      const damaged = Buffer.from(bytes);
      const at = Math.floor(share * bytes.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (index % 8));
      await writeFile(join(directory, name), damaged);
      const found = await outcome(directory);
      if (Array.isArray(found)) expect([name, at, found]).toEqual([name, at, rest]);
      else
        expect([name, at, found]).toEqual([
          name,
          at,
          expect.stringMatching(/^(STORE_DAMAGED|STORE_FORMAT|VALUE_DAMAGED)$/),
        ]);
      refused += Array.isArray(found) ? 0 : 1;
      // What says who the job is and how far it was is refused at any bit.
      if (/millrace\.json|acknowledged|CURRENT|\.log$/.test(name))
        expect([name, at, found]).toEqual([name, at, 'STORE_DAMAGED']);
      await rm(directory, { recursive: true });
    }
  }
  expect(refused).toBeGreaterThan(16);
});

test('a directory can be entered by its owner alone, also where the one around it was there before', async () => {
  const directory = await mkdtemp(join(root, 'modes-'));
  for (const path of [join(directory, 'new', 'job'), directory]) {
    await (
      await start(path, true)
    ).done;
    for (const name of ['state', 'journal']) expect((await stat(join(path, name))).mode & 0o777).toBe(0o700);
    for (const name of ['millrace.json', 'state.acknowledged', 'journal.acknowledged'])
      expect((await stat(join(path, name))).mode & 0o777).toBe(0o600);
  }
  expect((await stat(join(directory, 'new'))).mode & 0o777).toBe(0o700);
});
