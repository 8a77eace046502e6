/**
 * Runs an agent on a keyed stream: `arrivals.pipe(keyedConcatMap(input => input.key, runOf))`. One input of a key starts one run: the
 * input event, the actions it triggers, their events, and so on until nothing is left. Keeps I1, I8 and I13.
 *
 * Synchronous actions are part of the turn in hand. Asynchronous ones are work; while one is open, the run and the inputs behind it are
 * keyed state. A run's changes to memory are collected, so that each action sees the memory as of its submission, and reach the key's
 * memory when the run ends.
 */
import { EMPTY, Observable, Subject } from 'rxjs';
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { messageOf, StreamError, unreachable } from '../lib/core/errors.ts';
import { keyText, mapKeyOf, type MapKey } from '../lib/core/key.ts';
import type { Meter, MetricGroup } from '../lib/core/metric.ts';
import { listState, mapState, valueState, type Operator, type OperatorContext, type Outcome, type Processor, type WorkContext } from '../lib/core/operator.ts';
import { encodeText } from '../lib/core/serde.ts';
import { durationMs } from '../lib/core/options.ts';
import { ownCopy, storableCopy } from '../lib/core/own-copy.ts';
import { ChatErrorEvent, classOf, eventFromJson, EventType, InputEvent, stampEvent, type Event, type EventStamp } from '../lib/agents/event.ts';
import { chatActionName } from '../lib/agents/chat-action.ts';
import { toolActionName } from '../lib/agents/tool-action.ts';
import { applyChanges, type MemoryBase } from '../lib/agents/memory.ts';
import { takesFailure } from '../lib/core/own-failure.ts';
import type { CompiledAgent } from '../lib/agents/plan.ts';
import type { ActionEffects, ActionResult, PlannedAction } from '../lib/agents/contract.ts';
import { runAsyncAction, runSyncAction } from '../lib/agents/run-action.ts';
import { Warnings } from '../lib/agents/warnings.ts';
import type { AgentOperatorOptions } from './agent-options.ts';
import { checkErrorOptions, type DeadLetter } from './dead-letter.ts';
import { Execution, noMemory, Run, type Accepted, type ActionTask, type StoredRun } from './agent-run.ts';
import { keyedConcatMap } from './keyed-concat-map.ts';

/** The agent's resources, by type and name; resolved when the job starts. */
export interface AgentResources {
  get(type: string, name: string): unknown;
}

/** What a run wants to happen outside the mailbox: done when the mailbox has returned, so that nothing throws through RxJS. */
type Effect<I> = { readonly run: Run<I> } & (
  | { readonly kind: 'output'; readonly output: unknown }
  | { readonly kind: 'dead-letter'; readonly letter: DeadLetter<I> }
  | { readonly kind: 'ended' }
);

/** What an action brings whose run has ended or begins anew. */
const nothing: ActionResult = { events: [], shortTermChanges: [], sensoryChanges: [] };

/** Nothing but our own code stands behind their durable calls. */
const builtInActions: ReadonlySet<string> = new Set([chatActionName, toolActionName]);

/** An agent that is open, and where its warnings go. */
export interface AgentParts {
  readonly agent: CompiledAgent;
  readonly resources: AgentResources;
  /** @defaultValue nowhere */
  readonly warnings?: Warnings | undefined;
  /** Sees each event of each run when its turn comes, outputs too; again when a turn is replayed. */
  readonly onEvent?: ((event: Event) => void) | undefined;
}

export const applyAgent =
  <I, O>(parts: AgentParts, options: AgentOperatorOptions = {}): Operator<I, O> =>
  (context) =>
    new AgentOperator<I, O>(context, parts, options);

class AgentOperator<I, O> implements Processor<I> {
  readonly #context: OperatorContext<O>;
  /** What the name of every run has in it, and what such a name looks like. */
  readonly #runName: string;
  readonly #runNames: RegExp;
  readonly #agent: CompiledAgent;
  readonly #inputClass;
  readonly resources: AgentResources;
  readonly warnings: Warnings;
  readonly #onEvent: AgentParts['onEvent'];
  readonly #options: AgentOperatorOptions;
  readonly #onError: ReturnType<typeof checkErrorOptions>;
  readonly #inbox;
  readonly #run;
  readonly #memory;
  readonly #holds;
  readonly #work;
  readonly #inputs;
  /** Full while the inbox of any key is. */
  readonly #fullInboxes;
  readonly #pendingPerKeyMax: number;
  readonly #arrivals = new Subject<Accepted<I>>();
  /** The copy of the input in hand that its first actions get, until it is taken. */
  #given: { readonly value: I } | undefined;
  /** Runs in progress. */
  readonly #running = new Map<MapKey, Run<I>>();
  #effects: Effect<I>[] = [];
  #failure: { readonly error: unknown } | undefined;
  readonly #eventsProcessed;
  readonly #actionsExecuted;
  readonly #actionMeters = new Map<string, Meter>();

