/** Metrics as the engine and user code see them. prom-client stands behind them in `lib/runtime/job/metrics.ts`. */

export interface Counter {
  /** Counts on. @defaultValue count 1 */
  inc(count?: number): void;
  readonly value: number;
}

/** A counter with its rate per second. */
export interface Meter extends Counter {
  readonly rate: number;
}

export interface Histogram {
  /** Takes one more value. */
  update(value: number): void;
  /** Of the last `window` values. */
  quantile(q: number): number;
  readonly count: number;
}

export interface Gauge {
  /** Exchanges the value. */
  set(value: number): void;
  readonly value: number;
}

/** Names metrics by the group they are in. Asking twice for one name gives the same metric. */
export interface MetricGroup {
  /** `name` must not contain `=`. */
  getSubGroup(name: string, value?: string): MetricGroup;
  /** A number that only grows. */
  getCounter(name: string): Counter;
  /** A counter with its rate. */
  getMeter(name: string): Meter;
  /** @defaultValue window 100 */
  getHistogram(name: string, window?: number): Histogram;
  /** A number that is set. */
  getGauge(name: string): Gauge;
}
