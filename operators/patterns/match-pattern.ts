/**
 * Pattern matching over the events of a key, in the order of their timestamps; of one timestamp, in that in which they
 * came.
 *
 *  - An event waits in state until the watermark has reached its timestamp, so what comes out depends on the events
 *    alone. One that comes behind the watermark is late: it goes to the late side output or is counted (I3).
 *  - `within` bounds what is kept: a match that is not whole in that time goes to the side output of those that timed
 *    out, if there is one, with the time at which it did. Without it partial matches that can still become whole stay,
 *    up to `partialMatchesMax` of a key.
 *  - An event is kept once, as long as a match has it.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import { refuseThenable, StreamError } from '../../lib/core/errors.ts';
import type { Key } from '../../lib/core/key.ts';
import type { Operator, OperatorContext } from '../../lib/core/operator.ts';
import { integer, refusal } from '../../lib/core/options.ts';
import { looseCopy } from '../../lib/core/own-copy.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { mapState, valueState, type MapState, type ValueState } from '../../lib/core/state-descriptor.ts';
import type { Timers } from '../../lib/core/timer.ts';
import { lateRecords, needTimestamp } from '../windows/lateness.ts';
import { Matcher, nothingYet, type Advance, type Progress } from './matcher.ts';
import { Pattern, type Match, type PatternConditionContext, type Tests } from './pattern.ts';
import { PatternPlan } from './plan.ts';
import type { Taken } from './skip-strategies.ts';

/** What the function of a match may use while it is called. Not to be kept: it is the same object each time. */
export interface MatchContext<K = Key> {
  readonly key: K;
  /** That of the result: when the match was sure. */
  readonly timestamp: Timestamp;
}

/** Makes a result of a match; `undefined` makes none. */
export type MatchFunction<T, N extends string, O, K = Key> = (
  match: Match<T, N>,
  ctx: MatchContext<K>,
) => O | undefined;

export interface MatchOptions {
  /**
   * Partial matches of a key at most; with one more the job fails with `VALUES_EXCEEDED`: `allowCombinations` and
   * `followedByAny` make many of few events. From 1. @defaultValue 100_000
   */
  readonly partialMatchesMax?: number | undefined;
}

export interface MatchPatternOptions<T, N extends string> extends MatchOptions {
  /** What is looked for. */
  readonly pattern: Pattern<T, N>;
  /** Where late events go. @defaultValue nowhere: counted in `numLateRecordsDropped` */
  readonly lateTag?: OutputTag<T> | undefined;
  /** Where partial matches go whose time is over. @defaultValue nowhere */
  readonly timedOutTag?: OutputTag<Match<T, N>> | undefined;
}

/**
 * Makes the operator of `pattern`.
 *
 * @example
 * const pattern = Pattern.begin('up').where((n: number) => n > 0).next('down').where((n) => n < 0);
 * const swings = matchPattern({ pattern }, ({ up, down }) => `${up[0]} ${down[0]}`);
 * const harness = await OperatorHarness.open(swings, { keyOf: () => 'all' });
 * harness.element(-7, 2_000);
 * harness.element(5, 1_000);
 * console.log(harness.watermark(2_000)[0]); // prints { kind: 'record', value: '5 -7', timestamp: 2000 }
 */
export const matchPattern = <T, N extends string, O, K extends Key = Key>(
  options: MatchPatternOptions<T, N>,
  fn: MatchFunction<T, N, O, K>,
): Operator<T, O> => {
  const { pattern, partialMatchesMax = 100_000 } = options;
  integer('partialMatchesMax', partialMatchesMax, { min: 1 });
  const plan = planOf(pattern);
  return (context) => {
    const matching = new PatternMatching<T, N, O, K>(context, { ...options, partialMatchesMax, plan }, fn);
    const takeLate = lateRecords(context, options.lateTag);
    return {
      process(value, timestamp) {
        needTimestamp(timestamp, context.uid, 'pattern');
        if (timestamp <= matching.watermark) takeLate(value, timestamp);
        else matching.wait(value, timestamp);
      },
    };
  };
};

/** Refuses what is no whole pattern, with a `TypeError`. */
export const planOf = (pattern: Pattern<never, string>): PatternPlan => {
  if (!(pattern instanceof Pattern)) throw refusal('pattern', 'a Pattern; `Pattern.begin(name)` makes one', pattern);
  return new PatternPlan(pattern);
};

interface Settings<T, N extends string> extends MatchPatternOptions<T, N> {
  readonly plan: PatternPlan;
  readonly partialMatchesMax: number;
}

/** An event that a match has; the value may be `undefined` itself. */
interface Kept<T> {
  readonly value: T;
}

class PatternMatching<T, N extends string, O, K extends Key> implements MatchContext<K>, PatternConditionContext<T> {
  timestamp: Timestamp = 0;
  readonly #context: OperatorContext<O>;
  readonly #settings: Settings<T, N>;
  readonly #fn: MatchFunction<T, N, O, K>;
  readonly #matcher: Matcher;
  /** Events that the watermark has not reached. */
  readonly #waiting: MapState<Timestamp, T[]>;
  readonly #progress: ValueState<Progress>;
  /** Events that matches have, by their numbers. */
  readonly #kept: MapState<number, Kept<T>>;
  readonly #timers: Timers;
  /** The match whose condition is asked. */
  #asked: Taken = { ids: [], stages: [] };

