/**
 * The contracts of this floor on one page: what an agent is made of, what an action may do, and what the operator
 * supplies for one execution of it and takes from it. Types only, so that every other file may lean on them.
 */
import type * as z from 'zod';
import type { Timestamp } from '../core/element.ts';
import type { Key } from '../core/key.ts';
import type { MetricGroup } from '../core/metric.ts';
import type { CallContext, RetryOptions } from '../core/call.ts';
import type { WorkContext } from '../core/work.ts';
import type { Duration } from '../core/options.ts';
import type { AccessError } from '../core/own-failure.ts';
import type { Event, EventClass, EventJson, OutputEvent } from './events/event.ts';
import type { MemoryChange, MemoryObject } from './memory/memory.ts';
import type { MemoryBase } from './memory/memory-index.ts';
import type { JsonSchema } from './schemas/json-schema.ts';
import type { Prompt } from './prompt.ts';
import type { Warnings } from './warnings.ts';

// ---------- what an agent is made of

/** The built-in types; others pass through by their string. */
export type ResourceType = 'chat_model' | 'chat_model_connection' | 'prompt' | 'tool' | (string & {});

export type ErrorHandling = 'fail' | 'retry' | 'ignore';

/**
 * What follows an answer that does not fit the output schema: the model is asked again and told why, or the request has
 * failed.
 */
export type UnfitAnswer = 'retry' | 'fail';

export interface RetrySettings {
  /** Attempts after the first one. @defaultValue 3 */
  readonly maxRetries?: number | undefined;
  /** Wait before the first retry; it doubles with each. @defaultValue '1s' */
  readonly retryWaitInterval?: Duration | undefined;
}

/** A chat model as an agent names it: a connection and what is sent over it. */
export interface ChatModelSetup {
  /** Name of a `chat_model_connection`. */
  readonly connection: string;
  /** Name at the provider. @defaultValue the connection's */
  readonly model?: string | undefined;
  /** Name of a prompt resource, or a prompt: its messages come before those of the request. @defaultValue none */
  readonly prompt?: string | Prompt | undefined;
  /** Names of the tools that the model may ask for. @defaultValue none */
  readonly tools?: readonly string[] | undefined;
  /**
   * What its answers must look like, for requests that name no schema of their own: a zod schema or a JSON Schema.
   * Declared here it is refused when the agent is composed if a model can not be told it, is known again after a
   * restart, and gives `event.output` its type.
   * @defaultValue none
   */
  readonly outputSchema?: z.ZodType | JsonSchema | undefined;
  /** Temperature and the like, passed on to the provider; no `messages`. @defaultValue none */
  readonly args?: Readonly<Record<string, unknown>> | undefined;
  /** Limit of one attempt. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /**
   * Requests that this model takes at once at this connection, over all keys and agents; more wait in order. A request
   * that waits to be tried again is not counted, and `timeout` counts from when it is sent. @defaultValue no bound of
   * its own
   */
  readonly concurrency?: number | undefined;
}

export interface AgentOptions {
  /**
   * Raise it to say that the agent behaves differently though its actions have the same names: part of the plan's hash.
   * @defaultValue none
   */
  readonly version?: string | undefined;
  /**
   * What the built-in chat action does when the model fails. `ignore`: it sends a `ChatErrorEvent` instead of an
   * answer. @defaultValue 'fail'
   */
  readonly errorHandling?: ErrorHandling | undefined;
  /** Attempts after the first one, with `errorHandling: 'retry'`. @defaultValue 3 */
  readonly maxRetries?: number | undefined;
  /** Wait before the first of them; it doubles with each, up to a minute. @defaultValue '1s' */
  readonly retryWaitInterval?: Duration | undefined;
  /**
   * What follows an answer that does not fit the output schema, under `errorHandling: 'retry'`: `retry` asks again
   * within `maxRetries` and tells the model what was wrong; `fail` takes it as the failure of the request. Such an
   * answer is paid and journaled either way.
   * @defaultValue 'retry'
   */
  readonly onUnfitAnswer?: UnfitAnswer | undefined;
  /**
   * What becomes of an error that would meet every input alike: a model that answers 401, 403 or 404. `fail-job` fails
   * the job, so that a revoked key does not drain the stream into the dead letters; `as-input` takes it as the failure
   * of the input. @defaultValue 'fail-job'
   */
  readonly onAccessError?: AccessError | undefined;
  /** Rounds of tool calls that one chat request may take. @defaultValue 10 */
  readonly maxToolRounds?: number | undefined;
  /** Settings by the names of Flink Agents, such as `error-handling-strategy`. @defaultValue none */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Classes of events that the agent sends and that no action names as its trigger: they arrive as what they were sent
   * as. @defaultValue none
   */
  readonly events?: readonly EventClass[] | undefined;
}

