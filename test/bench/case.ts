/**
 * What a benchmark case is, and what it may use to measure. A case gives rows of the table; it never asserts anything,
 * because absolute figures of one machine drift twofold within minutes. Ratios come from rounds that alternate in one
 * process.
 */
import { monitorEventLoopDelay, performance, PerformanceObserver } from 'node:perf_hooks';

/** How much a case does: all of it, or just enough to see that it still runs. */
export interface Scale {
  readonly quick: boolean;
  /** Rounds of which the median counts. */
  readonly rounds: number;
  /** One of two sizes. */
  size(full: number, quick: number): number;
}

/** What the project would like to see of a figure, and whether it does. */
export interface Goal {
  readonly text: string;
  readonly met: boolean;
}

/** One line of the table. */
export interface Row {
  readonly name: string;
  /** Records, inputs or calls in a second. */
  readonly perSecond?: number | undefined;
  /** How many times longer than the hand-written loop it took. */
  readonly ratio?: number | undefined;
  /** Other figures, in words. */
  readonly figures?: readonly string[] | undefined;
  readonly goals?: readonly Goal[] | undefined;
}

export interface BenchCase {
  readonly name: string;
  run(scale: Scale): Promise<readonly Row[]>;
}

export const makeScale = (quick: boolean): Scale => ({
  quick,
  rounds: quick ? 1 : 5,
  size: (full, small) => (quick ? small : full),
});

// ---------- goals

export const atMost = (what: string, value: number, limit: number): Goal => ({
  text: `${what} <= ${short(limit)}`,
  met: value <= limit,
});

export const atLeast = (what: string, value: number, limit: number): Goal => ({
  text: `${what} >= ${short(limit)}`,
  met: value >= limit,
});

/** A number with three digits that count: 1234567 is 1.23M. */
export const short = (value: number): string => {
  for (const [unit, size] of [
    ['M', 1e6],
    ['k', 1e3],
  ] as const)
    if (Math.abs(value) >= size) return `${digits(value / size)}${unit}`;
  return digits(value);
};

const digits = (value: number): string => `${Number(value.toPrecision(3))}`;

// ---------- measuring

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
};

/** Milliseconds that `fn` takes. */
export const timed = async (fn: () => unknown): Promise<number> => {
  const start = performance.now();
  await fn();
  return performance.now() - start;
};

/**
 * Median milliseconds of each way to do one thing, in rounds that take turns, behind one round that warms up and is not
 * counted.
 */
export const alternate = async <N extends string>(
  scale: Scale,
  ways: Readonly<Record<N, () => unknown>>,
): Promise<Record<N, number>> => {
  const names = Object.keys(ways) as N[]; // The keys of a Record<N, ...>.
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<N, number[]>;
  for (let round = scale.quick ? 1 : 0; round <= scale.rounds; round += 1) {
    for (const name of names) {
      globalThis.gc?.();
      const ms = await timed(ways[name]);
      if (round > 0) times[name].push(ms);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<N, number>;
};

/** Bytes in use once everything that is garbage is gone, memory outside the heap included. */
export const bytesInUse = async (): Promise<number> => {
  for (let i = 0; i < 3; i += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** Microseconds of CPU, all threads of this process together, that `fn` takes. */
export const cpuOf = async (fn: () => unknown): Promise<number> => {
  const start = process.cpuUsage();
  await fn();
  const { user, system } = process.cpuUsage(start);
  return user + system;
};

/**
 * The longest time that the event loop stood still during `fn`, in milliseconds, and the share of garbage collection in
 * all of it.
 */
export const gapOf = async (
  fn: () => Promise<unknown>,
): Promise<{ readonly gapMs: number; readonly gcShare: number }> => {
  let gcMs = 0;
  const observer = new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (gcMs += duration)));
  observer.observe({ entryTypes: ['gc'] });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const ms = await timed(fn);
  await new Promise((resolve) => setTimeout(resolve, 10)); // What the observer has is told in a task of its own.
  delay.disable();
  observer.disconnect();
  return { gapMs: delay.max / 1e6, gcShare: gcMs / ms };
};

/** The same pseudo-random numbers from 0 to `below` in every run. */
export const makeDraw = (seed = 1): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
};
