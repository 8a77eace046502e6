/**
 * What the stories share. A story runs a pipeline on the public surface, lets something go wrong, mends the cause,
 * starts the job again on the same state, and looks at the whole output: nothing lost, nothing twice.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  defineSink,
  errorTable,
  noRestart,
  StreamError,
  systemClock,
  type Clock,
  type ErrorCode,
  type Job,
  type Sink,
  type Source,
} from 'millrace';
import { afterEach, expect } from 'vitest';

/** No log and no second attempt, so that a failure is seen at once. */
export const once = { logger: 'silent', restart: noRestart() } as const;

/** A record for which only its key and its number matter. */
export interface Item {
  readonly id: string;
  readonly n: number;
}

/** Numbered records, dealt out to this many keys in turn. */
export const itemsOf = (count: number, keys = 3): Item[] =>
  Array.from({ length: count }, (_, n) => ({ id: `k${n % keys}`, n }));

/** Lets the loop leave the event loop after each turn, so that timers come between. */
export const steppingClock = (): Clock => {
  let elapsedMs = 0;
  return { ...systemClock, elapsed: () => (elapsedMs += 10) };
};

/**
 * What left the job, each record under its number: the same number must always bring the same record, and no number may
 * be left out.
 */
export class Ledger<T> {
  readonly values: T[] = [];

  /** A receiver that knows what it has, so that with it the job is exactly once. */
  sink(): Sink<T> {
    return defineSink<T>({
      name: 'ledger',
      guarantee: 'exactly-once',
      write: (values, { firstNumber }) => this.take(values, firstNumber),
    });
  }

  take(values: readonly T[], firstNumber: number): void {
    for (const [index, value] of values.entries()) {
      const number = firstNumber + index;
      if (number > this.values.length)
        throw new RangeError(`record ${number} came when there were ${this.values.length}`);
      if (number === this.values.length) this.values.push(value);
      else if (!isDeepStrictEqual(this.values[number], value))
        throw new RangeError(`record ${number} came again with another value`);
    }
  }
}

/** A replayable source that hands out the first values only, until it is told to go on. */
export class Sluice<T> {
  readonly source: Source<T, number>;
  /** How many values the pipeline has been handed in all lives, those that were read again not counted twice. */
  given = 0;
  #upTo: number;
  #waiting: (() => void)[] = [];

  /** `batchSize` @defaultValue all that may go */
  constructor(values: readonly T[], upTo: number = values.length, batchSize: number = values.length) {
    this.#upTo = upTo;
    this.source = {
      name: 'sluice',
      replayable: true,
      splits: async () => ['only'],
      open: async (_split, position = 0) => {
        let next = position;
        return {
          read: async (signal) => {
            while (next >= this.#upTo && next < values.length) await this.#raised(signal);
            if (next >= values.length) return undefined;
            const first = next;
            next = Math.min(this.#upTo, values.length, first + batchSize);
            const position = (count: number): number => {
              this.given = Math.max(this.given, first + count); // Asked in the turn that has handed them over.
              return first + count;
            };
            return { values: values.slice(first, next), position };
          },
          close: async () => {},
        };
      },
    };
  }

  /** Lets the values up to this one through. @defaultValue all */
  raise(upTo: number = Number.MAX_SAFE_INTEGER): void {
    this.#upTo = upTo;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #raised(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
}

/** The operating error that a promise rejects with: it has this code, a hint, and says so in the words of the table. */
export const failure = async (promise: Promise<unknown>, code: ErrorCode): Promise<StreamError> => {
  const error: unknown = await promise.then(
    () => expect.fail(`expected ${code}, got no error`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StreamError)) throw error;
  expect({ code: error.code, message: error.message }).toEqual({ code, message: error.message });
  expect(error.hint.length).toBeGreaterThan(10);
  expect(Object.keys(errorTable)).toContain(error.code);
  return error;
};

/** Waits until something is so, looking at it in macrotasks; fails when the machine has had more than enough time. */
export const until = async (what: () => boolean): Promise<void> => {
  const end = performance.now() + 30_000;
  while (!what()) {
    if (performance.now() > end) expect.fail(`it never came to be: ${String(what)}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

/**
 * Waits until a job with its storage in memory runs and does nothing more by itself: what it did is journaled, and what
 * is open waits for something from outside. Turns are left that nobody waits for. A start may load packages, so it is
 * not over when nothing moves. What a test counts on it better waits for itself (`until`).
 */
export const stillness = async (job: Job): Promise<void> => {
  await until(() => job.status.state !== 'starting' && job.status.state !== 'restarting');
  let [before, still] = ['', 0];
  while (still < 3) {
    for (let round = 0; round < 10; round += 1) await new Promise((resolve) => setImmediate(resolve));
    await later(1);
    const numbers = Object.entries(await job.metrics.snapshot());
    const now = numbers.filter(([name]) => /^journal|\.num|work/i.test(name) && !name.endsWith('PerSec')).join();
    still = now === before ? still + 1 : 0;
    before = now;
  }
};

export const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const directories: string[] = [];

/** A directory that is removed after the test. */
export const freshDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-story-'));
  directories.push(directory);
  return directory;
};

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});
