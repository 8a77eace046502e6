/**
 * The operator contract. An operator is a function of its capabilities, and three of them survive a crash: state, timers and work.
 *
 * Rules:
 *  - Everything is synchronous; waiting is a capability (`work`). A thenable returned from `process` is an error (I13).
 *  - State and timers are reached only in a turn, while their key is current; handles throw elsewhere (I2).
 *  - Time comes from `now()`, which records it with the turn, so that replay sees the same (I9).
 *  - A value read from a handle is valid until `process` returns; to change it, call `update` or `set` again.
 */
import type { Key } from './key.ts';
import { refusal, type Duration } from './options.ts';
import type { MetricGroup } from './metric.ts';
import type { Timestamp } from './element.ts';

export type Operator<I, O> = (context: OperatorContext<O>) => Processor<I>;

/**
 * An operator without capabilities, as data: what one function makes of one record. Results keep the record's timestamp. Steps that
 * follow each other are joined into one function. A function that returns a promise is refused (I13), since what awaits is work.
 */
export type Step<I, O> =
  | { readonly kind: 'map'; readonly fn: (value: I) => O }
  /** Passes on the record when `fn` returns something truthy. */
  | { readonly kind: 'filter'; readonly fn: (value: I) => unknown }
  /** Passes on each of what `fn` returns. */
  | { readonly kind: 'flatMap'; readonly fn: (value: I) => Iterable<O> };

export interface Processor<I> {
  process(value: I, timestamp: Timestamp): void;
  /** Says that `process` uses no `this` and returns nothing, so that records go to it without a call in between that looks. */
  readonly direct?: true | undefined;
  /** Sees a watermark after the timers up to it have fired and before it is forwarded. The engine forwards it. */
  onWatermark?(timestamp: Timestamp): void;
  /** Runs once after a restore and before the first turn. May read and change state by `forEachKey`; must not emit. */
  open?(): Promise<void>;
  close?(): Promise<void>;
}

/** A named side output. Two tags with one id are the same tag. */
export interface OutputTag<S> {
  readonly id: string;
  /** Carries the type only; never present at run time. */
  readonly type?: S;
}

/**
 * Names a side output and the type of what it carries. Two tags with one id are the same tag. Throws a `TypeError` for
 * an empty id.
 *
 * @example
 * const large = outputTag<Order>('large');
 * const rest = orders.process<Order>((order, ctx) => (order.euros > 30 ? ctx.side(large, order) : ctx.emit(order)));
 * rest.sideOutput(large).map(({ id }) => `order ${id} is large`).print(); // prints order 3 is large
 */
export const outputTag = <S>(id: string): OutputTag<S> => {
  if (typeof id !== 'string' || id === '') throw refusal('id', 'a non-empty string', id);
  return { id };
};

export interface Output<O> {
  emit(value: O, timestamp: Timestamp): void;
  side<S>(tag: OutputTag<S>, value: S, timestamp: Timestamp): void;
}

export interface OperatorContext<O> {
  readonly uid: string;
  readonly output: Output<O>;
  readonly metrics: MetricGroup;
  /** Unique name of the job's stored state; the same after a crash. */
  readonly jobId: string;
  /** Counts the branches of this job's history: raised when replay diverged, so an old id never names a new input. */
  readonly branch: number;
  /** The handle of one keyed state. Asking twice for one name is an error. */
  state<H>(descriptor: StateDescriptor<H>): H;
  /** At most one per operator. */
  timers(onTimer: (timer: Timer) => void): Timers;
  /** At most one per operator, and not beside `timers`. */
  derivedTimers(onTimer: (timer: DerivedTimer) => void): DerivedTimers;
  work<W, R>(worker: Worker<W, R>, options?: WorkOptions): Work<W>;
  /** At most one per operator. */
  holds(options?: HoldOptions): Holds<O>;
  /** Key of the record, timer or work in hand; throws outside a turn (I2). */
  currentKey(): Key;
  /** Next number of the current key's group: counted per key group, so that a key that is done leaves nothing behind. Starts at 0. */
  sequence(): number;
  /** Key group of the current key. */
  keyGroup(): number;
  /** Time of this turn in milliseconds. */
  now(): Timestamp;
  /**
   * A copy for code that runs outside the turn, or for keeping beyond it (I21): frozen in the test mode `freeze`. Throws `NOT_SERIALISABLE`
   * with the path to what can not be stored.
   */
  handOver<T>(value: T): T;
  /** A bounded place of this operator: while any place is full, sources are not pulled (I10). */
  place(options: PlaceOptions): Place;
}

