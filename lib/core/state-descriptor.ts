/**
 * Keyed state, one of an operator's capabilities: a descriptor names a state, and gives a handle that reads and changes
 * what the current key holds. Handles throw outside a turn (I2). What is put in and what is read are copies, unless the
 * descriptor says otherwise: what others do with theirs changes no state (I21), and a value is changed by putting it
 * back.
 */
import type { Key } from './key.ts';
import { aggregator, type AggregateFunction, type ReduceFunction } from './aggregate-function.ts';
import { isThenable, refusedPromise } from './errors.ts';
import { callable, refusal, withMethods } from './options.ts';
import { looseCopy } from './own-copy.ts';
import { ttlOf, type StateTtl, type Ttl } from './state-ttl.ts';

export type StateKind = 'value' | 'list' | 'map' | 'reducing' | 'aggregating';

/** Names a keyed state and carries the type of its handle. Make it with `valueState` and its like. */
export interface StateDescriptor<H> {
  readonly kind: StateKind;
  readonly name: string;
  /** Version of the stored form; state of a newer version is refused. @defaultValue 1 */
  readonly version: number;
  /** Reads a value stored by an older version. */
  readonly migrate?: ((value: unknown, version: number) => unknown) | undefined;
  /** Maps only: keep an index, so that keys and entries can be listed. */
  readonly indexed?: boolean | undefined;
  /** @internal Reducing and aggregating states only. */
  readonly combine?: Combine | undefined;
  /** Maps only: entries stand in the order of their keys. */
  readonly ordered?: boolean | undefined;
  /** @internal See `scattered`. */
  readonly scattered?: boolean | undefined;
  /** See `StateOptions`. */
  readonly inPlace?: boolean | undefined;
  /** @internal Of the operator, and of no key. */
  readonly ofOperator?: true | undefined;
  /** @internal How long values live. */
  readonly ttl?: Ttl | undefined;
  /** @internal Who else may hold the values; see `givenAway` and `unshared`. @defaultValue anybody: both are copies */
  readonly copies?: Copies | undefined;
  /** Carries the type only; never present at run time. */
  readonly handle?: H;
}

/**
 * What a state keeps of the values that are added to it.
 *
 * @internal
 */
export interface Combine {
  /** What is kept with one value more. `kept` is undefined before the first. */
  add(kept: unknown, value: unknown): unknown;
  /** What is read. */
  result(kept: unknown): unknown;
}

/**
 * Which values are copied (I21). `in`: those that are put in; `none`: neither those nor what is read.
 *
 * @internal
 */
export type Copies = 'in' | 'none';

/**
 * The same state for who reads a value only to put another one back in the same turn, or to clear it: what is read is
 * given away, and whoever gets it may change it. Saves one of two copies.
 *
 * @internal
 */
export const givenAway = <H>(descriptor: StateDescriptor<H>): StateDescriptor<H> => ({ ...descriptor, copies: 'in' });

/**
 * The same state for who puts in only what nobody else holds and what can be stored, and gives away nothing that he
 * reads.
 *
 * @internal
 */
export const unshared = <H>(descriptor: StateDescriptor<H>): StateDescriptor<H> => ({ ...descriptor, copies: 'none' });

/**
 * The same map, without an index, for keys of the map that keys of the stream do not share (numbers that are given
 * once, say): each entry stands by itself.
 *
 * @internal
 */
export const scattered = <H>(descriptor: StateDescriptor<H>): StateDescriptor<H> => ({
  ...descriptor,
  scattered: true,
});

export interface StateOptions {
  /** Version of the stored form; state of a newer version is refused with `STATE_INCOMPATIBLE`. @defaultValue 1 */
  readonly version?: number | undefined;
  /**
   * Makes a value of this version of one that was stored by an older one. @defaultValue older values are read as they
   * are
   */
  readonly migrate?: ((value: unknown, version: number) => unknown) | undefined;
  /**
   * Nothing is copied, which pays for large values: one that was read may be changed as it is, if it is put back
   * (`update`, `set`) in the same turn. Nobody else may hold it, nor any part of it: neither who made what was put in
   * nor who is handed a result. What a checkpoint writes was taken when it was read, so it never sees the change.
   * @defaultValue false: what is put in and what is read are copies
   */
  readonly inPlace?: boolean | undefined;
  /** How long values live. @defaultValue for ever */
  readonly ttl?: StateTtl | undefined;
}

export interface MapStateOptions extends StateOptions {
  /** An index of the keys, so that they can be listed. @defaultValue true */
  readonly indexed?: boolean | undefined;
  /** Entries are kept in the order of their keys, for `range`. @defaultValue false: in order of insertion */
  readonly ordered?: boolean | undefined;
}

interface KeyedHandle {
  /** Forgets what the current key holds. */
  clear(): void;
  /** Visits every key that holds something, with that key current. Allowed in `open` only. */
  forEachKey(visit: (key: Key) => void): Promise<void>;
}

