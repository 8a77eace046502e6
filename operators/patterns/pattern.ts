/**
 * Patterns as users write them: parts that follow each other, each with a condition, how near it must be to the part
 * before, and how often it may occur. A pattern is data; `plan.ts` says what may come behind what.
 */
import { callable, integer, knownOptions, refusal, type Duration } from '../../lib/core/options.ts';
import { wholeMs } from '../windows/whole-ms.ts';
import { AfterMatchSkipStrategy, skipStrategy, type SkipStrategy } from './skip-strategies.ts';

/** What a condition may look at beside the value. Not to be kept: it is the same object each time. */
export interface PatternConditionContext<T> {
  /** Timestamp of the value. */
  readonly timestamp: number;
  /** Copies of what the match in hand has of a part so far, in order; none of a part that it has not reached. */
  eventsForPattern<E = T>(name: string): readonly E[];
}

/** Truthy when an event fits. May be asked several times for one event, so it changes nothing. */
export type PatternCondition<T> = (value: T, ctx: PatternConditionContext<T>) => unknown;

/** Events of a match by the names of the parts: a part that is optional may have none. */
export type Match<T, N extends string = string> = { readonly [Name in N]: readonly T[] };

export interface PatternOptions {
  /** What a match puts an end to. @defaultValue `AfterMatchSkipStrategy.noSkip()` */
  readonly skip?: SkipStrategy | undefined;
}

/** Which events may stand between: `strict` none, `relaxed` those that do not fit, `any` all. */
export type Contiguity = 'strict' | 'relaxed' | 'any';

/** What was said by `where` and `or`, in that order. */
export type Tests = readonly { readonly kind: 'and' | 'or'; readonly fn: PatternCondition<never> }[];

interface Part {
  readonly name: string;
  readonly tests: Tests;
}

/** A part that takes events. */
export interface Stage extends Part {
  readonly kind: 'stage';
  /** To the part before. */
  readonly contiguity: Contiguity;
  /** Between its own events. */
  readonly inner: Contiguity;
  readonly min: number;
  /** `Infinity`: no limit. */
  readonly max: number;
  readonly optional: boolean;
  readonly greedy: boolean;
  /** An event that fits ends the loop. */
  readonly until: Tests | undefined;
}

/** An event that must not come: right behind the part before, or at any time until the part behind has begun. */
export interface Not extends Part {
  readonly kind: 'notNext' | 'notFollowedBy';
}

interface Setup {
  readonly parts: readonly (Stage | Not)[];
  readonly skip: SkipStrategy;
  readonly withinMs: number;
}

const stage = (name: string, contiguity: Contiguity): Stage => ({
  kind: 'stage',
  name,
  tests: [],
  contiguity,
  inner: 'relaxed',
  min: 1,
  max: 1,
  optional: false,
  greedy: false,
  until: undefined,
});

const isLoop = ({ max }: Stage): boolean => max > 1;

/**
 * A pattern of events of one key. Start with `Pattern.begin`; each method gives another pattern, and says something of
 * the part that was named last.
 *
 * @example
 * const rise = Pattern.begin('first')
 *   .where((order: Order) => order.euros > 20)
 *   .followedBy('more')
 *   .where((order, ctx) => order.euros > Math.max(...ctx.eventsForPattern('first').map(({ euros }) => euros)))
 *   .within('1m');
 * const rises = orders.keyBy(({ customer }) => customer).pattern(rise);
 * const lines = rises.process(({ first, more }, { key }) => `${key}: ${first[0]?.euros} to ${more[0]?.euros}`);
 * console.log(await lines.executeAndCollect()); // prints [ 'ann: 25 to 40' ]
 */
export class Pattern<T = unknown, N extends string = string> {
  /**
   * @internal Carries the types only; never present at run time. A method, since streams of a type are streams of a
   * wider one.
   */
  types?(value: T): N;
  readonly #setup: Setup;

  private constructor(setup: Setup) {
    this.#setup = setup;
  }

  /**
   * Starts a pattern with its first part.
   *
   * @example
   * const large = Pattern.begin('large').where((order: Order) => order.euros > 20);
   * const matches = orders.keyBy(() => 'all').pattern(large);
   * console.log(await matches.process((match) => match.large[0]?.id).executeAndCollect()); // prints [ 1, 3 ]
   */
  static begin<T = unknown, N extends string = string>(name: N, options: PatternOptions = {}): Pattern<T, N> {
    knownOptions('Pattern.begin', options, { skip: true });
    const skip = skipStrategy(options.skip ?? AfterMatchSkipStrategy.noSkip());
    return new Pattern<T, N>({ parts: [stage(checkName(name, []), 'relaxed')], skip, withinMs: Infinity });
  }

  /** What an event of this part must be; said again, both hold. Without it every event fits. */
  where<E extends T = T>(fn: PatternCondition<E>): Pattern<E, N> {
    return this.#tested('where', 'and', fn);
  }

