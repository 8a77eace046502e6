/**
 * The metrics of a job: what operators and agents count, and what the engine reports of itself. The engine's numbers
 * are read where they are kept when somebody asks, so they cost nothing while the job works. They survive restarts of
 * the job in this process: counters of user code go on, counts of records come from the checkpoint.
 *
 * Names, in the group `operator.<uid>`: `numRecordsIn` and `numCommitRetries` and `numWriteRetries` (sinks),
 * `numRecordsOut` (sources), `currentInputWatermark` (operators), `currentOutputWatermark` (sources), `watermarkLagMs`,
 * `workOpen`, `workInFlight`, `timers`, `holdsOpen`; in `place.<name>`: `depth` and `max`; the rest belongs to the job.
 * Operators that drop late records count them as `numLateRecordsDropped`.
 */
import { Observable } from 'rxjs';
import type { Clock } from '../../core/clock.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../core/element.ts';
import type { Histogram, MetricGroup } from '../../core/metric.ts';
import { integer, withMethods } from '../../core/options.ts';
import type { CheckpointStats } from '../checkpoint/coordinator.ts';
import type { Domain } from '../domain/domain.ts';
import type { WatermarkHolder } from '../domain/watermark-holders.ts';
import type { WorkQueue } from '../work/work.ts';
import { MetricTree } from './metric-group.ts';
import type { MetricRegistry } from './prometheus.ts';

export interface JobMetricsOptions {
  /** Name of the job: the label `job` of every series. */
  readonly job: string;
  readonly clock: Clock;
  /** Between two emissions of `snapshots$`, in milliseconds. @defaultValue 1000 */
  readonly intervalMs?: number | undefined;
}

/** Where the engine's numbers are. */
export interface JobObservation {
  /** The domain that lives now; undefined between two lives. */
  readonly domain: () => Domain | undefined;
  readonly restarts: () => number;
}

/** Numbers by dotted name, such as `operator.review.action.ask.numOfActionsExecuted`. */
export type MetricSnapshot = Readonly<Record<string, number>>;

/** Who holds back the watermark at an operator: a key whose work is open, or an input or split that is behind. */
type Series = Iterable<readonly [group: string | undefined, value: number]>;

export class JobMetrics {
  /** The group of the job, under which operators and agents have theirs. */
  readonly root: MetricGroup;
  /** A snapshot each `intervalMs`, only while somebody is subscribed. Completes with the job. */
  readonly snapshots$: Observable<MetricSnapshot>;
  readonly #tree: MetricTree;
  readonly #clock: Clock;
  readonly #ends = new Set<() => void>();
  readonly #durations: Histogram;
  /** Keep what the views of a domain have read last. */
  readonly #retiring: ((domain: Domain) => void)[] = [];
  #observation: JobObservation | undefined;
  #checkpoints = 0;
  #last: CheckpointStats | undefined;
  #closed = false;

  /** @internal */
  constructor(options: JobMetricsOptions) {
    const { job, clock, intervalMs = 1000 } = options;
    this.#clock = clock;
    this.#tree = new MetricTree({ job, clock });
    this.root = this.#tree.root;
    this.#durations = this.root.getHistogram('checkpointDurationMs');
    this.snapshots$ = this.#snapshotsEach(integer('intervalMs', intervalMs, { min: 1 }));
    this.#viewJob();
    this.#viewCheckpoints();
    this.#viewSources();
    this.#viewOperators();
    this.#viewPlaces();
  }

