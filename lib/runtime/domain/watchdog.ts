/**
 * Says who holds a job up that does nothing although it could: a bounded place is full, so that sources are not pulled,
 * and no turn has made room for a long time. It only warns: a model may be slow for good reasons.
 */
import type { Logger } from '../../core/logger.ts';
import type { OperatorHost } from '../hosts/operator-host.ts';
import type { Places } from '../edges/places.ts';

export interface WatchdogOptions {
  readonly places: Places;
  readonly operators: readonly OperatorHost<never, unknown>[];
  readonly logger: Logger;
  /** Turns so far that brought something. */
  readonly moves: () => number;
}

/** No turn for this long while a place is full is worth a warning, in milliseconds. */
const silenceMs = 30_000;

export class Watchdog {
  readonly #options: WatchdogOptions;
  #moves = -1;
  /** Since when no turn was seen, on the monotonic clock; undefined once it was reported. */
  #since: number | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** How often to look while a place is full, in milliseconds. */
  readonly lookMs = 1000;

  /** Looks at the job, now and then. */
  look(elapsedMs: number): void {
    const { places, moves } = this.#options;
    const seen = moves();
    if (seen !== this.#moves || !places.full) {
      this.#moves = seen;
      this.#since = elapsedMs;
      return;
    }
    if (this.#since === undefined || elapsedMs - this.#since < silenceMs) return;
    this.#since = undefined;
    this.#report();
  }

  #report(): void {
    const { places, operators, logger } = this.#options;
    const full = places.depths().filter(({ count, max }) => count >= max);
    const holders = operators.flatMap(({ uid, holdQueue }) =>
      holdQueue?.oldestKey === undefined ? [] : [{ uid, key: holdQueue.oldestKey }],
    );
    const names = full.map(({ name, count, max }) => `${name} (${count} of ${max})`).join(', ');
    logger.warn(
      { full, holders },
      `nothing has happened for ${silenceMs / 1000} s and sources are not read, because these are full: ${names}`,
    );
  }
}
