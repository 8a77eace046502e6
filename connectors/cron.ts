/**
 * A source of the ticks of a schedule. What a tick is follows from the schedule and the place behind the tick before,
 * and not from when somebody looked. Keeps I9 (waits on the clock of the job) and I10 (the wait takes the signal).
 */
import type { Cron } from 'croner';
import { sleep, systemClock, type Clock } from '../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../lib/core/connector.ts';
import { messageOf, StreamError } from '../lib/core/errors.ts';
import { knownOptions, numberFrom, oneOf, refusal } from '../lib/core/options.ts';
import { loadPackage } from '../lib/core/package-loading.ts';

export interface CronSourceOptions {
  /** The zone that the pattern is read in, such as `Europe/Vienna`. @defaultValue 'UTC' */
  readonly timezone?: string | undefined;
  /**
   * What becomes of ticks that were due while no job ran: `all` are given, or the `last` of them, or they are left out.
   * @defaultValue 'all'
   */
  readonly missed?: 'all' | 'last' | 'skip' | undefined;
  /**
   * The first tick is behind this time, in milliseconds since the Unix epoch. With `missed: 'all'` the ticks then
   * follow from the options alone, and none is journaled. @defaultValue when the source is first opened
   */
  readonly from?: number | undefined;
  /** The last tick is not behind this time; then the source ends. @defaultValue it does not end */
  readonly until?: number | undefined;
}

/** Ticks of one batch. */
const batchMax = 100;
/** The clock of a machine may be set, and stands still while it sleeps: nothing is waited for longer than this. */
const sleepMaxMs = 60_000;

type Missed = 'all' | 'last' | 'skip';

/**
 * A source of the times at which `pattern` is due, in milliseconds, each with itself as its timestamp. The pattern has
 * five fields (minute, hour, day of month, month, day of week), or six with the second in front, as the package
 * `croner` reads it. While a job runs each tick is given, also when the machine was asleep; `missed` says what becomes
 * of those between two runs. A position is the time of the last tick. Rejects with `SOURCE_FAILED` where the pattern or
 * the zone can not be read, or with `PACKAGE_MISSING`.
 *
 * @example
 * const days = cron('0 9 * * 1-5', { from: Date.UTC(2026, 0, 2), until: Date.UTC(2026, 0, 6) });
 * const shown = env.fromSource(days).map((time) => new Date(time).toISOString().slice(0, 10));
 * console.log(await shown.executeAndCollect()); // prints [ '2026-01-02', '2026-01-05' ]
 */
export const cron = (pattern: string, options: CronSourceOptions = {}): Source<number, number> => {
  knownOptions('cron', options, { timezone: true, missed: true, from: true, until: true });
  const { timezone = 'UTC', missed = 'all', from, until = Number.POSITIVE_INFINITY } = options;
  if (typeof pattern !== 'string' || pattern.trim() === '') throw refusal('pattern', 'like `0 9 * * 1-5`', pattern);
  if (typeof timezone !== 'string') throw refusal('timezone', 'the name of a time zone', timezone);
  oneOf('missed', missed, ['all', 'last', 'skip']);
  if (from !== undefined) numberFrom('from', from, { min: 0, max: Number.MAX_SAFE_INTEGER });
  numberFrom('until', until, { min: 0 });
  /** A restart in this process that has no position yet goes on from the same place. */
  let begun = from;
  return {
    name: 'cron',
    replayable: missed === 'all' && from !== undefined,
    splits: async () => ['cron'],
    async open(_split, position, signal, clock = systemClock) {
      const { Cron } = await loadPackage('croner', 'cron sources', () => import('croner'));
      signal.throwIfAborted();
      begun ??= clock.now();
      const ticks = scheduleOf(() => new Cron(pattern, { timezone, paused: true }), pattern, begun);
      return new TickReader({ ticks, missed, until, clock }, position ?? begun);
    },
    async close() {
      begun = from;
    },
  };
};

/** Throws unless it has a tick that can be asked for: a zone is looked at no earlier. */
const scheduleOf = (make: () => Cron, pattern: string, fromMs: number): Cron => {
  try {
    const ticks = make();
    ticks.nextRun(new Date(fromMs));
    return ticks;
  } catch (cause) {
    const message = `the schedule \`${pattern}\` can not be read: ${messageOf(cause)}`;
    throw new StreamError('SOURCE_FAILED', message, { cause, retryable: false, hint: 'mend the pattern or the zone' });
  }
};

interface TickParts {
  readonly ticks: Cron;
  readonly missed: Missed;
  readonly until: number;
  readonly clock: Clock;
}

class TickReader implements SourceReader<number, number> {
  readonly #parts: TickParts;
  /** Ticks up to here were given or left out. */
  #lastMs: number;
  #ended = false;
  #sleeping = false;

  constructor(parts: TickParts, lastMs: number) {
    this.#parts = parts;
    this.#lastMs = lastMs;
    const { ticks, missed, clock } = parts;
    if (missed === 'all') return;
    const nowMs = clock.now();
    const [newest] = missed === 'last' ? ticks.previousRuns(1, new Date(nowMs + 1)) : [];
    // One millisecond in front of the newest is behind all others.
    this.#lastMs = Math.max(lastMs, newest === undefined ? nowMs : newest.getTime() - 1);
  }

  get waiting(): boolean {
    return this.#sleeping;
  }

  async read(signal: AbortSignal): Promise<SourceBatch<number, number> | undefined> {
    const { clock } = this.#parts;
    for (;;) {
      signal.throwIfAborted();
      const firstMs = this.#ended ? undefined : this.#next(this.#lastMs);
      if (firstMs === undefined) return undefined;
      const waitMs = firstMs - clock.now();
      if (waitMs <= 0) return this.#due(firstMs, clock.now());
      this.#sleeping = true;
      try {
        await sleep(clock, Math.min(waitMs, sleepMaxMs), signal);
      } finally {
        this.#sleeping = false;
      }
    }
  }

  end(): void {
    this.#ended = true;
  }

  async close(): Promise<void> {}

  /** The tick behind a time; undefined where there is none up to the end. */
  #next(behindMs: number): number | undefined {
    const { ticks, until } = this.#parts;
    const nextMs = ticks.nextRun(new Date(behindMs))?.getTime();
    return nextMs === undefined || nextMs > until ? undefined : nextMs;
  }

  #due(firstMs: number, nowMs: number): SourceBatch<number, number> {
    const before = this.#lastMs;
    const values: number[] = [];
    for (let next: number | undefined = firstMs; next !== undefined && next <= nowMs; next = this.#next(next)) {
      values.push(next);
      if (values.length === batchMax) break;
    }
    this.#lastMs = values.at(-1) ?? before;
    return { values, timestamps: values, position: (count) => values[count - 1] ?? before };
  }
}
