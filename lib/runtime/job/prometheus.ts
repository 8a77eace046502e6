/**
 * The way out to Prometheus: series of jobs in a registry of prom-client, and as text. The package is loaded when the
 * text is asked for.
 */
import { loadPackage } from '../../core/package-loading.ts';

/** A registry of prom-client, of any version and copy: all that is asked of it. */
export interface MetricRegistry {
  /** The metric of that name, undefined if it holds none. */
  getSingleMetric(name: string): unknown;
  /** Throws when another metric of that name is registered. */
  registerMetric(metric: never): void;
}

/** All series of one name of a job. */
export interface Series {
  readonly kind: 'counter' | 'gauge' | 'summary';
  readonly name: string;
  /** What prom-client wants to know beside the values. */
  described(): object;
  /** The readings in the form of prom-client. */
  values(): readonly object[];
}

/**
 * Puts series into a registry, beside those of other jobs of the same name: a registry takes each name once. What is in
 * it, it says itself, since a user may empty it. Doing it twice changes nothing.
 */
export const register = (series: Series, registry: MetricRegistry): void => {
  const there = registry.getSingleMetric(series.name);
  if (there instanceof Joined) there.add(series);
  // A registry asks a metric for its name and `get` only; prom-client's own classes would keep every value a second
  // time.
  else registry.registerMetric(new Joined(series) as never);
};

/** The series of one name of all jobs in a registry, as prom-client sees a metric. */
class Joined {
  readonly name: string;
  readonly #first: Series;
  readonly #series: Set<Series>;

  constructor(first: Series) {
    this.name = first.name;
    this.#first = first;
    this.#series = new Set([first]);
  }

  add(series: Series): void {
    const { kind } = this.#first;
    if (kind !== series.kind)
      throw new TypeError(
        `Expected the metric \`${this.name}\` to be a ${kind} as in the other job, got a ${series.kind}`,
      );
    this.#series.add(series);
  }

  async get(): Promise<unknown> {
    return { ...this.#first.described(), values: [...this.#series].flatMap((series) => series.values()) };
  }

  /** Part of what a registry may ask for; the fields belong to those who count. */
  reset(): void {}
}

/** Everything in Prometheus's text format. Throws `PACKAGE_MISSING` without prom-client. */
export const textOf = async (all: Iterable<Series>): Promise<string> => {
  const { Registry } = await loadPackage(
    'prom-client',
    'metrics in the text format of Prometheus',
    () => import('prom-client'),
  );
  const registry = new Registry();
  for (const each of all) register(each, registry);
  return registry.metrics();
};
