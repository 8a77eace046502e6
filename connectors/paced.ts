/**
 * Slows a source down to a number of records per second: demonstrations that should look live, and load tests at a
 * fixed rate. Cuts the batches of the source it wraps and keeps their positions. Keeps I9 (waits on the Clock) and I10
 * (the wait takes the signal).
 */
import type { Clock } from '../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../lib/core/connector.ts';
import { sleep, systemClock } from '../lib/core/clock.ts';
import { refusal, withMethods } from '../lib/core/options.ts';
import { ownBatch } from '../lib/core/own-batch.ts';

/**
 * A source that fell behind makes up for at most this much lost time at once, so that a pause is not followed by a
 * flood.
 */
const catchUpMs = 100;

/**
 * Hands out at most `perSecond` records per second, counted over all splits, by the clock of the job unless it is given
 * another one.
 *
 * @example
 * const live = paced(collection([1, 2, 3]), 500);
 * console.log(await env.fromSource(live).executeAndCollect()); // prints [ 1, 2, 3 ]
 */
export const paced = <T, P>(source: Source<T, P>, perSecond: number, clock?: Clock): Source<T, P> => {
  withMethods('source', source, 'a Source', ['splits', 'open']);
  if (!Number.isFinite(perSecond) || perSecond <= 0) throw refusal('perSecond', 'a number above 0', perSecond);
  let pace: Pace | undefined;
  return {
    name: source.name,
    replayable: source.replayable,
    get dropped() {
      return source.dropped;
    },
    splits: (signal) => source.splits(signal),
    ...(source.close !== undefined && { close: async () => source.close?.() }),
    async open(split, position, signal, jobClock) {
      const time = clock ?? jobClock ?? systemClock;
      if (pace?.clock !== time) pace = new Pace(1000 / perSecond, time);
      return pacedReader(await source.open(split, position, signal, jobClock), pace);
    },
  };
};

/** Gives each record a slot of `intervalMs`. */
class Pace {
  readonly #intervalMs: number;
  readonly clock: Clock;
  /** When the next slot begins; undefined before the first record. */
  #nextMs: number | undefined;

  constructor(intervalMs: number, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.clock = clock;
  }

  /** Waits for a slot and takes as many, up to `max`, as have begun. */
  async take(max: number, signal: AbortSignal): Promise<number> {
    for (;;) {
      const nowMs = this.clock.elapsed();
      const nextMs = Math.max(this.#nextMs ?? nowMs, nowMs - catchUpMs);
      if (nextMs <= nowMs) {
        const count = Math.min(max, 1 + Math.floor((nowMs - nextMs) / this.#intervalMs));
        this.#nextMs = nextMs + count * this.#intervalMs;
        return count;
      }
      await sleep(this.clock, Math.ceil(nextMs - nowMs), signal);
    }
  }
}

const pacedReader = <T, P>(reader: SourceReader<T, P>, pace: Pace): SourceReader<T, P> => {
  const { committed, end } = reader;
  let batch: SourceBatch<T, P> | undefined;
  let from = 0;
  return {
    /** While it paces, what comes next is there already. */
    get waiting() {
      return (batch === undefined || from >= batch.values.length) && reader.waiting;
    },
    async read(signal) {
      signal.throwIfAborted();
      while (batch === undefined || from >= batch.values.length) {
        const next = await reader.read(signal);
        if (next === undefined) return undefined;
        batch = ownBatch(next, 'a paced source'); // It is read from while the source may use its lists again.
        from = 0;
      }
      const count = await pace.take(batch.values.length - from, signal);
      const part = partOf(batch, from, count);
      from += count;
      return part;
    },
    ...(committed !== undefined && { committed: (position: P) => committed.call(reader, position) }),
    ...(end !== undefined && { end: () => end.call(reader) }),
    close: () => reader.close(),
  };
};

/** `count` records of a batch from index `from` on, as a batch. */
const partOf = <T, P>(batch: SourceBatch<T, P>, from: number, count: number): SourceBatch<T, P> => {
  if (from === 0 && count === batch.values.length) return batch;
  const sides = [...(batch.sides ?? [])].filter(([index]) => index >= from && index < from + count);
  return {
    values: batch.values.slice(from, from + count),
    timestamps: batch.timestamps?.slice(from, from + count),
    sides: sides.length === 0 ? undefined : new Map(sides.map(([index, tag]) => [index - from, tag])),
    position: (consumed) => batch.position(from + consumed),
  };
};
