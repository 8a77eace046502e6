/**
 * How long to wait after a failure: longer after each in a row, up to a bound (I10). Everything that tries again goes
 * by this.
 */

export interface BackOff {
  /** Wait after the first failure, in milliseconds from 0. */
  readonly firstMs: number;
  /** Each wait is this many times the one before; from 1. */
  readonly factor: number;
  /** Longest wait, in milliseconds. */
  readonly maxMs: number;
}

/**
 * The wait after so many failures in a row, from 1, in milliseconds, without what is random in it: `first *
 * factor^(failures-1)`, at most `max`.
 */
export const backOffMs = ({ firstMs, factor, maxMs }: BackOff, failures: number): number =>
  // 0 times a power beyond all numbers is none.
  firstMs === 0 ? 0 : Math.min(firstMs * factor ** (failures - 1), maxMs);

/** A wait varied by a share of it, `jitter` from 0 to 1; `random` from 0 to 1. */
export const jittered = (waitMs: number, jitter: number, random: number): number =>
  waitMs * (1 + jitter * (2 * random - 1));
