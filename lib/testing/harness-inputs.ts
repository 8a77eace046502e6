/** The inputs of an operator in a harness: how records come to each. */
import type { Key } from '../core/key.ts';
import type { Partitioning } from '../runtime/edges/graph.ts';

/** One of several inputs of an operator. */
export interface HarnessInputOptions {
  /** The key of a value. @defaultValue the input is not keyed */
  readonly keyOf?: ((value: never) => Key) | undefined;
  /** Each owner of keys has all of its records. Not beside `keyOf`. @defaultValue false */
  readonly broadcast?: boolean | undefined;
}

/** How records come to it. */
export const kindOf = ({ keyOf, broadcast = false }: HarnessInputOptions): Partitioning['kind'] => {
  if (keyOf !== undefined) return 'hash';
  return broadcast ? 'broadcast' : 'forward';
};
