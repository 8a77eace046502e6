/**
 * The way out to Prometheus: series of jobs in a registry of prom-client, and as text. The package is loaded when the
 * text is asked for.
 */
import { loadPackage } from '../../core/package-loading.ts';

/** A registry of prom-client, of any version and copy: all that is asked of it. */
export interface MetricRegistry {
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

/** What is in a registry by name: jobs share their names, and a registry takes each name once. */
const joinedIn = new WeakMap<MetricRegistry, Map<string, Joined>>();

/** Puts series into a registry, beside those of other jobs of the same name. */
export const register = (series: Series, registry: MetricRegistry): void => {
  const names = joinedIn.get(registry) ?? new Map<string, Joined>();
  joinedIn.set(registry, names);
  const joined = names.get(series.name);
  if (joined === undefined) {
    const made = new Joined(series);
    // A registry asks a metric for its name and `get` only; prom-client's own classes would keep every value a second
    // time.
    registry.registerMetric(made as never);
    names.set(series.name, made);
  } else {
    joined.add(series);
  }
};

/** The series of one name of all jobs in a registry, as prom-client sees a metric. */
class Joined {
  readonly name: string;
  readonly #series: Series[];

  constructor(first: Series) {
    this.name = first.name;
    this.#series = [first];
  }

  add(series: Series): void {
    const [first] = this.#series;
    if (first !== undefined && first.kind !== series.kind) {
      throw new TypeError(
        `Expected the metric \`${this.name}\` to be a ${first.kind} as in the other job, got a ${series.kind}`,
      );
    }
    this.#series.push(series);
  }

  async get(): Promise<unknown> {
    const [first] = this.#series;
    return { ...first?.described(), values: this.#series.flatMap((series) => series.values()) };
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
