/**
 * What a source brings and is given, held apart from it (I21, I4): its lists and its positions may be used again by who
 * made them, and the engine reads them later, in a turn, or stores them later still, in a checkpoint. What is taken and
 * what is given is a copy. A position that is a primitive costs nothing.
 */
import type { SourceBatch } from './connector.ts';
import { isThenable, refusedPromise } from './errors.ts';
import { refusal, refusedResult, resultWith } from './options.ts';
import { ownStorable } from './storable.ts';

/**
 * A copy of a position. Throws `NOT_SERIALISABLE` when it can not be stored and `ASYNC_IN_TURN` when it is a promise,
 * naming `what`.
 */
export const ownPosition = <P>(position: P, what: string): P => {
  if (isThenable(position)) throw refusedPromise(what, position, { hint: 'give the position itself' });
  return ownStorable(position, () => what);
};

/**
 * A batch whose lists are its own and whose positions are copies; `whose` says of what. Values are not looked into.
 * Throws a `TypeError` when `timestamps` are not an array with as many entries as there are values; which numbers they
 * are is for others to check.
 */
export const ownBatch = <T, P>(batch: SourceBatch<T, P>, whose: string): SourceBatch<T, P> => {
  if (!Array.isArray(resultWith('read', batch, ['position']).values)) throw refusedResult('read', valuesRule, batch);
  const { timestamps, sides } = batch;
  const values = batch.values.slice();
  return {
    values,
    timestamps: timestamps === undefined ? undefined : ownTimestamps(timestamps, values.length),
    sides: sides === undefined ? undefined : new Map(sides),
    position: (count) => ownPosition(batch.position(count), `position(${count}) of ${whose}`),
  };
};

const valuesRule = 'an object whose `values` are an array';

const ownTimestamps = <E>(timestamps: readonly E[], count: number): readonly E[] => {
  const own = Array.isArray(timestamps) ? timestamps.slice() : undefined;
  if (own?.length === count) return own;
  const found = own === undefined ? '' : ` (it has ${own.length})`;
  throw refusal('timestamps', `an array with an entry for each of the ${count} values${found}`, timestamps);
};