  /** @internal Says where the engine's numbers are. Called once, by the job. */
  observe(observation: JobObservation): void {
    if (this.#observation !== undefined)
      throw new TypeError('Expected `metrics` to belong to one job, got a second one');
    this.#observation = observation;
  }

  /** @internal */
  onCheckpoint(stats: CheckpointStats): void {
    this.#checkpoints += 1;
    this.#last = stats;
    this.#durations.update(stats.durationMs);
  }

  /**
   * Everything in Prometheus's text format. Needs the package `prom-client`; throws `PACKAGE_MISSING` without it.
   *
   * @example
   * orders.sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('orders');
   * await job.done;
   * console.log((await job.metrics.text()).includes('numRecordsIn')); // prints true
   */
  text(): Promise<string> {
    return this.#tree.text();
  }

  /**
   * Puts the job's metrics, those to come too, into a registry of your prom-client, beside what else is in there.
   * Several jobs may share one: the label `job` tells them apart.
   *
   * @example
   * import { Registry } from 'prom-client';
   * const registry = new Registry();
   * orders.sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('orders');
   * job.metrics.registerIn(registry);
   * await job.done;
   */
  registerIn(registry: MetricRegistry): void {
    const methods = ['registerMetric', 'getSingleMetric'] as const;
    this.#tree.registerIn(withMethods('registry', registry, 'a Registry of prom-client', methods));
  }

  /**
   * Everything by dotted name. Summaries give `count`, `sum`, `p50`, `p90`, `p99` and `max` of their window.
   *
   * @example
   * orders.sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('orders');
   * await job.done;
   * const { 'operator.collection.numRecordsOut': read } = await job.metrics.snapshot();
   * console.log(read); // prints 3
   */
  snapshot(): Promise<MetricSnapshot> {
    return Promise.resolve(this.#tree.snapshot());
  }

  /**
   * What holds watermarks back now: slow splits and inputs, and runs that have not ended, with their keys. For a log
   * line or a dashboard: a label would make one series per key.
   *
   * @example
   * orders.sinkTo(callbackSink(() => {}));
   * const job = await env.executeAsync('orders');
   * await job.done;
   * console.log(job.metrics.watermarkHolders()); // prints []
   */
  watermarkHolders(): readonly WatermarkHolder[] {
    return this.#domain?.parts.holders.list() ?? [];
  }

  /** @internal The domain is about to go: its last numbers are kept, without it. */
  retire(): void {
    const domain = this.#domain;
    if (domain !== undefined) for (const retire of this.#retiring) retire(domain);
  }

  /**
   * @internal The job is over: `snapshots$` completes. May be called twice; the last numbers stay readable.
   */
  close(): void {
    this.#closed = true;
    for (const end of this.#ends) end();
  }

  get #domain(): Domain | undefined {
    return this.#observation?.domain();
  }

  /** A number of the living domain. */
  #gauge(name: string, help: string, read: (domain: Domain) => number | undefined): void {
    this.#view({ name, help }, (domain) => one(read(domain)));
  }

  #view(
    {
      name,
      help,
      kind = 'gauge',
      group,
    }: { readonly name: string; readonly help: string; readonly kind?: 'counter' | 'gauge'; readonly group?: string },
    read: (domain: Domain) => Series,
    /** What is read when the domain is gone. */
    inTheEnd: (domain: Domain) => () => Series = (domain) => {
      const last = [...read(domain)];
      return () => last;
    },
  ): void {
    this.#tree.view({
      kind,
      name,
      help,
      groups: group === undefined ? [] : [group],
      read: () => {
        const domain = this.#domain;
        return domain === undefined ? last() : read(domain);
      },
    });
    let last = (): Series => [];
    this.#retiring.push((domain) => (last = inTheEnd(domain)));
  }

  #viewJob(): void {
    this.#tree.view({
      kind: 'counter',
      groups: [],
      name: 'numRestarts',
      help: 'starts after a failure',
      read: () => one(this.#observation?.restarts() ?? 0),
    });
    const sum = (domain: Domain, of: (queue: WorkQueue) => number): number =>
      domain.queues().reduce((all, queue) => all + of(queue), 0);
    this.#gauge('longestTurnMs', 'longest turn since the last start, in milliseconds', ({ turns }) => turns.longestMs);
    this.#gauge('workOpen', 'items of work submitted and not applied', (domain) => sum(domain, ({ open }) => open));
    this.#gauge('workInFlight', 'items of work whose body runs', (domain) => sum(domain, ({ inFlight }) => inFlight));
    this.#gauge(
      'dirtyEntries',
      'state entries changed since the last checkpoint',
      ({ parts }) => parts.workingSet.dirtyEntries,
    );
    this.#gauge(
      'dirtyBytes',
      'estimated bytes of the changed state entries',
      ({ parts }) => parts.workingSet.dirtyBytes,
    );
    this.#gauge('cachedEntries', 'state entries in memory', ({ parts }) => parts.workingSet.entries);
    this.#gauge('journalBacklog', 'records and turns that are not durable yet', ({ parts }) => parts.journal.backlog);
    this.#gauge('branch', 'branch of the history, raised when replay diverged', ({ branch }) => branch);
  }

  #viewCheckpoints(): void {
    this.#tree.view({
      kind: 'counter',
      groups: [],
      name: 'numberOfCompletedCheckpoints',
      help: 'checkpoints that became durable in this process',
      read: () => one(this.#checkpoints),
    });
    const last = (name: string, help: string, read: (stats: CheckpointStats) => number): void => {
      this.#tree.view({ kind: 'gauge', groups: [], name, help, read: () => one(this.#last && read(this.#last)) });
    };
    last('lastCheckpointId', 'id of the newest durable checkpoint', ({ id }) => id);
    last('lastCheckpointDurationMs', 'from the instant to durable, in milliseconds', ({ durationMs }) => durationMs);
    last('lastCheckpointBytes', 'keys and values written', ({ bytes }) => bytes);
    last('lastCheckpointEntries', 'entries written', ({ entries }) => entries);
    last(
      'lastCheckpointLongestSliceMs',
      'longest time that the loop stood still for it, in milliseconds',
      ({ longestSliceMs }) => longestSliceMs,
    );
  }

  #viewSources(): void {
    this.#view(
      { group: 'operator', name: 'numRecordsOut', kind: 'counter', help: 'records a source handed over' },
      ({ topology }) => topology.sources.map(({ uid, records }) => [uid, records]),
    );
    this.#view(
      { group: 'operator', name: 'numRecordsIn', kind: 'counter', help: 'records an operator or a sink was given' },
      ({ topology }) => [
        ...topology.operators.map(({ uid, recordsIn }) => [uid, recordsIn] as const),
        ...topology.sinks.map(({ uid, records }) => [uid, records] as const),
      ],
    );
    this.#view(
      {
        group: 'operator',
        name: 'numCommitRetries',
        kind: 'counter',
        help: 'commits of a sink that failed and were tried again',
      },
      ({ topology }) => topology.sinks.map(({ uid, commitRetries }) => [uid, commitRetries]),
    );
    this.#view(
      { group: 'operator', name: 'numRecordsDropped', kind: 'counter', help: 'values a source had no room for' },
      ({ topology }) => droppedBy(topology.sources.map(({ uid, dropped }) => [uid, dropped])),
      ({ topology }) => {
        const read = topology.sources.map(({ uid, droppedInTheEnd }) => [uid, droppedInTheEnd] as const);
        return () => droppedBy(read.map(([uid, dropped]) => [uid, dropped()]));
      },
    );
    this.#view(
      {
        group: 'operator',
        name: 'numWriteRetries',
        kind: 'counter',
        help: 'writes of an at-least-once sink that failed and were tried again',
      },
      ({ topology }) => topology.sinks.map(({ uid, writeRetries }) => [uid, writeRetries]),
    );
    this.#view(
      { group: 'operator', name: 'currentOutputWatermark', help: 'watermark of a source, in milliseconds' },
      ({ topology }) => topology.sources.map(({ uid, currentWatermark }) => [uid, currentWatermark]),
    );
  }

  #viewOperators(): void {
    const operators = (
      name: string,
      help: string,
      read: (host: Domain['topology']['operators'][number]) => number | undefined,
    ): void =>
      this.#view({ group: 'operator', name, help }, ({ topology }) =>
        topology.operators.flatMap((host) => {
          const value = read(host);
          return value === undefined ? [] : [[host.uid, value] as const];
        }),
      );
    operators(
      'currentInputWatermark',
      'watermark an operator has seen, in milliseconds',
      ({ currentWatermark }) => currentWatermark,
    );
    operators('workOpen', 'items of work submitted and not applied', ({ workQueue }) => workQueue?.open);
    operators('workInFlight', 'items of work whose body runs', ({ workQueue }) => workQueue?.inFlight);
    this.#view(
      { group: 'operator', name: 'watermarkHeldMs', help: 'how long a watermark has been held back, in milliseconds' },
      ({ parts }) => longest(parts.holders.list()),
    );
    operators('holdsOpen', 'holds that keep a watermark or a result back', ({ holdQueue }) => holdQueue?.size);
    operators(
      'timers',
      'timers that are registered',
      ({ timerCount }) => timerCount && timerCount.event + timerCount.processing,
    );
    this.#view(
      { group: 'operator', name: 'watermarkLagMs', help: 'how far the watermark is behind the clock, in milliseconds' },
      (domain) => this.#lags(domain),
    );
  }

  /** None where there is no watermark yet, and none at the end of the input. */
  #lags({ topology }: Domain): Series {
    const now = this.#clock.now();
    return [...topology.sources, ...topology.operators]
      .filter(({ currentWatermark }) => currentWatermark > MIN_TIMESTAMP && currentWatermark < MAX_TIMESTAMP)
      .map(({ uid, currentWatermark }) => [uid, now - currentWatermark]);
  }

  #viewPlaces(): void {
    const places = (
      name: 'depth' | 'max',
      help: string,
      read: (place: { readonly count: number; readonly max: number }) => number,
    ): void =>
      this.#view({ group: 'place', name, help }, (domain) =>
        domain.parts.places.depths().map((place) => [place.name, read(place)]),
      );
    places('depth', 'items in a bounded place: inboxes, open work, sink buffers, sealed epochs', ({ count }) => count);
    places('max', 'items at which a bounded place stops the sources', ({ max }) => max);
  }

  #snapshotsEach(intervalMs: number): Observable<MetricSnapshot> {
    return new Observable<MetricSnapshot>((subscriber) => {
      if (this.#closed) {
        subscriber.complete();
        return undefined;
      }
      let cancel = (): void => {};
      const arm = (): void => {
        cancel = this.#clock.setTimer(intervalMs, () => {
          subscriber.next(this.#tree.snapshot());
          if (!subscriber.closed) arm();
        });
      };
      arm();
      const end = (): void => subscriber.complete();
      this.#ends.add(end);
      return () => {
        cancel();
        this.#ends.delete(end);
      };
    });
  }
}

/** Of each operator the longest time. */
const longest = (holders: readonly WatermarkHolder[]): Series => {
  const held = new Map<string, number>();
  for (const { operator, heldMs } of holders) held.set(operator, Math.max(heldMs, held.get(operator) ?? 0));
  return [...held];
};

const one = (value: number | undefined): Series => (value === undefined ? [] : [[undefined, value]]);

/** Of sources that say it. */
const droppedBy = (sources: readonly (readonly [uid: string, dropped: number | undefined])[]): Series =>
  sources.flatMap(([uid, dropped]) => (dropped === undefined ? [] : [[uid, dropped] as const]));
