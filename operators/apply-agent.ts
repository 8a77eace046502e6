/**
 * Runs an agent on a keyed stream: one input of a key starts one run, which is the input event, the actions it
 * triggers, their events, and so on until nothing is left; the inputs of a key have their runs one after the other
 * (`KeyTurns`). Keeps I1, I8, I10, I13 and I20.
 *
 * Synchronous actions are part of the turn in hand, up to a number of events; then the run goes on in a turn of its
 * own. Asynchronous ones are work. While something of a run is open, the run and the inputs behind it are keyed state.
 * A run's changes to memory are collected, so that each action sees the memory as of its submission, and reach the
 * key's memory when the run ends.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { messageOf, StreamError } from '../lib/core/errors.ts';
import { keyText, mapKeyOf, type MapKey } from '../lib/core/key.ts';
import type { Operator, OperatorContext, Place, Processor } from '../lib/core/operator.ts';
import type { Outcome, Work } from '../lib/core/work.ts';
import { storableCopy } from '../lib/core/own-copy.ts';
import { takesFailure } from '../lib/core/own-failure.ts';
import { accessErrorOf } from '../lib/agents/actions/chat-config.ts';
import { classOf } from '../lib/agents/events/event-classes.ts';
import { EventType, InputEvent, stampEvent, type Event, type EventStamp } from '../lib/agents/events/event.ts';
import type { ActionEffects, PlannedAction } from '../lib/agents/contract.ts';
import type { CompiledAgent } from '../lib/agents/plan/plan.ts';
import { Warnings } from '../lib/agents/warnings.ts';
import { AgentActions } from './agent-actions.ts';
import { AgentNotices } from './agent-notices.ts';
import type { AgentOperatorOptions } from './agent-options.ts';
import { AgentOutputs } from './agent-outputs.ts';
import { Run, type Accepted, type ActionTask } from './agent-run.ts';
import { AgentState } from './agent-state.ts';
import { checkErrorOptions, letterOf } from './dead-letter.ts';
import { KeyTurns } from './key-turns.ts';

/** The agent's resources, by type and name; resolved when the job starts. */
export interface AgentResources {
  get(type: string, name: string): unknown;
}

/** An agent that is open, and where its warnings go. */
export interface AgentParts {
  readonly agent: CompiledAgent;
  readonly resources: AgentResources;
  /** @defaultValue nowhere */
  readonly warnings?: Warnings | undefined;
  /** Sees each event of each run when its turn comes, outputs too; again when a turn is replayed. */
  readonly onEvent?: ((event: Event) => void) | undefined;
}

/**
 * Events of one turn. A run that has more goes on in another, so that the loop is given back (I20) and a signal is
 * heard.
 */
const eventsPerTurn = 500;

/** A run goes on with the events that wait in it. */
interface Continuation {
  readonly run: string;
}

export const applyAgent =
  <I, O>(parts: AgentParts, options: AgentOperatorOptions = {}): Operator<I, O> =>
  (context) =>
    new AgentOperator<I, O>(context, parts, options);

class AgentOperator<I, O> implements Processor<I> {
  readonly #context: OperatorContext<O>;
  readonly #agent: CompiledAgent;
  readonly #inputClass;
  readonly #onEvent: AgentParts['onEvent'];
  readonly #onPlanChange: AgentOperatorOptions['onPlanChange'];
  readonly #onError: ReturnType<typeof checkErrorOptions>;
  readonly #eventsMax: number;
  readonly #state: AgentState<I>;
  readonly #turns: KeyTurns<Accepted<I>>;
  readonly #actions: AgentActions<I>;
  readonly #continuations: Work<Continuation>;
  readonly #outputs: AgentOutputs<O>;
  readonly #notices: AgentNotices;
  /** Inputs accepted and not finished. */
  readonly #inputs: Place;
  readonly #eventsProcessed;
  /** Open runs. */
  readonly #runs = new Map<MapKey, Run<I>>();
  /** The copy of the input in hand that its first actions get, until it is taken. */
  #given: { readonly value: I } | undefined;
  /** How many more events this turn takes. */
  #eventsLeft = eventsPerTurn;

