/**
 * Runs an agent on a keyed stream: `arrivals.pipe(keyedConcatMap(input => input.key, runOf))`. One input of a key starts one run: the
 * input event, the actions it triggers, their events, and so on until nothing is left. Keeps I1, I8 and I13.
 *
 * Synchronous actions are part of the turn in hand. Asynchronous ones are work; while one is open, the run and the inputs behind it are
 * keyed state. A run's changes to memory are collected, so that each action sees the memory as of its submission, and reach the key's
 * memory when the run ends.
 */
import { Observable, Subject, type Subscriber } from 'rxjs';
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { messageOf, StreamError } from '../lib/core/errors.ts';
import { mapKeyOf, type Key, type MapKey } from '../lib/core/key.ts';
import {
  listState,
  mapState,
  valueState,
  type Hold,
  type Operator,
  type OperatorContext,
  type OutputOrder,
  type OutputTag,
  type Outcome,
  type Processor,
  type WorkContext,
} from '../lib/core/operator.ts';
import { Event, eventFromJson, EventType, InputEvent, stampEvent, type EventJson } from '../lib/agents/event.ts';
import { applyChanges, type MemoryChange } from '../lib/agents/memory.ts';
import type { CompiledAgent, PlannedAction } from '../lib/agents/plan.ts';
import { runAsyncAction, runSyncAction } from '../lib/agents/run-action.ts';
import type { ActionHost, ActionResult } from '../lib/agents/runner-context.ts';
import { keyedConcatMap } from './keyed-concat-map.ts';

/** An input whose run failed for good. */
export interface DeadLetter<I = unknown> {
  readonly key: Key;
  readonly input: I;
  readonly action: string;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string | undefined };
}

export interface AgentOperatorOptions {
  /** `completion`: results leave as runs end. `arrival`: in the order of the inputs. @defaultValue 'completion' */
  readonly outputOrder?: OutputOrder | undefined;
  /** Actions that wait at once. @defaultValue 1000 */
  readonly asyncConcurrency?: number | undefined;
  /** Inputs accepted and not finished; at this bound sources are not pulled. @defaultValue 2 x asyncConcurrency */
  readonly pendingMax?: number | undefined;
  /** Inputs of one key that may wait before sources are not pulled. @defaultValue pendingMax */
  readonly pendingPerKeyMax?: number | undefined;
  /** Limit of one asynchronous action, in milliseconds. @defaultValue none */
  readonly actionTimeoutMs?: number | undefined;
  /** What happens when an action fails for good. `ignore`: the action has no effect and the run goes on. @defaultValue 'fail', with `deadLetters` 'dead-letter' */
  readonly onError?: 'fail' | 'ignore' | 'dead-letter' | undefined;
  /** Where inputs go whose run failed. */
  readonly deadLetters?: OutputTag<DeadLetter> | undefined;
  /** What happens to runs that were open when the plan changed. @defaultValue 'continue' */
  readonly onPlanChange?: 'continue' | 'restart-run' | 'fail' | undefined;
}

/** The agent's resources, by type and name; resolved when the job starts. */
export interface AgentResources {
  get(type: string, name: string): unknown;
}

interface Accepted<I> {
  readonly key: Key;
  readonly value: I;
  readonly timestamp: Timestamp;
  /** Undefined while the run may still end in the turn it started in. */
  readonly hold: Hold | undefined;
  /** The run was open at a restart: it goes on where it was. */
  readonly resumed?: boolean | undefined;
}

/** A run, as it is stored while an action of it is open. */
interface StoredRun<I> {
  /** Names the run within the job, in events and in the ids of its actions. */
  readonly id: string;
  readonly input: Accepted<I>;
  readonly planHash: string;
  /** Actions submitted and not applied. */
  readonly open: number;
  /** Actions started. */
  readonly steps: number;
  readonly shortTerm: readonly MemoryChange[];
  readonly sensory: readonly MemoryChange[];
}

/** A run in memory. What is stored is a copy of it: a stored value is never changed in place. */
interface Run<I> extends StoredRun<I> {
  open: number;
  steps: number;
  hold: Hold | undefined;
  readonly shortTerm: MemoryChange[];
  readonly sensory: MemoryChange[];
}

/** An asynchronous action, as it is submitted. */
interface ActionTask {
  readonly run: string;
  readonly step: number;
  readonly action: string;
  readonly event: EventJson;
  /** How many of the run's changes the action sees. */
  readonly shortTermView: number;
  readonly sensoryView: number;
}