  constructor(context: OperatorContext<O>, { agent, resources, warnings = new Warnings(), onEvent }: AgentParts, options: AgentOperatorOptions) {
    const { outputOrder = 'completion', asyncConcurrency = 1000, pendingMax = 2 * asyncConcurrency, actionTimeout } = options;
    const { durability = 'call' } = options;
    this.#context = context;
    this.#runName = `.${context.uid}.`;
    this.#runNames = new RegExp(`\\d+\\.${context.uid.replaceAll(/[^\w-]/g, '\\$&')}\\.\\d+\\.\\d+r*`, 'g');
    this.#agent = agent;
    this.#inputClass = classOf(InputEvent.type, agent.eventClasses);
    this.resources = resources;
    this.warnings = warnings;
    this.#onEvent = onEvent;
    this.#options = options;
    this.#onError = checkErrorOptions(options);
    this.#inbox = context.state(listState<Accepted<I>>('inbox'));
    this.#run = context.state(valueState<StoredRun<I>>('run'));
    this.#memory = context.state(mapState<string, unknown>('short-term-memory'));
    this.#holds = context.holds({ order: outputOrder, overtakeWatermarks: outputOrder === 'completion' });
    this.#inputs = context.place({ name: 'inputs', max: pendingMax });
    this.#pendingPerKeyMax = options.pendingPerKeyMax ?? Number.POSITIVE_INFINITY;
    this.#fullInboxes = context.place({ name: 'full-inboxes', max: 1 });
    this.#eventsProcessed = context.metrics.getMeter('numOfEventProcessed');
    this.#actionsExecuted = context.metrics.getMeter('numOfActionsExecuted');
    this.#work = context.work<ActionTask, ActionResult>(
      {
        name: 'action',
        run: (task, work) => this.#runTask(task, work),
        apply: (task, outcome) => this.#applyTask(task, outcome),
        // An error about the job is no outcome: kept as one, it would fail the job again when its cause is mended.
        onRejection: (error) => (takesFailure(this.#onError, error) ? 'outcome' : 'fail'),
        identity: (task) => this.#identityOf(task),
        describe: ({ action }, key) => `action '${action}' of agent '${agent.plan.agentName}' for key ${keyText(key)}`,
        // Nothing that waits behind a call of a built-in action leaves before its end does.
        durability: ({ action }) => (builtInActions.has(action) ? 'effect' : durability),
        owned: true,
      },
      {
        inFlightMax: asyncConcurrency,
        pendingMax: Number.MAX_SAFE_INTEGER,
        timeoutMs: actionTimeout === undefined ? undefined : durationMs('actionTimeout', actionTimeout, { min: 1 }),
      },
    );
    this.#arrivals.pipe(keyedConcatMap((input: Accepted<I>) => mapKeyOf(input.key), (input: Accepted<I>) => this.#runOf(input))).subscribe();
  }

  process(value: I, timestamp: Timestamp): void {
    const key = this.#context.currentKey();
    const own = this.#ownInput(value, timestamp);
    if (own === undefined) return;
    this.#inputs.add(1);
    const busy = this.#running.has(mapKeyOf(key));
    const hold = busy || this.#holds.blocks(timestamp) ? this.#holds.take() : undefined;
    const input = { number: this.#context.sequence(), key, value, timestamp, hold };
    if (busy) {
      this.#inbox.add({ ...input, value: own.value });
      if (this.#inbox.size === this.#pendingPerKeyMax) this.#fullInboxes.add(1);
    }
    this.#given = own;
    this.#arrivals.next(input);
    this.#given = undefined;
    this.#settle();
  }

  /**
   * The input as the agent's own: others may hold what was handed over. Undefined for one that can't be kept, which is a failure of that
   * input and of no other.
   */
  #ownInput(value: I, timestamp: Timestamp): { readonly value: I } | undefined {
    try {
      return { value: this.#context.handOver(value) };
    } catch (cause) {
      const key = this.#context.currentKey();
      const { agentName } = this.#agent.plan;
      const message = `the input of agent '${agentName}' for key ${keyText(key)} can not be kept: ${messageOf(cause)}`;
      const error = new StreamError('NOT_SERIALISABLE', message, { details: { agent: agentName, key } });
      if (this.#onError === 'fail') throw error;
      this.#context.metrics.getCounter('numOfInputsRefused').inc();
      if (this.#onError === 'dead-letter') this.#letter(letterOf({ key, input: storableCopy(value) as I, action: this.#context.uid, error }), timestamp);
      return undefined;
    }
  }

  #letter(letter: DeadLetter<I>, timestamp: Timestamp): void {
    const { deadLetters } = this.#options;
    if (deadLetters === undefined) return;
    if (!this.#holds.blocks(timestamp)) {
      this.#context.output.side(deadLetters, letter, timestamp);
      return;
    }
    const hold = this.#holds.take();
    this.#holds.side(hold, deadLetters, letter, timestamp);
    this.#holds.release(hold);
  }

  /** After a restart: runs that were open go on, inputs that waited wait again. */
  async open(): Promise<void> {
    await this.#run.forEachKey((key) => {
      const run = this.#run.value();
      if (run !== undefined) this.#readmit({ ...run.input, key, resumed: true });
    });
    await this.#inbox.forEachKey((key) => {
      for (const input of this.#inbox.values()) this.#readmit({ ...input, key });
      if (this.#inbox.size >= this.#pendingPerKeyMax) this.#fullInboxes.add(1);
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

  // ---------- what an execution of an action needs

  get jobId(): string {
    return this.#context.jobId;
  }

  get metrics(): MetricGroup {
    return this.#context.metrics;
  }

  now(): Timestamp {
    return this.#context.now();
  }

  // ---------- the mailbox

  /** The run of one input as the mailbox sees it: nothing comes out, and its end lets the next input of the key begin. */
  #runOf(input: Accepted<I>): Observable<never> {
    let run: Run<I> | undefined;
    try {
      run = input.resumed === true ? this.#resume() : this.#begin(input);
    } catch (error) {
      this.#failure ??= { error }; // Thrown when the mailbox has returned, not through RxJS.
      return EMPTY;
    }
    if (run === undefined) return EMPTY;
    const open = run;
    return new Observable((subscriber) => {
      open.mailbox = subscriber;
    });
  }

  /** After the mailbox has returned: does what runs want to happen outside it, so that nothing throws through RxJS. */
  #settle(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    const effects = this.#effects;
    if (effects.length === 0) return;
    this.#effects = [];
    for (const effect of effects) this.#happen(effect);
  }

  #happen(effect: Effect<I>): void {
    const { hold, input } = effect.run;
    switch (effect.kind) {
      case 'output': {
        const output = effect.output as O; // The agent says which type its outputs have.
        if (hold === undefined) this.#context.output.emit(output, input.timestamp);
        else this.#holds.emit(hold, output, input.timestamp);
        return;
      }
      case 'dead-letter': {
        const { deadLetters } = this.#options;
        if (deadLetters === undefined) return;
        if (hold === undefined) this.#context.output.side(deadLetters, effect.letter, input.timestamp);
        else this.#holds.side(hold, deadLetters, effect.letter, input.timestamp);
        return;
      }
      case 'ended':
        this.#inputs.add(-1);
        if (hold !== undefined) this.#holds.release(hold);
        return;
      default:
        unreachable(effect);
    }
  }

  /** Begins a run; undefined when it has ended in this turn. */
  #begin(accepted: Accepted<I>): Run<I> | undefined {
    // An input that had to wait is the oldest of its inbox.
    const waited = accepted.hold !== undefined && this.#inbox.size > 0;
    const input = waited ? (this.#inbox.shift() ?? accepted) : accepted;
    if (waited && this.#inbox.size === this.#pendingPerKeyMax - 1) this.#fullInboxes.add(-1);
    return this.#start(input);
  }

  #start(input: Accepted<I>, before?: Run<I>): Run<I> | undefined {
    const { branch, uid } = this.#context;
    // A run that begins anew makes other events than before, so it needs another name.
    const id = before === undefined ? `${branch}.${uid}.${this.#context.keyGroup()}.${input.number}` : `${before.id}r`;
    const run = new Run<I>({ id, input, planHash: this.#agent.plan.hash });
    run.hold = before?.hold ?? input.hold;
    run.mailbox = before?.mailbox;
    run.borrows = this.#given !== undefined;
    this.#running.set(mapKeyOf(input.key), run);
    const sourceTimestamp = input.timestamp === MIN_TIMESTAMP ? undefined : input.timestamp;
    // Actions may change what they are given, and the input of a run is kept beside: for its letter, or to begin anew.
    const value = this.#given?.value ?? this.#context.handOver(input.value);
    this.#given = undefined;
    return this.#dispatch(run, [stampEvent(new InputEvent(value), { id, sourceTimestamp }, undefined, this.#inputClass)]);
  }

  #resume(): Run<I> | undefined {
    const stored = this.#run.value();
    if (stored === undefined) return undefined;
    const { agentName, hash } = this.#agent.plan;
    if (stored.planHash !== hash && this.#options.onPlanChange === 'fail') {
      throw new StreamError('PLAN_CHANGED', `the plan of agent "${agentName}" changed while run ${stored.id} was open`);
    }
    const run = Run.resumed(stored, stored.planHash !== hash && this.#options.onPlanChange === 'restart-run');
    this.#running.set(mapKeyOf(stored.input.key), run);
    return run;
  }

  /**
   * Runs what these events trigger, breadth first; asynchronous actions are submitted. Undefined when nothing is open: the run ends. The
   * list of events is its own from now on.
   */
  #dispatch(run: Run<I>, queue: Event[]): Run<I> | undefined {
    for (let at = 0; at < queue.length; at += 1) {
      const event = queue[at] as Event; // Inside the bounds.
      this.#eventsProcessed.inc();
      if (this.#onEvent !== undefined) this.#onEvent(this.#ownEvent(event));
      if (event.type === EventType.OutputEvent) {
        this.#effects.push({ run, kind: 'output', output: event.attributes['output'] });
        continue;
      }
      const actions = this.#agent.plan.actionsFor(event);
      if (actions.length === 0) this.#unhandled(event);
      for (const action of actions) {
        if (action.kind === 'async') this.#submit(run, action, event);
        else {
          const result = this.#runNow(run, action, actions.length === 1 ? event : this.#ownEvent(event));
          if (result === 'ended') return undefined;
          if (result !== undefined) for (const sent of this.#take(run, action.name, result)) queue.push(sent);
        }
      }
    }
    if (run.open === 0) {
      applyChanges(this.#memory, run.shortTerm, this.#onConflict);
      this.#close(run);
      return undefined;
    }
    this.#store(run);
    return run;
  }

  /** The event for one of several readers. */
  #ownEvent(event: Event): Event {
    const { type, attributes } = event;
    // It was stamped when it was sent.
    return stampEvent(event, event as EventStamp, this.#context.handOver(attributes), classOf(type, this.#agent.eventClasses));
  }

  readonly #onConflict = (path: string): void => {
    this.#context.metrics.getCounter('memoryConflicts').inc();
    const message = `actions of one run set \`${path}\` of short-term memory to a value and to an object; the later one stays`;
    this.#warnOnce('memory conflict', { path, key: this.#context.currentKey() }, message);
  };

  /** An event that triggers nothing is lost; a misspelt type looks just like that. */
  #unhandled({ type, upstreamActionName }: Event): void {
    if (type === ChatErrorEvent.type) return; // Sent to whom it may concern.
    this.#context.metrics.getCounter('numOfEventsUnhandled').inc();
    const { agentName } = this.#agent.plan;
    const message = `action '${upstreamActionName}' of agent '${agentName}' sent an event of type '${type}', which no action handles`;
    this.#warnOnce(`unhandled ${type}`, { type, action: upstreamActionName }, message);
  }

  #warnOnce(topic: string, facts: Readonly<Record<string, unknown>>, message: string): void {
    this.warnings.once(topic, { agent: this.#agent.plan.agentName, operator: this.#context.uid, ...facts }, message);
  }

  /** Takes an action's changes, and gives its events. */
  #take(run: Run<I>, action: string, result: ActionEffects): readonly Event[] {
    this.#actionsExecuted.inc();
    this.#meterOf(action).inc();
    run.take(result);
    return result.events;
  }

  #meterOf(action: string): Meter {
    const known = this.#actionMeters.get(action);
    if (known !== undefined) return known;
    const meter = this.#context.metrics.getSubGroup('action', action).getMeter('numOfActionsExecuted');
    this.#actionMeters.set(action, meter);
    return meter;
  }

  /** Keeps an open run, with a hold that keeps later watermarks behind it. */
  #store(run: Run<I>): void {
    if (run.borrows) this.#keepInput(run);
    run.hold ??= this.#holds.take();
    this.#run.update(run.stored());
  }

  #keepInput(run: Run<I>): void {
    run.input = { ...run.input, value: ownCopy(run.input.value) };
    run.borrows = false;
  }

  /** Ends a run; the next input of its key begins. */
  #close(run: Run<I>): void {
    if (run.hold !== undefined) this.#run.clear();
    this.#running.delete(mapKeyOf(run.input.key));
    this.#effects.push({ run, kind: 'ended' });
    run.mailbox?.complete();
  }

