/**
 * One run of an agent: what an input started, as it is stored while an action of it is open, and as it is in memory. Changes to memory are
 * collected in the order of their turns, so that what an action may see comes first.
 */
import type { Subscriber } from 'rxjs';
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import type { Key } from '../lib/core/key.ts';
import type { MetricGroup } from '../lib/core/metric.ts';
import type { Hold, WorkContext } from '../lib/core/operator.ts';
import type { Event, EventJson } from '../lib/agents/event.ts';
import type { MemoryBase, MemoryChange } from '../lib/agents/memory.ts';
import type { ActionEffects, ActionHost, MemorySnapshot, PlannedAction } from '../lib/agents/contract.ts';

/** An input that was accepted, as it waits in the inbox. */
export interface Accepted<I> {
  /** Counts the inputs of the key group, so that it says nothing about how fast others were. */
  readonly number: number;
  readonly key: Key;
  readonly value: I;
  readonly timestamp: Timestamp;
  /** Undefined while the run may still end in the turn it started in. */
  readonly hold: Hold | undefined;
  /** The run was open at a restart: it goes on where it was. */
  readonly resumed?: boolean | undefined;
}

/** A run, as it is stored while an action of it is open. */
export interface StoredRun<I> {
  /** Names the run within the job, in events and in the ids of its actions. */
  readonly id: string;
  readonly input: Accepted<I>;
  readonly hold: Hold | undefined;
  readonly planHash: string;
  /** Actions submitted and not applied. */
  readonly open: number;
  /** Actions started. */
  readonly steps: number;
  readonly shortTerm: readonly MemoryChange[];
  readonly sensory: readonly MemoryChange[];
}

/** An asynchronous action, as it is submitted. */
export interface ActionTask {
  readonly run: string;
  readonly step: number;
  readonly action: string;
  readonly event: EventJson;
  /** How many of the run's changes the action sees. */
  readonly shortTermView: number;
  readonly sensoryView: number;
}

const noChanges: readonly MemoryChange[] = [];

/** A run in memory. */
export class Run<I> {
  readonly id: string;
  input: Accepted<I>;
  /** The value of its input is also others', as long as the run may end in the turn it started in; what is kept is the run's own. */
  borrows = false;
  readonly planHash: string;
  /** It belongs to another plan and begins anew when the next of its actions ends: that is a turn, and one that replay repeats. */
  readonly outdated: boolean;
  hold: Hold | undefined;
  open = 0;
  steps = 0;
  // Replaced and never changed in place, since they are stored as they are.
  shortTerm = noChanges;
  sensory = noChanges;
  /** Told when the run has ended; undefined while it may still end in the turn it started in. */
  mailbox: Subscriber<never> | undefined;

  constructor(facts: { readonly id: string; readonly input: Accepted<I>; readonly planHash: string; readonly outdated?: boolean }) {
    const { id, input, planHash, outdated = false } = facts;
    this.id = id;
    this.input = input;
    this.planHash = planHash;
    this.outdated = outdated;
    this.hold = input.hold;
  }

  /** A run that goes on after a restart. */
  static resumed<I>({ id, input, planHash, hold, open, steps, shortTerm, sensory }: StoredRun<I>, outdated: boolean): Run<I> {
    return Object.assign(new Run({ id, input, planHash, outdated }), { hold, open, steps, shortTerm, sensory });
  }

  stored(): StoredRun<I> {
    const { id, input, hold, planHash, open, steps, shortTerm, sensory } = this;
    return { id, input, hold, planHash, open, steps, shortTerm, sensory };
  }

  /** Takes an action's changes to memory. */
  take({ shortTermChanges, sensoryChanges }: ActionEffects): void {
    if (shortTermChanges.length > 0) this.shortTerm = [...this.shortTerm, ...shortTermChanges];
    if (sensoryChanges.length > 0) this.sensory = [...this.sensory, ...sensoryChanges];
  }
}

export const noMemory: MemoryBase = new Map();

export interface ExecutionOptions<I> {
  readonly operator: Pick<ActionHost, 'jobId' | 'metrics' | 'resources' | 'warnings' | 'now'>;
  readonly run: Run<I>;
  readonly step: number;
  readonly action: PlannedAction;
  readonly event: Event;
  /** Undefined for a synchronous action. */
  readonly work: WorkContext | undefined;
  /** The key's memory. */
  readonly memory: MemoryBase;
  /** What the action sees of the run's changes. */
  readonly shortTerm: readonly MemoryChange[];
  readonly sensory: readonly MemoryChange[];
}

/** One execution of an action of a run. */
export class Execution<I> implements ActionHost {
  readonly action: PlannedAction;
  readonly event: Event;
  readonly work: WorkContext | undefined;
  readonly #operator: ExecutionOptions<I>['operator'];
  readonly #run: Run<I>;
  readonly #step: number;
  readonly #memory: MemoryBase;
  readonly #shortTerm: readonly MemoryChange[];
  readonly #sensory: readonly MemoryChange[];

  constructor({ operator, run, step, action, event, work, memory, shortTerm, sensory }: ExecutionOptions<I>) {
    this.action = action;
    this.event = event;
    this.work = work;
    this.#operator = operator;
    this.#run = run;
    this.#step = step;
    this.#memory = memory;
    this.#shortTerm = shortTerm;
    this.#sensory = sensory;
  }

  get id(): string {
    return `${this.#run.id}.${this.#step}`;
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
    return { base: this.#memory, changes: this.#shortTerm };
  }

  get sensoryMemory(): MemorySnapshot {
    return { base: noMemory, changes: this.#sensory };
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

  now(): Timestamp {
    return this.#operator.now();
  }
}
