/**
 * A source of values that are in memory already: tests, examples, small reference data. Replayable: a position is an
 * index, so the same values must be given again after a restart.
 */
import type { Source, SourceBatch } from '../lib/core/connector.ts';
import type { Timestamp } from '../lib/core/element.ts';
import { StreamError } from '../lib/core/errors.ts';
import { integer, knownOptions, refusal } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';

export interface CollectionOptions {
  /** One per value, in milliseconds. @defaultValue none: the watermark strategy gives them, if any */
  readonly timestamps?: readonly Timestamp[] | undefined;
  /** Records per batch, from 1. @defaultValue 256 */
  readonly batchSize?: number | undefined;
}

/**
 * A source of the given values, in one split. Reads the array as it goes; don't change it meanwhile.
 *
 * @example
 * const letters = collection(['a', 'b', 'c'], { timestamps: [0, 10, 20] });
 * console.log(await env.fromSource(letters).executeAndCollect()); // prints [ 'a', 'b', 'c' ]
 */
export const collection = <T>(values: readonly T[], options: CollectionOptions = {}): Source<T, number> => {
  knownOptions('collection', options, { timestamps: true, batchSize: true });
  const { timestamps, batchSize = 256 } = options;
  if (!Array.isArray(values))
    throw refusal('values', 'an array (of what can be iterated, `[...values]` makes one)', values);
  integer('batchSize', batchSize, { min: 1 });
  if (timestamps !== undefined && timestamps.length !== values.length) {
    throw refusal('timestamps', `as many as there are values (${values.length})`, timestamps.length);
  }
  const slice = (from: number): SourceBatch<T, number> => {
    // A restart reads them again, so what the pipeline does with one must not be seen here.
    const part = values.slice(from, from + batchSize).map(looseCopy);
    return { values: part, timestamps: timestamps?.slice(from, from + batchSize), position: (count) => from + count };
  };
  return {
    name: 'collection',
    replayable: true,
    splits: async () => ['collection'],
    async open(_split, position, signal) {
      signal.throwIfAborted();
      let next = position ?? 0;
      if (next > values.length) {
        throw new StreamError(
          'INPUT_CHANGED',
          `the collection has ${values.length} values, fewer than the ${next} that were read before`,
        );
      }
      return {
        async read(readSignal) {
          readSignal.throwIfAborted();
          if (next >= values.length) return undefined;
          const batch = slice(next);
          next += batch.values.length;
          return batch;
        },
        async close() {},
      };
    },
  };
};