  // ---------- actions

  #runNow(run: Run<I>, action: PlannedAction, event: Event): ActionEffects | 'ended' | undefined {
    const { shortTerm, sensory } = run;
    const host = new Execution({ operator: this, run, step: run.steps++, action, event, work: undefined, memory: this.#memory, shortTerm, sensory });
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

  /**
   * What tells an action's task from others of its key, without names of runs: events are named by their run, and attributes may name
   * events, those of a run of an earlier branch too.
   */
  #identityOf({ step, action, event: { type, attributes } }: ActionTask): string {
    const text = encodeText(attributes);
    const named = text.includes(this.#runName) ? text.replaceAll(this.#runNames, '') : text;
    return `${step} ${action} ${type} ${named}`;
  }

  /** The body of an asynchronous action. */
  #runTask(task: ActionTask, work: WorkContext): Promise<ActionResult> {
    const { plan, eventClasses } = this.#agent;
    const run = this.#running.get(mapKeyOf(work.key));
    if (run === undefined || run.id !== task.run || run.outdated) return Promise.resolve(nothing);
    const action = plan.actions.get(task.action);
    if (action === undefined) throw new StreamError('PLAN_CHANGED', `agent "${plan.agentName}" has no action "${task.action}" any more`);
    const event = eventFromJson({ ...task.event, attributes: this.#context.handOver(task.event.attributes) }, eventClasses);
    const memory = work.read(() => this.#copyOfMemory());
    const shortTerm = run.shortTerm.slice(0, task.shortTermView);
    const sensory = run.sensory.slice(0, task.sensoryView);
    return runAsyncAction(this.#agent, new Execution({ operator: this, run, step: task.step, action, event, work, memory, shortTerm, sensory }));
  }

  #applyTask(task: ActionTask, outcome: Outcome<ActionResult>): void {
    const run = this.#running.get(mapKeyOf(this.#context.currentKey()));
    if (run === undefined || run.id !== task.run) return; // The run ended without it: a late result is refused.
    run.open -= 1;
    if (run.outdated) this.#start(run.input, run);
    else {
      const result = outcome.ok ? effectsOf(outcome.value, this.#agent) : this.#failed(run, task.action, outcome.error);
      if (result !== 'ended') this.#dispatch(run, result === undefined ? [] : [...this.#take(run, task.action, result)]);
    }
    this.#settle();
  }

  /** An action failed for good: the job fails, the run ends among the dead letters, or the action had no effect. */
  #failed(run: Run<I>, action: string, error: unknown): 'ended' | undefined {
    if (!takesFailure(this.#onError, error)) throw error;
    this.#context.metrics.getCounter('numOfActionsFailed').inc();
    if (this.#onError === 'ignore') return undefined;
    if (run.borrows) this.#keepInput(run);
    const { key, value: input } = run.input;
    this.#effects.push({ run, kind: 'dead-letter', letter: letterOf({ key, input, action, error }) });
    this.#close(run); // The key's memory stays as it was.
    return 'ended';
  }

  /** The key's memory as it is now. */
  #copyOfMemory(): MemoryBase {
    const entries = [...this.#memory.entries()];
    return entries.length === 0 ? noMemory : new Map(entries);
  }
}

const letterOf = <I>({ error, ...facts }: Pick<DeadLetter<I>, 'key' | 'input' | 'action'> & { readonly error: unknown }): DeadLetter<I> => {
  const { code, hint } = error instanceof StreamError ? error : { code: 'ACTION_FAILED', hint: undefined };
  return { ...facts, error: { code, message: messageOf(error), ...(hint === undefined ? {} : { hint }) } };
};

/** A journaled result with its events brought back. */
const effectsOf = (result: ActionResult, { eventClasses }: CompiledAgent): ActionEffects => ({
  ...result,
  events: result.events.map((json) => eventFromJson(json, eventClasses)),
});
