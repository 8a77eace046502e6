/** What has an order, for operators that compare. */
import { refusal } from '../lib/core/options.ts';

/** What has an order. Values of one kind are compared with each other; a number and a bigint are of one kind. */
export type Ordered = number | bigint | string;

/** Refuses what is no number or bigint; `place` says whose value it is. */
export const numeric = (value: unknown, place: string): number | bigint => {
  if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isNaN(value))) return value;
  throw refusal(place, 'a number or a bigint', value);
};

/** Refuses what has no order. */
export const ordered = (value: unknown, place: string): Ordered =>
  typeof value === 'string' ? value : numeric(value, place);

/** Below zero when `a` comes first. Refuses a text beside a number. */
export const compared = (a: Ordered, b: Ordered, place: string): number => {
  if ((typeof a === 'string') !== (typeof b === 'string'))
    throw refusal(place, `a ${typeof b}, as the values before it`, a);
  return a < b ? -1 : a > b ? 1 : 0;
};