  /**
   * An event that `fn` takes fits too, whatever was said before.
   *
   * @example
   * const small = Pattern.begin('a').where((order: Order) => order.euros < 10);
   * const pattern = small.or(({ euros }) => euros > 30);
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '2', '3' ]
   */
  or<E extends T = T>(fn: PatternCondition<E>): Pattern<E, N> {
    return this.#tested('or', 'or', fn);
  }

  /**
   * The next part, whose event comes right behind: no other event of the key stands between (strict).
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').next('b');
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * console.log(await found.process(({ b }) => b[0]?.id).executeAndCollect()); // prints [ 2, 3 ]
   */
  next<M extends string>(name: M): Pattern<T, N | M> {
    return this.#followed<M>(name, 'strict');
  }

  /** The next part, whose event is the first that fits: others may stand between (relaxed). */
  followedBy<M extends string>(name: M): Pattern<T, N | M> {
    return this.#followed<M>(name, 'relaxed');
  }

  /**
   * The next part, whose event is any that fits: a match for each of them.
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').followedByAny('b');
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * console.log(await found.process(({ b }) => b[0]?.id).executeAndCollect()); // prints [ 2, 3, 3 ]
   */
  followedByAny<M extends string>(name: M): Pattern<T, N | M> {
    return this.#followed<M>(name, 'any');
  }

  /**
   * The next event must be none that fits what follows by `where`. At the end of a pattern another event must come.
   *
   * @example
   * const first = Pattern.begin<Order, 'a'>('a').notNext('small').where(({ euros }) => euros < 10);
   * const pattern = first.followedBy('b');
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '2' ]
   */
  notNext(name: string): Pattern<T, N> {
    return this.#not(name, 'notNext');
  }

  /**
   * No event that fits comes until the next part has begun. At the end of a pattern, until the time of `within` is
   * over: then the match leaves.
   *
   * @example
   * const start = Pattern.begin<Order, 'a'>('a');
   * const first = start.notFollowedBy('small').where(({ euros }) => euros < 10);
   * const pattern = first.followedBy('b').where(({ euros }) => euros > 30);
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '2' ]
   */
  notFollowedBy(name: string): Pattern<T, N> {
    return this.#not(name, 'notFollowedBy');
  }

  /**
   * So many events; with `to`, from `from` to `to`, each number a match. `times(0, to)` is optional.
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').times(2);
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1,2', '2,3' ]
   */
  times(from: number, to: number = from): Pattern<T, N> {
    integer('times', from);
    integer('times', to, { min: Math.max(from, 1) });
    return this.#repeated('times', { min: Math.max(from, 1), max: to, ...(from === 0 && { optional: true }) });
  }

  /**
   * So many events or more.
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').timesOrMore(2);
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1,2', '1,2,3', '2,3' ]
   */
  timesOrMore(from: number): Pattern<T, N> {
    return this.#repeated('timesOrMore', { min: integer('timesOrMore', from, { min: 1 }), max: Infinity });
  }

  /**
   * One event or more.
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').where(({ euros }) => euros > 10).oneOrMore();
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1', '1,3', '3' ]
   */
  oneOrMore(): Pattern<T, N> {
    return this.#repeated('oneOrMore', { min: 1, max: Infinity });
  }

  /**
   * A match may do without this part.
   *
   * @example
   * const large = Pattern.begin<Order, 'a'>('a').where(({ euros }) => euros > 30).optional();
   * const pattern = large.followedBy('b').where(({ euros }) => euros < 10);
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * console.log(await found.process(({ b }) => b[0]?.id).executeAndCollect()); // prints [ 2 ]
   */
  optional(): Pattern<T, N> {
    this.#last('optional');
    return this.#changed({ optional: true });
  }

  /**
   * As many events as there are: what the part can take is not left to the next one.
   *
   * @example
   * const all = Pattern.begin('a').where((order: Order) => order.euros < 30).oneOrMore().greedy();
   * const pattern = all.followedBy('b');
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1,2', '2' ]
   */
  greedy(): Pattern<T, N> {
    const { min, max, contiguity, inner } = this.#last('greedy');
    if (min === max) throw new TypeError('Expected `greedy` behind `oneOrMore`, `timesOrMore` or `times(from, to)`');
    if (contiguity === 'any' || inner === 'any')
      throw new TypeError('Expected `greedy` beside neither `followedByAny` nor `allowCombinations`');
    return this.#changed({ greedy: true });
  }

  /**
   * The events of this part come right behind each other.
   *
   * @example
   * const large = Pattern.begin<Order, 'a'>('a').where(({ euros }) => euros > 10);
   * const pattern = large.oneOrMore().consecutive();
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1', '3' ]
   */
  consecutive(): Pattern<T, N> {
    this.#loop('consecutive');
    return this.#changed({ inner: 'strict' });
  }