/** What a run wants to happen outside the mailbox: done when the mailbox has returned, so that nothing throws through RxJS. */
type Effect<O> = { readonly run: Run<unknown>; readonly output: O } | { readonly run: Run<unknown>; readonly ended: true };

const noMemory: ReadonlyMap<string, unknown> = new Map();

export const applyAgent =
  <I, O>(agent: CompiledAgent, resources: AgentResources, options: AgentOperatorOptions = {}): Operator<I, O> =>
  (context) =>
    new AgentOperator<I, O>(context, agent, resources, options);

class AgentOperator<I, O> implements Processor<I> {
  readonly #context: OperatorContext<O>;
  readonly #agent: CompiledAgent;
  readonly #resources: AgentResources;
  readonly #options: AgentOperatorOptions;
  readonly #inbox;
  readonly #run;
  readonly #memory;
  readonly #holds;
  readonly #work;
  readonly #inputs;
  readonly #arrivals = new Subject<Accepted<I>>();
  /** Runs in progress and the mailbox's subscriber of each. */
  readonly #running = new Map<MapKey, { readonly run: Run<I>; readonly subscriber: Subscriber<Effect<O>> }>();
  #effects: Effect<O>[] = [];
  #failure: { readonly error: unknown } | undefined;
  readonly #eventsProcessed;
  readonly #actionsExecuted;

  constructor(context: OperatorContext<O>, agent: CompiledAgent, resources: AgentResources, options: AgentOperatorOptions) {
    const { outputOrder = 'completion', asyncConcurrency = 1000, pendingMax = 2 * asyncConcurrency, actionTimeoutMs } = options;
    this.#context = context;
    this.#agent = agent;
    this.#resources = resources;
    this.#options = options;
    this.#inbox = context.state(listState<Accepted<I>>('inbox'));
    this.#run = context.state(valueState<StoredRun<I>>('run'));
    this.#memory = context.state(mapState<string, unknown>('short-term-memory'));
    this.#holds = context.holds({ order: outputOrder });
    this.#inputs = context.place({ name: 'inputs', max: pendingMax });
    this.#eventsProcessed = context.metrics.getMeter('numOfEventProcessed');
    this.#actionsExecuted = context.metrics.getMeter('numOfActionsExecuted');
    this.#work = context.work<ActionTask, ActionResult>(
      {
        name: 'action',
        run: (task, work) => this.#runTask(task, work),
        apply: (task, outcome) => this.#inMailbox(() => this.#applyTask(task, outcome)),
        onRejection: this.#onError === 'fail' ? 'fail' : 'outcome',
      },
      { inFlightMax: asyncConcurrency, pendingMax: Number.MAX_SAFE_INTEGER, timeoutMs: actionTimeoutMs },
    );
    this.#arrivals
      .pipe(
        keyedConcatMap(
          (input: Accepted<I>) => mapKeyOf(input.key),
          (input: Accepted<I>) => this.#runOf(input),
        ),
      )
      .subscribe((effect: Effect<O>) => this.#effects.push(effect));
  }

  process(value: I, timestamp: Timestamp): void {
    const key = this.#context.currentKey();
    this.#inputs.add(1);
    const busy = this.#running.has(mapKeyOf(key));
    const hold = busy || this.#holds.blocked ? this.#holds.take() : undefined;
    const input = { key, value, timestamp, hold };
    if (busy) this.#inbox.add(input);
    this.#inMailbox(() => this.#arrivals.next(input));
  }

