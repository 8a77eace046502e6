/**
 * The order in which timers of one time fire: that of their keys' bytes, whatever the order of registration. There may
 * be a million of them, so keys are not compared with each other: eight bytes of each, behind what all have in common,
 * are sorted by digits, and only keys that are equal in those are compared. It is worked out in steps, so that it can
 * be done in slices (I20).
 */
import type { MapKey } from '../core/key.ts';
import { byteTextOf } from './layout.ts';

/**
 * Keys that are worked on in one step; as many or fewer are sorted by comparing them. A step may have to look for the
 * bytes of each, by code that runs for the first time.
 */
export const manyKeys = 512;
const stepMax = manyKeys;

/** A text whose UTF-16 units compare as its UTF-8 bytes do, and that stands for itself as a key. */
const comparable = /^[^\0\ud800-\udfff][^\ud800-\udfff]*$|^$/;

const comparesAsText = (key: MapKey): key is string => typeof key === 'string' && comparable.test(key);

/** Compares the bytes of two keys. */
export const compareKeys = (a: MapKey, b: MapKey): number => {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (comparesAsText(a) && comparesAsText(b)) return compareTexts(a, b);
  return compareTexts(byteTextOf(a), byteTextOf(b));
};

/** By their units. */
const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Sorts the keys in place. */
export const sortKeys = (keys: MapKey[]): void => {
  const steps = sortSteps(keys);
  while (steps.next().done !== true);
};

/** Sorts the keys in place, once it has been driven to its end; before, they are as they were. */
export function* sortSteps(keys: MapKey[]): Generator<void, void> {
  if (keys.length < 2) return;
  const kind = yield* kindOf(keys);
  if (keys.length <= manyKeys) sortFew(keys, kind);
  else yield* sortMany(keys, kind);
}

/** What all keys are: finite numbers, texts that compare by their units, or anything. */
type Kind = 'numbers' | 'texts' | 'any';

function* kindOf(keys: readonly MapKey[]): Generator<void, Kind> {
  const numbers = typeof keys[0] === 'number';
  for (let at = 0; at < keys.length; at += 1) {
    const key = keys[at] as MapKey; // Inside the bounds, as below.
    if (numbers ? typeof key !== 'number' : !comparesAsText(key)) return 'any';
    if (at % stepMax === stepMax - 1) yield;
  }
  return numbers ? 'numbers' : 'texts';
}

const sortFew = (keys: MapKey[], kind: Kind): void => {
  if (kind === 'texts')
    keys.sort(); // Without a function, texts are compared by their units, and twice as fast.
  else if (kind === 'numbers') keys.sort((a, b) => Number(a) - Number(b));
  else {
    // The bytes of a key are worked out once, not once per comparison.
    const pairs = keys.map((key) => ({ key, bytes: byteTextOf(key) }));
    pairs.sort((a, b) => compareTexts(a.bytes, b.bytes));
    for (const [at, { key }] of pairs.entries()) keys[at] = key;
  }
};

function* sortMany(keys: MapKey[], kind: Kind): Generator<void, void> {
  const parts = yield* partsOf(keys, kind);
  const order = yield* orderOf(parts);
  const sorted = new Array<MapKey>(keys.length);
  for (let at = 0; at < keys.length; at += 1) {
    sorted[at] = keys[numberAt(order, at)] as MapKey; // The order names each key once.
    if (at % stepMax === stepMax - 1) yield;
  }
  for (let from = 0; from < sorted.length;) {
    const end = endOfEqual(parts, order, from);
    if (end - from > 1) yield* sortRun(sorted, from, end);
    if (Math.floor(from / stepMax) !== Math.floor(end / stepMax)) yield;
    from = end;
  }
  for (let at = 0; at < keys.length; at += 1) keys[at] = sorted[at] as MapKey; // As many as keys.
}

/** Keys whose parts are equal: they differ behind them, unless all do. */
function* sortRun(sorted: MapKey[], from: number, end: number): Generator<void, void> {
  const run = sorted.slice(from, end);
  if (run.length === sorted.length) run.sort(compareKeys);
  else yield* sortSteps(run);
  for (const [at, key] of run.entries()) sorted[from + at] = key;
}

const endOfEqual = ({ high, low }: Parts, order: Uint32Array, from: number): number => {
  const first = numberAt(order, from);
  let end = from + 1;
  for (; end < order.length; end += 1) {
    const other = numberAt(order, end);
    if (high[other] !== high[first] || low[other] !== low[first]) break;
  }
  return end;
};

// ---------- parts

