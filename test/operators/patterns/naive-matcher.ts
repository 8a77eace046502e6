/**
 * Pattern matching by trying every choice of events: what a pattern means, said of whole choices and not of one event
 * after another.
 */
import { Pattern } from '../../../operators/patterns/pattern.ts';
import type { SkipStrategy } from '../../../operators/patterns/skip-strategies.ts';

export interface Item {
  readonly key: string;
  readonly letter: string;
  readonly n: number;
  readonly ts: number;
}

/** Fits events with one of the letters; `rising`: whose number is above that of every event of the match. */
export interface Condition {
  readonly letters: string;
  readonly rising: boolean;
}

export interface PartSpec extends Condition {
  readonly how: 'next' | 'followedBy' | 'followedByAny' | 'notNext' | 'notFollowedBy';
  readonly min: number;
  /** `Infinity`: no limit. */
  readonly max: number;
  readonly optional: boolean;
  readonly greedy: boolean;
  readonly inner: 'strict' | 'relaxed' | 'any';
  readonly until: string | undefined;
}

export interface PatternSpec {
  readonly parts: readonly PartSpec[];
  readonly skip: SkipStrategy;
  readonly within: number | undefined;
}

const isNot = ({ how }: PartSpec): boolean => how === 'notNext' || how === 'notFollowedBy';

/** The pattern as a user would write it. Throws a `TypeError` for one that is none. */
export const patternOf = ({ parts, skip, within }: PatternSpec): Pattern<Item, string> => {
  let pattern = Pattern.begin<Item>('p0', { skip });
  const names = parts.flatMap((part, n) => (isNot(part) ? [] : [`p${n}`]));
  for (const [n, part] of parts.entries()) {
    if (n > 0) pattern = pattern[part.how](`p${n}`);
    pattern = pattern.where((item, ctx) => {
      const had = names.flatMap((name) => [...ctx.eventsForPattern(name)]);
      return part.letters.includes(item.letter) && (!part.rising || had.every((each) => each.n < item.n));
    });
    if (isNot(part)) continue;
    if (part.max === Infinity) pattern = pattern.timesOrMore(part.min);
    else if (part.max > 1) pattern = pattern.times(part.min, part.max);
    if (part.optional) pattern = pattern.optional();
    if (part.max > 1 && part.inner === 'strict') pattern = pattern.consecutive();
    if (part.max > 1 && part.inner === 'any') pattern = pattern.allowCombinations();
    if (part.greedy) pattern = pattern.greedy();
    const { until } = part;
    if (until !== undefined) pattern = pattern.until((item) => until.includes(item.letter));
  }
  return within === undefined ? pattern : pattern.within(within);
};

interface Pick {
  readonly event: number;
  readonly part: number;
}

export interface Found {
  readonly picks: readonly Pick[];
  /** Number of the event that makes it sure, or half behind that of the last one before its time is over. */
  readonly sureAt: number;
  readonly ts: number;
}

/** A way to go on: to another event of the part in hand, to another part, or to the end. */
interface Way {
  readonly to: number;
  readonly isInner: boolean;
  readonly nots: readonly PartSpec[];
  readonly greedy: readonly PartSpec[];
}

export class NaiveMatcher {
  readonly matches: Found[] = [];
  readonly timedOut: Found[] = [];
  readonly #parts: readonly PartSpec[];
  readonly #within: number;
  readonly #items: readonly Item[];

  /** `items`: of one key, in order. */
  constructor({ parts, within, skip }: PatternSpec, items: readonly Item[]) {
    this.#parts = parts;
    this.#within = within ?? Infinity;
    this.#items = items;
    this.#extend([]);
    this.matches.sort((a, b) => a.sureAt - b.sureAt || byPicks(a, b));
    if (skip.kind !== 'noSkip') this.matches.splice(0, Infinity, ...this.#left(skip));
  }

  /** Those that are left when each puts an end to others, in the order of their first events. */
  #left(skip: SkipStrategy): Found[] {
    const left: Found[] = [];
    let from = 0;
    for (const match of this.matches.toSorted((a, b) => startOf(a) - startOf(b))) {
      if (startOf(match) < from) continue;
      left.push(match);
      const events = match.picks.map(({ event }) => event);
      const named = 'name' in skip ? match.picks.filter(({ part }) => `p${part}` === skip.name) : [];
      if (skip.kind === 'skipToNext') from = Math.max(from, startOf(match) + 1);
      if (skip.kind === 'skipPastLastEvent') from = Math.max(from, (events.at(-1) ?? 0) + 1);
      if (skip.kind === 'skipToFirst') from = Math.max(from, named[0]?.event ?? 0);
      if (skip.kind === 'skipToLast') from = Math.max(from, named.at(-1)?.event ?? 0);
    }
    return left;
  }

