/**
 * What an action may do, for one execution of it. The context buffers: events and memory changes are handed over as plain data when the
 * action has ended, and the operator makes them happen in a turn (I13). Ids, time and randomness are derived from the execution, so
 * that a replayed action makes the same events (I6, I9). After the action has ended the context refuses every use.
 *
 * Inside a durable function memory and `sendEvent` can be reached, but must not be used: replay does not run that function.
 */
import { hash } from 'node:crypto';
import type { Timestamp } from '../core/element.ts';
import { messageOf, StreamError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { MetricGroup } from '../core/metric.ts';
import type { CallContext, CallOptions, WorkContext } from '../core/operator.ts';
import { durationMs, knownOptions, refusal } from '../core/options.ts';
import { checkRetry } from '../core/retry-options.ts';
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
} from './contract.ts';
import { detached } from './detached.ts';
import { classOf, Event, eventToJson, OutputEvent, stampEvent, type EventClass, type EventJson } from './event.ts';
import { MemoryView, type MemoryChange, type MemoryObject, type MemoryType } from './memory.ts';
import { StartedCalls } from './started-calls.ts';

const noChanges: readonly MemoryChange[] = [];

/** What an event has of its own; all else is in its attributes. */
const eventFieldCount = Object.keys(new Event('any')).length;

const durableOptionNames = ['args', 'reconciler', 'timeout', 'retry'] as const satisfies readonly (keyof DurableOptions<unknown>)[];

const noOptions: DurableOptions<never> = {};

/** A durable function of the user that was started, an attempt of it. */
interface StartedCall {
  readonly id: string;
  readonly call: CallContext;
}

/** The context of one execution. */
export class ActionContext implements RunnerContext {
  readonly #host: ActionHost;
  readonly #agent: RunningAgent;
  readonly #events: Event[] = [];
  #shortTerm: MemoryView | undefined;
  #sensory: MemoryView | undefined;
  #ended = false;
  #draws = 0;
  /** Those whose function was started and may be running. */
  #running: StartedCall[] | undefined;
  #calls: StartedCalls | undefined;
  /** The call whose function is in its synchronous part. */
  #currentCall: CallContext | undefined;

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
    this.#check('random');
    return Number.parseInt(this.#draw('random').slice(0, 13), 16) / 2 ** 52;
  }

  uuid(): string {
    this.#check('uuid');
    const hex = this.#draw('uuid');
    const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }

