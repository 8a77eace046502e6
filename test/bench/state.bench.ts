/**
 * State at rest and on its way to disk: a checkpoint of many dirty keys beside an agent whose calls go on, a restart on
 * a million keys, and what a key takes in memory, idle and busy.
 */
import { cp } from 'node:fs/promises';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { filter, firstValueFrom } from 'rxjs';
import { agent } from '../../lib/agents/definition/agent.ts';
import { InputEvent, OutputEvent } from '../../lib/agents/events/event.ts';
import type { Source } from '../../lib/core/connector.ts';
import { valueState } from '../../lib/core/state-descriptor.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import type { CheckpointStats } from '../../lib/runtime/checkpoint/coordinator.ts';
import type { Job } from '../../lib/runtime/job/job.ts';
import { LevelStorage } from '../../lib/state/level-storage.ts';
import { type } from '../../operators/process.ts';
import { atMost, bytesInUse, median, short, type BenchCase, type Row, type Scale } from './case.ts';
import { meteredStorage, tapped, voidSink, withDirectory } from './places.ts';

interface Item {
  readonly key: string;
}

/** Counts per key; `onCount` is told of each. */
const addCount = (
  env: StreamExecutionEnvironment,
  source: Source<Item, number>,
  onCount: (count: number) => void,
): void => {
  env
    .fromSource(source)
    .keyBy(({ key }) => key)
    .process({
      emits: type<number>(),
      state: { count: valueState<number>('count') },
      process(_item, ctx) {
        const count = (ctx.state.count.value() ?? 0) + 1;
        ctx.state.count.update(count);
        ctx.emit(count);
      },
    })
    .sinkTo(voidSink(onCount));
};

const running = (job: Job): Promise<unknown> =>
  firstValueFrom(job.status$.pipe(filter(({ state }) => state === 'running')));

/** Resolves when `count` calls of `tick` have come. */
const countdown = (count: number): { readonly done: Promise<void>; readonly tick: () => void } => {
  let left = count;
  let resolve: () => void = () => {};
  const done = new Promise<void>((each) => (resolve = each));
  const tick = (): void => {
    left -= 1;
    if (left === 0) resolve();
  };
  return { done, tick };
};

// ---------- checkpoint

interface CheckpointRun {
  readonly stats: CheckpointStats;
  readonly loopMs: number;
  readonly ackMs: number;
  readonly ackBeforeMs: number;
}

const checkpointOnce = (keyCount: number): Promise<CheckpointRun> =>
  withDirectory(async (directory) => {
    const { storage, journal } = meteredStorage(directory);
    const env = StreamExecutionEnvironment.create({ storage, dirtyMax: 10 * keyCount });
    const counted = countdown(keyCount);
    const keys = tapped<Item>((index) => ({ key: `key-${index}` }));
    addCount(env, keys.source, counted.tick);
    const asking = agent<Item, number>('asking').on(InputEvent, 'ask', async (_event, ctx) => {
      ctx.sendEvent(
        new OutputEvent(
          await ctx.durableExecute('call', () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 1))),
        ),
      );
    });
    const questions = tapped<Item>((index) => ({ key: `asked-${index % 1000}` }));
    env
      .fromSource(questions.source)
      .keyBy(({ key }) => key)
      .applyAgent(asking, { asyncConcurrency: 64 })
      .sinkTo(voidSink(() => {}));
    const job = await env.executeAsync();
    keys.tap.open(keyCount);
    await counted.done;
    questions.tap.open(10_000_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const start = performance.now();
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const [stats] = await Promise.all([firstValueFrom(job.checkpoints$), job.checkpoint()]);
    delay.disable();
    const acks = (during: boolean): number[] =>
      journal.writes.filter(({ at, ms }) => at + ms > start === during).map(({ ms }) => ms);
    const run = {
      stats,
      loopMs: delay.max / 1e6,
      ackMs: Math.max(...acks(true)),
      ackBeforeMs: Math.max(...acks(false)),
    };
    await job.cancel();
    return run;
  });

const checkpoint: BenchCase = {
  name: 'checkpoint',
  async run(scale) {
    const keyCount = scale.size(100_000, 500);
    const runs: CheckpointRun[] = [];
    for (let round = 0; round < scale.rounds; round += 1) runs.push(await checkpointOnce(keyCount));
    const of = (figure: (run: CheckpointRun) => number): number => median(runs.map(figure));
    const sliceMs = of(({ stats }) => stats.longestSliceMs);
    const tookMs = of(({ stats }) => stats.durationMs);
    return [
      {
        name: `checkpoint of ${short(keyCount)} dirty keys`,
        perSecond: (keyCount * 1000) / tookMs,
        figures: [
          `${tookMs.toFixed(0)} ms`,
          `longest slice ${sliceMs.toFixed(1)} ms`,
          `loop stood still ${of(({ loopMs }) => loopMs).toFixed(0)} ms at most`,
          `journal ack max ${of(({ ackMs }) => ackMs).toFixed(1)} ms (${of(({ ackBeforeMs }) => ackBeforeMs).toFixed(1)} before)`,
        ],
        goals: [atMost('longest turn ms', sliceMs, 20)],
      },
    ];
  },
};

