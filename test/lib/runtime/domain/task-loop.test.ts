import { describe, expect, test, vi } from 'vitest';
import {
  callbackSink,
  collection,
  StreamExecutionEnvironment,
  type DataStream,
  type Source,
} from '../../../../lib/index.ts';
import { TaskLoop } from '../../../../lib/runtime/domain/task-loop.ts';
import type { Turn } from '../../../../lib/runtime/journal/turn.ts';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';
import { HostedSource } from '../hosts/sources.ts';

/** A loop over one source; what is journaled is durable when the test says so. */
const looping = <T>(
  source: Source<T>,
  {
    journals = true,
    clock = systemClock,
    slices = { isOpen: false, step: () => true },
  }: { journals?: boolean; clock?: Clock; slices?: { isOpen: boolean; step: () => boolean } } = {},
) => {
  const hosted = new HostedSource<T>(WatermarkStrategy.none(), source);
  const abort = new AbortController();
  const turns: Turn[] = [];
  const waiting: (() => void)[] = [];
  const failures: unknown[] = [];
  const loop = new TaskLoop({
    clock,
    sources: [hosted.host as HostedSource<unknown>['host']], // The loop hands values through without a look.
    places: hosted.places,
    signal: abort.signal,
    turn: (body, turn) => {
      if (slices.isOpen) return 'waits';
      body();
      turns.push(turn());
      return 'ran';
    },
    slices,
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

/** One page of numbers, which nobody gives twice. */
const pageOf = (size: number): Source<number, number> => ({
  ...once(),
  async open(_split, position = 0) {
    let next = position;
    return {
      async read() {
        const first = next;
        next = size;
        const values = Array.from({ length: size - first }, (_, n) => first + n);
        const timestamps = values.map((n) => n);
        return values.length === 0 ? undefined : { values, timestamps, position: (count) => first + count };
      },
      close: async () => {},
    };
  },
});

describe('a long page of what can not be read again', () => {
  const sizes = (turns: readonly Turn[]): number[] =>
    turns.flatMap((turn) => (turn.kind === 'input' ? [turn.input.values.length] : []));
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

  test('is accepted in parts, and no more than a checkpoint can hold at its instant', async () => {
    const { hosted, loop, turns, open, durable } = looping(pageOf(5000));
    await open();
    let ended = false;
    const run = loop.run().finally(() => (ended = true));
    let most = 0;
    await vi.waitFor(() => expect(sum(sizes(turns))).toBe(1024), { timeout: 20_000 });
    while (!ended) {
      await settled();
      most = Math.max(most, sum(sizes(turns)) - hosted.log.length);
      durable();
    }
    expect(await run).toBe(true);
    expect(Math.max(...sizes(turns))).toBe(256);
    // How many of a part are handed over in one turn depends on the time that takes, so one more part may come on top.
    expect(most).toBeGreaterThanOrEqual(1024);
    expect(most).toBeLessThan(1024 + 256);
    const whole = Array.from({ length: 5000 }, (_, n) => ['record', n, n]);
    expect(hosted.log.filter(([kind]) => kind === 'record')).toEqual(whole);
    expect(turns.flatMap((turn) => (turn.kind === 'input' ? [turn.input.position] : [])).at(-1)).toBe(5000);
  });

  test('is kept whole when the job stops', async () => {
    const { loop, turns, open, hosted } = looping(pageOf(5000));
    await open();
    const run = loop.run();
    await vi.waitFor(() => expect(turns.length).toBeGreaterThan(0), { timeout: 20_000 });
    loop.stop();
    expect(await run).toBe(false);
    expect(sum(sizes(turns))).toBe(5000);
    expect(hosted.log).toEqual([]);
  });

  test('is kept whole when the job stops while turns wait for others', async () => {
    const slices = {
      isOpen: false,
      steps: 0,
      step: () => {
        slices.steps += 1;
        slices.isOpen = slices.steps % 3 !== 0;
        return true;
      },
    };
    let stopped = false;
    // Whenever the event loop is given back an outcome brings a watermark that makes very many timers due.
    const defer = (fn: () => void): void => {
      slices.isOpen = stopped;
      systemClock.defer(fn);
    };
    const clock = { ...systemClock, elapsed: stepping(), defer };
    const { loop, turns, open } = looping(pageOf(5000), { slices, clock });
    await open();
    const run = loop.run();
    await vi.waitFor(() => expect(turns.length).toBeGreaterThan(0), { timeout: 20_000 });
    stopped = true;
    loop.stop();
    expect(await run).toBe(false);
    expect(sum(sizes(turns))).toBe(5000);
    expect(slices.steps).toBeGreaterThan(5);
  });

  test('is not taken for accepted while turns wait for others', async () => {
    const slices = { isOpen: true, step: () => true };
    const clock = { ...systemClock, elapsed: stepping() };
    const { loop, turns, open, durable } = looping(pageOf(10), { slices, clock });
    await open();
    const run = loop.run();
    await settled();
    expect(turns).toEqual([]);
    slices.isOpen = false;
    await vi.waitFor(() => expect(sizes(turns)).toEqual([10]), { timeout: 20_000 });
    durable();
    expect(await run).toBe(true);
  });
});

/** A clock that goes on by a quarter of a slice at each look. */
const stepping = (): (() => number) => {
  let now = 0;
  return () => (now += 0.125);
};

test('very many splits that answer at once leave the event loop to others (I20)', async () => {
  const names = Array.from({ length: 600 }, (_, n) => `s${n}`);
  let defers = 0;
  const clock: Clock = { ...systemClock, elapsed: stepping(), defer: (fn) => ((defers += 1), systemClock.defer(fn)) };
  const many: Source<string, number> = {
    name: 'many',
    replayable: true,
    splits: async () => names,
    async open(name) {
      let left = 1;
      return {
        read: async () => (left-- > 0 ? { values: [name], position: () => 1 } : undefined),
        close: async () => {},
      };
    },
  };
  const env = StreamExecutionEnvironment.create({ logger: 'silent', clock });
  const seen: string[] = [];
  env.fromSource(many).sinkTo(callbackSink((values) => void seen.push(...[values].flat())));
  const job = await env.executeAsync();
  let opening = 0;
  job.status$.subscribe(({ state }) => void (state === 'running' && (opening = defers)));
  await job.done;
  // A look for each split that is opened, and a slice of 4 ms.
  expect(opening).toBeGreaterThan(names.length / 6);
  expect(seen.toSorted()).toEqual(names.toSorted());
  expect(defers - opening).toBeGreaterThan(names.length / 6);
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

test('a read that stops the job before it returns, and brings nothing any more, does not keep the loop', async () => {
  const stopping: Source<string> = {
    ...once(),
    open: async () => ({
      read: () => {
        loop.stop();
        return new Promise(() => {});
      },
      close: async () => {},
    }),
  };
  const { loop, open } = looping(stopping);
  await open();
  const timeout = settled().then(() => 'hangs');
  expect(await Promise.race([loop.run(), timeout])).toBe(false);
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