// ---------- state

export type StateKind = 'value' | 'list' | 'map';

/** Names a keyed state and carries the type of its handle. Make it with `valueState`, `listState` or `mapState`. */
export interface StateDescriptor<H> {
  readonly kind: StateKind;
  readonly name: string;
  /** Version of the stored form; state of a newer version is refused. @defaultValue 1 */
  readonly version: number;
  /** Reads a value stored by an older version. */
  readonly migrate?: ((value: unknown, version: number) => unknown) | undefined;
  /** Maps only: keep an index, so that keys and entries can be listed. */
  readonly indexed?: boolean | undefined;
  /** See `StateOptions`. */
  readonly inPlace?: boolean | undefined;
  /**
   * Values are handed to user code: what is put in and what is read are copies, so that what the code changes in them is changed nowhere
   * else, before a crash as after it (I21). @defaultValue false: a value that is read is not to be changed
   */
  readonly copies?: boolean | undefined;
  /** Carries the type only; never present at run time. */
  readonly handle?: H;
}

export interface StateOptions {
  /** Version of the stored form; state of a newer version is refused with `STATE_INCOMPATIBLE`. @defaultValue 1 */
  readonly version?: number | undefined;
  /**
   * Makes a value of this version of one that was stored by an older one. @defaultValue older values are read as they
   * are
   */
  readonly migrate?: ((value: unknown, version: number) => unknown) | undefined;
  /**
   * A value that was read may be changed as it is, if it is put back (`update`, `set`) in the same turn, and nobody else holds it. What a
   * checkpoint writes was taken when it was read, so it never sees the change. @defaultValue false: a value is never changed
   */
  readonly inPlace?: boolean | undefined;
}

interface KeyedHandle {
  /** Forgets what the current key holds. */
  clear(): void;
  /** Visits every key that holds something, with that key current. Allowed in `open` only. */
  forEachKey(visit: (key: Key) => void): Promise<void>;
}

export interface ValueState<T> extends KeyedHandle {
  value(): T | undefined;
  update(value: T): void;
}

export interface ListState<T> extends KeyedHandle {
  readonly size: number;
  add(value: T): void;
  /** Removes and returns the oldest element. */
  shift(): T | undefined;
  values(): Iterable<T>;
}

export interface MapState<K extends string | number, V> extends KeyedHandle {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): void;
  /** In order of insertion. Throws for a map made with `{ indexed: false }`. */
  keys(): Iterable<K>;
  entries(): Iterable<[K, V]>;
  /** Visits every entry of every key, indexed or not, with its key current; `value` reads it. Allowed in `open` only. */
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
});

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
});

/**
 * Names a state of a map per key, each entry stored by itself. `name` is the stored one, unique within the operator;
 * values are plain data. `indexed: false` (default true) saves the index of a map whose keys are never listed. It is
 * meant for maps whose keys are shared by many keys of the stream (the windows of panes, say): its rows are kept by
 * them first.
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
 */
export const mapState = <K extends string | number, V>(
  name: string,
  options: StateOptions & { readonly indexed?: boolean | undefined } = {},
): StateDescriptor<MapState<K, V>> => ({
  kind: 'map',
  name,
  version: options.version ?? 1,
  migrate: options.migrate,
  inPlace: options.inPlace,
  indexed: options.indexed ?? true,
});

// ---------- timers

export type TimeDomain = 'event' | 'processing';

export interface Timer {
  readonly timestamp: Timestamp;
  readonly namespace: number;
  readonly domain: TimeDomain;
}

/** Timers of the current key, one per (key, namespace, timestamp, domain). Those of one time fire in the order of their keys' bytes. */
export interface Timers {
  readonly watermark: Timestamp;
  /** A time at or before the watermark (the clock) fires with the next one. `namespace` @defaultValue 0 */
  register(timestamp: Timestamp, options?: TimerOptions): void;
  /** Forgets a timer; an unknown one is no error. */
  delete(timestamp: Timestamp, options?: TimerOptions): void;
}

