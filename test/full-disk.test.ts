/** Risk 4 of the design review, on a real disk that is full: needs the right to mount one in memory. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  agent,
  decodeJournalEntry,
  exponentialDelay,
  InputEvent,
  journaledCalls,
  LevelStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  type EnvironmentOptions,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, freshDirectory, itemsOf, Ledger, once, Sluice, until, type Item } from './stories/story.ts';

const shell = promisify(execFile);

/** Whether this process may mount a small file system in memory. */
const mountable = await (async (): Promise<boolean> => {
  const point = await freshDirectory();
  return shell('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', point]).then(
    () => shell('umount', [point]).then(() => true),
    () => false,
  );
})();

describe('the disk of the state is full while the job runs', () => {
  const items = itemsOf(300, 20);
  const answers = items.map(({ id, n }) => `${id}:${n}:${`${n}:`.length + 10_500}`);

  /** An answer that no compression of the store makes small, so that the disk fills up however often it is tidied. */
  const noise = (n: number): string => {
    const block = (at: number): string => createHash('sha512').update(`${n}.${at}`).digest('base64');
    return Array.from({ length: 150 }, (_, at) => block(at))
      .join('')
      .slice(0, 10_500);
  };

  /** A small disk, most of which something else takes; what every call is, and how often it was made. */
  const onSmallDisk = async (
    story: (disk: {
      point: string;
      ballast: string;
      calls: Map<string, number>;
      ledger: Ledger<string>;
    }) => Promise<void>,
  ): Promise<void> => {
    const point = join(await freshDirectory(), 'disk');
    await mkdir(point);
    await shell('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'tmpfs', point]);
    try {
      const ballast = join(point, 'ballast');
      await writeFile(ballast, Buffer.alloc(4 * 2 ** 20));
      await story({ point, ballast, calls: new Map(), ledger: new Ledger() });
    } finally {
      await shell('umount', ['-l', point]);
    }
  };

  const start = (
    point: string,
    calls: Map<string, number>,
    ledger: Ledger<string>,
    restart: EnvironmentOptions['restart'] = once.restart,
  ): StreamExecutionEnvironment => {
    const storage = new LevelStorage(join(point, 'state'), { writeBufferBytes: 65_536 });
    const env = StreamExecutionEnvironment.create({
      ...once,
      restart,
      storage,
      checkpoint: { interval: 20 },
    });
    const made = (id: string): void => void calls.set(id, (calls.get(id) ?? 0) + 1);
    const keeping = agent<Item, string>('keeping').on(
      InputEvent,
      'keep',
      async (event: InputEvent<Item>, ctx) => {
        const { id, n } = event.input;
        const text = await ctx.durableExecute('ask', (_signal, call) => (made(call.id), `${n}:${noise(n)}`));
        await ctx.durableExecute('count', (_signal, call) => made(call.id));
        ctx.shortTermMemory.set(`answers.${n}`, text);
        ctx.sendEvent(new OutputEvent(`${id}:${n}:${text.length}`));
      },
      { async: true },
    );
    const keyed = env.fromSource(new Sluice(items, items.length, 10).source).keyBy(({ id }) => id);
    keyed
      .applyAgent(keeping, { outputOrder: 'arrival', asyncConcurrency: 8 })
      .uid('keeping')
      .sinkTo(ledger.sink(), 'ledger');
    return env;
  };

  /** The calls whose outcome is in the journal. */
  const journaledIn = async (point: string): Promise<ReadonlySet<string>> => {
    const { journal, close } = await new LevelStorage(join(point, 'state')).open();
    const found = new Set<string>();
    for await (const entry of journal.rebuildState())
      for (const call of journaledCalls(decodeJournalEntry(entry))) found.add(call);
    await close();
    return found;
  };

  test.skipIf(!mountable)(
    'the job fails; with room again it comes to its end, nothing acknowledged is lost, and no journaled call is made again',
    async () => {
      await onSmallDisk(async ({ point, calls, ledger }) => {
        expect((await failure(start(point, calls, ledger).execute(), 'STORE_FAILED')).retryable).toBe(true);
        const before = [...ledger.values];
        expect(before.length).toBeLessThan(items.length);
        await shell('mount', ['-o', 'remount,size=60m', point]);
        const journaled = await journaledIn(point);
        expect(journaled.size).toBeGreaterThan(0);
        const counts = new Map([...journaled].map((call) => [call, calls.get(call)]));
        await start(point, calls, ledger).execute();
        expect(ledger.values.slice(0, before.length)).toEqual(before);
        expect(ledger.values).toEqual(answers);
        for (const [call, count] of counts) expect([call, calls.get(call)]).toEqual([call, count]);
        // Two calls of each action in flight may have been on their way to the full disk.
        expect([...calls.values()].filter((count) => count > 1).length).toBeLessThanOrEqual(16);
      });
    },
  );

  test.skipIf(!mountable)('with a restart strategy it starts again by itself until there is room', async () => {
    await onSmallDisk(async ({ point, ballast, calls, ledger }) => {
      const job = await start(point, calls, ledger, exponentialDelay({ initial: 20, max: 20 })).executeAsync();
      await until(() => job.status.restarts >= 2);
      expect(job.status.error === undefined || (job.status.error as { code?: string }).code === 'STORE_FAILED').toBe(
        true,
      );
      await rm(ballast);
      await shell('mount', ['-o', 'remount,size=60m', point]);
      await job.done;
      expect(ledger.values).toEqual(answers);
    });
  });
});