// ---------- restart

/** Milliseconds until a start on what is stored is running, and until its first record is through. */
interface Restart {
  readonly runningMs: number;
  readonly firstMs: number;
}

const restartOnce = (keyCount: number): Promise<Readonly<Record<'stopped' | 'killed', Restart>>> =>
  withDirectory(async (root) => {
    const filling = countdown(keyCount);
    const { source, tap } = tapped<Item>((index) => ({ key: `key-${index % keyCount}` }));
    const start = (directory: string, onCount: (count: number) => void): Promise<Job> => {
      const env = StreamExecutionEnvironment.create({ storage: new LevelStorage(directory) });
      addCount(env, source, onCount);
      return env.executeAsync();
    };
    const again = async (directory: string, until: number): Promise<Restart> => {
      const first = countdown(1);
      const at = performance.now();
      const after = await start(directory, (count) => {
        if (count !== 2) throw new Error(`Expected each key to be counted once before the restart, got ${count}`);
        first.tick();
      });
      await running(after);
      const runningMs = performance.now() - at;
      tap.open(until);
      await first.done;
      const firstMs = performance.now() - at;
      await after.cancel();
      return { runningMs, firstMs };
    };
    const before = await start(`${root}/stopped`, filling.tick);
    tap.open(keyCount);
    await filling.done;
    await before.checkpoint();
    // A process that is killed leaves its files as they are; a second after the checkpoint, so that none changes while
    // it is copied.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await cp(`${root}/stopped`, `${root}/killed`, { recursive: true });
    await before.stop();
    return {
      stopped: await again(`${root}/stopped`, keyCount + 1000),
      killed: await again(`${root}/killed`, keyCount + 2000),
    };
  });

const restart: BenchCase = {
  name: 'restart',
  async run(scale) {
    const keyCount = scale.size(1_000_000, 1000);
    const runs: Readonly<Record<'stopped' | 'killed', Restart>>[] = [];
    for (let round = 0; round < scale.size(3, 1); round += 1) runs.push(await restartOnce(keyCount));
    return (['stopped', 'killed'] as const).map((how): Row => {
      const firstMs = median(runs.map((run) => run[how].firstMs));
      return {
        name: `restart with ${short(keyCount)} keys, ${how}`,
        figures: [
          `running after ${median(runs.map((run) => run[how].runningMs)).toFixed(0)} ms`,
          `first record after ${firstMs.toFixed(0)} ms`,
        ],
        goals: [atMost('ms:', firstMs, 180)],
      };
    });
  },
};

// ---------- memory

const idleBytes = (keyCount: number): Promise<number> =>
  withDirectory(async (directory) => {
    const counted = countdown(keyCount);
    const { source, tap } = tapped<Item>((index) => ({ key: `key-${index}` }));
    const env = StreamExecutionEnvironment.create({ storage: new LevelStorage(directory) });
    addCount(env, source, counted.tick);
    const job = await env.executeAsync();
    await running(job);
    const before = await bytesInUse();
    tap.open(keyCount);
    await counted.done;
    await job.checkpoint();
    const bytes = (await bytesInUse()) - before;
    await job.cancel();
    return bytes / keyCount;
  });

/** Keys whose agent waits for a durable call: the promise and closure of the call included. */
const busyBytes = (keyCount: number): Promise<number> =>
  withDirectory(async (directory) => {
    const asked = countdown(keyCount);
    const answers: (() => void)[] = [];
    const { source, tap } = tapped<Item>((index) => ({ key: `key-${index}` }));
    const call = (): Promise<number> => {
      asked.tick();
      return new Promise((resolve) => answers.push(() => resolve(1)));
    };
    const waiting = agent<Item, number>('waiting').on(InputEvent, 'ask', async (_event, ctx) => {
      ctx.sendEvent(new OutputEvent(await ctx.durableExecute('call', call)));
    });
    const env = StreamExecutionEnvironment.create({ storage: new LevelStorage(directory) });
    const answered = countdown(keyCount);
    env
      .fromSource(source)
      .keyBy(({ key }) => key)
      .applyAgent(waiting, { asyncConcurrency: keyCount })
      .sinkTo(voidSink(answered.tick));
    const job = await env.executeAsync();
    await running(job);
    const before = await bytesInUse();
    tap.open(keyCount);
    await asked.done;
    await job.checkpoint();
    const bytes = (await bytesInUse()) - before;
    for (const answer of answers) answer();
    await answered.done;
    await job.cancel();
    return bytes / keyCount;
  });

const memory: BenchCase = {
  name: 'memory',
  async run(scale: Scale): Promise<readonly Row[]> {
    const idle = await idleBytes(scale.size(500_000, 500));
    const busy = await busyBytes(scale.size(20_000, 100));
    return [
      {
        name: 'memory per idle key',
        figures: [`${idle.toFixed(0)} B, key and count included`],
        goals: [atMost('B', idle, 200)],
      },
      {
        name: 'memory per busy key',
        figures: [`${busy.toFixed(0)} B, in a durable call`],
        goals: [atMost('B', busy, 1500)],
      },
    ];
  },
};

export const state: readonly BenchCase[] = [checkpoint, restart, memory];