  /**
   * Each choice of events that fit is a match: 2^n of n of them.
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').times(2).allowCombinations();
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1,2', '1,3', '2,3' ]
   */
  allowCombinations(): Pattern<T, N> {
    if (this.#loop('allowCombinations').greedy)
      throw new TypeError('Expected `greedy` beside neither `followedByAny` nor `allowCombinations`');
    return this.#changed({ inner: 'any' });
  }

  /**
   * An event that fits ends the loop of `oneOrMore` or `timesOrMore`, and is none of its own.
   *
   * @example
   * const pattern = Pattern.begin<Order, 'a'>('a').oneOrMore().until(({ euros }) => euros > 30);
   * const found = orders.keyBy(() => 'all').pattern(pattern);
   * const ids = found.process(({ a }) => a.map(({ id }) => id).join());
   * console.log(await ids.executeAndCollect()); // prints [ '1', '1,2', '2' ]
   */
  until<E extends T = T>(fn: PatternCondition<E>): Pattern<E, N> {
    callable('until', fn);
    if (this.#last('until').max < Infinity) throw new TypeError('Expected `until` behind `oneOrMore` or `timesOrMore`');
    return this.#changed({ until: [{ kind: 'and', fn }] }) as Pattern<unknown, N> as Pattern<E, N>; // By its condition.
  }

  /** Less than so long from the first event to the last: holds for the whole pattern, wherever it is said. */
  within(duration: Duration): Pattern<T, N> {
    return new Pattern({ ...this.#setup, withinMs: wholeMs('within', duration, 1) });
  }

  /** @internal What was said. Throws a `TypeError` for what is no whole pattern. */
  get whole(): Setup {
    const { parts, skip, withinMs } = this.#setup;
    // Parts that are optional may be left out, and then the pattern ends with what is in front of them.
    const must = parts.findLastIndex((part) => part.kind === 'stage' && !part.optional);
    if (withinMs === Infinity && parts.slice(must + 1).some(({ kind }) => kind === 'notFollowedBy'))
      throw new TypeError('Expected a pattern that may end with `notFollowedBy` to have `within`');
    if ('name' in skip && !parts.some(({ kind, name }) => kind === 'stage' && name === skip.name))
      throw refusal('skip', 'to a part of the pattern that takes events', skip.name);
    return this.#setup;
  }

  #last(method: string): Stage {
    const last = this.#setup.parts.at(-1);
    if (last?.kind === 'stage') return last;
    throw new TypeError(`Expected \`${method}\` behind a part that takes events, not behind \`${last?.kind}\``);
  }

  #loop(method: string): Stage {
    const last = this.#last(method);
    if (!isLoop(last)) throw new TypeError(`Expected \`${method}\` behind \`times\`, \`timesOrMore\` or \`oneOrMore\``);
    return last;
  }

  #repeated(method: string, times: Partial<Stage>): Pattern<T, N> {
    const { min, max } = this.#last(method);
    if (min !== 1 || max !== 1)
      throw new TypeError(`Expected \`${method}\` once for a part, not behind another number`);
    return this.#changed(times);
  }

  #changed(change: Partial<Stage> | Partial<Not>): Pattern<T, N> {
    const { parts } = this.#setup;
    // The method that is called has looked at the kind of the last part, or changes what both kinds have.
    const last = { ...parts.at(-1), ...change } as Stage | Not;
    return new Pattern({ ...this.#setup, parts: [...parts.slice(0, -1), last] });
  }

  #tested<E extends T>(method: string, kind: 'and' | 'or', fn: PatternCondition<E>): Pattern<E, N> {
    callable(method, fn);
    const tests = this.#setup.parts.at(-1)?.tests ?? [];
    // It takes what its conditions take.
    return this.#changed({ tests: [...tests, { kind, fn }] }) as Pattern<unknown, N> as Pattern<E, N>;
  }

  #followed<M extends string>(name: M, contiguity: Contiguity): Pattern<T, N | M> {
    return this.#with<M>(stage(checkName(name, this.#setup.parts), contiguity));
  }

  #not(name: string, kind: Not['kind']): Pattern<T, N> {
    const { parts } = this.#setup;
    checkName(name, parts);
    const before = parts.at(-1);
    if (before?.kind === 'stage' && before.optional)
      throw new TypeError(`Expected \`${kind}\` behind a part that is not optional: \`${before.name}\` is`);
    return this.#with<N>({ kind, name, tests: [] });
  }

  #with<M extends string>(part: Stage | Not): Pattern<T, N | M> {
    return new Pattern<T, N | M>({ ...this.#setup, parts: [...this.#setup.parts, part] });
  }
}

/** Each part has a name of its own. */
const checkName = <M extends string>(name: M, parts: readonly Part[]): M => {
  if (typeof name !== 'string' || name === '') throw refusal('name', 'a text that is not empty', name);
  if (parts.some((part) => part.name === name)) throw refusal('name', 'another one for each part of a pattern', name);
  return name;
};
