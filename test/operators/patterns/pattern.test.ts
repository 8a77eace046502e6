import { describe, expect, it } from 'vitest';
import { matchPattern } from '../../../operators/patterns/match-pattern.ts';
import { Pattern } from '../../../operators/patterns/pattern.ts';
import { AfterMatchSkipStrategy, beginsFrom, type SkipStrategy } from '../../../operators/patterns/skip-strategies.ts';

const a = (): Pattern => Pattern.begin('a');
const loop = (): Pattern => a().oneOrMore();
const not = (): Pattern => a().notNext('n');

describe('a pattern as it is written', () => {
  it.each<[string, () => unknown, string]>([
    ['a name that is none', () => Pattern.begin(''), '`name`'],
    ['a name twice', () => a().next('b').followedBy('a'), '`name` to be another one'],
    ['a name of a not twice', () => not().next('n'), '`name` to be another one'],
    ['an option that does not exist', () => Pattern.begin('a', { skipTo: 1 } as never), 'skipTo'],
    ['a strategy that is none', () => Pattern.begin('a', { skip: 'skipToNext' as never }), '`skip`'],
    ['a strategy of another kind', () => Pattern.begin('a', { skip: { kind: 'toNext' } as never }), '`skip`'],
    ['a skip to no name', () => AfterMatchSkipStrategy.skipToFirst(''), '`skipToFirst`'],
    ['a condition that is none', () => a().where('x' as never), '`where`'],
    ['another condition that is none', () => a().or(undefined as never), '`or`'],
    ['an until that is none', () => loop().until(1 as never), '`until`'],
    [
      'until without a loop',
      () =>
        a()
          .times(2)
          .until(() => true),
      'Expected `until` behind',
    ],
    ['times of nothing', () => a().times(0), '`times`'],
    ['times of a part of one', () => a().times(1.5), '`times`'],
    ['times to less', () => a().times(3, 2), '`times` to be an integer from 3'],
    ['no time or more', () => a().timesOrMore(0), '`timesOrMore`'],
    ['two numbers', () => loop().times(2), 'Expected `times` once'],
    ['greedy for one event', () => a().greedy(), 'Expected `greedy` behind'],
    ['greedy for a fixed number', () => a().times(2).greedy(), 'Expected `greedy` behind'],
    ['greedy beside combinations', () => loop().allowCombinations().greedy(), 'Expected `greedy` beside'],
    ['combinations beside greedy', () => loop().greedy().allowCombinations(), 'Expected `greedy` beside'],
    ['greedy of any', () => a().followedByAny('b').oneOrMore().greedy(), 'Expected `greedy` beside'],
    ['consecutive for one event', () => a().consecutive(), 'Expected `consecutive` behind'],
    ['combinations of one event', () => a().allowCombinations(), 'Expected `allowCombinations` behind'],
    ['a number of a not', () => not().oneOrMore(), 'behind `notNext`'],
    ['a not that is optional', () => not().optional(), 'behind `notNext`'],
    ['a not behind what is optional', () => a().optional().notFollowedBy('n'), 'not optional: `a`'],
    ['no time', () => a().within(0), '`within`'],
  ])('refuses %s', (_name, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it('is refused where it is used when it has no end, or skips to nothing', () => {
    const use = (pattern: Pattern) => (): unknown => matchPattern({ pattern }, () => 1);
    expect(use(a().notFollowedBy('n'))).toThrow('to have `within`');
    expect(use(a().notFollowedBy('n').next('b').optional())).toThrow('to have `within`');
    expect(use(a().within('1s').notFollowedBy('n'))).not.toThrow();
    expect(use(a().notFollowedBy('n').next('b'))).not.toThrow();
    const skip = AfterMatchSkipStrategy.skipToLast('b');
    expect(use(Pattern.begin('a', { skip }))).toThrow('`skip`');
    expect(use(Pattern.begin('a', { skip }).notNext('b').next('c'))).toThrow('`skip`');
    expect(use(Pattern.begin('a', { skip }).next('b'))).not.toThrow();
  });

  it('is not changed by what is made of it', () => {
    const pattern = a();
    pattern.next('b').notFollowedBy('c');
    expect(pattern.whole.parts).toHaveLength(1);
  });

  it.each<[SkipStrategy, number]>([
    [AfterMatchSkipStrategy.noSkip(), -Infinity],
    [AfterMatchSkipStrategy.skipToNext(), 4],
    [AfterMatchSkipStrategy.skipPastLastEvent(), 10],
    [AfterMatchSkipStrategy.skipToFirst('b'), 5],
    [AfterMatchSkipStrategy.skipToLast('b'), 8],
    [AfterMatchSkipStrategy.skipToLast('without'), -Infinity],
  ])('%o goes on at the right event', (skip, from) => {
    expect(beginsFrom(skip, { ids: [3, 5, 8, 9], stages: [0, 2, 2, 3] }, ['a', 'without', 'b', 'c'])).toBe(from);
  });
});
