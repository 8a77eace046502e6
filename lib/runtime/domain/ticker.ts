/**
 * Brings ticks when something waits for time: a processing-time timer, or a split that may have become quiet. It sleeps
 * until then, and in a job that does nothing for good. A tick says whether the process has stood still in front of it
 * (stopped, suspended, busy in one long turn, a clock that was set): then nobody knows who was quiet meanwhile (I17).
 */
import type { Cancel, Clock } from '../../core/clock.ts';

export interface TickerOptions {
  readonly clock: Clock;
  /** Between two ticks at least, unless a timer is due, in milliseconds. */
  readonly tickMs: number;
  /** Until the next processing-time timer is due. */
  readonly timerInMs: () => number;
  /** Until a tick changes anything else. Infinity: not before the next turn. */
  readonly changeInMs: () => number;
  readonly tick: (stoodStill: boolean) => void;
}

/** Timers go by a clock that may be set while the ticker sleeps, so it looks now and then, in milliseconds. */
const longestSleepMs = 60_000;

export class Ticker {
  readonly #options: TickerOptions;
  #cancel: Cancel | undefined;
  #running = false;
  /** It sleeps longer than a tick. */
  #sleeps = false;

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = true;
    this.#sleep(this.#options.tickMs);
  }

  stop(): void {
    this.#running = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** A turn has run: what it brought may wait for a tick. */
  moved(): void {
    if (!this.#running || !this.#sleeps) return;
    this.#cancel?.();
    this.#sleep(Math.min(this.#options.tickMs, this.#options.timerInMs()));
  }

  #sleep(ms: number): void {
    const { clock, tickMs } = this.#options;
    this.#sleeps = ms > tickMs;
    this.#cancel = undefined;
    if (ms === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, Math.ceil(ms));
    const [now, elapsed] = [clock.now() + delayMs, clock.elapsed() + delayMs];
    this.#cancel = clock.setTimer(delayMs, () => {
      const stoodStill = Math.max(Math.abs(clock.now() - now), clock.elapsed() - elapsed) > tickMs;
      this.#sleeps = false;
      // What has come while the process stood still, or just now, is looked at before: input comes behind timers in an
      // event loop.
      clock.defer(() => this.#tick(stoodStill));
    });
  }

  #tick(stoodStill: boolean): void {
    if (!this.#running) return;
    const { tick, tickMs, timerInMs, changeInMs } = this.#options;
    tick(stoodStill);
    if (!this.#running) return;
    const changeMs = changeInMs();
    // A last look shortly before something is due: by that one it shows whether the process stood still in between.
    const lookMs = Math.max(tickMs, changeMs > 2 * tickMs ? changeMs - tickMs : changeMs);
    const timerMs = timerInMs();
    this.#sleep(timerMs === Number.POSITIVE_INFINITY ? lookMs : Math.min(lookMs, timerMs, longestSleepMs));
  }
}