  /** After a restart: runs that were open go on, inputs that waited wait again. */
  async open(): Promise<void> {
    await this.#run.forEachKey((key) => {
      const run = this.#run.value();
      if (run !== undefined) this.#readmit({ ...run.input, key, resumed: true });
    });
    await this.#inbox.forEachKey((key) => {
      for (const input of this.#inbox.values()) this.#readmit({ ...input, key });
    });
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async close(): Promise<void> {
    this.#arrivals.complete();
  }

  #readmit(input: Accepted<I>): void {
    this.#inputs.add(1);
    this.#arrivals.next(input);
  }

  get #onError(): 'fail' | 'ignore' | 'dead-letter' {
    return this.#options.onError ?? (this.#options.deadLetters === undefined ? 'fail' : 'dead-letter');
  }

  // ---------- the mailbox

  /** Enters the mailbox, then does what it asks for. */
  #inMailbox(body: () => void): void {
    body();
    if (this.#failure !== undefined) throw this.#failure.error;
    const effects = this.#effects;
    this.#effects = [];
    for (const effect of effects) {
      const { hold } = effect.run;
      const { timestamp } = effect.run.input;
      if ('output' in effect) {
        if (hold === undefined) this.#context.output.emit(effect.output as O, timestamp);
        else this.#holds.emit(hold, effect.output as O, timestamp);
      } else {
        this.#inputs.add(-1);
        if (hold !== undefined) this.#holds.release(hold);
      }
    }
  }

  /** The run of one input, from its subscription, under its key, to its end. */
  #runOf(input: Accepted<I>): Observable<Effect<O>> {
    return new Observable((subscriber) => {
      const mapKey = mapKeyOf(input.key);
      subscriber.add(() => this.#running.delete(mapKey));
      try {
        if (input.resumed === true) this.#resume(mapKey, subscriber);
        else this.#begin(input, subscriber);
      } catch (error) {
        this.#failure ??= { error }; // Thrown where the mailbox was entered, not through RxJS.
      }
    });
  }

  #begin(accepted: Accepted<I>, subscriber: Subscriber<Effect<O>>): void {
    const { branch, uid } = this.#context;
    const mapKey = mapKeyOf(accepted.key);
    // An input that had to wait is the oldest of its inbox.
    const input = accepted.hold !== undefined && this.#inbox.size > 0 ? (this.#inbox.shift() ?? accepted) : accepted;
    const id = `${branch}.${uid}.${this.#context.keyGroup()}.${this.#context.sequence()}`;
    const run: Run<I> = { id, input, planHash: this.#agent.plan.hash, open: 0, steps: 0, hold: input.hold, shortTerm: [], sensory: [] };
    this.#running.set(mapKey, { run, subscriber });
    const stamp = { id, ...(input.timestamp === MIN_TIMESTAMP ? {} : { sourceTimestamp: input.timestamp }) };
    this.#dispatch(run, [stampEvent(new InputEvent(input.value), stamp)], subscriber);
  }

  #resume(mapKey: MapKey, subscriber: Subscriber<Effect<O>>): void {
    const stored = this.#run.value();
    if (stored === undefined) return;
    const run: Run<I> = { ...stored, hold: stored.input.hold, shortTerm: [...stored.shortTerm], sensory: [...stored.sensory] };
    const { agentName, hash } = this.#agent.plan;
    if (run.planHash !== hash && this.#options.onPlanChange === 'fail') {
      throw new StreamError('PLAN_CHANGED', `the plan of agent "${agentName}" changed while run ${run.id} was open`);
    }
    this.#running.set(mapKey, { run, subscriber });
  }

  /** Runs what these events trigger, breadth first; asynchronous actions are submitted. Ends the run when nothing is open. */
  #dispatch(run: Run<I>, events: readonly Event[], subscriber: Subscriber<Effect<O>>): void {
    const queue = [...events];
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      this.#eventsProcessed.inc();
      if (event.type === EventType.OutputEvent) {
        subscriber.next({ run, output: event.attributes['output'] as O }); // The agent says its output is an O.
        continue;
      }
      for (const action of this.#agent.plan.actionsFor(event)) {
        if (action.kind === 'async') this.#submit(run, action, event);
        else {
          const result = this.#runNow(run, action, event);
          if (result === 'ended') return;
          if (result !== undefined) queue.push(...this.#take(run, result));
        }
      }
    }
    if (run.open === 0) this.#end(run, subscriber);
    else this.#store(run);
  }

  /** Takes an action's changes, and gives its events. */
  #take(run: Run<I>, result: ActionResult): Event[] {
    this.#actionsExecuted.inc();
    run.shortTerm.push(...result.shortTermChanges);
    run.sensory.push(...result.sensoryChanges);
    return result.events.map((json) => eventFromJson(json, this.#agent.eventClasses));
  }

  /** Keeps an open run, with a hold that keeps later watermarks behind it. */
  #store(run: Run<I>): void {
    run.hold ??= this.#holds.take();
    const { id, input, planHash, open, steps, shortTerm, sensory } = run;
    this.#run.update({ id, input: { ...input, hold: run.hold }, planHash, open, steps, shortTerm: [...shortTerm], sensory: [...sensory] });
  }

  #end(run: Run<I>, subscriber: Subscriber<Effect<O>>): void {
    applyChanges(this.#memory, run.shortTerm, (path) => this.#context.metrics.getCounter('memoryConflicts').inc(path.length > 0 ? 1 : 0));
    this.#close(run, subscriber);
  }

  #close(run: Run<I>, subscriber: Subscriber<Effect<O>>): void {
    this.#run.clear();
    subscriber.next({ run, ended: true });
    subscriber.complete();
  }

  // ---------- actions

  #runNow(run: Run<I>, action: PlannedAction, event: Event): ActionResult | 'ended' | undefined {
    const host = this.#hostOf({ run, step: run.steps++, action, event, work: undefined });
    try {
      return runSyncAction(this.#agent, host);
    } catch (error) {
      return this.#failed(run, action.name, error);
    }
  }

  #submit(run: Run<I>, action: PlannedAction, event: Event): void {
    const { shortTerm, sensory } = run;
    run.open += 1;
    this.#work.submit({
      run: run.id,
      step: run.steps++,
      action: action.name,
      event: event.toJSON(),
      shortTermView: shortTerm.length,
      sensoryView: sensory.length,
    });
  }

  /** The body of an asynchronous action. */
  async #runTask(task: ActionTask, work: WorkContext): Promise<ActionResult> {
    const { plan, eventClasses } = this.#agent;
    const action = plan.actions.get(task.action);
    if (action === undefined) throw new StreamError('PLAN_CHANGED', `agent "${plan.agentName}" has no action "${task.action}" any more`);
    const host = work.read(() => {
      const run = this.#running.get(mapKeyOf(work.key))?.run;
      if (run === undefined || run.id !== task.run) throw new StreamError('WORK_ABORTED', `run ${task.run} has ended`);
      const seen = { ...run, shortTerm: run.shortTerm.slice(0, task.shortTermView), sensory: run.sensory.slice(0, task.sensoryView) };
      return this.#hostOf({ run: seen, step: task.step, action, event: eventFromJson(task.event, eventClasses), work });
    });
    return runAsyncAction(this.#agent, host);
  }

  #applyTask(task: ActionTask, outcome: Outcome<ActionResult>): void {
    const found = this.#running.get(mapKeyOf(this.#context.currentKey()));
    if (found === undefined || found.run.id !== task.run) return; // The run ended without it: a late result is refused.
    const { run, subscriber } = found;
    run.open -= 1;
    try {
      const result = outcome.ok ? outcome.value : this.#failed(run, task.action, outcome.error);
      if (result === 'ended') return;
      this.#dispatch(run, result === undefined ? [] : this.#take(run, result), subscriber);
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  /** An action failed for good: the job fails, the run ends among the dead letters, or the action had no effect. */
  #failed(run: Run<I>, action: string, error: unknown): 'ended' | undefined {
    if (this.#onError === 'fail') throw error;
    this.#context.metrics.getCounter('numOfActionsFailed').inc();
    if (this.#onError === 'ignore') return undefined;
    const { key, value: input, timestamp } = run.input;
    const { code, hint } = error instanceof StreamError ? error : { code: 'ACTION_FAILED', hint: undefined };
    const letter: DeadLetter<I> = {
      key,
      input,
      action,
      error: { code, message: messageOf(error), ...(hint === undefined ? {} : { hint }) },
    };
    if (this.#options.deadLetters !== undefined) this.#context.output.side(this.#options.deadLetters, letter, timestamp);
    const subscriber = this.#running.get(mapKeyOf(key))?.subscriber;
    if (subscriber !== undefined) this.#close(run, subscriber); // The key's memory stays as it was.
    return 'ended';
  }

  #hostOf(parts: { run: Run<I>; step: number; action: PlannedAction; event: Event; work: WorkContext | undefined }): ActionHost {
    const { run, step, action, event, work } = parts;
    const { key, timestamp } = run.input;
    return {
      action,
      event,
      id: `${run.id}.${step}`,
      jobId: this.#context.jobId,
      key,
      ...(timestamp === MIN_TIMESTAMP ? {} : { timestamp }),
      now: () => this.#context.now(),
      // In a turn the live state is the state as of now; a body outside one gets a copy.
      shortTermMemory: { base: work === undefined ? this.#memory : this.#copyOfMemory(), changes: run.shortTerm },
      sensoryMemory: { base: noMemory, changes: run.sensory },
      resources: this.#resources,
      metrics: this.#context.metrics,
      work,
    };
  }

  #copyOfMemory(): ReadonlyMap<string, unknown> {
    return new Map(this.#memory.entries());
  }
}
