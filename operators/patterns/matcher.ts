/**
 * One event of a key after another, and what becomes of the matches that have begun. Knows neither keys nor state:
 * partial matches are plain data, events have numbers without a gap.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import type { Tests } from './pattern.ts';
import type { PatternPlan, Target } from './plan.ts';
import { beginsFrom, type Taken } from './skip-strategies.ts';

/** A match that may become whole. The events that it has never change; a further one makes another partial match. */
export interface Partial extends Taken {
  /** How often the last stage has occurred, as far as it matters. */
  readonly count: number;
  readonly startedAt: Timestamp;
  /** Targets of its place that it still may reach, by their numbers. */
  readonly open: readonly number[];
  /** It is a match, and may become another one: when its time is over, nothing was missed. */
  readonly isWhole: boolean;
}

/** What is kept of a key. Matches and partial matches stand in the order of their first events. */
export interface Progress {
  /** Number of the next event. */
  readonly next: number;
  readonly partials: readonly Partial[];
  /** Matches that wait for what becomes of partial ones that have begun before them. */
  readonly held: readonly Taken[];
}

export const nothingYet: Progress = { next: 0, partials: [], held: [] };

/** What an event, or time, has made of the matches. */
export interface Advance {
  readonly progress: Progress;
  /** In the order in which they leave. */
  readonly matches: readonly Taken[];
  readonly timedOut: readonly Partial[];
}

/** Whether the event in hand fits, for a match that has so much. */
export type Fits = (tests: Tests, has: Taken) => boolean;

const start: Omit<Partial, 'startedAt' | 'open'> = { ids: [], stages: [], count: 0, isWhole: false };

export class Matcher {
  readonly #plan: PatternPlan;

  constructor(plan: PatternPlan) {
    this.#plan = plan;
  }

  /** Takes the next event. What `timeout` ends at its time has ended before. */
  event({ next: id, partials, held }: Progress, timestamp: Timestamp, fits: Fits): Advance {
    const kept: Partial[] = [];
    const whole: Taken[] = [];
    const begin: Partial = { ...start, startedAt: timestamp, open: this.#plan.place(-1, 0).targets.map((_, n) => n) };
    for (const partial of [...partials, begin]) {
      const { targets } = this.#plan.place(partial.stages.at(-1) ?? -1, partial.count);
      const made: Partial[] = [];
      const open = partial.open.filter((number) => {
        const target = targets[number];
        if (target === undefined) return false;
        const fate = fateOf(target, partial, id, fits);
        if (fate.isTaken && target.stage === undefined) whole.push(partial);
        else if (fate.isTaken) made.push(this.#longer(partial, target, id));
        return fate.stays;
      });
      if (partial !== begin && open.length > 0)
        kept.push(open.length === partial.open.length ? partial : { ...partial, open });
      for (const each of made) {
        if (each.isWhole) whole.push(each);
        if (each.open.length > 0) kept.push(each);
      }
    }
    return { ...this.#released({ next: id + 1, partials: kept, held }, whole), timedOut: [] };
  }

  /** Ends what has begun at least `within` ago. */
  time(progress: Progress, now: Timestamp): Advance {
    const isOver = ({ startedAt }: Partial): boolean => now - startedAt >= this.#plan.withinMs;
    const over = progress.partials.filter(isOver);
    if (over.length === 0) return { progress, matches: [], timedOut: [] };
    const whole = over.filter((partial) => this.#awaitsEnd(partial));
    const timedOut = over.filter((partial) => !partial.isWhole && !whole.includes(partial));
    const partials = progress.partials.filter((partial) => !isOver(partial));
    return { ...this.#released({ ...progress, partials }, whole), timedOut };
  }

  /** It has all events, and what must not come behind them has not come. */
  #awaitsEnd({ stages, count, open }: Partial): boolean {
    const { targets } = this.#plan.place(stages.at(-1) ?? -1, count);
    return open.some((number) => {
      const target = targets[number];
      return target?.stage === undefined && target?.nots.some(({ kind }) => kind === 'notFollowedBy') === true;
    });
  }

  #longer({ ids, stages, startedAt }: Partial, { at, count }: Target, id: number): Partial {
    const { targets, isWhole } = this.#plan.place(at, count);
    const open = targets.map((_, number) => number);
    return { ids: [...ids, id], stages: [...stages, at], count, startedAt, open, isWhole };
  }

  /** Lets matches leave that no partial match which has begun before can put an end to. */
  #released(progress: Progress, whole: readonly Taken[]): Omit<Advance, 'timedOut'> {
    // Those of one event, or time, leave in the order of their events: a fixed one.
    const came = [...whole].sort(byEvents).map(({ ids, stages }) => ({ ids, stages }));
    const { skip, withinMs: _, names } = this.#plan;
    if (skip.kind === 'noSkip') return { progress, matches: came };
    const matches: Taken[] = [];
    let { partials } = progress;
    let held: readonly Taken[] = [...progress.held, ...came].sort((a, b) => first(a) - first(b));
    for (let [match] = held; match !== undefined; [match] = held) {
      if (partials[0] !== undefined && first(partials[0]) < first(match)) break;
      matches.push(match);
      const from = beginsFrom(skip, match, names);
      const goesOn = (each: Taken): boolean => first(each) >= from;
      partials = partials.filter(goesOn);
      held = held.slice(1).filter(goesOn);
    }
    return { progress: { ...progress, partials, held }, matches };
  }
}

const first = ({ ids }: Taken): number => ids[0] ?? -1;

/** By first events, then by the next ones; of two that begin alike the shorter one first. */
const byEvents = (a: Taken, b: Taken): number => {
  for (const [n, id] of a.ids.entries()) {
    const difference = id - (b.ids[n] ?? -1) || (a.stages[n] ?? 0) - (b.stages[n] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.ids.length - b.ids.length;
};

/** What an event does to a partial match on its way to a target. */
const fateOf = (
  { stage, contiguity, isInner, nots, greedy }: Target,
  partial: Partial,
  id: number,
  fits: Fits,
): { readonly isTaken: boolean; readonly stays: boolean } => {
  const last = partial.ids.at(-1);
  const isFirst = last === undefined || id === last + 1;
  const none = { isTaken: false, stays: false };
  const follows = nots.filter(({ kind }) => kind === 'notFollowedBy');
  if (nots.some(({ kind, tests }) => (kind === 'notFollowedBy' || isFirst) && fits(tests, partial))) return none;
  const wouldLoop = ({ tests, until }: (typeof greedy)[number]): boolean =>
    fits(tests, partial) && !(until !== undefined && fits(until, partial));
  if (greedy.some(wouldLoop)) return none;
  // At the end, an event has come that was none of `notNext`, or nothing may come until time is over.
  if (stage === undefined)
    return follows.length > 0 ? { isTaken: false, stays: true } : { isTaken: true, stays: false };
  const doesFit = fits(stage.tests, partial);
  const isEnded = stage.until !== undefined && fits(stage.until, partial);
  const mayStandBetween = contiguity === 'any' || (contiguity === 'relaxed' && !doesFit);
  return { isTaken: doesFit && !isEnded, stays: mayStandBetween && !(isInner && isEnded) };
};
