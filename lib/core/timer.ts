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
 * Event-time timers of the current key that follow from its state, so that they cost no state of their own: register
 * each once when its cause is made, and again in `open` for every cause that is there. They fire in the order of
 * `Timers` and can't be deleted.
 */
export interface DerivedTimers {
  readonly watermark: Timestamp;
  /** A time at or before the watermark fires with the next one. */
  register(timestamp: Timestamp, namespace: number): void;
}
