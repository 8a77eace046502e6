/**
 * State of an operator, which belongs to no key: what every key sees alike, rules and reference data that a broadcast
 * stream brings. The same handles as for keyed state, without what visits keys.
 */
import type { StateDescriptor } from './state-descriptor.ts';

/** What visits keys: there are none. */
type OfKeys = 'forEachKey' | 'forEachEntry';

/** What changes a state. */
type Changes = 'update' | 'set' | 'add' | 'delete' | 'shift' | 'clear';

/** A handle of the operator's state. */
export type OperatorStateHandle<H> = Omit<H, OfKeys>;

/** A handle of it for who may look at it only. */
export type ReadOnlyStateHandle<H> = Omit<H, OfKeys | Changes>;

/** States of an operator by the name they have in a context. Each descriptor's own name is the stored one. */
export type OperatorStateSpec = Readonly<Record<string, StateDescriptor<unknown>>>;

/** The handles of an `OperatorStateSpec`. */
export type OperatorStateHandles<S> = {
  readonly [N in keyof S]: S[N] extends StateDescriptor<infer H> ? OperatorStateHandle<H> : never;
};

/** The handles of an `OperatorStateSpec` for who may look only. */
export type ReadOnlyStateHandles<S> = {
  readonly [N in keyof S]: S[N] extends StateDescriptor<infer H> ? ReadOnlyStateHandle<H> : never;
};
