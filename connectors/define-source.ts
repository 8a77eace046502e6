/**
 * Makes a source of a function from a position to values: the shortest way to read an API, a table or a queue that can
 * be asked again. One split. Keeps I9 (polls on the Clock) and I10 (the wait takes the signal).
 */
import type { Clock } from '../lib/core/clock.ts';
import type { Source, SourceBatch } from '../lib/core/connector.ts';
import type { Timestamp } from '../lib/core/element.ts';
import type { Duration } from '../lib/core/options.ts';
import { sleep, systemClock } from '../lib/core/clock.ts';
import { StreamError } from '../lib/core/errors.ts';
import { durationMs, knownOptions, refusal, refusedResult } from '../lib/core/options.ts';
import { ownPosition } from '../lib/core/own-batch.ts';
import { LoopSlice } from '../lib/core/slice.ts';
import { looseCopy, ownCopy } from '../lib/core/own-copy.ts';

export interface SourcePage<T, P> {
  /** None: nothing new now; asked again after `pollInterval`. */
  readonly values: readonly T[];
  /** Of the values, as many as they are: finite numbers, or undefined for a value without one. */
  readonly timestamps?: readonly Timestamp[] | undefined;
  /** The position behind the first `count` values; asked for 1 up to `values.length` only. */
  position(count: number): P;
}

export interface SourceDefinition<T, P> {
  /** For logs and uids. @defaultValue 'source' */
  readonly name?: string | undefined;
  /** The position before the first value. What `read` is given, this one too, is a copy that it may change. */
  readonly start: P;
  /**
   * Whether the same position gives the same values again. If not, the engine journals what it accepts. @defaultValue
   * true
   */
  readonly replayable?: boolean | undefined;
  /** Wait after an empty page. @defaultValue '1s' */
  readonly pollInterval?: Duration | undefined;
  /**
   * The values right behind a position; undefined at the end of the input. While it is asked the source counts as busy
   * and its split is not idle (`withIdleness`), however slow the answer is; from a page without values on it waits.
   */
  read(position: P, signal: AbortSignal): SourcePage<T, P> | undefined | Promise<SourcePage<T, P> | undefined>;
}

/**
 * A source of what `read` gives. It waits on the clock of the job, unless it is given another one.
 *
 * @example
 * const pages = [['a', 'b'], ['c']];
 * const letters = defineSource({
 *   start: 0,
 *   async read(page) {
 *     const values = pages[page];
 *     return values === undefined ? undefined : { values, position: () => page + 1 };
 *   },
 * });
 * console.log(await env.fromSource(letters).executeAndCollect()); // prints [ 'a', 'b', 'c' ]
 */
export const defineSource = <T, P>(definition: SourceDefinition<T, P>, clock?: Clock): Source<T, P> => {
  knownOptions('defineSource', definition, {
    name: true,
    start: true,
    replayable: true,
    pollInterval: true,
    read: true,
  });
  const { name = 'source', replayable = true, pollInterval = '1s' } = definition;
  if (typeof definition.read !== 'function') throw refusal('read', 'a function', definition.read);
  if (definition.start === undefined) throw refusal('start', 'a position', definition.start);
  const start = ownPosition(definition.start, `\`start\` of source \`${name}\``);
  const pollMs = durationMs('pollInterval', pollInterval);

  /** `onPage` is told whether a page has values. */
  const readFrom = async (position: P, { signal, time, onPage }: Reading): Promise<SourceBatch<T, P> | undefined> => {
    for (;;) {
      signal.throwIfAborted();
      const page = await definition.read(ownCopy(position), signal);
      if (page === undefined) return undefined;
      checkPage(page, name);
      const { timestamps } = page;
      onPage(page.values.length > 0);
      const values = page.values.slice();
      await copyEach(values, time, signal);
      if (values.length > 0)
        return { values, timestamps, position: (count) => (count === 0 ? position : positionBehind(page, count)) };
      await sleep(time, pollMs, signal);
    }
  };

  return {
    name,
    replayable,
    splits: async () => [name],
    async open(_split, position, signal, jobClock) {
      signal.throwIfAborted();
      const time = clock ?? jobClock ?? systemClock;
      let next: P = position === undefined ? start : position;
      let ended = false;
      let waiting = false;
      return {
        get waiting() {
          return waiting;
        },
        async read(readSignal) {
          readSignal.throwIfAborted();
          if (ended) return undefined;
          const batch = await readFrom(next, {
            signal: readSignal,
            time,
            onPage: (hasValues) => (waiting = !hasValues),
          });
          if (batch === undefined) ended = true;
          else next = batch.position(batch.values.length);
          return batch;
        },
        async close() {},
      };
    },
  };
};

/** Values between two looks at the clock. */
const lookEvery = 64;

/**
 * Puts copies in the place of the values: `read` and `position` may hold them, and a restart may be given them again,
 * so what the pipeline does with one is not seen there. A page may be long, so it is done in slices (I20).
 */
const copyEach = async (values: unknown[], clock: Clock, signal: AbortSignal): Promise<void> => {
  const slice = new LoopSlice(clock);
  for (let at = 0; at < values.length; at += 1) {
    values[at] = looseCopy(values[at]);
    if (at % lookEvery !== 0 || !slice.isOver) continue;
    await slice.giveBack();
    signal.throwIfAborted();
  }
};

interface Reading {
  readonly signal: AbortSignal;
  readonly time: Clock;
  readonly onPage: (hasValues: boolean) => void;
}

/** What is no page now is none at the next attempt either. */
const checkPage = (page: SourcePage<unknown, unknown>, name: string): void => {
  const isPage = typeof page === 'object' && Array.isArray(page?.values) && typeof page.position === 'function';
  if (isPage) return;
  const rule = 'a page `{ values, position: (count) => ... }`, or undefined at the end of the input';
  const cause = refusedResult('read', rule, page);
  throw new StreamError('SOURCE_FAILED', `source \`${name}\`: ${cause.message}`, {
    cause,
    retryable: false,
    hint: '`values` are those right behind the position, and `position(count)` says where to read on behind the first `count`',
  });
};

/** Undefined is where a source starts, so as a position behind values it would begin them anew without a word. */
const positionBehind = <T, P>(page: SourcePage<T, P>, count: number): P => {
  const position = page.position(count);
  if (position !== undefined) return ownPosition(position, `position(${count})`);
  throw refusal(`position(${count})`, 'where to read on (perhaps a field that the values do not have)', position);
};
