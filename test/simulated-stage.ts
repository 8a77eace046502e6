/** What stages of random graphs have in common. A stage takes elements and gives elements. */
import type { AggregateFunction, DataStream, KeyedStream } from 'millrace';

export interface Element {
  readonly key: string;
  readonly n: number;
  readonly ts: number;
  /** Inputs that it is made of, the newest of them. */
  readonly ids: readonly string[];
}

/** Ids that an element keeps: stages may make many of few. */
const idsMax = 12;

export const merged = (elements: readonly Element[], ts: number): Element => ({
  key: elements[0]?.key ?? '',
  n: elements.reduce((sum, { n }) => (sum + n) % 1_000_003, elements.length),
  ts,
  ids: elements.flatMap(({ ids }) => ids).slice(-idsMax),
});

export interface Stage {
  /**
   * What comes out depends on the records of each input and their timestamps alone, not on the clock nor on when a
   * watermark came: it is the same with and without crashes.
   */
  readonly fixed: boolean;
  build(input: KeyedStream<Element, string>, random: () => number): DataStream<Element>;
}

export const upTo = (random: () => number, max: number): number => 1 + Math.floor(random() * max);

/** An aggregate that merges. */
export const counted: AggregateFunction<Element, Element, Element> = {
  createAccumulator: () => ({ key: '', n: 0, ts: 0, ids: [] }),
  add: (value, accumulator) => merged([accumulator, value], Math.max(accumulator.ts, value.ts)),
  merge: (first, second) => merged([first, second], Math.max(first.ts, second.ts)),
  getResult: (accumulator) => accumulator,
};
