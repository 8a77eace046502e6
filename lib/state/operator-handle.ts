/**
 * Handles of state that belongs to no key. It stands under one key of a context of its own, which is current while a
 * record of an input without keys is in hand; elsewhere in a turn each call makes it current for itself, to look only
 * where the operator is spread over keys: what one owner of keys changed, the others would not have. Keeps I2.
 */
import type { StateKind } from '../core/state-descriptor.ts';
import { unreachable } from '../core/errors.ts';
import { outsideTurn, readOnlyState, type KeyContext } from './key-context.ts';
import type { OperatorState } from './keyed-state.ts';

/** The one key of everything that an operator keeps for all keys. */
export const keyOfOperator = '';

export interface OperatorHandleOptions {
  /** The state of the operator that the handle belongs to. */
  readonly own: OperatorState;
  /** Keys of the records in hand. */
  readonly keys: KeyContext;
  /** Whether several owners of keys have it, so that only what all of them see may change it. */
  readonly isShared: boolean;
}

/** Wraps a handle of keyed state. */
export const operatorHandle = (kind: StateKind, handle: unknown, options: OperatorHandleOptions): object => {
  const inner = handle as Readonly<Record<string, (...values: unknown[]) => unknown>>; // By names that its kind has.
  const made: Record<string, unknown> = {};
  const { reads, lists, changes, size } = methodsOf(kind);
  const call = (name: string, values: unknown[]): unknown => inner[name]?.(...values);
  for (const name of reads) made[name] = (...values: unknown[]) => looking(options, () => call(name, values));
  for (const name of lists) {
    // Whole: the key is current no longer when somebody walks through it.
    made[name] = (...values: unknown[]) =>
      looking(options, () => [...(call(name, values) as Iterable<unknown>)].values());
  }
  for (const name of changes) made[name] = (...values: unknown[]) => changing(options, () => call(name, values));
  if (size) Object.defineProperty(made, 'size', { get: () => looking(options, () => inner['size']), enumerable: true });
  return made;
};

interface Methods {
  readonly reads: readonly string[];
  /** Those that give what is walked through. */
  readonly lists: readonly string[];
  readonly changes: readonly string[];
  readonly size: boolean;
}

const methodsOf = (kind: StateKind): Methods => {
  switch (kind) {
    case 'value':
      return { reads: ['value'], lists: [], changes: ['update', 'clear'], size: false };
    case 'reducing':
    case 'aggregating':
      return { reads: ['get'], lists: [], changes: ['add', 'clear'], size: false };
    case 'list':
      return { reads: [], lists: ['values'], changes: ['add', 'shift', 'clear'], size: true };
    case 'map':
      return {
        reads: ['get', 'isEmpty'],
        lists: ['keys', 'entries', 'range'],
        changes: ['set', 'delete', 'clear'],
        size: false,
      };
    default:
      return unreachable(kind);
  }
};

const looking = <R>({ own, keys }: OperatorHandleOptions, body: () => R): R => {
  if (own.keys.active) return body();
  if (!keys.active && !own.openPhase) throw outsideTurn();
  return current(own.keys, body);
};

const changing = <R>({ own, keys, isShared }: OperatorHandleOptions, body: () => R): R => {
  if (own.keys.active) return body();
  if (own.openPhase) return current(own.keys, body);
  if (!keys.active) throw outsideTurn();
  if (isShared) throw bySharedInput();
  if (keys.readOnly) throw readOnlyState();
  return current(own.keys, body);
};

const current = <R>(keys: KeyContext, body: () => R): R => {
  keys.enter(keyOfOperator);
  try {
    return body();
  } finally {
    keys.leave();
  }
};

const bySharedInput = (): TypeError =>
  new TypeError(
    'Expected state of the operator to be changed by records of a broadcast stream only: other records may look at it',
  );