  constructor(context: OperatorContext<O>, parts: AgentParts, options: AgentOperatorOptions) {
    const { agent, resources, warnings = new Warnings(), onEvent } = parts;
    const {
      outputOrder = 'completion',
      asyncConcurrency = 1000,
      pendingMax = 2 * asyncConcurrency,
      eventsMax = 10_000,
    } = options;
    this.#context = context;
    this.#agent = agent;
    this.#inputClass = classOf(InputEvent.type, agent.eventClasses);
    this.#onEvent = onEvent;
    this.#onPlanChange = options.onPlanChange;
    this.#onError = checkErrorOptions(options);
    this.#eventsMax = eventsMax;
    this.#state = new AgentState(context, agent.eventClasses);
    this.#outputs = new AgentOutputs(context, { order: outputOrder, deadLetters: options.deadLetters });
    this.#notices = new AgentNotices(context, agent.plan.agentName, warnings);
    this.#inputs = context.place({ name: 'inputs', max: pendingMax });
    this.#turns = new KeyTurns(context, {
      name: 'inbox',
      begin: (input) => this.#begin(input),
      waitingPerKeyMax: options.pendingPerKeyMax,
    });
    this.#eventsProcessed = context.metrics.getMeter('numOfEventProcessed');
    this.#actions = new AgentActions({
      context,
      agent,
      resources,
      warnings,
      options,
      onError: this.#onError,
      eventsMax,
      memory: this.#state.memoryOf,
      runOf: (key) => this.#runs.get(mapKeyOf(key)),
      apply: (task, outcome) => this.#applyAction(task, outcome),
    });
    this.#continuations = context.work<Continuation, null>({
      name: 'continuation',
      run: async () => null,
      apply: ({ run }) => this.#continue(run),
      identity: () => 'continuation',
      placeless: true,
      owned: true,
    });
  }

  process(value: I, timestamp: Timestamp): void {
    const own = this.#ownInput(value, timestamp);
    if (own === undefined) return;
    this.#eventsLeft = eventsPerTurn;
    this.#inputs.add(1);
    const { busy } = this.#turns;
    const hold = this.#outputs.hold(timestamp, busy);
    const input = {
      number: this.#context.sequence(),
      key: this.#context.currentKey(),
      value: busy ? own.value : value,
      timestamp,
      hold,
    };
    this.#given = busy ? undefined : own;
    this.#turns.arrive(input, busy);
    this.#given = undefined;
  }

  /** After a restart: runs that were open go on, inputs that waited wait again. */
  async open(): Promise<void> {
    this.#inputs.add(await this.#turns.open(this.#state.run, () => this.#resume()));
  }

  async close(): Promise<void> {
    this.#turns.close();
  }

  /**
   * The input as the agent's own: others may hold what was handed over. Undefined for one that can't be kept, which is
   * a failure of that input and of no other.
   */
  #ownInput(value: I, timestamp: Timestamp): { readonly value: I } | undefined {
    try {
      return { value: this.#context.handOver(value) };
    } catch (cause) {
      const { uid } = this.#context;
      const key = this.#context.currentKey();
      const agent = this.#agent.plan.agentName;
      const message = `the input of agent '${agent}' for key ${keyText(key)} can not be kept: ${messageOf(cause)}`;
      const error = new StreamError('NOT_SERIALISABLE', message, { details: { uid, agent, key } });
      if (this.#onError === 'fail') throw error;
      this.#context.metrics.getCounter('numOfInputsRefused').inc();
      // In the letter stands what can be stored of it.
      if (this.#onError === 'dead-letter')
        this.#outputs.refused(letterOf({ key, input: storableCopy(value), action: uid, error }), timestamp);
      return undefined;
    }
  }

  // ---------- runs

  /** Begins the run of an input, as a new one or in the place of one of another plan. True while it is open. */
  #begin(input: Accepted<I>, before?: Run<I>): boolean {
    const { branch, uid } = this.#context;
    // A run that begins anew makes other events than before, so it needs another name.
    const id = before === undefined ? `${branch}.${uid}.${this.#context.keyGroup()}.${input.number}` : `${before.id}r`;
    const run = new Run<I>({ id, input, planHash: this.#agent.plan.hash });
    if (before !== undefined) Object.assign(run, { hold: before.hold, kept: before.kept });
    // Actions may change what they are given, and the input of a run is kept beside: for its letter, or to begin anew.
    const value = this.#given?.value ?? this.#context.handOver(input.value);
    run.borrows = this.#given !== undefined;
    run.spare = this.#given;
    this.#given = undefined;
    const sourceTimestamp = input.timestamp === MIN_TIMESTAMP ? undefined : input.timestamp;
    return this.#advance(run, [
      stampEvent(new InputEvent(value), { id, sourceTimestamp }, undefined, this.#inputClass),
    ]);
  }

  #resume(): void {
    const run = this.#state.resume();
    if (run === undefined) return;
    const { agentName, hash } = this.#agent.plan;
    const changed = run.planHash !== hash;
    if (changed && this.#onPlanChange === 'fail') {
      throw new StreamError('PLAN_CHANGED', `the plan of agent "${agentName}" changed while run ${run.id} was open`);
    }
    run.outdated = changed && this.#onPlanChange === 'restart-run';
    this.#runs.set(mapKeyOf(run.input.key), run);
  }

  #applyAction({ run: id, action }: ActionTask, outcome: Outcome<ActionEffects>): void {
    const run = this.#reopened(id);
    if (run === undefined) return;
    let events: readonly Event[] = [];
    if (outcome.ok) events = this.#take(run, action, outcome.value);
    else if (this.#failed(run, action, outcome.error)) return void this.#fail(run);
    if (run.queue === undefined) return void this.#advance(run, [...events]);
    for (const event of events) this.#state.enqueue(run, event); // Behind those that wait already.
    this.#keep(run);
  }

  #continue(id: string): void {
    const run = this.#reopened(id);
    if (run !== undefined) this.#advance(run, []);
  }

  /** The open run of the current key, of which something has ended. Undefined when it is over, or has begun anew. */
  #reopened(id: string): Run<I> | undefined {
    const run = this.#runs.get(mapKeyOf(this.#context.currentKey()));
    if (run === undefined || run.id !== id) return undefined; // The run ended without it: a late result is refused.
    this.#eventsLeft = eventsPerTurn;
    run.open -= 1;
    if (!run.isOver) return run;
    if (run.open > 0) this.#keep(run);
    else if (run.failed) this.#end(run);
    else {
      this.#state.forget(run);
      this.#begin(run.input, run);
    }
    return undefined;
  }

  /**
   * Goes on with a run until nothing is left of it or this turn has had its share. False when it has ended. The list of
   * events is its own from now on.
   */
  #advance(run: Run<I>, events: Event[]): boolean {
    if (!this.#dispatch(run, events)) return this.#fail(run);
    if (run.open > 0) {
      this.#keep(run);
      return true;
    }
    this.#state.remember(run, this.#notices.conflict);
    this.#end(run);
    return false;
  }

  /**
   * The run has failed. What others of its actions have begun may cost money and change what is outside, so it keeps
   * its key until they have ended too (I1). True while any is open.
   */
  #fail(run: Run<I>): boolean {
    run.fail();
    if (run.open > 0) this.#keep(run);
    else this.#end(run);
    return run.open > 0;
  }

  /** Keeps an open run, with a hold that keeps later watermarks behind it. */
  #keep(run: Run<I>): void {
    if (!run.kept) this.#outputs.keep(run);
    this.#state.keep(run);
    this.#runs.set(mapKeyOf(run.input.key), run);
  }

  /** Ends a run; the next input of its key begins. */
  #end(run: Run<I>): void {
    this.#state.forget(run);
    this.#inputs.add(-1);
    this.#outputs.ended(run);
    if (!run.kept) return;
    this.#runs.delete(mapKeyOf(run.input.key));
    this.#turns.ended();
  }

  // ---------- events

  /**
   * Runs what these events trigger, or those that wait in the run, breadth first; asynchronous actions are submitted.
   * False when the run has failed.
   */
  #dispatch(run: Run<I>, events: Event[]): boolean {
    for (let at = 0; at < events.length || run.queue !== undefined; at += 1) {
      if (this.#eventsLeft === 0) {
        this.#postpone(run, events.slice(at));
        return true;
      }
      this.#eventsLeft -= 1;
      const event = run.queue === undefined ? events[at] : this.#state.dequeue(run);
      if (event === undefined) {
        run.queue = undefined;
        return true;
      }
      this.#eventsProcessed.inc();
      if (this.#onEvent !== undefined) this.#onEvent(this.#ownEvent(event));
      if (event.type === EventType.OutputEvent) this.#outputs.emit(run, event.attributes['output']);
      else if (this.#tooMany(run, event) || this.#trigger(run, event, events)) return false;
    }
    return true;
  }

  /** The run goes on in a turn of its own: these events wait for it, behind those that do already. */
  #postpone(run: Run<I>, events: readonly Event[]): void {
    for (const event of events) this.#state.enqueue(run, event);
    run.open += 1;
    this.#continuations.submit({ run: run.id });
  }

  /** Runs the actions of one event; what they send comes behind `events`. True when the run has failed. */
  #trigger(run: Run<I>, event: Event, events: Event[]): boolean {
    const actions = this.#agent.plan.actionsFor(event);
    if (actions.length === 0) this.#notices.unhandled(event);
    const alone = actions.length === 1;
    if (alone && actions[0]?.kind === 'sync') run.spare = undefined; // It is given the event itself.
    for (const action of actions) {
      if (action.kind === 'async') this.#actions.submit(run, action, event);
      else if (this.#runNow(run, action, { event: alone ? event : this.#ownEvent(event), events })) return true;
    }
    return false;
  }

  #runNow(
    run: Run<I>,
    action: PlannedAction,
    { event, events }: { readonly event: Event; readonly events: Event[] },
  ): boolean {
    let effects: ActionEffects;
    try {
      effects = this.#actions.runNow(run, action, event);
    } catch (error) {
      return this.#failed(run, action.name, error);
    }
    for (const sent of this.#take(run, action.name, effects)) {
      if (run.queue === undefined) events.push(sent);
      else this.#state.enqueue(run, sent);
    }
    return false;
  }

  /** Takes an action's changes, and gives its events. */
  #take(run: Run<I>, action: string, effects: ActionEffects): readonly Event[] {
    this.#actions.count(action);
    run.take(effects);
    return effects.events;
  }

  /** The event for one of several readers. */
  #ownEvent(event: Event): Event {
    const { type, attributes } = event;
    const { eventClasses } = this.#agent;
    // It was stamped when it was sent.
    return stampEvent(event, event as EventStamp, this.#context.handOver(attributes), classOf(type, eventClasses));
  }

  // ---------- failures

  /** Whether the run has had its share of events and ends here. */
  #tooMany(run: Run<I>, { type, upstreamActionName }: Event): boolean {
    run.events += 1;
    if (run.events <= this.#eventsMax) return false;
    const { agentName } = this.#agent.plan;
    const { uid } = this.#context;
    const message = `a run of agent '${agentName}' for key ${keyText(run.input.key)} has had ${this.#eventsMax} events, and then one of type '${type}'`;
    const details = { uid, agent: agentName, key: run.input.key, type, action: upstreamActionName ?? '' };
    this.#failed(run, upstreamActionName ?? agentName, new StreamError('RUN_EVENTS_EXCEEDED', message, { details }));
    return true;
  }

  /**
   * An action failed for good: the job fails, the run ends among the dead letters (true), or the action had no effect.
   */
  #failed(run: Run<I>, action: string, error: unknown): boolean {
    if (!takesFailure(this.#onError, error, accessErrorOf(this.#agent.plan.config))) throw error;
    this.#context.metrics.getCounter('numOfActionsFailed').inc();
    if (this.#onError === 'ignore') return false;
    const { key, value } = run.input;
    const input = this.#context.handOver(value); // The run and its open actions may be stored later.
    this.#outputs.letter(run, letterOf({ key, input, action, error }));
    return true; // The key's memory stays as it was.
  }
}
