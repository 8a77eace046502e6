import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { OutputTag } from '../../../lib/core/output-tag.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import { matchPattern } from '../../../operators/patterns/match-pattern.ts';
import type { Match } from '../../../operators/patterns/pattern.ts';
import type { SkipStrategy } from '../../../operators/patterns/skip-strategies.ts';
import { NaiveMatcher, patternOf, type Found, type Item, type PartSpec, type PatternSpec } from './naive-matcher.ts';

const letters = fc.constantFrom('a', 'b', 'c', 'ab', 'bc', 'abc');

const part = fc
  .record({
    how: fc.constantFrom('next', 'followedBy', 'followedBy', 'followedByAny', 'notNext', 'notFollowedBy'),
    letters,
    rising: fc.nat(5).map((n) => n === 0),
    times: fc.constantFrom([1, 1], [1, 1], [2, 2], [1, 3], [2, 3], [1, Infinity], [2, Infinity]),
    optional: fc.boolean(),
    greedy: fc.boolean(),
    inner: fc.constantFrom('strict', 'relaxed', 'any'),
    until: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
  })
  .map(({ times: [min = 1, max = 1], how, greedy, inner, until, ...rest }): PartSpec => {
    const mayBeGreedy = min < max && inner !== 'any' && how !== 'followedByAny';
    // The compiler loses which words there are.
    const words = { how, inner } as Pick<PartSpec, 'how' | 'inner'>;
    return { ...rest, ...words, min, max, greedy: greedy && mayBeGreedy, until: max === Infinity ? until : undefined };
  });

const skip = fc.oneof(
  fc.constant<SkipStrategy>({ kind: 'noSkip' }),
  fc.constantFrom<SkipStrategy>({ kind: 'skipToNext' }, { kind: 'skipPastLastEvent' }),
  fc.constantFrom<SkipStrategy>(
    { kind: 'skipToFirst', name: 'p0' },
    { kind: 'skipToLast', name: 'p0' },
    { kind: 'skipToFirst', name: 'p1' },
    { kind: 'skipToLast', name: 'p1' },
  ),
);

const isPattern = (spec: PatternSpec): boolean => {
  try {
    return patternOf(spec).whole !== undefined;
  } catch {
    return false;
  }
};

const spec = fc
  .record({
    parts: fc.array(part, { minLength: 1, maxLength: 4 }),
    skip,
    within: fc.option(fc.integer({ min: 1, max: 15 }), { nil: undefined }),
  })
  .map(({ parts: [first, ...rest], skip: each, within }): PatternSpec => ({
    // The first part stands behind nothing; what was skipped to is sure when all that began before is decided.
    parts:
      first === undefined
        ? []
        : [{ ...first, how: 'followedBy', greedy: first.greedy && first.inner !== 'any' }, ...rest],
    skip: each,
    within: each.kind === 'noSkip' ? within : (within ?? 9),
  }))
  .filter(isPattern);

const step = fc.record({
  key: fc.constantFrom('', 'k'),
  letter: fc.constantFrom('a', 'b', 'c'),
  n: fc.nat(9),
  ts: fc.nat(20),
  then: fc.constantFrom('nothing', 'nothing', 'nothing', 'watermark', 'restore'),
});

const lateTag: OutputTag<Item> = { id: 'late' };
const timedOutTag: OutputTag<Match<Item>> = { id: 'timed out' };

interface Came {
  readonly key: string;
  readonly shown: string;
}

const shownMatch = (match: Match<Item & { readonly id?: number }>): string =>
  Object.entries(match)
    .filter(([, items]) => items.length > 0)
    .map(([name, items]) => `${name}: ${items.map(({ id }) => id).join(' ')}`)
    .join(', ');

it('equals what trying every choice of events gives, with restores anywhere', async () => {
  let [matches, timeouts] = [0, 0];
  await fc.assert(
    fc.asyncProperty(spec, fc.array(step, { maxLength: 14 }), async (pattern, steps) => {
      const operator = matchPattern<Item, string, Came, string>(
        { pattern: patternOf(pattern), lateTag, timedOutTag },
        (match, { key }) => ({ key, shown: shownMatch(match) }),
      );
      const harness = await OperatorHarness.open(operator, { keyOf: ({ key }) => key, sides: [lateTag, timedOutTag] });
      const came: { key: string; shown: string; timestamp: number }[] = [];
      const gone: string[] = [];
      const advance = (to: number): void => {
        for (const output of harness.watermark(to)) {
          if (output.kind === 'record') came.push({ ...output.value, timestamp: output.timestamp });
          if (output.kind === 'side') gone.push(`${shownMatch(output.value as Match<Item>)} @${output.timestamp}`);
        }
      };
      const taken: (Item & { readonly id: number })[] = [];
      let watermark = -Infinity;
      for (const [id, { then, ...item }] of steps.entries()) {
        const late = harness.element({ ...item, id } as Item, item.ts);
        expect(late.length).toBe(item.ts > watermark ? 0 : 1);
        if (item.ts > watermark) taken.push({ ...item, id });
        if (then === 'watermark') advance((watermark = Math.max(watermark, item.ts - 6)));
        if (then === 'restore') await harness.restore(await harness.snapshot());
      }
      advance(Infinity);

      const expectedGone: string[] = [];
      for (const key of ['', 'k']) {
        const items = taken.filter((item) => item.key === key).toSorted((a, b) => a.ts - b.ts);
        const naive = new NaiveMatcher(pattern, items);
        const shown = ({ picks }: Found): string =>
          shownMatch(
            Object.fromEntries(
              pattern.parts.map((_, n) => [
                `p${n}`,
                picks.flatMap((pick) => (pick.part === n ? [items[pick.event] as Item] : [])), // Its numbers.
              ]),
            ),
          );
        const own = came.filter((each) => each.key === key);
        expect(own.map((each) => each.shown)).toEqual(naive.matches.map(shown));
        if (pattern.skip.kind === 'noSkip')
          expect(own.map(({ timestamp }) => timestamp)).toEqual(naive.matches.map(({ ts }) => ts));
        matches += own.length;
        expectedGone.push(...naive.timedOut.map((found) => `${shown(found)} @${found.ts}`));
      }
      timeouts += gone.length;
      if (pattern.skip.kind === 'noSkip' && pattern.within !== undefined)
        expect(gone.toSorted()).toEqual(expectedGone.toSorted());
      if (pattern.within !== undefined) expect((await harness.snapshot()).rows).toEqual([]);
      expect(harness.timers.event).toBe(0);
    }),
    { numRuns: 600 },
  );
  expect(matches).toBeGreaterThan(100);
  expect(timeouts).toBeGreaterThan(100);
});
