/** The table that `npm run bench` prints. */
import { short, type Goal, type Row } from './case.ts';

const widths = { name: 46, perSecond: 8, ratio: 7, figures: 62 } as const;

const line = (name: string, perSecond: string, ratio: string, figures: string, goals: string): string =>
  `${name.padEnd(widths.name)} ${perSecond.padStart(widths.perSecond)} ${ratio.padStart(widths.ratio)}  ${figures.padEnd(widths.figures)} ${goals}`.trimEnd();

export const headLine = line('case', 'per s', 'loop x', 'figures', 'orientation');

const goalText = ({ text, met }: Goal): string => `${text} ${met ? 'met' : 'MISSED'}`;

export const rowLines = ({ name, perSecond, ratio, figures = [], goals = [] }: Row): string[] => [
  line(
    name,
    perSecond === undefined ? '' : short(perSecond),
    ratio === undefined ? '' : ratio.toFixed(2),
    figures.join(', '),
    goals.map(goalText).join(', '),
  ),
];

export const summary = (rows: readonly Row[]): string => {
  const goals = rows.flatMap((row) => row.goals ?? []);
  return `${goals.filter(({ met }) => met).length} of ${goals.length} orientation values met`;
};
