/**
 * A source that computes its values from their index: load tests, demonstrations, endless streams. Replayable as long
 * as `generate` depends on the index alone.
 */
import type { Clock } from '../lib/core/clock.ts';
import type { Source } from '../lib/core/connector.ts';
import { integer, knownOptions, refusal } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import { paced } from './paced.ts';

export interface GeneratorOptions<T> {
  /**
   * Must give the same value for the same index. `random` gives numbers from 0 to 1 (excluded), for one index always
   * the same ones; it is for this call alone.
   */
  readonly generate: (index: number, random: () => number) => T;
  /** Which numbers `random` gives: an integer from 0 to 2^32 - 1. @defaultValue 0 */
  readonly seed?: number | undefined;
  /**
   * `generate` makes each value anew and nobody holds one, nor any part of it: none is copied, which takes a third off
   * the way of a small object through a pipeline that does little. @defaultValue false: it may give one object again
   * and again
   */
  readonly fresh?: boolean | undefined;
  /** How many values. @defaultValue endless */
  readonly count?: number | undefined;
  /** Values per second. @defaultValue no limit */
  readonly perSecond?: number | undefined;
  /** Records per batch, from 1. @defaultValue 512 */
  readonly batchSize?: number | undefined;
}

const optionNames = { seed: true, fresh: true, count: true, perSecond: true, batchSize: true } as const;

/**
 * A source of `generate(0)`, `generate(1)`, ... in one split.
 *
 * @example
 * const squares = generator({ count: 4, generate: (index) => index * index, perSecond: 1000 });
 * console.log(await env.fromSource(squares).executeAndCollect()); // prints [ 0, 1, 4, 9 ]
 * const dice = generator({ count: 5, seed: 7, generate: (_, random) => 1 + Math.floor(6 * random()) });
 * console.log((await env.fromSource(dice).executeAndCollect()).length); // prints 5
 */
export const generator = <T>(options: GeneratorOptions<T>, clock?: Clock): Source<T, number> => {
  knownOptions('generator', options, { ...optionNames, generate: true });
  const { generate, seed = 0, fresh = false, count = Number.MAX_SAFE_INTEGER, perSecond, batchSize = 512 } = options;
  if (typeof generate !== 'function') throw refusal('generate', 'a function', generate);
  integer('count', count);
  integer('batchSize', batchSize, { min: 1 });
  integer('seed', seed, { max: 2 ** 32 - 1 });
  const source: Source<T, number> = {
    name: 'generator',
    replayable: true,
    splits: async () => ['generator'],
    async open(_split, position, signal) {
      signal.throwIfAborted();
      let next = position ?? 0;
      const numbers = new SeededNumbers(seed);
      return {
        async read(readSignal) {
          readSignal.throwIfAborted();
          if (next >= count) return undefined;
          const first = next;
          const length = Math.min(batchSize, count - first);
          next += length;
          const values = new Array<T>(length);
          for (let at = 0; at < length; at += 1) {
            const value = generate(first + at, numbers.of(first + at));
            values[at] = fresh ? value : looseCopy(value);
          }
          return { values, position: (consumed) => first + consumed };
        },
        async close() {},
      };
    },
  };
  return perSecond === undefined ? source : paced(source, perSecond, clock);
};

/** Numbers that follow from a seed and an index: a counter whose steps are mixed (SplitMix, with 32 bits). */
class SeededNumbers {
  readonly #seed: number;
  #index = 0;
  /** Undefined until the first number of the index is asked for, which most generators never do. */
  #state: number | undefined;

  constructor(seed: number) {
    this.#seed = mixed(seed + golden);
  }

  /** Those of an index, until another one is asked for. */
  of(index: number): () => number {
    this.#index = index;
    this.#state = undefined;
    return this.#next;
  }

  readonly #next = (): number => {
    const index = this.#index;
    this.#state ??= mixed(mixed((index ^ this.#seed) + golden) + Math.floor(index / 2 ** 32));
    this.#state = (this.#state + golden) | 0;
    return mixed(this.#state) / 2 ** 32;
  };
}

/** 2^32 divided by the golden ratio: its multiples are spread evenly. */
const golden = 0x9e3779b9;

/** From 0 up to 2^32; each bit of what it is given changes about half of them. */
const mixed = (value: number): number => {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
};
