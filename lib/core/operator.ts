/**
 * The operator contract. An operator is a function of its capabilities, and four of them survive a crash: state,
 * timers, work and holds. Each has a page of its own; this one says what an operator is and what it is given.
 *
 * Rules:
 *  - Capabilities are asked for when the operator is made, and not later: they are restored before its first turn.
 *  - Everything is synchronous; waiting is a capability (`work`). A thenable returned from `process` is an error (I13).
 *  - State and timers are reached only in a turn, while their key is current; handles throw elsewhere (I2).
 *  - Time comes from `now()`, which records it with the turn, so that replay sees the same (I9).
 *  - A value read from a handle is valid until `process` returns; to change it, call `update` or `set` again.
 */
import type { Timestamp } from './element.ts';
import type { HoldOptions, Holds } from './hold.ts';
import type { Key } from './key.ts';
import type { MetricGroup } from './metric.ts';
import type { OutputTag } from './output-tag.ts';
import type { OperatorStateHandle } from './operator-state.ts';
import type { StateDescriptor } from './state-descriptor.ts';
import type { DerivedTimer, DerivedTimerOptions, DerivedTimers, Timer, Timers } from './timer.ts';
import type { Work, Worker, WorkOptions } from './work.ts';

export type Operator<I, O> = (context: OperatorContext<O>) => Processor<I>;

/**
 * An operator without capabilities, as data: what one function makes of one record. Results keep the record's
 * timestamp. Steps that follow each other are joined into one function. A function that returns a promise is refused
 * (I13), since what awaits is work.
 */
export type Step<I, O> =
  | { readonly kind: 'map'; readonly fn: (value: I) => O }
  /** Passes on the record when `fn` returns something truthy. */
  | { readonly kind: 'filter'; readonly fn: (value: I) => unknown }
  /** Passes on each of what `fn` returns, and refuses what is more than `valuesMax` (1,000,000). */
  | { readonly kind: 'flatMap'; readonly fn: (value: I) => Iterable<O>; readonly valuesMax?: number };

export interface Processor<I> {
  /** Handles a record, under its key if the operator is keyed. Returns nothing: what it returns is refused (I13). */
  process(value: I, timestamp: Timestamp): void;
  /**
   * Says that `process` uses no `this` and returns nothing, so that records go to it without a call in between that
   * looks.
   */
  readonly direct?: true | undefined;
  /** Sees a watermark after the timers up to it have fired and before it is forwarded. The engine forwards it. */
  onWatermark?(timestamp: Timestamp): void;
  /** Runs once after a restore and before the first turn. May read and change state by `forEachKey`; must not emit. */
  open?(): Promise<void>;
  /** Runs once when the job stops or fails. */
  close?(): Promise<void>;
}

/**
 * An operator of several inputs: one tuple element for each, in the order of its edges. All inputs of a keyed one share
 * keys, state, timers and work; each record is handed to the function of its input.
 */
export type MultiInputOperator<I extends readonly unknown[], O> = (
  context: OperatorContext<O>,
) => MultiInputProcessor<I>;

export interface MultiInputProcessor<I extends readonly unknown[]> extends Omit<
  Processor<never>,
  'process' | 'direct'
> {
  readonly inputs: { readonly [N in keyof I]: Pick<Processor<I[N]>, 'process' | 'direct'> };
}

export interface Output<O> {
  /** Emits to the main output. */
  emit(value: O, timestamp: Timestamp): void;
  /** Emits to a side output. What goes to one that nobody reads is counted as `numSideRecordsDropped` (I22). */
  side<S>(tag: OutputTag<S>, value: S, timestamp: Timestamp): void;
  /** Whether anybody reads a side output. */
  isRead(tag: OutputTag<unknown>): boolean;
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
  /**
   * The handle of one state that belongs to no key, so it has no time to live. It may be looked at in every turn.
   * Records of inputs without keys may change it; of an operator with a broadcast input only its records may.
   */
  operatorState<H>(descriptor: StateDescriptor<H>): OperatorStateHandle<H>;
  /** At most one per operator. */
  timers(onTimer: (timer: Timer) => void): Timers;
  /** At most one per operator, and not beside `timers`. */
  derivedTimers(onTimer: (timer: DerivedTimer) => void, options?: DerivedTimerOptions): DerivedTimers;
  /** What waits: items are submitted in a turn, run outside any, and take effect in one. */
  work<W, R>(worker: Worker<W, R>, options?: WorkOptions): Work<W>;
  /** At most one per operator. */
  holds(options?: HoldOptions): Holds<O>;
  /** Key of the record, timer or work in hand; throws outside a turn (I2). */
  currentKey(): Key;
  /**
   * Next number of the current key's group: counted per key group, so that a key that is done leaves nothing behind.
   * Starts at 0.
   */
  sequence(): number;
  /** Key group of the current key. */
  keyGroup(): number;
  /** Time of this turn in milliseconds. */
  now(): Timestamp;
  /**
   * A copy for code that runs outside the turn, or for keeping beyond it (I21): frozen in the test mode `freeze`.
   * Throws `NOT_SERIALISABLE` with the path to what can not be stored.
   */
  handOver<T>(value: T): T;
  /** A bounded place of this operator: while any place is full, sources are not pulled (I10). */
  place(options: PlaceOptions): Place;
}

export interface PlaceOptions {
  /** In metrics and messages. */
  readonly name: string;
  /** Items it holds before sources are no longer pulled. */
  readonly max: number;
}

export interface Place {
  readonly count: number;
  /** Says that so many items came, or went when it is negative. */
  add(count: number): void;
}
