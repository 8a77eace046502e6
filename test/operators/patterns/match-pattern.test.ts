import { describe, expect, it } from 'vitest';
import type { OutputTag } from '../../../lib/core/output-tag.ts';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import { matchPattern } from '../../../operators/patterns/match-pattern.ts';
import { Pattern, type Match } from '../../../operators/patterns/pattern.ts';
import { AfterMatchSkipStrategy } from '../../../operators/patterns/skip-strategies.ts';

/** The first letter is what an event is, the rest tells it from others. */
const is =
  (letter: string) =>
  (event: string): boolean =>
    event.startsWith(letter);

type Events = Pattern<string, string>;

const begin = (letter: string, skip = AfterMatchSkipStrategy.noSkip()): Events =>
  Pattern.begin<string>(letter, { skip }).where(is(letter));

const lateTag: OutputTag<string> = { id: 'late' };
const timedOutTag: OutputTag<Match<string>> = { id: 'timed out' };

const shown = (match: Match<string>): string =>
  Object.values(match)
    .map((events) => events.join(' '))
    .filter((events) => events !== '')
    .join(' ');

const open = (pattern: Events, partialMatchesMax?: number): Promise<OperatorHarness<string, string>> =>
  OperatorHarness.open(matchPattern({ pattern, lateTag, timedOutTag, partialMatchesMax }, shown), {
    keyOf: () => '',
    sides: [lateTag, timedOutTag],
  });

/** What comes of events one millisecond apart, in the order in which it leaves; `-` in front of what timed out. */
const run = async (pattern: Events, events: string): Promise<string[]> => {
  const harness = await open(pattern);
  for (const [ts, event] of events.split(' ').entries()) harness.element(event, ts);
  return harness.watermark(Infinity).flatMap((output) => {
    if (output.kind === 'record') return [output.value];
    return output.kind === 'side' ? [`-${shown(output.value as Match<string>)}`] : [];
  });
};

const then = (
  pattern: Events,
  how: 'next' | 'followedBy' | 'followedByAny' | 'notNext' | 'notFollowedBy',
  letter: string,
): Events => pattern[how](letter).where(is(letter));

