/**
 * Metrics as plain fields, which a prom-client registry may read: counting costs an addition, everything else (rates,
 * quantiles, labels, text) is computed when somebody reads.
 *
 * How a group becomes a name, the same for ever: `getSubGroup(name, value)` adds `name` to the metric's name and a
 * label `name="value"`; `getSubGroup(name)` adds to the name alone. So `promptTokens` in operator "review", action
 * "ask", model "gpt" is
 * `millrace_operator_action_model_promptTokens{job="...",operator="review",action="ask",model="gpt"}` for Prometheus,
 * and `operator.review.action.ask.model.gpt.promptTokens` in a snapshot. Characters that Prometheus does not take
 * become `_`.
 */
import type { Clock } from '../../core/clock.ts';
import type { Counter, Gauge, Histogram, Meter, MetricGroup } from '../../core/metric.ts';
import { integer, refusal } from '../../core/options.ts';
import { register, textOf, type MetricRegistry, type Series } from './prometheus.ts';

type Labels = Readonly<Record<string, string>>;

/** One number with where it belongs. */
export interface Reading {
  readonly labels: Labels;
  /** The name in a snapshot, without the metric's own name. */
  readonly path: readonly string[];
  readonly value: number;
  /** Summaries only: what is said of the values. */
  readonly part?: SummaryPart | undefined;
}

type SummaryPart = 'count' | 'sum' | 'p50' | 'p90' | 'p99' | 'max';

/** Numbers that the engine keeps elsewhere and this registry only asks for. */
export interface View {
  readonly kind: 'counter' | 'gauge';
  /** Names of the groups, as `getSubGroup` takes them. */
  readonly groups: readonly string[];
  readonly name: string;
  readonly help: string;
  /** For each series: the value of the last group (none when there is no group) and the number. */
  readonly read: () => Iterable<readonly [group: string | undefined, value: number]>;
}

const prefix = 'millrace';
const quantiles = { p50: 0.5, p90: 0.9, p99: 0.99, max: 1 } as const;
const perSecond = 'PerSec';
const rateWindowMs = 60_000;
const rateSampleMs = 1000;

/** All metrics of one job. */
export class MetricTree {
  readonly root: MetricGroup;
  readonly clock: Clock;
  readonly #job: string;
  readonly #families = new Map<string, Family>();
  readonly #registries = new Set<MetricRegistry>();

  constructor(options: { readonly job: string; readonly clock: Clock }) {
    this.clock = options.clock;
    this.#job = options.job;
    this.root = new Group(this, { names: [], labels: { job: options.job }, path: [] });
  }

  /** Reports numbers of the engine. Their names are taken: user code that asks for one is refused. */
  view({ kind, groups, name, help, read }: View): void {
    const label = labelName(groups.at(-1) ?? '');
    const family = this.family({ kind, names: [...groups, name], help, taken: true });
    family.readers.push(function* (this: void, job: string): Generator<Reading> {
      for (const [group, value] of read()) {
        yield {
          value,
          labels: group === undefined ? { job } : { job, [label]: group },
          path: group === undefined ? [] : [...groups, group],
        };
      }
    });
  }