export interface ValueState<T> extends KeyedHandle {
  /** Gives the value of the current key; undefined when there is none. */
  value(): T | undefined;
  /**
   * Exchanges the value of the current key; undefined is the same as `clear()`. Throws `NOT_SERIALISABLE` for what is
   * no plain data.
   */
  update(value: T): void;
}

export interface ListState<T> extends KeyedHandle {
  readonly size: number;
  /** Puts an element at the end. */
  add(value: T): void;
  /** Removes and returns the oldest element. */
  shift(): T | undefined;
  /** Gives the elements, oldest first. */
  values(): Iterable<T>;
}

export interface ReducingState<T> extends KeyedHandle {
  /** Gives what the values of the current key come to; undefined before the first. */
  get(): T | undefined;
  /** Takes one value more in. Throws `NOT_SERIALISABLE` for what is no plain data. */
  add(value: T): void;
}

export interface AggregatingState<T, R> extends KeyedHandle {
  /** Gives the result over the values of the current key; undefined before the first. */
  get(): R | undefined;
  /** Takes one value more in. Throws `NOT_SERIALISABLE` for an accumulator that is no plain data. */
  add(value: T): void;
}

export interface MapState<K extends string | number, V> extends KeyedHandle {
  /** Gives the value of an entry; undefined when there is none. */
  get(key: K): V | undefined;
  /**
   * Puts in an entry, or exchanges its value; undefined is the same as `delete`. Throws `NOT_SERIALISABLE` for what is
   * no plain data.
   */
  set(key: K, value: V): void;
  /** Forgets an entry; an unknown one is no error. */
  delete(key: K): void;
  /**
   * In order of insertion, or of the keys where the map is ordered. Throws for a map made with `{ indexed: false }`.
   */
  keys(): Iterable<K>;
  /**
   * In order of insertion, or of the keys where the map is ordered. Throws for a map made with `{ indexed: false }`.
   */
  entries(): Iterable<[K, V]>;
  /**
   * Gives the entries from a key on and in front of another, in order of their keys: numbers by size, then texts by
   * their code points. Undefined is no bound. What it costs grows with what it gives and the logarithm of the map.
   * Throws unless the map was made with `{ ordered: true }`.
   */
  range(from: K | undefined, to: K | undefined): Iterable<[K, V]>;
  /** Whether the current key has no entry. Throws for a map made with `{ indexed: false }`. */
  isEmpty(): boolean;
  /**
   * Visits every entry of every key, indexed or not, with its key current; `value` reads it. Allowed in `open` only.
   */
  forEachEntry(visit: (key: Key, subKey: K, value: () => V) => void): Promise<void>;
}

/**
 * Names a state of one value per key. `name` is the stored one, unique within the operator; values are plain data. A
 * new version of the stored form brings `migrate`, which reads what an older one wrote.
 *
 * @example
 * const numbered = orders.keyBy(({ customer }) => customer).process({
 *   emits: type<string>(),
 *   state: { count: valueState<number>('count') },
 *   process({ customer }, ctx) {
 *     const count = (ctx.state.count.value() ?? 0) + 1;
 *     ctx.state.count.update(count);
 *     ctx.emit(`${customer} ${count}`);
 *   },
 * });
 * console.log(await numbered.executeAndCollect()); // prints [ 'ann 1', 'bob 1', 'ann 2' ]
 */
export const valueState = <T>(name: string, options: StateOptions = {}): StateDescriptor<ValueState<T>> => ({
  kind: 'value',
  name,
  version: options.version ?? 1,
  migrate: options.migrate,
  inPlace: options.inPlace,
  ...ttlIn(options),
});

/**
 * Names a state that keeps one value per key, into which each value that is added is reduced. `name` is the stored one,
 * unique within the operator; values are plain data.
 *
 * @example
 * const largest = orders.keyBy(({ customer }) => customer).process({
 *   emits: type<number>(),
 *   state: { most: reducingState<number>('most', (a, b) => Math.max(a, b)) },
 *   process({ euros }, ctx) {
 *     ctx.state.most.add(euros);
 *     ctx.emit(ctx.state.most.get() ?? 0);
 *   },
 * });
 * console.log(await largest.executeAndCollect()); // prints [ 25, 5, 40 ]
 */
export const reducingState = <T>(
  name: string,
  reduce: ReduceFunction<T>,
  options: StateOptions = {},
): StateDescriptor<ReducingState<T>> => {
  callable('reduce', reduce);
  return {
    kind: 'reducing',
    name,
    version: options.version ?? 1,
    migrate: options.migrate,
    inPlace: options.inPlace,
    ...ttlIn(options),
    combine: {
      add: (kept, value) =>
        // Only `add` of this state and the store put values in.
        kept === undefined ? value : synchronous(reduce(kept as T, value as T), '`reduce`', name),
      result: (kept) => kept,
    },
  };
};