  sendEvent<E extends Event>(event: E): E {
    this.#check('sendEvent');
    const { action, event: trigger, id, timestamp } = this.#host;
    if (!(event instanceof Event)) throw refusal('event', 'an Event', event);
    if (event === (trigger as Event) || (event.id !== undefined && event.id === trigger.id)) {
      const why = 'output event ids must differ from the triggering event id';
      throw new StreamError('ACTION_FAILED', `action '${action.name}' can not emit its triggering event ${trigger.id}; ${why}`, {
        retryable: false,
      });
    }
    const type = this.#arrivingAs(event);
    const stamp = {
      id: `${id}:${this.#events.length}`,
      upstreamEventId: trigger.id,
      upstreamActionName: action.name,
      sourceTimestamp: timestamp,
    };
    const stamped = stampEvent(event, stamp, this.#attributes(event), type);
    this.#events.push(stamped);
    return stamped;
  }

  output(value: unknown): void {
    this.sendEvent(new OutputEvent(value));
  }

  get shortTermMemory(): MemoryObject {
    this.#check('shortTermMemory');
    return (this.#shortTerm ??= this.#view('SHORT_TERM', this.#host.shortTermMemory));
  }

  get sensoryMemory(): MemoryObject {
    this.#check('sensoryMemory');
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

  durableExecute<R>(idOrCallable: string | DurableCallable<R>, fn?: DurableFunction<R>, options: DurableOptions<R> = noOptions): Promise<R> {
    if (typeof idOrCallable !== 'object' || idOrCallable === null) return this.#durable(idOrCallable, fn, options);
    const { reconciler } = idOrCallable;
    const asked = reconciler === undefined ? noOptions : { reconciler: () => reconciler.call(idOrCallable) };
    return this.#durable(idOrCallable.id, () => idOrCallable.call(), asked);
  }

  durableExecuteAsync<R>(idOrCallable: string | DurableCallable<R>, fn?: DurableFunction<R>, options?: DurableOptions<R>): Promise<R> {
    return this.durableExecute(idOrCallable as string, fn as DurableFunction<R>, options); // either overload goes the same way
  }

  get idempotencyKey(): string {
    this.#work('idempotencyKey');
    if (this.#currentCall !== undefined) return this.#currentCall.idempotencyKey;
    const open = this.#running?.filter(({ call }) => call.isOpen) ?? [];
    const [only] = open;
    if (only !== undefined && open.length === 1) return only.call.idempotencyKey;
    const where = only === undefined ? 'no durable call is open' : `${open.length} durable calls are open`;
    throw new TypeError(
      `Expected to know which durable call asks for \`idempotencyKey\`, but ${where}; take it from the second parameter of its function`,
    );
  }

  get signal(): AbortSignal {
    return this.#work('signal').signal;
  }

  /** Ends the execution and refuses further use: gives what it wants to happen. */
  effects(): ActionEffects {
    this.end();
    return { events: this.#events, shortTermChanges: this.#shortTerm?.written ?? noChanges, sensoryChanges: this.#sensory?.written ?? noChanges };
  }

  /** The same as plain data. */
  result(): ActionResult {
    const effects = this.effects();
    return { ...effects, events: effects.events.map(eventToJson) };
  }

  /** Refuses further use. May be called twice. */
  end(): void {
    this.#ended = true;
  }

  /** A durable call whose function takes the call alone, so that a signal is made only when it is read. For the built-in actions. */
  callDurably<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options: CallOptions<R>): Promise<R> {
    return this.#work('durableExecute').call(id, fn, options);
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
    const unseen = this.#calls?.takeUnseen() ?? [];
    const { action } = this.#host;
    if (unseen.length > 0) {
      const calls = unseen.map((id) => `'${id}'`).join(', ');
      throw new StreamError('ACTION_FAILED', `action '${action.name}' of agent '${this.agentName}' ended without awaiting durable call ${calls}`, {
        retryable: false,
        hint: 'await what the action starts: the outcome of a call that nobody awaits is lost',
        details: { agent: this.agentName, action: action.name, calls: unseen, key: this.key },
      });
    }
    for (const { id, call } of this.#running ?? []) {
      if (!call.isOpen) continue;
      this.agentMetricGroup.getCounter('numOfCallsLeftBehind').inc();
      const message = `action '${action.name}' ended while durable call '${id}' was running; its outcome is lost`;
      this.warnOnce(`left behind ${id}`, { call: id, callId: call.id, key: this.key }, message);
    }
  }

  #durable<R>(id: string, fn: DurableFunction<R> | undefined, options: DurableOptions<R>): Promise<R> {
    if (typeof id !== 'string' || id === '') throw refusal('id', 'a non-empty string', id);
    if (typeof fn !== 'function') throw refusal('fn', 'a function', fn);
    const { args, reconciler, timeout, retry } = options;
    if (options !== noOptions) {
      knownOptions('durableExecute', options, durableOptionNames);
      if (retry !== undefined) checkRetry('retry', retry);
      if (reconciler !== undefined && typeof reconciler !== 'function') throw refusal('reconciler', 'a function', reconciler);
    }
    const promise = this.callDurably(id, (call) => this.#keyed(id, fn, call), {
      args,
      reconciler: reconciler === undefined ? undefined : (call) => this.#keyed(id, reconciler, call),
      timeoutMs: timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 }),
      retry,
    });
    return (this.#calls ??= new StartedCalls()).watch(id, promise);
  }

  /** Runs a durable function while `idempotencyKey` is that of its call. */
  #keyed<R>(id: string, fn: DurableFunction<R>, call: CallContext): R | Promise<R> {
    const outer = this.#currentCall;
    this.#running = this.#running?.filter((each) => each.call.isOpen) ?? [];
    this.#running.push({ id, call });
    this.#currentCall = call;
    try {
      return takesNothing(fn) ? fn() : fn(call.signal, call);
    } finally {
      this.#currentCall = outer;
    }
  }

  /** The class an event has when it arrives, in a synchronous action as in one that reads it from the journal. */
  #arrivingAs(event: Event): EventClass {
    const known = classOf(event.type, this.#agent.eventClasses);
    const { constructor } = event;
    if (constructor !== (known as unknown) && !(known.prototype instanceof constructor)) {
      const what = `\`${constructor.name}\` (an event of type '${event.type}')`;
      throw new TypeError(
        `Expected agent '${this.agentName}' to know the class ${what}, so that it arrives as one: name the class as a trigger, or list it in the agent's \`events\``,
      );
    }
    if (Object.keys(event).length > eventFieldCount) {
      const known = Object.keys(new Event('any'));
      const extra = Object.keys(event).filter((field) => !known.includes(field));
      const fields = extra.map((field) => `\`${field}\``).join(', ');
      throw new TypeError(`Expected event '${event.type}' to have no fields of its own, got ${fields}: put it into attributes, which are all that is sent`);
    }
    return known;
  }

  #view(type: MemoryType, { base, changes }: MemorySnapshot): MemoryView {
    return new MemoryView({ type, base, changes, guard: () => this.#check('memory') });
  }

  #attributes(event: Event): EventJson['attributes'] {
    try {
      return detached(event.attributes);
    } catch (cause) {
      const details = { action: this.#host.action.name, type: event.type };
      throw new StreamError('NOT_SERIALISABLE', `event '${event.type}' can not be sent: ${messageOf(cause)}`, { cause, details });
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
      details: { action: action.name },
    });
  }

  #check(what: string): void {
    if (this.#ended)
      throw new TypeError(`\`${what}\` of action '${this.#host.action.name}' was used after the action had ended; await what it starts`);
  }
}

/**
 * Whether a function can not see its arguments: an arrow function without parameters, which has no `arguments` of its own. Only then none
 * are made, since a signal costs more than all the rest of a call. `length` does not tell, it is 0 with rest and default parameters too.
 */
const takesNothing = <R>(fn: (...args: never[]) => R): fn is () => R =>
  fn.length === 0 && /^(?:async\s*)?\(\s*\)\s*=>/.test(Function.prototype.toString.call(fn));
