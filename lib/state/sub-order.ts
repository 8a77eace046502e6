/**
 * The order of a map's keys: numbers by size, then texts by their code points, which is the order of their stored
 * bytes.
 */
export type MapSub = string | number;

const surrogates = /[\ud800-\udfff]/;

/** Compares two keys of a map, neither of which is NaN. */
export const compareSubs = (a: MapSub, b: MapSub): number => {
  if (a === b) return 0;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : 1;
  return typeof a === 'number' ? -1 : 1;
};

/** Units compare as code points do, but for those above U+FFFF, which two units make. */
const compareTexts = (a: string, b: string): number => {
  if (!surrogates.test(a) && !surrogates.test(b)) return a < b ? -1 : 1;
  const [left, right] = [a[Symbol.iterator](), b[Symbol.iterator]()];
  for (;;) {
    const [one, other] = [left.next(), right.next()];
    if (one.done === true) return other.done === true ? 0 : -1;
    if (other.done === true) return 1;
    const difference = (one.value.codePointAt(0) ?? 0) - (other.value.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
};

/** Where the first key at or behind `key` stands among keys that are in order. */
export const lowerBound = (keys: readonly MapSub[], key: MapSub): number => {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareSubs(keys[middle] as MapSub, key) < 0) low = middle + 1; // Inside the bounds.
    else high = middle;
  }
  return low;
};