describe('a pattern', () => {
  it.each<[string, Events, string, string[]]>([
    ['one part', begin('a'), 'a1 b a2', ['a1', 'a2']],
    ['next', then(begin('a'), 'next', 'b'), 'a1 b1 a2 x b2', ['a1 b1']],
    ['followedBy', then(begin('a'), 'followedBy', 'b'), 'a1 x b1 b2', ['a1 b1']],
    ['followedByAny', then(begin('a'), 'followedByAny', 'b'), 'a1 x b1 b2', ['a1 b1', 'a1 b2']],
    ['notNext', then(then(begin('a'), 'notNext', 'n'), 'followedBy', 'b'), 'a1 n a2 b', ['a2 b']],
    ['notNext, passed', then(then(begin('a'), 'notNext', 'n'), 'followedBy', 'b'), 'a1 x n b', ['a1 b']],
    ['notNext at the end', then(begin('a'), 'notNext', 'n'), 'a1 n a2 x a3', ['a2']],
    ['notFollowedBy', then(then(begin('a'), 'notFollowedBy', 'n'), 'followedBy', 'b'), 'a1 x n a2 b', ['a2 b']],
    ['notFollowedBy at the end', then(begin('a'), 'notFollowedBy', 'n').within(3), 'a1 x x a2 n', ['a1']],
    ['times', then(begin('a').times(2), 'next', 'b'), 'a1 x a2 b', ['a1 a2 b']],
    ['times, strict', then(begin('a').times(2).consecutive(), 'next', 'b'), 'a1 x a2 a3 b', ['a2 a3 b']],
    ['times from to', begin('a').times(1, 2), 'a1 a2 a3', ['a1', 'a1 a2', 'a2', 'a2 a3', 'a3']],
    ['times, combined', begin('a').times(2).allowCombinations(), 'a1 a2 a3', ['a1 a2', 'a1 a3', 'a2 a3']],
    [
      'times from 0',
      then(then(begin('a'), 'next', 'o').times(0, 1), 'next', 'b'),
      'a1 b1 a2 o b2',
      ['a1 b1', 'a2 o b2'],
    ],
    ['timesOrMore', then(begin('a').timesOrMore(2), 'next', 'b'), 'a1 a2 a3 b', ['a1 a2 a3 b', 'a2 a3 b']],
    [
      'oneOrMore',
      then(then(begin('c'), 'followedBy', 'a').oneOrMore(), 'followedBy', 'b'),
      'c a1 a2 b',
      ['c a1 a2 b', 'c a1 b'],
    ],
    [
      'greedy',
      then(then(begin('c'), 'followedBy', 'a').oneOrMore().greedy(), 'followedBy', 'b'),
      'c a1 a2 b',
      ['c a1 a2 b'],
    ],
    [
      'greedy takes what would fit the next part',
      begin('a').oneOrMore().greedy().next('any'),
      'a1 a2 b',
      ['a1 a2 b', 'a2 b'],
    ],
    ['optional', then(then(begin('a'), 'followedBy', 'o').optional(), 'followedBy', 'b'), 'a o b', ['a o b', 'a b']],
    ['optional at the beginning', then(begin('o').optional(), 'next', 'b'), 'o b', ['o b', 'b']],
    ['optional at the end', then(begin('a'), 'next', 'o').optional(), 'a1 o a2', ['a1', 'a1 o', 'a2']],
    ['until', begin('a').oneOrMore().until(is('a3')), 'a1 a2 a3 a4', ['a1', 'a1 a2', 'a2', 'a4']],
    [
      'a not behind a loop',
      then(then(begin('a').oneOrMore(), 'notFollowedBy', 'n'), 'followedBy', 'b'),
      'a1 n a2 b',
      ['a2 b'],
    ],
    ['or', Pattern.begin<string>('ab').where(is('a')).or(is('b')), 'a1 b1 c', ['a1', 'b1']],
    ['where twice', begin('a').where((event) => event.endsWith('1')), 'a1 a2 b1', ['a1']],
    ['within', then(begin('a'), 'followedBy', 'b').within(2), 'a1 b1 a2 x b2', ['a1 b1', '-a2']],
    ['a match that may go on has not timed out', begin('a').oneOrMore().within(3), 'a1 x x x', ['a1']],
  ])('%s', async (_name, pattern, events, expected) => {
    expect(await run(pattern, events)).toEqual(expected);
  });

  it.each([
    [AfterMatchSkipStrategy.noSkip(), ['a1 a2 b', 'a1 b', 'a2 b', '-a1 a2', '-a2']],
    [AfterMatchSkipStrategy.skipToNext(), ['a1 a2 b', 'a2 b']],
    [AfterMatchSkipStrategy.skipPastLastEvent(), ['a1 a2 b']],
    [AfterMatchSkipStrategy.skipToFirst('b'), ['a1 a2 b']],
    [AfterMatchSkipStrategy.skipToLast('a'), ['a1 a2 b', 'a2 b', '-a2']],
  ])('skips by %o', async (skip, expected) => {
    expect(await run(then(begin('a', skip).oneOrMore(), 'followedBy', 'b').within(50), 'a1 a2 x b')).toEqual(expected);
  });

  it('holds a match until those that have begun before are decided', async () => {
    const skip = AfterMatchSkipStrategy.skipPastLastEvent();
    const pattern = Pattern.begin<string>('x', { skip })
      .followedBy('y')
      .where((event, ctx) => event.slice(1) === ctx.eventsForPattern('x')[0]?.slice(1));
    expect(await run(pattern.within(50), 'a1 a2 b2 b1')).toEqual(['a1 b1']);
    expect(await run(pattern.within(3), 'a1 a2 b2 b1')).toEqual(['a2 b2', '-a1', '-b1']);
  });

  it('gives conditions what the match has, and its time', async () => {
    const rising = Pattern.begin<string>('a')
      .followedBy('more')
      .where((event, ctx) => [...ctx.eventsForPattern('a'), ...ctx.eventsForPattern('more')].every((e) => e < event))
      .oneOrMore()
      .consecutive()
      .followedBy('less')
      .where((event, { timestamp, eventsForPattern }) => timestamp > 0 && event < (eventsForPattern('more')[0] ?? ''));
    expect(await run(rising, '3 5 7 4')).toEqual(['3 5 7 4', '3 5 4', '5 7 4']);
    const unknown = await open(Pattern.begin<string>('a').where((_, ctx) => ctx.eventsForPattern('b').length > 0));
    unknown.element('a', 1);
    expect(() => unknown.watermark(1)).toThrow('`eventsForPattern`');
  });

  it('takes events by their timestamps, and those of one time in the order in which they came', async () => {
    const harness = await open(then(then(begin('a'), 'next', 'b'), 'next', 'c'));
    harness.element('c', 9);
    harness.element('a', 5);
    harness.element('b', 5);
    expect(harness.watermark(8)).toEqual([{ kind: 'watermark', timestamp: 8 }]);
    expect(harness.element('b late', 8)).toEqual([{ kind: 'side', tag: 'late', value: 'b late', timestamp: 8 }]);
    expect(harness.watermark(9)[0]).toEqual({ kind: 'record', value: 'a b c', timestamp: 9 });
    expect(() => harness.element('a')).toThrow(expect.objectContaining({ code: 'TIMESTAMP_MISSING' }));
  });

  it('says when a match was sure, and when its time was over', async () => {
    const harness = await open(then(begin('a'), 'notFollowedBy', 'n').within(10));
    harness.element('a1', 5);
    expect(harness.watermark(14)).toEqual([{ kind: 'watermark', timestamp: 14 }]);
    expect(harness.watermark(20)[0]).toEqual({ kind: 'record', value: 'a1', timestamp: 15 });
    const pair = await open(then(begin('a'), 'followedBy', 'b').within(10));
    pair.element('a1', 5);
    pair.element('b1', 15);
    expect(pair.watermark(20)[0]).toMatchObject({ kind: 'side', tag: 'timed out', timestamp: 15 });
  });

  it('keeps nothing of what is over', async () => {
    const harness = await open(then(begin('a'), 'followedBy', 'b').within(10));
    for (const [ts, event] of ['a1', 'x', 'a2', 'b', 'a3'].entries()) harness.element(event, ts);
    harness.watermark(4);
    expect((await harness.snapshot()).rows.length).toBeGreaterThan(0);
    harness.watermark(14);
    expect((await harness.snapshot()).rows).toEqual([]);
    expect(harness.timers.event).toBe(0);
  });

  it('never matches, and takes no event, without harm', async () => {
    expect(await run(begin('a'), 'x')).toEqual([]);
    const harness = await open(begin('a'));
    expect(harness.watermark(Infinity).filter(({ kind }) => kind === 'record')).toEqual([]);
  });

  it('fails with a condition or function that throws, that is a promise, or has too many partial matches', async () => {
    const fails = async (pattern: Events, fn: (match: Match<string>) => unknown = shown): Promise<() => unknown> => {
      const harness = await OperatorHarness.open(matchPattern({ pattern, partialMatchesMax: 3 }, fn), {
        keyOf: () => 'all',
      });
      for (let ts = 0; ts < 4; ts++) harness.element('a', ts);
      return () => harness.watermark(5);
    };
    const broken = (): never => {
      throw new Error('broken');
    };
    expect(await fails(Pattern.begin<string>('a').where(broken))).toThrow('broken');
    expect(await fails(begin('a'), broken)).toThrow('broken');
    const inTurn = expect.objectContaining({ code: 'ASYNC_IN_TURN' });
    expect(await fails(Pattern.begin<string>('a').where(async () => true))).toThrow(inTurn);
    expect(await fails(begin('a'), async () => 1)).toThrow(inTurn);
    expect(await fails(then(begin('a'), 'followedBy', 'b'))).toThrow(
      expect.objectContaining({ code: 'VALUES_EXCEEDED' }),
    );
  });

  it('is not changed by who changes what a match holds', async () => {
    const pattern = Pattern.begin<{ n: number }>('a').times(2);
    const sums = matchPattern({ pattern }, ({ a = [] }) => {
      const sum = a.reduce((total, { n }) => total + n, 0);
      for (const each of a) each.n = 100;
      return sum;
    });
    const harness = await OperatorHarness.open(sums, { keyOf: () => 'all' });
    for (let n = 1; n < 5; n++) harness.element({ n }, n);
    const values = harness.watermark(9).flatMap((output) => (output.kind === 'record' ? [output.value] : []));
    expect(values).toEqual([3, 5, 7]);
  });

  it('runs on a keyed stream', async () => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    const stream = env.fromCollection([]).keyBy(() => 'all');
    expect(
      await stream
        .pattern(Pattern.begin('a'))
        .process(() => 1)
        .executeAndCollect(),
    ).toEqual([]);
    expect(() => stream.pattern({} as never)).toThrow('`pattern`');
    expect(() => stream.pattern(Pattern.begin('a'), { partialMatchMax: 1 } as never)).toThrow('partialMatchMax');
    expect(() => stream.pattern(Pattern.begin('a'), { partialMatchesMax: 0 }).process(() => 1)).toThrow(
      '`partialMatchesMax`',
    );
    expect(() => stream.pattern(Pattern.begin('a')).process(1 as never)).toThrow('`fn`');
  });
});
