/**
 * What of an agent's runs is keyed state, beside the inputs that wait: the memory of keys, open runs, and the lists of
 * what a run has changed and of the events that wait in it, to which only what is new is added.
 */
import { Fifo } from '../lib/core/fifo.ts';
import { listState, mapState, unshared, valueState } from '../lib/core/state-descriptor.ts';
import type { OperatorContext } from '../lib/core/operator.ts';
import type { ListState, MapState, ValueState } from '../lib/core/state-descriptor.ts';
import type { WorkContext } from '../lib/core/work.ts';
import { ownCopy } from '../lib/core/own-copy.ts';
import { eventFromJson } from '../lib/agents/events/event-classes.ts';
import { eventToJson, type Event, type EventClass, type EventJson } from '../lib/agents/events/event.ts';
import { applyChanges, type MemoryChange } from '../lib/agents/memory/memory.ts';
import type { MemoryBase } from '../lib/agents/memory/memory-index.ts';
import { MemoryHistory } from '../lib/agents/memory/memory-history.ts';
import { Run, type StoredRun } from './agent-run.ts';
import { RunMemory } from './run-memory.ts';

export class AgentState<I> {
  /** Set while a run of the key is open. */
  readonly run: ValueState<StoredRun<I>>;
  readonly #context: OperatorContext<never>;
  readonly #eventClasses: ReadonlyMap<string, EventClass>;
  readonly #memory: MapState<string, unknown>;
  readonly #shortTerm: ListState<MemoryChange>;
  readonly #sensory: ListState<MemoryChange>;
  readonly #queue: ListState<EventJson>;

  constructor(context: OperatorContext<never>, eventClasses: ReadonlyMap<string, EventClass>) {
    this.#context = context;
    this.#eventClasses = eventClasses;
    // All copies: of the input that is the run's own, of changes to memory, and of events that wait.
    this.run = context.state(unshared(valueState<StoredRun<I>>('run')));
    this.#memory = context.state(unshared(mapState<string, unknown>('short-term-memory')));
    this.#shortTerm = context.state(unshared(listState<MemoryChange>('run-short-term')));
    this.#sensory = context.state(unshared(listState<MemoryChange>('run-sensory')));
    this.#queue = context.state(unshared(listState<EventJson>('run-events')));
  }

  /** Keeps an open run as it is now. */
  keep(run: Run<I>): void {
    if (run.borrows) keepInput(run);
    run.shortTermKept = addNew(this.#shortTerm, run.shortTerm, run.shortTermKept);
    run.sensoryKept = addNew(this.#sensory, run.sensory, run.sensoryKept);
    run.kept = true;
    this.run.update(run.stored());
  }

  /** The open run of the current key, after a restart. */
  resume(): Run<I> | undefined {
    const stored = this.run.value();
    if (stored === undefined) return undefined;
    const { hold, open, steps, events, shortTerm, sensory, queued } = stored;
    const run = Object.assign(new Run<I>(stored), {
      hold,
      open,
      steps,
      events,
      kept: true,
      shortTermKept: shortTerm,
      sensoryKept: sensory,
    });
    if (stored.failed === true) run.fail();
    if (shortTerm > 0) run.shortTerm = new MemoryHistory(this.#shortTerm.values());
    if (sensory > 0) run.sensory = new MemoryHistory(this.#sensory.values());
    if (queued > 0) run.queue = new Fifo();
    if (queued > 0) for (const json of this.#queue.values()) run.queue?.push(this.#eventOf(json));
    return run;
  }

  /** Nothing of the run is kept any more, and nothing of it has come into the key's memory. */
  forget(run: Run<I>): void {
    run.memory?.end();
    if (!run.kept) return;
    this.run.clear();
    if (run.shortTermKept > 0) this.#shortTerm.clear();
    if (run.sensoryKept > 0) this.#sensory.clear();
    if (run.queue !== undefined) this.#queue.clear();
  }

  // ---------- events that wait for the run's next turn

  /** Lines up an event of a run whose events wait. */
  enqueue(run: Run<I>, event: Event): void {
    (run.queue ??= new Fifo()).push(event);
    // What is stored is not what the event's actions will be given, which may change it.
    this.#queue.add({ ...eventToJson(event), attributes: ownCopy(event.attributes) });
  }

  /** The next of them; undefined when none waits any more. */
  dequeue(run: Run<I>): Event | undefined {
    const event = run.queue?.shift();
    if (event !== undefined) this.#queue.shift();
    return event;
  }

  // ---------- memory

  /** The run has ended: its changes reach the key's memory. */
  remember({ shortTerm }: Run<I>, onConflict: (path: string) => void): void {
    if (shortTerm !== undefined) applyChanges(this.#memory, shortTerm.changes, onConflict);
  }

  /** The key's memory for an action of an open run. */
  readonly memoryOf = (run: Run<I>, work: WorkContext | undefined): MemoryBase =>
    (run.memory ??= new RunMemory(this.#memory)).seenBy(work);

  #eventOf(json: EventJson): Event {
    return eventFromJson(json, this.#eventClasses, this.#context.handOver(json.attributes));
  }
}

/** Makes the value of the run's input its own. */
const keepInput = <I>(run: Run<I>): void => {
  const { spare, input } = run;
  const { number, key, timestamp, hold } = input;
  run.input = { number, key, value: spare === undefined ? ownCopy(input.value) : spare.value, timestamp, hold };
  run.borrows = false;
  run.spare = undefined;
};

/** Adds what a run has changed and is not stored. Gives how much is. */
const addNew = (list: ListState<MemoryChange>, history: MemoryHistory | undefined, kept: number): number => {
  if (history === undefined) return kept;
  for (let at = kept; at < history.length; at += 1) list.add(history.changes[at] as MemoryChange); // Inside the list.
  return history.length;
};
