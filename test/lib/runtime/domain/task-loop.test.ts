import { describe, expect, test } from 'vitest';
import {
  callbackSink,
  collection,
  StreamExecutionEnvironment,
  type DataStream,
  type Source,
} from '../../../../lib/index.ts';
import { TaskLoop } from '../../../../lib/runtime/domain/task-loop.ts';
import type { Turn } from '../../../../lib/runtime/journal/turn.ts';
import { systemClock } from '../../../../lib/core/clock.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';
import { HostedSource } from '../hosts/sources.ts';

/** A loop over one source; what is journaled is durable when the test says so. */
const looping = <T>(source: Source<T>, { journals = true }: { journals?: boolean } = {}) => {
  const hosted = new HostedSource<T>(WatermarkStrategy.none(), source);
  const abort = new AbortController();
  const turns: Turn[] = [];
  const waiting: (() => void)[] = [];
  const failures: unknown[] = [];
  const loop = new TaskLoop({
    clock: systemClock,
    sources: [hosted.host as HostedSource<unknown>['host']], // The loop hands values through without a look.
    places: hosted.places,
    signal: abort.signal,
    turn: (body, turn) => {
      body();
      turns.push(turn());
      return true;
    },
    slices: { isOpen: false, step: () => true },
    workOpen: () => false,
    between: () => {},
    journals,
    whenDurable: (then) => void waiting.push(then),
    fail: (error) => void failures.push(error),
  });
  const open = async (): Promise<void> => {
    for (const name of await source.splits(abort.signal))
      hosted.split(name).open(await hosted.host.source.open(name, undefined, abort.signal));
  };
  return { hosted, loop, turns, failures, open, durable: () => waiting.splice(0).forEach((then) => then()), abort };
};

const settled = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 20));

/** Two values and the end, which nobody gives twice. */
const once = (committed: unknown[] = []): Source<string, number> => ({
  name: 'once',
  replayable: false,
  splits: async () => ['a'],
  async open(_split, position = 0) {
    let next = position;
    return {
      async read() {
        if (next > 0) return undefined;
        next = 2;
        return { values: ['x', 'y'], position: (count) => count };
      },
      committed: async (position) => void committed.push(position),
      close: async () => {},
    };
  },
});

describe('records that can not be read again', () => {
  test('are handed over, and acknowledged, when they are durable', async () => {
    const committed: unknown[] = [];
    const { hosted, loop, turns, open, durable } = looping(once(committed));
    await open();
    const run = loop.run();
    await settled();
    expect([turns.map(({ kind }) => kind), hosted.log, committed]).toEqual([['input'], [], []]);
    durable();
    expect(await run).toBe(true);
    expect(hosted.log.filter(([kind]) => kind === 'record')).toHaveLength(2);
    expect([turns.map(({ kind }) => kind), committed]).toEqual([['input', 'records', 'end'], [2]]);
  });

  test('without a journal are acknowledged when they were handed over', async () => {
    const committed: unknown[] = [];
    const { hosted, loop, turns, open } = looping(once(committed), { journals: false });
    await open();
    const place = hosted.places.make({ name: 'p', max: 1 });
    place.add(1);
    const run = loop.run();
    await settled();
    expect([turns, committed]).toEqual([[], []]);
    place.add(-1);
    expect(await run).toBe(true);
    expect([turns.map(({ kind }) => kind), committed]).toEqual([['records', 'end'], [2]]);
  });
});

test('a read that fails is told, and one that fails because the job is over is not', async () => {
  const failing: Source<string> = {
    ...once(),
    open: async () => ({ read: async () => Promise.reject(new Error('gone')), close: async () => {} }),
  };
  const { loop, open, failures, abort } = looping(failing);
  await open();
  const run = loop.run();
  await settled();
  expect(failures).toHaveLength(1);
  loop.stop();
  expect(await run).toBe(false);
  expect(abort.signal.aborted).toBe(false);
});

describe('the event loop is given back (I20)', () => {
  const endless = <T>(value: T, size: number): Source<T, number> => ({
    name: 'endless',
    replayable: true,
    splits: async () => ['a'],
    open: async (_split, position = 0) => {
      let next = position;
      return {
        read: async () => {
          const first = next;
          next += size;
          return { values: Array.from({ length: size }, () => value), position: (count) => first + count };
        },
        close: async () => {},
      };
    },
  });
  const busy = (ms: number): void => {
    for (const end = process.cpuUsage().user + ms * 1000; process.cpuUsage().user < end;);
  };

  const pipelines: Readonly<Record<string, (env: StreamExecutionEnvironment) => DataStream<unknown>>> = {
    'with a source that answers in a microtask': (env) => env.fromSource(endless(1, 256)),
    'with one that brings one record at a time': (env) => env.fromSource(endless(1, 1)),
    'with one that has nothing, again and again': (env) => env.fromSource(endless(1, 0)),
    'with values that are computed': (env) => env.generate({ generate: (n) => n }),
    'with operators that take a millisecond for a record': (env) =>
      env.fromSource(endless(1, 512)).map((n) => (busy(1), n)),
    'with a large batch': (env) =>
      env
        .fromSource(endless(1, 100_000))
        .keyBy(() => 'k')
        .reduce((a, b) => a + b),
  };

  test.each(Object.entries(pipelines))('%s', async (_what, build) => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    build(env).sinkTo(callbackSink(() => {}));
    const job = await env.executeAsync();
    // CPU time between two turns of the event loop, so that a busy machine does not show.
    const gaps: number[] = [];
    let last = process.cpuUsage();
    for (let round = 0; round < 40; round += 1) {
      await new Promise<void>((resolve) => void setTimeout(resolve, 1));
      const { user, system } = process.cpuUsage(last);
      last = process.cpuUsage();
      gaps.push((user + system) / 1000);
    }
    await job.cancel();
    expect(gaps.toSorted((a, b) => a - b)[20]).toBeLessThan(30);
  });
});

test('an input of none ends at once', async () => {
  const { loop, turns, open } = looping(collection<string>([]));
  await open();
  expect(await loop.run()).toBe(true);
  expect(turns.map(({ kind }) => kind)).toEqual(['end']);
});