  #fits({ letters, rising }: Condition, event: number, picks: readonly Pick[]): boolean {
    const item = this.#items[event] as Item; // The numbers are those of items.
    return (
      letters.includes(item.letter) && (!rising || picks.every((pick) => (this.#items[pick.event]?.n ?? 0) < item.n))
    );
  }

  #deadline(picks: readonly Pick[]): number {
    return (this.#items[picks[0]?.event ?? -1]?.ts ?? Infinity) + this.#within;
  }

  /** Events behind a choice, up to its deadline. */
  #behind(picks: readonly Pick[]): number[] {
    const last = picks.at(-1)?.event ?? -1;
    return this.#items.flatMap(({ ts }, n) => (n > last && ts < this.#deadline(picks) ? [n] : []));
  }

  #extend(picks: readonly Pick[]): void {
    const ways = this.#ways(picks);
    const behind = this.#behind(picks);
    if (picks.length > 0) this.#note(picks, ways, behind);
    for (const way of ways) {
      if (way.to === this.#parts.length) continue;
      for (const [n, event] of behind.entries()) {
        const between = picks.length === 0 ? [] : behind.slice(0, n);
        if (this.#mayTake(way, event, picks) && between.every((each) => this.#mayPass(way, each, picks)))
          this.#extend([...picks, { event, part: way.to }]);
      }
    }
  }

  #note(picks: readonly Pick[], ways: readonly Way[], behind: readonly number[]): void {
    const isOpen = (way: Way): boolean => behind.every((event) => this.#mayPass(way, event, picks));
    const deadline = { sureAt: (behind.at(-1) ?? picks.at(-1)?.event ?? 0) + 0.5, ts: this.#deadline(picks) };
    const end = ways.find(({ to }) => to === this.#parts.length);
    const last = picks.at(-1)?.event ?? 0;
    const match = (event: number): number =>
      this.matches.push({ picks, sureAt: event, ts: this.#items[event]?.ts ?? 0 });
    if (end?.nots.length === 0) match(last);
    else if (end?.nots.some(({ how }) => how === 'notFollowedBy') === true) {
      if (isOpen(end)) this.matches.push({ picks, ...deadline });
      else if (ways.some((way) => way !== end && isOpen(way))) this.timedOut.push({ picks, ...deadline });
    } else {
      const next = behind[0];
      if (end !== undefined && next !== undefined && this.#isClear(end, next, picks)) match(next);
      const isUndecided = end !== undefined && next === undefined;
      if (isUndecided || ways.some((way) => way !== end && isOpen(way))) this.timedOut.push({ picks, ...deadline });
    }
  }

  #ways(picks: readonly Pick[]): Way[] {
    const last = picks.at(-1);
    const at = last?.part ?? -1;
    const part = this.#parts[at];
    const count = picks.filter((pick) => pick.part === at).length;
    const notsFrom = (n: number): PartSpec[] => {
      const next = this.#parts[n];
      return next !== undefined && isNot(next) ? [next, ...notsFrom(n + 1)] : [];
    };
    const ways: Way[] = [];
    const mayLoop = part !== undefined && count < part.max;
    if (mayLoop) ways.push({ to: at, isInner: true, nots: notsFrom(at + 1), greedy: [] });
    if (part !== undefined && count < part.min) return ways;
    const nots: PartSpec[] = [];
    const greedy = mayLoop && part.greedy ? [part] : [];
    for (let to = at + 1; to <= this.#parts.length; to++) {
      const next = this.#parts[to];
      if (next !== undefined && isNot(next)) nots.push(next);
      else if (next !== undefined || at >= 0) ways.push({ to, isInner: false, nots: [...nots], greedy: [...greedy] });
      if (next !== undefined && !isNot(next) && !next.optional) break;
      if (next?.greedy === true && !isNot(next)) greedy.push(next);
    }
    return ways;
  }

  /** Nothing forbids the event on this way. */
  #isClear({ nots, greedy }: Way, event: number, picks: readonly Pick[]): boolean {
    const isNext = picks.length === 0 || event === (picks.at(-1)?.event ?? 0) + 1;
    if (nots.some((not) => (not.how === 'notFollowedBy' || isNext) && this.#fits(not, event, picks))) return false;
    return !greedy.some((part) => this.#fits(part, event, picks) && !this.#ends(part, event));
  }

  #ends({ until }: PartSpec, event: number): boolean {
    return until?.includes(this.#items[event]?.letter ?? '') ?? false;
  }

  #mayTake(way: Way, event: number, picks: readonly Pick[]): boolean {
    const part = this.#parts[way.to] as PartSpec; // Not the end.
    return this.#isClear(way, event, picks) && this.#fits(part, event, picks) && !this.#ends(part, event);
  }

  #mayPass(way: Way, event: number, picks: readonly Pick[]): boolean {
    if (!this.#isClear(way, event, picks)) return false;
    const part = this.#parts[way.to];
    if (part === undefined) return way.nots.some(({ how }) => how === 'notFollowedBy');
    if (way.isInner && this.#ends(part, event)) return false;
    const any = way.isInner ? part.inner === 'any' : part.how === 'followedByAny';
    const relaxed = way.isInner ? part.inner === 'relaxed' : part.how === 'followedBy';
    return any || (relaxed && !this.#fits(part, event, picks));
  }
}

const startOf = ({ picks }: Found): number => picks[0]?.event ?? 0;

const byPicks = (a: Found, b: Found): number => {
  for (const [n, { event, part }] of a.picks.entries()) {
    const other = b.picks[n];
    if (other === undefined) return 1;
    if (event !== other.event || part !== other.part) return event - other.event || part - other.part;
  }
  return a.picks.length - b.picks.length;
};