/** The name of an event type, or a class of events. */
export type Trigger<E extends Event = Event> = string | EventClass<E>;

/**
 * `O` is the type of the agent's outputs. What a handler returns is not looked at, but for the promise of an
 * asynchronous one.
 */
export type ActionHandler<E extends Event = Event, O = unknown> = (event: E, context: RunnerContext<O>) => unknown;

export interface ActionOptions {
  /**
   * Says that the handler is asynchronous though it is not an async function. @defaultValue whether it is an async
   * function
   */
  readonly async?: boolean | undefined;
  /** Read in the handler by `getActionConfigValue`. Plain data: part of the plan. @defaultValue none */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
}

export interface ActionDefinition extends ActionOptions {
  readonly name: string;
  readonly triggers: readonly Trigger[];
  readonly handler: ActionHandler<never>;
}

export interface ResourceDefinition {
  readonly type: ResourceType;
  readonly name: string;
  readonly value: unknown;
}

export interface AgentDefinition {
  readonly name: string;
  readonly actions: readonly ActionDefinition[];
  readonly resources: readonly ResourceDefinition[];
  readonly options: AgentOptions;
}

// ---------- the plan

export type ActionKind = 'sync' | 'async';

export type Config = Readonly<Record<string, unknown>>;

export interface PlannedAction {
  readonly name: string;
  readonly kind: ActionKind;
  /** Exact event types. */
  readonly triggers: readonly string[];
  readonly config: Config;
}

/** What an execution needs of its agent. */
export interface RunningAgent {
  readonly plan: { readonly agentName: string; readonly config: Config };
  /** Classes of events by type, the user's own and ours, so that an event arrives as what it was sent as. */
  readonly eventClasses: ReadonlyMap<string, EventClass>;
}

// ---------- what an action may do

/**
 * A function that is run once and its outcome journaled. Inside it `signal` is aborted at the timeout and when the job
 * stops.
 */
export type DurableFunction<R> = (signal: AbortSignal, call: CallContext) => R | Promise<R>;

export interface DurableOptions<R> {
  /**
   * Arguments of the call; another digest of them at the same place after a crash is a divergence. @defaultValue none
   */
  readonly args?: unknown;
  /**
   * Asked after a crash whether a call that had started took effect: returns its result, or throws `CallNotExecuted`.
   * @defaultValue none: such a call is made again
   */
  readonly reconciler?: DurableFunction<R> | undefined;
  /** Limit of one attempt. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /** @defaultValue one attempt */
  readonly retry?: RetryOptions | undefined;
}

/** A durable call as an object, as in Flink Agents. */
export interface DurableCallable<R> {
  readonly id: string;
  /** Runs once; its outcome is journaled. */
  call(): R | Promise<R>;
  /**
   * Asked after a crash whether a call that had started took effect: returns its result, or throws `CallNotExecuted`.
   */
  reconciler?(): R | Promise<R>;
}

/** An output is of the type that the agent gives. */
export type Sendable<E, O> = E extends OutputEvent<infer T> ? ([T] extends [O] ? unknown : OutputEvent<O>) : unknown;