  family(options: { kind: Series['kind']; names: readonly string[]; help?: string; taken?: boolean }): Family {
    const { kind, names, taken = false } = options;
    const name = [prefix, ...names].map(metricName).join('_');
    const { help = `${names.map(metricName).join('.')}, counted by the pipeline` } = options;
    const known = this.#families.get(name);
    if (known !== undefined) {
      if (known.taken)
        throw new TypeError(
          `Expected the metric \`${names.join('.')}\` to have a name that the engine does not report itself`,
        );
      if (known.kind !== kind)
        throw new TypeError(
          `Expected the metric \`${names.join('.')}\` to be a ${known.kind} as before, got a ${kind}`,
        );
      return known;
    }
    const family = new Family({ kind, name, last: names.at(-1) ?? name, help, job: this.#job, taken });
    this.#families.set(name, family);
    for (const registry of this.#registries) register(family, registry);
    return family;
  }

  /** Puts every metric there is and will be into a registry. Doing it twice changes nothing. */
  registerIn(registry: MetricRegistry): void {
    for (const family of this.#families.values()) register(family, registry);
    this.#registries.add(registry);
  }

  /** Everything in Prometheus's text format. */
  text(): Promise<string> {
    return textOf(this.#families.values());
  }

  /** Every number by its dotted name. */
  snapshot(): Record<string, number> {
    const all: Record<string, number> = {};
    for (const family of this.#families.values()) {
      for (const { path, value, part } of family.readings()) {
        all[[...path, family.last, ...(part === undefined ? [] : [part])].join('.')] = value;
      }
    }
    return all;
  }
}

/** All series of one name of a job. */
class Family implements Series {
  readonly kind: Series['kind'];
  readonly name: string;
  /** The metric's own name, without its groups. */
  readonly last: string;
  readonly taken: boolean;
  readonly readers: ((job: string) => Iterable<Reading>)[] = [];
  /** What user code counts in, by labels: asking twice gives the same. */
  readonly members = new Map<string, Member>();
  readonly #help: string;
  readonly #job: string;

  constructor(options: {
    kind: Series['kind'];
    name: string;
    last: string;
    help: string;
    job: string;
    taken: boolean;
  }) {
    this.kind = options.kind;
    this.name = options.name;
    this.last = options.last;
    this.taken = options.taken;
    this.#help = options.help;
    this.#job = options.job;
  }

  *readings(): Iterable<Reading> {
    for (const reader of this.readers) yield* reader(this.#job);
  }

  /** What prom-client wants to know beside the values. */
  described(): object {
    return { name: this.name, help: this.#help, type: this.kind, aggregator: 'sum' };
  }

  /** The readings in the form of prom-client. */
  values(): readonly object[] {
    return [...this.readings()].map(({ labels, value, part }) => {
      if (part === undefined) return { labels, value };
      if (part === 'count' || part === 'sum') return { metricName: `${this.name}_${part}`, labels, value };
      return { labels: { ...labels, quantile: `${quantiles[part]}` }, value };
    });
  }
}

interface Scope {
  readonly names: readonly string[];
  readonly labels: Labels;
  readonly path: readonly string[];
}

class Group implements MetricGroup {
  readonly #tree: MetricTree;
  readonly #scope: Scope;
  readonly #groups = new Map<string, Group>();

  constructor(tree: MetricTree, scope: Scope) {
    this.#tree = tree;
    this.#scope = scope;
  }

  getSubGroup(name: string, value?: string): MetricGroup {
    checkName(name);
    const id = value === undefined ? name : `${name}=${value}`;
    const known = this.#groups.get(id);
    if (known !== undefined) return known;
    const { names, labels, path } = this.#scope;
    const group = new Group(this.#tree, {
      names: [...names, name],
      labels: value === undefined ? labels : { ...labels, [labelName(name)]: value },
      path: value === undefined ? [...path, name] : [...path, name, value],
    });
    this.#groups.set(id, group);
    return group;
  }

  getCounter(name: string): Counter {
    return this.#count(name);
  }

  /** Reports the count as `name` and its rate as `namePerSec`, whichever of the two it is asked for by. */
  getMeter(name: string): Meter {
    const base = name.endsWith(perSecond) && name !== perSecond ? name.slice(0, -perSecond.length) : name;
    const count = this.#count(base);
    this.#member('gauge', `${base}${perSecond}`, Rate, () => ({
      member: new Rate(count),
      read: () => [this.#reading(count.rate)],
    }));
    return count;
  }

  getHistogram(name: string, window = 100): Histogram {
    return this.#member('summary', name, Sample, () => {
      const sample = new Sample(integer('window', window, { min: 1, max: 1_000_000 }));
      return { member: sample, read: () => summaryParts(sample).map(([part, value]) => this.#reading(value, part)) };
    });
  }

  getGauge(name: string): Gauge {
    return this.#member('gauge', name, Level, () => {
      const level = new Level();
      return { member: level, read: () => [this.#reading(level.value)] };
    });
  }

  #count(name: string): Count {
    return this.#member('counter', name, Count, () => {
      const count = new Count(this.#tree.clock);
      return { member: count, read: () => [this.#reading(count.value)] };
    });
  }

  #member<M extends Member>(
    kind: Series['kind'],
    name: string,
    type: new (...options: never[]) => M,
    make: () => { readonly member: M; readonly read: () => Iterable<Reading> },
  ): M {
    const family = this.#family(kind, name);
    const id = JSON.stringify(this.#scope.labels);
    const known = family.members.get(id);
    if (known instanceof type) return known;
    if (known !== undefined) {
      throw new TypeError(`Expected the metric \`${[...this.#scope.path, name].join('.')}\` to have a name of its own`);
    }
    const { member, read } = make();
    family.members.set(id, member);
    family.readers.push(read);
    return member;
  }

  #family(kind: Series['kind'], name: string): Family {
    checkName(name);
    return this.#tree.family({ kind, names: [...this.#scope.names, name] });
  }

  #reading(value: number, part?: SummaryPart): Reading {
    const { labels, path } = this.#scope;
    return { labels, path, value, part };
  }
}

/** What user code holds. */
type Member = Count | Rate | Level | Sample;

/** A counter and, when it is read as one, a meter. */
class Count implements Meter {
  value = 0;
  readonly #clock: Clock;
  /** What was read before, oldest first: one a second at most, so bounded by the window. */
  readonly #samples: { readonly atMs: number; readonly value: number }[];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#samples = [{ atMs: clock.elapsed(), value: 0 }];
  }

  inc(count = 1): void {
    if (!(count >= 0 && count < Number.POSITIVE_INFINITY)) throw refusal('count', 'a number from 0 up', count);
    this.value += count;
  }

  /** Over the last minute, or longer when nobody has read it for that long. */
  get rate(): number {
    const atMs = this.#clock.elapsed();
    const samples = this.#samples;
    while ((samples[1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs - rateWindowMs) samples.shift();
    const [oldest] = samples;
    const newest = samples.at(-1);
    if (oldest === undefined || newest === undefined) return 0;
    const tookMs = atMs - oldest.atMs;
    const rate = tookMs > 0 ? ((this.value - oldest.value) * 1000) / tookMs : 0;
    if (atMs - newest.atMs >= rateSampleMs) samples.push({ atMs, value: this.value });
    return rate;
  }
}

/** Keeps the name of a meter's rate from being a gauge of the user's. */
class Rate {
  readonly of: Count;

  constructor(of: Count) {
    this.of = of;
  }
}

class Level implements Gauge {
  value = 0;

  set(value: number): void {
    this.value = value;
  }
}

/** The last `window` values in a ring, and the count and sum of all. */
class Sample implements Histogram {
  readonly #ring: Float64Array;
  #count = 0;
  #sum = 0;

  constructor(window: number) {
    this.#ring = new Float64Array(window);
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  update(value: number): void {
    this.#ring[this.#count % this.#ring.length] = value;
    this.#count += 1;
    this.#sum += value;
  }

  /** The nearest rank: a value that was there, never one between two. NaN when there is none. */
  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw refusal('q', 'a number from 0 to 1', q);
    const values = this.#ring.slice(0, Math.min(this.#count, this.#ring.length)).sort();
    return values[Math.max(0, Math.ceil(q * values.length) - 1)] ?? Number.NaN;
  }
}

const summaryParts = (sample: Sample): readonly (readonly [SummaryPart, number])[] => {
  const counted = [
    ['count', sample.count],
    ['sum', sample.sum],
  ] as const;
  if (sample.count === 0) return counted;
  return [
    ...counted,
    // A constant table: it has no other keys.
    ...(Object.keys(quantiles) as (keyof typeof quantiles)[]).map(
      (part) => [part, sample.quantile(quantiles[part])] as const,
    ),
  ];
};

const checkName = (name: string): void => {
  if (name === '' || name.includes('=')) throw refusal('name', 'a name without `=`', name);
};

const metricName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_]/g, '_');

/** `job` is the job's own label, `quantile` and `le` are Prometheus's. */
const labelName = (name: string): string => {
  const plain = metricName(name).replace(/^(?=[0-9])/, '_');
  return plain === 'job' || plain === 'quantile' || plain === 'le' ? `exported_${plain}` : plain;
};
