/** One execution of an action of a run: what the operator supplies for it. */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import type { Key } from '../lib/core/key.ts';
import type { MetricGroup } from '../lib/core/metric.ts';
import type { WorkContext } from '../lib/core/work.ts';
import type { ActionHost, MemorySnapshot, PlannedAction } from '../lib/agents/contract.ts';
import type { Event } from '../lib/agents/events/event.ts';
import type { MemoryChange } from '../lib/agents/memory/memory.ts';
import type { MemoryBase } from '../lib/agents/memory/memory-index.ts';
import type { ActionTask, Run } from './agent-run.ts';

export interface ExecutionOptions<I> {
  readonly operator: ExecutingOperator<I>;
  readonly run: Run<I>;
  /** Which action of the run it is, and how many of the run's changes it sees. */
  readonly place: Pick<ActionTask, 'step' | 'shortTermView' | 'sensoryView'>;
  readonly action: PlannedAction;
  readonly event: Event;
  /** Undefined for a synchronous action. */
  readonly work: WorkContext | undefined;
}

/** What every execution has of the operator. */
export interface ExecutingOperator<I>
  extends Pick<ActionHost, 'uid' | 'jobId' | 'metrics' | 'resources' | 'warnings' | 'now' | 'eventsMax'> {
  /** The key's memory; asked for when the action looks at it. */
  readonly memory: (run: Run<I>, work: WorkContext | undefined) => MemoryBase;
}

const noChanges: readonly MemoryChange[] = [];

const noMemory: MemoryBase = new Map();

export class Execution<I> implements ActionHost {
  readonly action: PlannedAction;
  readonly event: Event;
  readonly work: WorkContext | undefined;
  readonly #operator: ExecutingOperator<I>;
  readonly #run: Run<I>;
  readonly #place: ExecutionOptions<I>['place'];

  constructor(options: ExecutionOptions<I>) {
    this.action = options.action;
    this.event = options.event;
    this.work = options.work;
    this.#operator = options.operator;
    this.#run = options.run;
    this.#place = options.place;
  }

  get id(): string {
    return `${this.#run.id}.${this.#place.step}`;
  }

  get uid(): string | undefined {
    return this.#operator.uid;
  }

  get jobId(): string | undefined {
    return this.#operator.jobId;
  }

  get key(): Key {
    return this.#run.input.key;
  }

  get timestamp(): Timestamp | undefined {
    const { timestamp } = this.#run.input;
    return timestamp === MIN_TIMESTAMP ? undefined : timestamp;
  }

  get shortTermMemory(): MemorySnapshot {
    const run = this.#run;
    const base = this.#operator.memory(run, this.work);
    return { base: run.shortTerm?.at(this.#place.shortTermView, base) ?? base, changes: noChanges };
  }

  get sensoryMemory(): MemorySnapshot {
    return { base: this.#run.sensory?.at(this.#place.sensoryView, noMemory) ?? noMemory, changes: noChanges };
  }

  get isOver(): boolean {
    return this.#run.isOver;
  }

  signalOf(signal: AbortSignal): AbortSignal {
    return this.#run.signalOf(signal);
  }

  get resources(): ActionHost['resources'] {
    return this.#operator.resources;
  }

  get metrics(): MetricGroup {
    return this.#operator.metrics;
  }

  get warnings(): ActionHost['warnings'] {
    return this.#operator.warnings;
  }

  get eventsMax(): number | undefined {
    return this.#operator.eventsMax;
  }

  now(): Timestamp {
    return this.#operator.now();
  }
}