/** Eight bytes of each key. */
interface Parts {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

const makeParts = (length: number): Parts => ({ high: new Uint32Array(length), low: new Uint32Array(length) });

function* partsOf(keys: readonly MapKey[], kind: Kind): Generator<void, Parts> {
  if (kind === 'numbers') return yield* partsOfNumbers(keys as readonly number[]); // As the kind says, and below.
  return yield* partsOfTexts(kind === 'texts' ? (keys as readonly string[]) : yield* bytesAsTexts(keys));
}

/** The bits of a double, turned so that their order is numeric order. */
function* partsOfNumbers(keys: readonly number[]): Generator<void, Parts> {
  const parts = makeParts(keys.length);
  const view = new DataView(new ArrayBuffer(8));
  for (let at = 0; at < keys.length; at += 1) {
    view.setFloat64(0, (keys[at] as number) + 0); // One zero and not two.
    const high = view.getUint32(0);
    const isNegative = high >= 0x80000000;
    parts.high[at] = isNegative ? ~high : high | 0x80000000;
    parts.low[at] = isNegative ? ~view.getUint32(4) : view.getUint32(4);
    if (at % stepMax === stepMax - 1) yield;
  }
  return parts;
}

/** Eight units of one byte behind the common beginning, or four of two; the end of a text is like a unit of 0. */
function* partsOfTexts(keys: readonly string[]): Generator<void, Parts> {
  const parts = makeParts(keys.length);
  const isShort = yield* hasBytesOnly(keys);
  const skip = yield* commonLength(keys);
  for (let at = 0; at < keys.length; at += 1) {
    const key = keys[at] as string; // `at` is below the length.
    if (isShort) {
      parts.high[at] = fourUnits(key, skip);
      parts.low[at] = fourUnits(key, skip + 4);
    } else {
      parts.high[at] = (unit(key, skip) << 16) | unit(key, skip + 1);
      parts.low[at] = (unit(key, skip + 2) << 16) | unit(key, skip + 3);
    }
    if (at % stepMax === stepMax - 1) yield;
  }
  return parts;
}

const unit = (text: string, at: number): number => (at < text.length ? text.charCodeAt(at) : 0);

const fourUnits = (text: string, at: number): number =>
  (unit(text, at) << 24) | (unit(text, at + 1) << 16) | (unit(text, at + 2) << 8) | unit(text, at + 3);

/** Bytes as a text of their values: the order is the same. */
function* bytesAsTexts(keys: readonly MapKey[]): Generator<void, string[]> {
  const texts = new Array<string>(keys.length);
  for (let at = 0; at < keys.length; at += 1) {
    texts[at] = byteTextOf(keys[at] as MapKey); // `at` is below the length.
    if (at % stepMax === stepMax - 1) yield;
  }
  return texts;
}

/** A unit beyond a byte. */
const wide = /[^\0-\xff]/;

function* hasBytesOnly(keys: readonly string[]): Generator<void, boolean> {
  for (let at = 0; at < keys.length; at += 1) {
    if (wide.test(keys[at] as string)) return false; // `at` is below the length.
    if (at % stepMax === stepMax - 1) yield;
  }
  return true;
}

/** How many units all begin with. */
function* commonLength(keys: readonly string[]): Generator<void, number> {
  const first = keys[0] ?? '';
  let length = first.length;
  for (let at = 1; at < keys.length && length > 0; at += 1) {
    const key = keys[at] as string; // `at` is below the length.
    let same = 0;
    while (same < length && same < key.length && key.charCodeAt(same) === first.charCodeAt(same)) same += 1;
    length = same;
    if (at % stepMax === stepMax - 1) yield;
  }
  return length;
}

// ---------- digits

/** How many bits a digit has: long ones need fewer rounds, and a table that many keys are worth. */
const digitBitsFor = (count: number): 8 | 16 => (count < 2 ** 14 ? 8 : 16);

/** A digit of the parts. */
interface Digit {
  readonly part: Uint32Array;
  readonly shift: number;
  readonly bits: 8 | 16;
}

/** The least first. */
const digitsOf = ({ high, low }: Parts): Digit[] => {
  const bits = digitBitsFor(high.length);
  const shifts = Array.from({ length: 32 / bits }, (_, at) => at * bits);
  return [low, high].flatMap((part) => shifts.map((shift) => ({ part, shift, bits })));
};

/** The places of the keys in the order of their parts: sorted by one digit after the other. */
function* orderOf(parts: Parts): Generator<void, Uint32Array> {
  let order = new Uint32Array(parts.high.length);
  let next = new Uint32Array(order.length);
  for (let at = 0; at < order.length; at += 1) {
    order[at] = at;
    if (at % stepMax === stepMax - 1) yield;
  }
  for (const digit of digitsOf(parts)) {
    const starts = yield* startsOf(digit);
    if (starts === undefined) continue;
    for (let at = 0; at < order.length; at += 1) {
      const index = numberAt(order, at);
      const value = valueAt(digit, index);
      const place = numberAt(starts, value);
      next[place] = index;
      starts[value] = place + 1;
      if (at % stepMax === stepMax - 1) yield;
    }
    [order, next] = [next, order];
  }
  return order;
}

/** Where the keys of each value of a digit begin; undefined when all have the same, so nothing is to be sorted. */
function* startsOf(digit: Digit): Generator<void, Uint32Array | undefined> {
  const { length } = digit.part;
  const counts = new Uint32Array(2 ** digit.bits);
  for (let at = 0; at < length; at += 1) {
    const value = valueAt(digit, at);
    counts[value] = numberAt(counts, value) + 1;
    if (at % stepMax === stepMax - 1) yield;
  }
  if (counts[valueAt(digit, 0)] === length) return undefined;
  let start = 0;
  for (let value = 0; value < counts.length; value += 1) {
    const count = numberAt(counts, value);
    counts[value] = start;
    start += count;
  }
  return counts;
}

const valueAt = ({ part, shift, bits }: Digit, at: number): number =>
  (numberAt(part, at) >>> shift) & (bits === 8 ? 0xff : 0xffff);

const numberAt = (numbers: Uint32Array, at: number): number => numbers[at] as number; // Nobody asks beyond the length.
