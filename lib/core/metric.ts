/** Metrics as the engine and user code see them. prom-client stands behind them in `lib/runtime/job/metrics.ts`. */

export interface Counter {
  inc(count?: number): void;
  readonly value: number;
}

/** A counter with its rate per second. */
export interface Meter extends Counter {
  readonly rate: number;
}

export interface Histogram {
  update(value: number): void;
  /** Of the last `window` values. */
  quantile(q: number): number;
  readonly count: number;
}

export interface Gauge {
  set(value: number): void;
  readonly value: number;
}

/** Names metrics by the group they are in. Asking twice for one name gives the same metric. */
export interface MetricGroup {
  /** `name` must not contain `=`. */
  getSubGroup(name: string, value?: string): MetricGroup;
  getCounter(name: string): Counter;
  getMeter(name: string): Meter;
  /** @defaultValue window 100 */
  getHistogram(name: string, window?: number): Histogram;
  getGauge(name: string): Gauge;
}
