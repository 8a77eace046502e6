/**
 * The contracts of windows: what says which windows a record is in (`WindowAssigner`), when one gives a result
 * (`Trigger`), and which of its elements go before or behind that (`Evictor`). All are plain objects; what a trigger
 * must remember is state that the window operator keeps for it.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import type { TimeDomain } from '../../lib/core/timer.ts';

/**
 * A window `[start, end)`, in milliseconds: its last one is `end - 1`. That of a window without end is `Infinity`, as
 * its `end` is.
 */
export interface TimeWindow {
  readonly start: Timestamp;
  readonly end: Timestamp;
}

export interface WindowAssigner<T = never> {
  /** What moves its windows: the watermark, or the clock. Records of event-time windows need a timestamp. */
  readonly time: TimeDomain;
  /** When its windows give results, unless the pipeline says otherwise. */
  readonly defaultTrigger: Trigger;
  /** Windows of a key that meet or touch become one, as sessions do. @defaultValue false */
  readonly merging?: boolean | undefined;
  /** All its windows have one length and start at fixed times. Must say the same as `assign`. */
  readonly fixed?: FixedWindows | undefined;
  /** How its windows are made of slices that they share. Must say the same as `assign`. */
  readonly slices?: Slices | undefined;
  /**
   * Names its windows by numbers, so that nothing need be kept to find one again. @defaultValue the windows of a key
   * that are open are a list in its state
   */
  readonly naming?: WindowNaming | undefined;
  /** The windows that hold a value. Must say the same each time. */
  assign(value: T, timestamp: Timestamp, context: AssignContext): Iterable<TimeWindow>;
  toString(): string;
}

export interface AssignContext {
  /** Time of this turn in milliseconds; the same in a replay. */
  now(): Timestamp;
}

/** Windows of one length: one starts at `offsetMs` and every `slideMs` before and behind. */
export interface FixedWindows {
  readonly sizeMs: number;
  /** Less than `sizeMs`: they overlap. More: there are gaps between them. */
  readonly slideMs: number;
  readonly offsetMs: number;
}

/** A number for each window of an assigner. */
export interface WindowNaming {
  /** The number of a window. */
  nameOf(window: TimeWindow): number;
  /** The window of a number. */
  windowOf(name: number): TimeWindow;
}

/**
 * Windows as rows of slices: a record is added to one slice, and a window's result is made of its slices. So a record
 * costs the same whatever the number of windows that hold it.
 */
export interface Slices {
  /** The same for the same windows, and for no others. */
  readonly name: string;
  /** Length of a slice. Slices do not overlap. */
  readonly sliceMs: number;
  /** The start of the slice that holds a timestamp. */
  startOf(timestamp: Timestamp): Timestamp;
  /** The end of the first window that holds the slice. */
  firstEnd(start: Timestamp): Timestamp;
  /**
   * The end of the next window that holds the slice, behind one that ends at `end`; undefined when that was the last.
   */
  nextEnd(start: Timestamp, end: Timestamp): Timestamp | undefined;
  /** The start of the window that ends there. */
  startOfWindow(end: Timestamp): Timestamp;
}

/** What a trigger wants: nothing, a result, that the content goes without one, or a result and then that it goes. */
export type TriggerResult = 'continue' | 'fire' | 'purge' | 'fire-and-purge';

/**
 * Says when a window gives a result. A trigger in place of an assigner's own replaces it whole: `CountTrigger.of(3)` on
 * a tumbling window fires at each third element, and not at the end of the window.
 */
export interface Trigger<T = never> {
  /** What `ctx.state` is for a new window. @defaultValue undefined */
  readonly initialState?: (() => unknown) | undefined;
  /** An element was added to the window. */
  onElement(value: T, timestamp: Timestamp, window: TimeWindow, ctx: TriggerContext): TriggerResult;
  /**
   * The watermark has reached a time that the trigger registered, or the end of the window. @defaultValue 'continue'
   */
  onEventTime?(time: Timestamp, window: TimeWindow, ctx: TriggerContext): TriggerResult;
  /** The clock has passed a time that the trigger registered, or the end of the window. @defaultValue 'continue' */
  onProcessingTime?(time: Timestamp, window: TimeWindow, ctx: TriggerContext): TriggerResult;
  /**
   * Windows have become one: `states` are theirs, and `ctx.state` begins anew. Their timers are gone (`clear` was
   * called for each), so those of the new window are registered here. A trigger without it is refused for windows that
   * merge.
   */
  onMerge?(window: TimeWindow, ctx: TriggerContext, states: readonly unknown[]): void;
  /** The window goes: deletes the timers that were registered. The state goes by itself. */
  clear?(window: TimeWindow, ctx: TriggerContext): void;
  toString(): string;
}

/** What a trigger may use while it is called. Not to be kept: it is the same object each time. */
export interface TriggerContext<S = unknown> {
  /** What the trigger remembers of this window: plain data. It is changed by putting another value in. */
  state: S;
  readonly watermark: Timestamp;
  /** Time of this turn in milliseconds; the same in a replay. */
  now(): Timestamp;
  /** Calls `onEventTime` or `onProcessingTime` once at this time. `domain` @defaultValue 'event' */
  register(time: Timestamp, domain?: TimeDomain): void;
  /** Takes that back. An unknown time is no error. `domain` @defaultValue 'event' */
  delete(time: Timestamp, domain?: TimeDomain): void;
}

/** An element of a window, as evictors see it. */
export interface TimestampedValue<T> {
  readonly value: T;
  /** `-Infinity` when the record had none. */
  readonly timestamp: Timestamp;
}

/**
 * Says which elements of a window stay, before its function sees them or behind that. What does not stay leaves the
 * window for good. With an evictor every element is kept, also for `reduce` and `aggregate`.
 */
export interface Evictor<T = never> {
  /** Gives the elements that the function sees, in their order. @defaultValue all */
  before?(elements: readonly TimestampedValue<T>[], window: TimeWindow): readonly TimestampedValue<T>[];
  /** Gives the elements that stay for the next result, in their order. @defaultValue all that the function saw */
  after?(elements: readonly TimestampedValue<T>[], window: TimeWindow): readonly TimestampedValue<T>[];
  toString(): string;
}

/** The last timestamp of a window. */
export const lastOf = ({ end }: TimeWindow): Timestamp => end - 1;