export interface TimerOptions {
  /** Tells timers of one key and time from each other. @defaultValue 0 */
  readonly namespace?: number | undefined;
  /** `event`: fires by the watermark; `processing`: by the clock. @defaultValue 'event' */
  readonly domain?: TimeDomain | undefined;
}

export interface DerivedTimer {
  readonly timestamp: Timestamp;
  readonly namespace: number;
}

/**
 * Event-time timers of the current key that follow from its state, so that they cost no state of their own: register each once when its
 * cause is made, and again in `open` for every cause that is there. They fire in the order of `Timers` and can't be deleted.
 */
export interface DerivedTimers {
  readonly watermark: Timestamp;
  /** A time at or before the watermark fires with the next one. */
  register(timestamp: Timestamp, namespace: number): void;
}

// ---------- work

export type Outcome<R> = { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown };

export type Rejection = 'fail' | 'outcome';

/**
 * When a body goes on with the outcome of a durable call. `call`: when it is durable, so that whatever the body does with it, a crash
 * changes nothing about it. `effect`: at once; a crash may come before it is durable, and then the call is made again and may give
 * something else. Until it is durable nothing that the engine knows of leaves: no further call starts, and no end takes effect.
 */
export type Durability = 'call' | 'effect';

/** Asynchronous work: `run` waits outside any turn, `apply` takes its outcome in one. */
export interface Worker<W, R> {
  readonly name: string;
  /** May wait. Reads no state and emits nothing: it returns what should happen. Runs after the submitting turn is durable; never during replay. */
  run(item: W, context: WorkContext): Promise<R>;
  /** Makes it happen, in one turn under the key that submitted the item. */
  apply(item: W, outcome: Outcome<R>): void;
  /**
   * What a rejection of `run` is. `fail`: no outcome; it fails the job, and after the restart the item runs again, its failed calls
   * too. `outcome`: journaled and given to `apply` like any other. A function tells by the error. @defaultValue 'fail'
   */
  readonly onRejection?: Rejection | ((error: unknown) => Rejection) | undefined;
  /** When a body goes on with an outcome; a function tells by the item. @defaultValue 'call' */
  readonly durability?: Durability | ((item: W) => Durability) | undefined;
  /**
   * Nobody but the operator holds items and results, and no user code gets to see them as they are: then they are not copied where they are
   * submitted, run and applied (I21).
   */
  readonly owned?: true | undefined;
  /** Says that `run` waits for nothing and makes no calls: an item only asks for a turn of its own, and needs no place among those in flight. */
  readonly placeless?: true | undefined;
  /** Names an item in messages, such as that of a timeout. @defaultValue worker, uid and key */
  describe?(item: W, key: Key): string;
  /**
   * What tells an item from others of its key, without names that a new branch gives anew: by it outcomes are found again after the code
   * changed. Plain data. @defaultValue the item
   */
  identity?(item: W): unknown;
}

export interface Work<W> {
  /** Starts one item under the current key, after this turn. The item must be serialisable: it is state until it is applied. */
  submit(item: W): void;
}

export interface WorkOptions {
  /** Bodies that run at once; more wait in order. @defaultValue 1000 */
  readonly inFlightMax?: number | undefined;
  /** Items submitted and not yet applied; at this bound sources are not pulled. @defaultValue 2 x inFlightMax */
  readonly pendingMax?: number | undefined;
  /**
   * Limit of one `run`, in milliseconds; past it the item is rejected with `WORK_TIMEOUT`, and `onRejection` says what becomes of it: by
   * default the job fails. @defaultValue none
   */
  readonly timeoutMs?: number | undefined;
}

/** What the body of one work item may use. */
export interface WorkContext {
  /** Names this item in the journal; the same after a crash. */
  readonly id: string;
  readonly key: Key;
  /** The time of the turn that submitted the item. */
  readonly submittedAt: Timestamp;
  /** Aborted when the item times out or the job stops. Made when first read. */
  readonly signal: AbortSignal;
  /** Reads state under the item's key, as it is now. Must not change any. Only what cannot change while the item is open is the same after a crash. */
  read<T>(fn: () => T): T;
  /** Runs `fn` once and journals its outcome; after a crash the journaled outcome is returned instead (I8). */
  call<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options?: CallOptions<R>): Promise<R>;
}

