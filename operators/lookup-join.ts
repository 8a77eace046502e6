/**
 * Lookup join: each record with the row that something outside has for its key. The call is one of `asyncMap`: what
 * comes of it is journaled and not asked again after a crash (I8), and order, limits and failures are as there.
 *
 * Rows are cached in memory alone: no state, empty after a restart. Records of one key that ask at the same time wait
 * for one lookup, with or without a cache; one that fails fails for all that wait, and is not kept. One whose record's
 * time is over is given up, and one of those that wait asks again.
 */
import type { CallContext } from '../lib/core/call.ts';
import type { Timestamp } from '../lib/core/element.ts';
import { keyText, type Key } from '../lib/core/key.ts';
import type { Operator } from '../lib/core/operator.ts';
import { callable, durationMs, flag, integer, knownOptions, type Duration } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import { untilAborted } from '../lib/core/waits.ts';
import { asyncMap, type AsyncMapOptions } from './async-map.ts';
import type { DeadLetter } from './dead-letter.ts';

export interface LookupCacheOptions {
  /** Rows that are kept; those that were not asked for the longest go first. @defaultValue 10_000 */
  readonly max?: number | undefined;
  /** How long a row is good, since it was looked up. @defaultValue no limit */
  readonly ttl?: Duration | undefined;
  /** Also keep that there is no row. @defaultValue true */
  readonly missing?: boolean | undefined;
}

/** `asyncMap`'s options, and what is looked up and made of it. */
export interface LookupJoinOptions<I, L extends Key, R, O, D = DeadLetter<I>> extends AsyncMapOptions<D, I, O> {
  /** What a record is looked up by. */
  readonly key: (value: I) => L;
  /** Gives the row of a key, or `undefined` when there is none. */
  readonly lookup: (key: L, call: CallContext) => R | undefined | Promise<R | undefined>;
  /** Makes the result; `undefined` makes none. What it gives is journaled. */
  readonly join: (value: I, row: R | undefined) => O | undefined;
  /** @defaultValue none: each record is looked up */
  readonly cache?: LookupCacheOptions | undefined;
}

/**
 * Makes the operator of `lookupJoin`. Throws a `TypeError` that names the option.
 *
 * @example
 * const cities = new Map([['ann', 'Rome']]);
 * const named = lookupJoin({
 *   key: (name: string) => name,
 *   lookup: async (name) => cities.get(name),
 *   join: (name, city) => `${name}: ${city ?? 'unknown'}`,
 *   order: 'arrival',
 * });
 * const harness = await OperatorHarness.open(named);
 * for (const name of ['ann', 'bob']) harness.element(name, 0);
 * console.log((await harness.settled()).length); // prints 2
 */
export const lookupJoin = <I, L extends Key, R, O>(options: LookupJoinOptions<I, L, R, O>): Operator<I, Awaited<O>> => {
  const { key, lookup, join, cache, ...calls } = options;
  for (const [name, fn] of Object.entries({ key, lookup, join })) callable(name, fn);
  const limits = cacheLimits(cache);
  // Of a record that makes nothing no result is missing: the options are about those that there are.
  const asked = calls as AsyncMapOptions<DeadLetter, I, O | undefined>;
  asyncMap(join as (value: I) => O | undefined, asked); // Refuses at once what it refuses of the options.
  return (context) => {
    const rows = new Lookups<L, R>(lookup, { ...limits, now: () => context.now() });
    return asyncMap<I, O | undefined>(
      async (value, call) => join(value, looseCopy(await rows.find(key(value), call))),
      asked,
      (result) => result !== undefined,
    )(context) as ReturnType<Operator<I, Awaited<O>>>; // No `undefined` leaves.
  };
};

const cacheLimits = (cache: LookupCacheOptions | undefined) => {
  if (cache === undefined) return { max: 0, ttlMs: Infinity, missing: false };
  knownOptions('cache', cache, { max: true, ttl: true, missing: true });
  const { max = 10_000, ttl, missing = true } = cache;
  return {
    max: integer('max', max, { min: 1 }),
    ttlMs: ttl === undefined ? Infinity : durationMs('ttl', ttl, { min: 1 }),
    missing: flag('missing', missing),
  };
};

interface LookupLimits {
  readonly max: number;
  readonly ttlMs: number;
  readonly missing: boolean;
  readonly now: () => Timestamp;
}

interface Kept<R> {
  readonly row: R | undefined;
  readonly until: Timestamp;
}

interface Asking<R> {
  readonly row: Promise<R | undefined>;
  /** Of the record that asks. */
  readonly signal: AbortSignal;
}

/** Rows by key: those that are kept, in the order in which they were asked for, and those that are on their way. */
class Lookups<L extends Key, R> {
  readonly #kept = new Map<string, Kept<R>>();
  readonly #asking = new Map<string, Asking<R>>();
  readonly #lookup: LookupJoinOptions<never, L, R, never>['lookup'];
  readonly #limits: LookupLimits;

  constructor(lookup: LookupJoinOptions<never, L, R, never>['lookup'], limits: LookupLimits) {
    this.#lookup = lookup;
    this.#limits = limits;
  }

  async find(key: L, call: CallContext): Promise<R | undefined> {
    const text = keyText(key);
    for (;;) {
      const kept = this.#kept.get(text);
      if (kept !== undefined && this.#limits.now() < kept.until) {
        this.#keep(text, kept);
        return kept.row;
      }
      const asking = this.#asking.get(text) ?? this.#ask(text, key, call);
      try {
        return await asking.row;
      } catch (error) {
        // The time of another record that asked is over, which says nothing of the row: this one asks.
        if (!asking.signal.aborted || call.signal.aborted) throw error;
      }
    }
  }

  #ask(text: string, key: L, call: CallContext): Asking<R> {
    const { signal } = call;
    const row = untilAborted((async () => await this.#lookup(key, call))(), signal)
      .then((found) => {
        const { missing, ttlMs, now } = this.#limits;
        if (found !== undefined || missing) this.#keep(text, { row: found, until: now() + ttlMs });
        return found;
      })
      .finally(() => this.#asking.delete(text));
    const asking = { row, signal };
    this.#asking.set(text, asking);
    return asking;
  }

  #keep(text: string, kept: Kept<R>): void {
    this.#kept.delete(text);
    this.#kept.set(text, kept);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#limits.max) break;
      this.#kept.delete(oldest);
    }
  }
}
