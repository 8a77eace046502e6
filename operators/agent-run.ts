/**
 * One run of an agent: what an input started, as it is stored while an action of it is open, and as it is in memory.
 * Changes to memory are collected in the order of their turns, so that what an action may see comes first.
 */
import { makeAbort } from '../lib/core/abort.ts';
import type { Timestamp } from '../lib/core/element.ts';
import type { Fifo } from '../lib/core/fifo.ts';
import type { Key } from '../lib/core/key.ts';
import type { Hold } from '../lib/core/hold.ts';
import type { ActionEffects } from '../lib/agents/contract.ts';
import type { Event, EventJson } from '../lib/agents/events/event.ts';
import { MemoryHistory } from '../lib/agents/memory/memory-history.ts';
import type { RunMemory } from './run-memory.ts';

/** An input that was accepted, as it waits for its turn. */
export interface Accepted<I> {
  /** Counts the inputs of the key group, so that it says nothing about how fast others were. */
  readonly number: number;
  readonly key: Key;
  readonly value: I;
  readonly timestamp: Timestamp;
  /** Undefined while the run may still end in the turn it started in. */
  readonly hold: Hold | undefined;
}

/** What a run is from its beginning on. */
export interface RunFacts<I> {
  /** Names the run within the job, in events and in the ids of its actions. */
  readonly id: string;
  readonly input: Accepted<I>;
  readonly planHash: string;
}

/** A run, as it is stored while it is open. Its changes to memory and the events that wait are lists beside it. */
export interface StoredRun<I> extends RunFacts<I> {
  readonly hold: Hold | undefined;
  /** Actions, and continuations of the run, that are submitted and not applied. */
  readonly open: number;
  /** Actions started. */
  readonly steps: number;
  /** Events so far, without outputs. */
  readonly events: number;
  /** How long the lists beside it are. */
  readonly shortTerm: number;
  readonly sensory: number;
  readonly queued: number;
  /** An action of it has failed for good, and others are open. */
  readonly failed?: true | undefined;
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

/** A run in memory. */
export class Run<I> {
  readonly id: string;
  input: Accepted<I>;
  readonly planHash: string;
  /**
   * It belongs to another plan and begins anew when the last of its actions has ended: that is a turn, and one that
   * replay repeats.
   */
  outdated = false;
  /**
   * The value of its input is also others', as long as the run may end in the turn it started in; what is kept is the
   * run's own.
   */
  borrows = false;
  /** A copy of that value which no code has been given: it is kept, where the run is. */
  spare: { readonly value: I } | undefined;
  /** It is stored, and its key is taken. */
  kept = false;
  hold: Hold | undefined;
  open = 0;
  steps = 0;
  events = 0;
  /** What it has changed in memory; made with the first change. */
  shortTerm: MemoryHistory | undefined;
  sensory: MemoryHistory | undefined;
  /** How many of these changes are stored. */
  shortTermKept = 0;
  sensoryKept = 0;
  /** Events that wait for the run's next turn; stored too. */
  queue: Fifo<Event> | undefined;
  /** The key's memory for its actions; made when one looks. */
  memory: RunMemory | undefined;
  #failed = false;
  /** Aborted when the run is over before its actions are; made when one asks. */
  #over: AbortController | undefined;

  constructor({ id, input, planHash }: RunFacts<I>) {
    this.id = id;
    this.input = input;
    this.planHash = planHash;
    this.hold = input.hold;
  }

  /** Whether nobody waits for its open actions any more: they start no call, and it ends behind them (I1). */
  get isOver(): boolean {
    return this.#failed || this.outdated;
  }

  /** Whether an action of it has failed for good. */
  get failed(): boolean {
    return this.#failed;
  }

  fail(): void {
    this.#failed = true;
    this.#over?.abort();
  }

  /** The signal of an action of it, which is aborted too when the run is over. */
  signalOf(signal: AbortSignal): AbortSignal {
    this.#over ??= makeAbort();
    if (this.isOver) this.#over.abort();
    return AbortSignal.any([signal, this.#over.signal]);
  }

  /** That of the action which starts now: it sees what has been changed so far. */
  nextPlace(): Pick<ActionTask, 'step' | 'shortTermView' | 'sensoryView'> {
    const step = this.steps++;
    return { step, shortTermView: this.shortTerm?.length ?? 0, sensoryView: this.sensory?.length ?? 0 };
  }

  stored(): StoredRun<I> {
    const { id, input, hold, planHash, open, steps, events } = this;
    const queued = this.queue?.size ?? 0;
    return {
      id,
      input,
      hold,
      planHash,
      open,
      steps,
      events,
      shortTerm: this.shortTermKept,
      sensory: this.sensoryKept,
      queued,
      ...(this.#failed && { failed: true }),
    };
  }

  /** Takes an action's changes to memory. */
  take({ shortTermChanges, sensoryChanges }: ActionEffects): void {
    if (shortTermChanges.length > 0) (this.shortTerm ??= new MemoryHistory()).add(shortTermChanges);
    if (sensoryChanges.length > 0) (this.sensory ??= new MemoryHistory()).add(sensoryChanges);
  }
}