/**
 * Names a state that keeps one accumulator per key, and gives a result of it. `name` is the stored one, unique within
 * the operator; accumulators are plain data. A `migrate` reads accumulators.
 *
 * @example
 * const sumAndCount: AggregateFunction<number, { sum: number; count: number }, number> = {
 *   createAccumulator: () => ({ sum: 0, count: 0 }),
 *   add: (value, { sum, count }) => ({ sum: sum + value, count: count + 1 }),
 *   getResult: ({ sum, count }) => sum / count,
 * };
 * const means = orders.keyBy(({ customer }) => customer).process({
 *   emits: type<number>(),
 *   state: { mean: aggregatingState('mean', sumAndCount) },
 *   process({ euros }, ctx) {
 *     ctx.state.mean.add(euros);
 *     ctx.emit(ctx.state.mean.get() ?? 0);
 *   },
 * });
 * console.log(await means.executeAndCollect()); // prints [ 25, 5, 32.5 ]
 */
export const aggregatingState = <T, A, R>(
  name: string,
  aggregate: AggregateFunction<T, A, R>,
  options: StateOptions = {},
): StateDescriptor<AggregatingState<T, R>> => {
  withMethods('aggregate', aggregate, 'an aggregate function', ['createAccumulator', 'add', 'getResult']);
  const { mutable, createAccumulator, add, getResult } = aggregator(aggregate, (returned, what) =>
    synchronous(returned, what, name),
  );
  const inPlace = options.inPlace ?? mutable;
  return {
    kind: 'aggregating',
    name,
    version: options.version ?? 1,
    migrate: options.migrate,
    inPlace,
    ...ttlIn(options),
    combine: {
      // Only `add` of this state and the store put accumulators in.
      add: (kept, value) => add(value as T, kept === undefined ? createAccumulator() : (kept as A)),
      result(kept) {
        const result = getResult(kept as A); // As above.
        return inPlace ? looseCopy(result) : result; // It may be part of what is kept (I21).
      },
    },
  };
};

/** Refuses a promise (I13). `what` names the function that has returned it. */
const synchronous = <V>(returned: V, what: string, name: string): V => {
  if (isThenable(returned)) throw refusedPromise(`${what} of state '${name}'`, returned);
  return returned;
};

/**
 * Names a state of a list per key: elements are added at the end and taken from the front, each stored by itself.
 * `name` is the stored one, unique within the operator; elements are plain data.
 *
 * @example
 * const pairs = orders.keyBy(({ customer }) => customer).process({
 *   emits: type<readonly number[]>(),
 *   state: { waiting: listState<number>('waiting') },
 *   process({ id }, ctx) {
 *     ctx.state.waiting.add(id);
 *     if (ctx.state.waiting.size < 2) return;
 *     ctx.emit([...ctx.state.waiting.values()]);
 *     ctx.state.waiting.clear();
 *   },
 * });
 * console.log(await pairs.executeAndCollect()); // prints [ [ 1, 3 ] ]
 */
export const listState = <T>(name: string, options: StateOptions = {}): StateDescriptor<ListState<T>> => ({
  kind: 'list',
  name,
  version: options.version ?? 1,
  migrate: options.migrate,
  inPlace: options.inPlace,
  ...ttlIn(options),
});

/**
 * Names a state of a map per key, each entry stored by itself. `name` is the stored one, unique within the operator;
 * values are plain data. `indexed: false` (default true) saves the index of a map whose keys are never listed. It is
 * meant for maps whose keys are shared by many keys of the stream (the windows of panes, say): entries are kept by them
 * first, and one that shares its key with no other takes several times the memory of one in a map with an index.
 *
 * `ordered: true` (default false) keeps entries in the order of their keys, so that `range` finds those between two
 * keys. Up to 64 of them are stored together, and are written together when one has changed.
 *
 * @example
 * const firsts = orders.keyBy(() => 'all').process({
 *   emits: type<number>(),
 *   state: { seen: mapState<string, number>('seen') },
 *   process({ id, customer }, ctx) {
 *     if (ctx.state.seen.get(customer) !== undefined) return;
 *     ctx.state.seen.set(customer, id);
 *     ctx.emit(id);
 *   },
 * });
 * console.log(await firsts.executeAndCollect()); // prints [ 1, 2 ]
 *
 * const near = orders.keyBy(() => 'all').process({
 *   emits: type<readonly number[]>(),
 *   state: { byTime: mapState<number, number>('by-time', { ordered: true }) },
 *   process({ id, ts }, ctx) {
 *     ctx.emit([...ctx.state.byTime.range(ts - 5_000, ts)].map(([, earlier]) => earlier));
 *     ctx.state.byTime.set(ts, id);
 *   },
 * });
 * console.log(await near.executeAndCollect()); // prints [ [], [ 1 ], [] ]
 */
export const mapState = <K extends string | number, V>(
  name: string,
  options: MapStateOptions = {},
): StateDescriptor<MapState<K, V>> => {
  const { version = 1, migrate, inPlace, indexed = true, ordered = false } = options;
  if (ordered && !indexed)
    throw refusal('indexed', "true or left out with `ordered: true`: it is the map's order", false);
  return { kind: 'map', name, version, migrate, inPlace, indexed, ...(ordered && { ordered }), ...ttlIn(options) };
};

const ttlIn = ({ ttl }: StateOptions): { readonly ttl?: Ttl } => (ttl === undefined ? {} : { ttl: ttlOf(ttl) });