/** What an action may do. `O` is the type of the agent's outputs. */
export interface RunnerContext<O = unknown> {
  readonly key: Key;
  /** Timestamp of the run's input; undefined when it has none. */
  readonly timestamp: Timestamp | undefined;
  /** The time of the turn that started this action. */
  now(): Timestamp;
  /** From 0 (included) to 1 (excluded); the same sequence after a crash. */
  random(): number;
  /** A UUID; the same after a crash. */
  uuid(): string;
  /** Takes effect when the action has ended. Returns the event with the id it will have. */
  sendEvent<E extends Event>(event: E & Sendable<E, O>): E;
  /** Sends an `OutputEvent` whose value is checked against the type of the agent's outputs. */
  output(value: O): void;
  /** Lives as long as the run. */
  readonly sensoryMemory: MemoryObject;
  /** Lives as long as the key. */
  readonly shortTermMemory: MemoryObject;
  /** The same as `sensoryMemory`. */
  getSensoryMemory(): MemoryObject;
  /** The same as `shortTermMemory`. */
  getShortTermMemory(): MemoryObject;
  /** The agent's own resource of that name, else the environment's. Throws `RESOURCE_NOT_FOUND`. */
  getResource<R = unknown>(type: ResourceType, name: string): R;
  readonly agentMetricGroup: MetricGroup;
  readonly actionMetricGroup: MetricGroup;
  /** Settings of the agent. */
  readonly agentConfig: Readonly<Record<string, unknown>>;
  readonly actionConfig: Readonly<Record<string, unknown>>;
  /** A setting of the action's `config`; undefined when there is none. */
  getActionConfigValue<T = unknown>(name: string): T | undefined;
  /**
   * Runs `fn` once and journals its outcome before the action goes on. Asynchronous actions only. An action that ends
   * with a call that it never awaited fails. One that it looked at and then left behind, as the loser of a race, runs
   * to its end and its outcome is lost. Throws where no call can be made (a synchronous action, one that has ended,
   * inside of a durable function); whatever else is wrong with a call its promise says.
   */
  durableExecute<R>(id: string, fn: DurableFunction<R>, options?: DurableOptions<R>): Promise<R>;
  durableExecute<R>(callable: DurableCallable<R>): Promise<R>;
  /** The same as `durableExecute`. */
  durableExecuteAsync<R>(id: string, fn: DurableFunction<R>, options?: DurableOptions<R>): Promise<R>;
  durableExecuteAsync<R>(callable: DurableCallable<R>): Promise<R>;
  /**
   * The key of the durable call in hand, stable across crashes. Inside a durable function only, behind its `await`s
   * too.
   */
  readonly idempotencyKey: string;
  /**
   * Aborted when the action times out, the job stops, or its run has ended because another action of it failed: then no
   * further durable call starts. Asynchronous actions only.
   */
  readonly signal: AbortSignal;
}

/** Memory as of the submission of an action. */
export interface MemorySnapshot {
  readonly base: MemoryBase;
  readonly changes: readonly MemoryChange[];
}

/** What the operator supplies for one execution of an action. */
export interface ActionHost {
  /** Of the operator that runs the agent. @defaultValue there is none */
  readonly uid?: string | undefined;
  readonly action: PlannedAction;
  /** The event that triggered it, stamped. */
  readonly event: Event;
  /** Unique name of this execution within the job, the same after a crash: events get ids from it. */
  readonly id: string;
  /** Unique name of the job, so that the UUIDs and random numbers of two jobs differ. @defaultValue '' */
  readonly jobId?: string | undefined;
  readonly key: Key;
  readonly timestamp?: Timestamp | undefined;
  /**
   * The time of the turn; asked only when the action asks. Asynchronous actions take the time of their submission
   * instead.
   */
  now(): Timestamp;
  readonly shortTermMemory: MemorySnapshot;
  readonly sensoryMemory: MemorySnapshot;
  readonly resources: { get(type: ResourceType, name: string): unknown };
  /** The agent's group. */
  readonly metrics: MetricGroup;
  readonly warnings?: Warnings | undefined;
  /** Present for an asynchronous action. */
  readonly work?: WorkContext | undefined;
  /** The action's run has ended without it: no call of it starts any more. @defaultValue false */
  readonly isOver?: boolean | undefined;
  /** The signal of its work, aborted too when its run ends without it. @defaultValue the signal as it is */
  signalOf?(signal: AbortSignal): AbortSignal;
  /** Events that it may send, outputs left out: no more than its run may have. @defaultValue no bound */
  readonly eventsMax?: number | undefined;
}

/** What an action wants to happen, as plain data. */
export interface ActionResult {
  readonly events: readonly EventJson[];
  readonly shortTermChanges: readonly MemoryChange[];
  readonly sensoryChanges: readonly MemoryChange[];
}

/** The same in memory, for an action whose effects take place at once. */
export interface ActionEffects {
  readonly events: readonly Event[];
  readonly shortTermChanges: readonly MemoryChange[];
  readonly sensoryChanges: readonly MemoryChange[];
}
