/**
 * What every handle of keyed state needs: whose key is current, and what is done with a value that comes in or is
 * handed out (I21).
 */
import { deepFreeze, ownCopy } from '../core/own-copy.ts';
import { assertStorable, ownStorable } from '../core/storable.ts';
import type { KeyContext } from './key-context.ts';
import type { StateTable } from './state-table.ts';

/** What a handle needs of its operator. */
export interface HandleOwner {
  readonly keys: KeyContext;
  /** Whether `forEachKey` is allowed now. */
  readonly openPhase: boolean;
}

/**
 * A value that becomes part of a state; throws `NOT_SERIALISABLE` for what can't be stored. `kept` is what stands
 * there: an object that is changed in place was looked at when it came, and what it has become is when it is stored.
 */
export const ownValue = <V>(table: StateTable, keys: KeyContext, value: V, kept: unknown): V => {
  const type = typeof value;
  if (type !== 'object' && type !== 'function' && type !== 'symbol') return value;
  if (table.inPlace && value === kept) return value;
  const where = (): string => `state '${table.options.descriptor.name}' of key \`${String(keys.key)}\``;
  if (table.takes === 'copies') return ownStorable(value, where);
  if (table.takes === 'strangers') assertStorable(value, where);
  return table.freeze ? deepFreeze(value) : value;
};

/** A value of a state, as it is handed out. */
export const given = (table: StateTable, value: unknown): unknown =>
  typeof value === 'object' && table.givesCopies ? ownCopy(value) : value;