  constructor(context: OperatorContext<O>, settings: Settings<T, N>, fn: MatchFunction<T, N, O, K>) {
    this.#context = context;
    this.#settings = settings;
    this.#fn = fn;
    this.#matcher = new Matcher(settings.plan);
    this.#waiting = context.state(mapState<Timestamp, T[]>('waiting', { inPlace: true }));
    this.#progress = context.state(valueState<Progress>('progress', { inPlace: true }));
    this.#kept = context.state(mapState<number, Kept<T>>('kept', { inPlace: true }));
    this.#timers = context.timers(({ timestamp }) => this.#onTimer(timestamp));
  }

  get key(): K {
    return this.#context.currentKey() as K; // The stream in front says which keys there are.
  }

  get watermark(): Timestamp {
    return this.#timers.watermark;
  }

  wait(value: T, timestamp: Timestamp): void {
    const waiting = this.#waiting.get(timestamp) ?? [];
    waiting.push(this.#context.handOver(value));
    this.#waiting.set(timestamp, waiting);
    this.#timers.register(timestamp);
  }

  readonly eventsForPattern = <E = T>(name: string): readonly E[] => {
    const stage = this.#settings.plan.names.indexOf(name);
    if (stage < 0) throw refusal('eventsForPattern', 'given the name of a part that takes events', name);
    return this.#events(this.#asked, stage) as readonly unknown[] as readonly E[]; // As the condition says.
  };

  /** First what is over at this time, then the events of this time. */
  #onTimer(timestamp: Timestamp): void {
    this.timestamp = timestamp;
    const before = this.#progress.value() ?? nothingYet;
    let progress = this.#leave(before, this.#matcher.time(before, timestamp));
    for (const value of this.#waiting.get(timestamp) ?? []) progress = this.#event(progress, value);
    this.#waiting.delete(timestamp);
    if (progress === before) return;
    if (progress.partials.length > 0 || progress.held.length > 0) this.#progress.update(progress);
    else this.#progress.clear();
  }

  #event(progress: Progress, value: T): Progress {
    const { partialMatchesMax, plan } = this.#settings;
    // It is kept from now on, and forgotten below when no match has it: a condition is given a copy of its own.
    this.#kept.set(progress.next, { value });
    const shown = looseCopy(value);
    const advance = this.#matcher.event(progress, this.timestamp, (tests, has) => this.#fits(tests, has, shown));
    const { partials } = advance.progress;
    if (partials.length > partialMatchesMax) {
      const { uid } = this.#context;
      throw new StreamError(
        'VALUES_EXCEEDED',
        `the pattern of \`${uid}\` has more than ${partialMatchesMax} partial matches of one key`,
        {
          hint: 'say `within`, a skip strategy or a nearer contiguity, or raise `partialMatchesMax`',
          details: { uid, partialMatchesMax },
        },
      );
    }
    if (plan.withinMs < Infinity && partials.at(-1)?.ids[0] === progress.next)
      this.#timers.register(this.timestamp + plan.withinMs);
    return this.#leave(progress, advance, progress.next);
  }

  #fits(tests: Tests, has: Taken, value: T): boolean {
    this.#asked = has;
    let fits = true;
    for (const [n, { kind, fn }] of tests.entries()) {
      if (n > 0 && (kind === 'and') !== fits) continue;
      const returned = (fn as (value: T, ctx: PatternConditionContext<T>) => unknown)(value, this); // As `where` says.
      fits = Boolean(refuseThenable(returned, 'a condition of a pattern', this.#context.uid));
    }
    return fits;
  }

  /** Hands on what is whole or over, and forgets the events that no match has any more. `id`: of the event in hand. */
  #leave(before: Progress, { progress, matches, timedOut }: Advance, id?: number): Progress {
    const { timedOutTag } = this.#settings;
    for (const match of matches) {
      const result = refuseThenable(this.#fn(this.#match(match), this), 'the match function', this.#context.uid);
      if (result !== undefined) this.#context.output.emit(result, this.timestamp);
    }
    if (timedOutTag !== undefined)
      for (const partial of timedOut) this.#context.output.side(timedOutTag, this.#match(partial), this.timestamp);
    this.#forget(before, progress, id);
    return progress.partials.length + progress.held.length === 0 ? nothingYet : progress;
  }

  #forget(before: Progress, after: Progress, id: number | undefined): void {
    const now = new Set<Taken>([...after.partials, ...after.held]);
    const gone = new Set<number>(id === undefined ? [] : [id]);
    for (const each of [...before.partials, ...before.held])
      if (!now.has(each)) for (const taken of each.ids) gone.add(taken);
    for (const { ids } of now) for (const taken of ids) gone.delete(taken);
    for (const each of gone) this.#kept.delete(each);
  }

  #match(taken: Taken): Match<T, N> {
    const match = this.#settings.plan.names.map((name, stage) => [name, this.#events(taken, stage)] as const);
    return Object.fromEntries(match) as Record<string, readonly T[]> as Match<T, N>; // The pattern's names.
  }

  #events({ ids, stages }: Taken, stage: number): T[] {
    return ids.flatMap((id, n) => {
      const kept = stages[n] === stage ? this.#kept.get(id) : undefined;
      return kept === undefined ? [] : [looseCopy(kept.value)];
    });
  }
}