export interface CallContext {
  /** Unique name of this call in the journal: `branch.operator.keyGroup.number.call`. */
  readonly id: string;
  /** Stable across crashes and attempts; unique over all jobs. */
  readonly idempotencyKey: string;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** Aborted on timeout and when the job stops. Made when first read. */
  readonly signal: AbortSignal;
  /** True until the function has ended or has timed out. */
  readonly isOpen: boolean;
}

export interface CallOptions<R> {
  /**
   * Arguments of the call; their digest is journaled, and another digest at the same place is a divergence.
   * @defaultValue none
   */
  readonly args?: unknown;
  /**
   * Asked after a crash whether a call that had started took effect. Resolves with its result; throws `CallNotExecuted`
   * when it did not. @defaultValue none: such a call is made again
   */
  readonly reconciler?: ((call: CallContext) => R | Promise<R>) | undefined;
  /** Limit of one attempt in milliseconds. @defaultValue none */
  readonly timeoutMs?: number | undefined;
  /** When and how often a failed attempt is made again. @defaultValue one attempt */
  readonly retry?: RetryOptions | undefined;
  /** Bounds how many attempts run at once, together with other calls. @defaultValue no bound of its own */
  readonly limit?: CallLimit | undefined;
}

/** A bound on attempts that run at once. An attempt enters before its time limit begins, and is outside while it waits to be made again. */
export interface CallLimit {
  /** Runs `start` now or when there is room. */
  enter(start: () => void): void;
  /** Called once for each that has entered. */
  leave(): void;
}

export interface RetryOptions {
  /** Attempts in all, the first included. @defaultValue 1 */
  readonly attempts?: number | undefined;
  /** Wait before the second attempt. @defaultValue '1s' */
  readonly initialInterval?: Duration | undefined;
  /** The same in milliseconds; give one of the two. @defaultValue `initialInterval` */
  readonly initialIntervalMs?: number | undefined;
  /** Each wait is this many times the one before. @defaultValue 2 */
  readonly backoffFactor?: number | undefined;
  /** Bounds the wait. @defaultValue '1m' */
  readonly maxInterval?: Duration | undefined;
  /** The same in milliseconds; give one of the two. @defaultValue `maxInterval` */
  readonly maxIntervalMs?: number | undefined;
  /** Share of the interval that is random, 0 to 1. @defaultValue 0.1 */
  readonly jitter?: number | undefined;
  /** Longest wait that an error may ask for by `details.retryAfterMs`; after one that asks for more there is no attempt. @defaultValue '10m' */
  readonly retryAfterMax?: Duration | undefined;
  /** @defaultValue every error that does not say `retryable: false` */
  readonly retryOn?: ((error: unknown) => boolean) | undefined;
}

// ---------- holds and places

export type Hold = number;

export type OutputOrder = 'completion' | 'arrival';

export interface HoldOptions {
  /** `completion`: results between two watermarks leave as they come. `arrival`: in the order their holds were taken. @defaultValue 'completion' */
  readonly order?: OutputOrder | undefined;
  /**
   * With order `completion`: a result whose timestamp is greater than the watermarks that wait before it, or that has none, leaves at
   * once. So a hold delays watermarks and nobody else's results, and still nothing on time becomes late by waiting, and nothing late
   * on time. @defaultValue false: no result crosses a watermark in either direction
   */
  readonly overtakeWatermarks?: boolean | undefined;
}

/**
 * A hold keeps later watermarks back until it is released, and what is emitted within it leaves in its place: never behind a watermark
 * that came after it, and in front of one that came before it only with `overtakeWatermarks`. Holds and results that wait are state.
 */
export interface Holds<O> {
  /** Takes a hold under the current key. */
  take(): Hold;
  /** Whether something emitted now with this timestamp, outside any hold, would overtake what it must not: then it needs a hold. */
  blocks(timestamp: Timestamp): boolean;
  emit(hold: Hold, value: O, timestamp: Timestamp): void;
  /** Emits to a side output, in the hold's place too. */
  side<S>(hold: Hold, tag: OutputTag<S>, value: S, timestamp: Timestamp): void;
  release(hold: Hold): void;
}

export interface PlaceOptions {
  /** In metrics and messages. */
  readonly name: string;
  /** Items it holds before sources are no longer pulled. */
  readonly max: number;
}

export interface Place {
  readonly count: number;
  add(count: number): void;
}
