/**
 * What an action may do, for one execution of it. The context buffers: events and memory changes are handed over as
 * plain data when the action has ended, and the operator makes them happen in a turn (I13). Ids, time and randomness
 * are derived from the execution, so that a replayed action makes the same events (I6, I9). After the action has ended
 * the context refuses every use.
 *
 * A durable function is not run by a replay, so inside it the context refuses what the function would leave behind
 * (I21).
 */
import { hash } from 'node:crypto';
import type { Timestamp } from '../../core/element.ts';
import { messageOf, StreamError } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { MetricGroup } from '../../core/metric.ts';
import { timeoutMsOf, type CallContext, type CallOptions } from '../../core/call.ts';
import type { WorkContext } from '../../core/work.ts';
import { refusal } from '../../core/options.ts';
import { ownCopy } from '../../core/own-copy.ts';
import type {
  ActionEffects,
  ActionHost,
  ActionResult,
  DurableCallable,
  DurableFunction,
  DurableOptions,
  MemorySnapshot,
  ResourceType,
  RunnerContext,
  RunningAgent,
} from '../contract.ts';
import { noteSent } from '../schemas/asked-schemas.ts';
import { actionFacts } from './action-facts.ts';
import { bodyOf, runBody } from './durable-body.ts';
import { checkDurable, noOptions } from './durable-options.ts';
import { classOf } from '../events/event-classes.ts';
import type { EventClass, EventJson } from '../events/event.ts';
import { Event, eventToJson, fieldCount, OutputEvent, stampEvent } from '../events/event.ts';
import { MemoryView, type MemoryChange, type MemoryObject, type MemoryType } from '../memory/memory.ts';
import { SentBound } from './sent-bound.ts';
import { StartedCalls } from './started-calls.ts';

const noEvents: readonly Event[] = [];
const noChanges: readonly MemoryChange[] = [];

/** What an event has of its own; all else is in its attributes. */
const eventFieldCount = fieldCount(new Event('any'));

/** The context of one execution. */
export class ActionContext implements RunnerContext {
  readonly #host: ActionHost;
  readonly #agent: RunningAgent;
  /** Made with the first: most actions send no other. */
  #events: Event[] | undefined;
  #shortTerm: MemoryView | undefined;
  #sensory: MemoryView | undefined;
  #ended = false;
  #draws = 0;
  /** Made with the first durable call. */
  #calls: StartedCalls | undefined;
  /** Made with the first event that is sent. */
  #sent: SentBound | undefined;

  constructor(host: ActionHost, agent: RunningAgent) {
    this.#host = host;
    this.#agent = agent;
  }

  get key(): Key {
    return this.#host.key;
  }

  get timestamp(): Timestamp | undefined {
    return this.#host.timestamp;
  }

  now(): Timestamp {
    this.#check('now');
    return this.#host.work?.submittedAt ?? this.#host.now();
  }

