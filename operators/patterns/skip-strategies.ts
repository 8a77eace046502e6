/**
 * After-match skip: which other matches a match puts an end to. Matches leave in the order of their first events; one
 * that has begun later waits until all that have begun before it are decided.
 */
import { refusal } from '../../lib/core/options.ts';

/** What is skipped behind a match, as data. `AfterMatchSkipStrategy` makes one. */
export type SkipStrategy =
  | { readonly kind: 'noSkip' | 'skipToNext' | 'skipPastLastEvent' }
  | { readonly kind: 'skipToFirst' | 'skipToLast'; readonly name: string };

const named = (kind: 'skipToFirst' | 'skipToLast', name: string): SkipStrategy => {
  if (typeof name !== 'string' || name === '') throw refusal(kind, 'given the name of a part of the pattern', name);
  return { kind, name };
};

/**
 * Says which other matches a match puts an end to.
 *
 * @example
 * const skip = AfterMatchSkipStrategy.skipPastLastEvent();
 * const pairs = orders.keyBy(() => 'all').pattern(Pattern.begin('pair', { skip }).times(2));
 * const ids = pairs.process(({ pair }) => pair.map(({ id }) => id).join());
 * console.log(await ids.executeAndCollect()); // prints [ '1,2' ]
 */
export const AfterMatchSkipStrategy = {
  /** None: every match is given. */
  noSkip: (): SkipStrategy => ({ kind: 'noSkip' }),
  /** Those that began with the same event. */
  skipToNext: (): SkipStrategy => ({ kind: 'skipToNext' }),
  /** Those that began with an event up to the last one of the match. */
  skipPastLastEvent: (): SkipStrategy => ({ kind: 'skipPastLastEvent' }),
  /** Those that began before the first event of this part of the match; none when it has no event. */
  skipToFirst: (name: string): SkipStrategy => named('skipToFirst', name),
  /** Those that began before the last event of this part of the match; none when it has no event. */
  skipToLast: (name: string): SkipStrategy => named('skipToLast', name),
};

const kinds: readonly string[] = Object.keys(AfterMatchSkipStrategy);

/** Refuses what is no strategy. */
export const skipStrategy = (value: SkipStrategy): SkipStrategy => {
  const isOne = typeof value === 'object' && value !== null && kinds.includes(value.kind);
  if (!isOne) throw refusal('skip', 'a strategy; `AfterMatchSkipStrategy.skipToNext()` makes one', value);
  return 'name' in value ? named(value.kind, value.name) : value;
};

/** Events of a match by number, with the place in the pattern of each. */
export interface Taken {
  readonly ids: readonly number[];
  readonly stages: readonly number[];
}

/** The number of the first event with which a match may still begin behind `match`. `names`: of the stages. */
export const beginsFrom = (strategy: SkipStrategy, match: Taken, names: readonly string[]): number => {
  const none = -Infinity;
  switch (strategy.kind) {
    case 'noSkip':
      return none;
    case 'skipToNext':
      return (match.ids[0] ?? none) + 1;
    case 'skipPastLastEvent':
      return (match.ids.at(-1) ?? none) + 1;
    case 'skipToFirst':
      return match.ids[match.stages.indexOf(names.indexOf(strategy.name))] ?? none;
    case 'skipToLast':
      return match.ids[match.stages.lastIndexOf(names.indexOf(strategy.name))] ?? none;
  }
};
