/**
 * Timers, one of an operator's capabilities: turns that time brings, by the watermark or by the clock. They survive a
 * crash.
 */
import type { Timestamp } from './element.ts';

export type TimeDomain = 'event' | 'processing';

export interface Timer {
  readonly timestamp: Timestamp;
  readonly namespace: number;
  readonly domain: TimeDomain;
}

/**
 * Timers of the current key, one per (key, namespace, timestamp, domain). Those of one time fire in the order of their
 * keys' bytes.
 */
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
 * Event-time timers of the current key that follow from its state: register each once, when its cause is made. They
 * cost less than `Timers`, fire in the order of those, and can't be deleted. They are stored; where those that are
 * stored do not hold, `open` registers anew what every cause that is there waits for.
 */
export interface DerivedTimers {
  readonly watermark: Timestamp;
  /** Known in `open`: none are there, whatever state there is. */
  readonly isAnew: boolean;
  /** A time at or before the watermark fires with the next one. */
  register(timestamp: Timestamp, namespace: number): void;
}

export interface DerivedTimerOptions {
  /**
   * What they follow from beside state, such as the length of windows: those that were registered where this was
   * another text are forgotten. @defaultValue ''
   */
  readonly dependsOn?: string | undefined;
}
