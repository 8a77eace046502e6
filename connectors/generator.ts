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
  /** Must give the same value for the same index. */
  readonly generate: (index: number) => T;
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

/**
 * A source of `generate(0)`, `generate(1)`, ... in one split.
 *
 * @example
 * const squares = generator({ count: 4, generate: (index) => index * index, perSecond: 1000 });
 * console.log(await env.fromSource(squares).executeAndCollect()); // prints [ 0, 1, 4, 9 ]
 */
export const generator = <T>(options: GeneratorOptions<T>, clock?: Clock): Source<T, number> => {
  knownOptions('generator', options, { generate: true, fresh: true, count: true, perSecond: true, batchSize: true });
  const { generate, fresh = false, count = Number.MAX_SAFE_INTEGER, perSecond, batchSize = 512 } = options;
  if (typeof generate !== 'function') throw refusal('generate', 'a function', generate);
  integer('count', count);
  integer('batchSize', batchSize, { min: 1 });
  const source: Source<T, number> = {
    name: 'generator',
    replayable: true,
    splits: async () => ['generator'],
    async open(_split, position, signal) {
      signal.throwIfAborted();
      let next = position ?? 0;
      return {
        async read(readSignal) {
          readSignal.throwIfAborted();
          if (next >= count) return undefined;
          const first = next;
          const length = Math.min(batchSize, count - first);
          next += length;
          const values = new Array<T>(length);
          for (let at = 0; at < length; at += 1) {
            const value = generate(first + at);
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