  random(): number {
    this.#checkOutside('random');
    return Number.parseInt(this.#draw('random').slice(0, 13), 16) / 2 ** 52;
  }

  uuid(): string {
    this.#checkOutside('uuid');
    const hex = this.#draw('uuid');
    const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }

  sendEvent<E extends Event>(event: E): E {
    this.#checkOutside('sendEvent');
    const { action, event: trigger, id, timestamp } = this.#host;
    if (!(event instanceof Event)) throw refusal('event', 'an Event', event);
    if (event === trigger || (event.id !== undefined && event.id === trigger.id)) {
      const why = 'output event ids must differ from the triggering event id';
      throw new StreamError(
        'ACTION_FAILED',
        `action '${action.name}' can not emit its triggering event ${trigger.id}; ${why}`,
        { retryable: false, details: actionFacts(this.#host, this.agentName) },
      );
    }
    const type = this.#arrivingAs(event);
    (this.#sent ??= new SentBound()).count(event.type, this.#host, this.#agent);
    const stamp = {
      id: `${id}:${this.#events?.length ?? 0}`,
      upstreamEventId: trigger.id,
      upstreamActionName: action.name,
      sourceTimestamp: timestamp,
    };
    const sent = stampEvent(event, stamp, this.#attributes(event), type);
    if (this.#events === undefined) this.#events = [sent];
    else this.#events.push(sent);
    noteSent(event, this.jobId, stamp.id);
    // The sender keeps its own attributes: what it does with them later is nothing that was sent (I21).
    return stampEvent(event, stamp, event.attributes, type);
  }

  output(value: unknown): void {
    this.sendEvent(new OutputEvent(value));
  }

  get shortTermMemory(): MemoryObject {
    this.#checkOutside('shortTermMemory');
    return (this.#shortTerm ??= this.#view('SHORT_TERM', this.#host.shortTermMemory));
  }

  get sensoryMemory(): MemoryObject {
    this.#checkOutside('sensoryMemory');
    return (this.#sensory ??= this.#view('SENSORY', this.#host.sensoryMemory));
  }

  getShortTermMemory(): MemoryObject {
    return this.shortTermMemory;
  }

  getSensoryMemory(): MemoryObject {
    return this.sensoryMemory;
  }

  getResource<R = unknown>(type: ResourceType, name: string): R {
    this.#check('getResource');
    return this.#host.resources.get(type, name) as R; // the caller says what was registered
  }

  get agentMetricGroup(): MetricGroup {
    return this.#host.metrics;
  }

  get actionMetricGroup(): MetricGroup {
    return this.#host.metrics.getSubGroup('action', this.#host.action.name);
  }

  get jobId(): string {
    return this.#host.jobId ?? '';
  }

  get agentName(): string {
    return this.#agent.plan.agentName;
  }

  get agentConfig(): Readonly<Record<string, unknown>> {
    return this.#agent.plan.config;
  }

  get actionConfig(): Readonly<Record<string, unknown>> {
    return this.#host.action.config;
  }

  getActionConfigValue<T = unknown>(name: string): T | undefined {
    const { config } = this.#host.action;
    return Object.hasOwn(config, name) ? (config[name] as T) : undefined; // the caller says what was configured
  }

  durableExecute<R>(
    idOrCallable: string | DurableCallable<R>,
    fn?: DurableFunction<R>,
    options: DurableOptions<R> = noOptions,
  ): Promise<R> {
    if (typeof idOrCallable !== 'object' || idOrCallable === null) return this.#durable(idOrCallable, fn, options);
    const { reconciler } = idOrCallable;
    const asked = reconciler === undefined ? noOptions : { reconciler: () => reconciler.call(idOrCallable) };
    return this.#durable(idOrCallable.id, () => idOrCallable.call(), asked);
  }

  durableExecuteAsync<R>(
    idOrCallable: string | DurableCallable<R>,
    fn?: DurableFunction<R>,
    options?: DurableOptions<R>,
  ): Promise<R> {
    // either overload goes the same way
    return this.durableExecute(idOrCallable as string, fn as DurableFunction<R>, options);
  }

  get idempotencyKey(): string {
    this.#work('idempotencyKey');
    const body = bodyOf(this);
    if (body !== undefined) return body.call.idempotencyKey;
    throw new TypeError('Expected `idempotencyKey` to be read inside a durable function: it is the key of its call');
  }

  get signal(): AbortSignal {
    const { signal } = this.#work('signal');
    return this.#host.signalOf?.(signal) ?? signal;
  }

  /** Ends the execution and refuses further use: gives what it wants to happen. */
  effects(): ActionEffects {
    this.end();
    return {
      events: this.#events ?? noEvents,
      shortTermChanges: this.#shortTerm?.written ?? noChanges,
      sensoryChanges: this.#sensory?.written ?? noChanges,
    };
  }

  /** The same as plain data. */
  result(): ActionResult {
    const { events, shortTermChanges, sensoryChanges } = this.effects();
    return { events: events.map(eventToJson), shortTermChanges, sensoryChanges };
  }

  /** Refuses further use. May be called twice. */
  end(): void {
    this.#ended = true;
  }

  /**
   * A durable call whose function takes the call alone, so that a signal is made only when it is read. For the built-in
   * actions.
   */
  callDurably<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options: CallOptions<R>): Promise<R> {
    const work = this.#work('durableExecute');
    return this.#host.isOver === true ? Promise.reject(runIsOver(this.#host, id)) : work.call(id, fn, options);
  }

  /** Warns whoever runs the job, once per topic. */
  warnOnce(topic: string, facts: Readonly<Record<string, unknown>>, message: string): void {
    const { warnings, action } = this.#host;
    warnings?.once(`${topic} ${action.name}`, { agent: this.agentName, action: action.name, ...facts }, message);
  }

  /** The action has failed: its calls may do as they like. */
  letGoOfCalls(): void {
    this.#calls?.takeUnseen();
  }

  /** Refuses an end with calls that nobody awaits, and tells of those that were left behind. */
  checkCalls(): void {
    const unseen = this.#calls?.takeUnseen();
    const { action } = this.#host;
    if (unseen !== undefined && unseen.length > 0) {
      const calls = unseen.map((id) => `'${id}'`).join(', ');
      throw new StreamError(
        'ACTION_FAILED',
        `action '${action.name}' of agent '${this.agentName}' ended without awaiting durable call ${calls}`,
        {
          retryable: false,
          hint: 'await what the action starts: the outcome of a call that nobody awaits is lost',
          details: { ...actionFacts(this.#host, this.agentName), calls: unseen },
        },
      );
    }
    for (const { id, call } of this.#calls?.running() ?? []) {
      this.agentMetricGroup.getCounter('numOfCallsLeftBehind').inc();
      const message = `action '${action.name}' ended while durable call '${id}' was running; its outcome is lost`;
      this.warnOnce(`left behind ${id}`, { call: id, callId: call.id, key: this.key }, message);
    }
  }

  /** Throws where an action may make no call at all; whatever else becomes of a call its promise says. */
  #durable<R>(id: string, fn: DurableFunction<R> | undefined, options: DurableOptions<R>): Promise<R> {
    this.#checkOutside('durableExecute');
    this.#work('durableExecute');
    const calls = (this.#calls ??= new StartedCalls());
    return calls.watch(id, this.#started(id, fn, options));
  }

  #started<R>(id: string, fn: DurableFunction<R> | undefined, options: DurableOptions<R>): Promise<R> {
    try {
      const body = checkDurable(id, fn, options);
      const { args, reconciler, retry } = options;
      return this.callDurably(id, (call) => this.#runBody(id, body, call), {
        args,
        reconciler: reconciler === undefined ? undefined : (call) => this.#runBody(id, reconciler, call),
        timeout: timeoutMsOf(options),
        retry,
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #runBody<R>(id: string, fn: DurableFunction<R>, call: CallContext): R | Promise<R> {
    const body = { owner: this, id, call };
    this.#calls?.began(body);
    return takesNothing(fn) ? runBody(body, fn) : runBody(body, fn, call.signal, call);
  }

  /** The class an event has when it arrives, in a synchronous action as in one that reads it from the journal. */
  #arrivingAs(event: Event): EventClass {
    const known = classOf(event.type, this.#agent.eventClasses);
    const { constructor } = event;
    // Two classes are compared, whatever their types.
    if (constructor !== (known as unknown) && !(known.prototype instanceof constructor)) {
      const what = `\`${constructor.name}\` (an event of type '${event.type}')`;
      throw new TypeError(
        `Expected agent '${this.agentName}' to know the class ${what}, so that it arrives as one: name the class as a trigger, or list it in the agent's \`events\``,
      );
    }
    if (fieldCount(event) > eventFieldCount) {
      const known = Object.keys(new Event('any'));
      const extra = Object.keys(event).filter((field) => !known.includes(field));
      const fields = extra.map((field) => `\`${field}\``).join(', ');
      throw new TypeError(
        `Expected event '${event.type}' to have no fields of its own, got ${fields}: put it into attributes, which are all that is sent`,
      );
    }
    return known;
  }

  #view(type: MemoryType, { base, changes }: MemorySnapshot): MemoryView {
    return new MemoryView({ type, base, changes, guard: () => this.#checkOutside('memory') });
  }

  #attributes(event: Event): EventJson['attributes'] {
    try {
      return ownCopy(event.attributes);
    } catch (cause) {
      const details = { ...actionFacts(this.#host, this.agentName), type: event.type };
      throw new StreamError('NOT_SERIALISABLE', `event '${event.type}' can not be sent: ${messageOf(cause)}`, {
        cause,
        details,
      });
    }
  }

  #draw(purpose: string): string {
    this.#draws += 1;
    const { jobId = '', id } = this.#host;
    return hash('sha256', `${purpose}:${jobId}:${id}:${this.#draws}`, 'hex');
  }

  #work(what: string): WorkContext {
    this.#check(what);
    const { action, work } = this.#host;
    if (work !== undefined) return work;
    throw new StreamError('ASYNC_IN_TURN', `action '${action.name}' is synchronous and used \`${what}\``, {
      hint: 'make the action an async function, or set `async: true`',
      details: actionFacts(this.#host, this.agentName),
    });
  }

  /** Refuses what a durable function would leave behind, since a replay does not run it. */
  #checkOutside(what: string): void {
    this.#check(what);
    if (this.#calls === undefined) return;
    const body = bodyOf(this);
    if (body === undefined) return;
    throw new TypeError(
      `Expected \`${what}\` of action '${this.#host.action.name}' to be used outside durable function \`${body.id}\`, ` +
        'which is not run again after a crash; let the function return what it has to say, and use it behind the `await`',
    );
  }

  #check(what: string): void {
    if (this.#ended)
      throw new TypeError(
        `\`${what}\` of action '${this.#host.action.name}' was used after the action had ended; await what it starts`,
      );
  }
}

/**
 * Whether a function can not see its arguments: an arrow function without parameters, which has no `arguments` of its
 * own. Only then none are made, since a signal costs more than all the rest of a call. `length` does not tell, it is 0
 * with rest and default parameters too. The text decides what a call costs and nothing else, whatever a minifier makes
 * of it (I19).
 */
const takesNothing = <R>(fn: (...args: never[]) => R): fn is () => R =>
  fn.length === 0 && /^(?:async\s*)?\(\s*\)\s*=>/.test(Function.prototype.toString.call(fn));

/** Nobody waits for the action, so this reaches its own code and nobody else. */
const runIsOver = ({ action }: ActionHost, id: string): StreamError =>
  new StreamError('WORK_ABORTED', `durable call '${id}' of action '${action.name}' can not start: its run has ended`, {
    hint: 'another action of the run has failed; `signal` tells when that happens',
  });
