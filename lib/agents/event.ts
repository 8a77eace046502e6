/**
 * Events: what an agent's actions are triggered by and what they send. The type strings, attribute names and JSON form are those of
 * Flink Agents, so events can cross between the two. An event is made without an id; when it is sent, the runner context stamps it
 * with an id derived from the action execution and its ordinal, and with its lineage, so a replayed action makes the same events (I6).
 */
import type * as z from 'zod';
import type { ChatMessage, ToolCall } from '../core/model.ts';
import { refusal } from '../core/options.ts';
import type { Timestamp } from '../core/element.ts';
import { noteSchema } from './asked-schemas.ts';
import { isZod, outputSchemaOf, type JsonSchema } from './json-schema.ts';
import { reasonOf } from './schema-check.ts';
import { checkZod } from './zod-schema.ts';

/**
 * The type strings of Flink Agents.
 *
 * @example
 * const types = [EventType.InputEvent, 'order-created'];
 * const log = agent<string, string>('log').on(types, ({ type }, ctx) => ctx.output(type));
 * console.log((await (await AgentHarness.open(log)).run('an order')).outputs); // prints [ '_input_event' ]
 */
export const EventType = {
  InputEvent: '_input_event',
  OutputEvent: '_output_event',
  ChatRequestEvent: '_chat_request_event',
  ChatResponseEvent: '_chat_response_event',
  ToolRequestEvent: '_tool_request_event',
  ToolResponseEvent: '_tool_response_event',
  ContextRetrievalRequestEvent: '_context_retrieval_request_event',
  ContextRetrievalResponseEvent: '_context_retrieval_response_event',
  ShortTermWriteEvent: '_short_term_write_event',
  ShortTermReadEvent: '_short_term_read_event',
  SensoryWriteEvent: '_sensory_write_event',
  SensoryReadEvent: '_sensory_read_event',
  LongTermUpdateEvent: '_long_term_update_event',
  LongTermGetEvent: '_long_term_get_event',
  LongTermSearchEvent: '_long_term_search_event',
  AgentRunBeginEvent: '_agent_run_begin_event',
} as const;

export type Attributes = Readonly<Record<string, unknown>>;

/** What the runtime adds to an event when it is sent. */
export interface EventStamp {
  readonly id: string;
  /** The event that triggered the action which sent this one. */
  readonly upstreamEventId?: string | undefined;
  readonly upstreamActionName?: string | undefined;
  /** Timestamp of the run's input; absent when it has none. */
  readonly sourceTimestamp?: Timestamp | undefined;
}

/** An event as plain data. */
export interface EventJson extends Partial<EventStamp> {
  readonly type: string;
  readonly attributes: Attributes;
}

/**
 * An event of any type: a type string and attributes, which are plain data. Attributes are all that is sent: a class of
 * your own has a static `type` and reads them by accessors. Throws a `TypeError` for an empty type and for attributes
 * that are no object.
 *
 * @example
 * const shop = agent<Order, string>('shop')
 *   .on(InputEvent, ({ input }, ctx) => ctx.sendEvent(new Event('order-created', { id: input.id })))
 *   .on('order-created', ({ attributes }, ctx) => ctx.output(`order ${String(attributes['id'])}`));
 * const created = orders.keyBy(({ id }) => id).applyAgent(shop, { outputOrder: 'arrival' });
 * console.log(await created.executeAndCollect()); // prints [ 'order 1', 'order 2', 'order 3' ]
 */
export class Event {
  static readonly type: string = '';
  readonly type: string;
  readonly attributes: Attributes;
  /** Undefined until the event is sent. */
  readonly id: string | undefined;
  readonly upstreamEventId: string | undefined;
  readonly upstreamActionName: string | undefined;
  readonly sourceTimestamp: Timestamp | undefined;

  constructor(type: string, attributes: Attributes = {}, stamp?: Partial<EventStamp>) {
    if (typeof type !== 'string' || type.trim() === '') throw refusal('type', 'a non-empty string', type);
    if (typeof attributes !== 'object' || attributes === null || Array.isArray(attributes))
      throw refusal('attributes', 'an object', attributes);
    this.type = type;
    this.attributes = attributes;
    this.id = stamp?.id;
    this.upstreamEventId = stamp?.upstreamEventId;
    this.upstreamActionName = stamp?.upstreamActionName;
    this.sourceTimestamp = stamp?.sourceTimestamp;
  }

  toJSON(): EventJson {
    return eventToJson(this);
  }
}

/** A class of events with a fixed type: one of ours, or a user's `class Paid extends Event { static override readonly type = 'paid' }`. */
export interface EventClass<E extends Event = Event> {
  readonly type: string;
  readonly prototype: E;
}

/**
 * The input that starts a run.
 *
 * @example
 * const lengths = agent<string, number>('lengths').on(InputEvent, ({ input }, ctx) => ctx.output(input.length));
 * console.log((await (await AgentHarness.open(lengths)).run('four')).outputs); // prints [ 4 ]
 */
export class InputEvent<T = unknown> extends Event {
  static override readonly type = EventType.InputEvent;

  constructor(input: T) {
    super(InputEvent.type, { input });
  }

  get input(): T {
    return this.attributes['input'] as T; // as it was given to the constructor
  }
}

/**
 * A result: it leaves the agent. `ctx.output(value)` sends one and checks the type of the value.
 *
 * @example
 * const lengths = agent<string, number>('lengths');
 * lengths.on(InputEvent, ({ input }, ctx) => ctx.sendEvent(new OutputEvent(input.length)));
 * console.log((await (await AgentHarness.open(lengths)).run('four')).outputs); // prints [ 4 ]
 */
export class OutputEvent<T = unknown> extends Event {
  static override readonly type = EventType.OutputEvent;
  /** Tells its type from those of other events with an `output`; never present at run time. */
  declare private readonly leaves: true;

  constructor(output: T) {
    super(OutputEvent.type, { output });
  }

  get output(): T {
    return this.attributes['output'] as T; // as it was given to the constructor
  }
}

export interface ChatRequestOptions {
  /** Name of a chat model of the agent or the environment. */
  readonly model: string;
  /** @defaultValue none: the model's prompt speaks alone */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Fill the placeholders of the model's prompt. @defaultValue none: placeholders stay as they are */
  readonly promptArgs?: Readonly<Record<string, unknown>> | undefined;
  /**
   * What the answer must look like: a zod schema, which checks it with its refinements and transforms, or a JSON Schema (draft 2020-12).
   * Keys that a zod schema does not have are dropped from the answer, by `z.strictObject` refused, by `z.looseObject` kept; a JSON Schema
   * says so itself by `additionalProperties`. The event keeps the schema as JSON; declared with the chat model a zod schema is known
   * again after a restart, and `event.output` has its type. @defaultValue the `outputSchema` of the chat model
   */
  readonly outputSchema?: z.ZodType | JsonSchema | undefined;
}

/**
 * Asks a chat model; the built-in chat action answers with a `ChatResponseEvent`. Throws a `TypeError` for a model
 * without a name, or a schema that can not be told to a model.
 *
 * @example
 * import * as z from 'zod';
 * const outputSchema = z.object({ score: z.int() });
 * const request = new ChatRequestEvent({ model: 'model', promptArgs: { text: 'Works well.' }, outputSchema });
 * console.log(request.model, request.promptArgs); // prints model { text: 'Works well.' }
 */
export class ChatRequestEvent extends Event {
  static override readonly type = EventType.ChatRequestEvent;

  constructor(options: ChatRequestOptions) {
    const { model, messages = [], promptArgs = {}, outputSchema } = options;
    if (typeof model !== 'string' || model === '') throw refusal('model', 'the name of a chat model', model);
    const schema = outputSchema === undefined ? {} : { output_schema: outputSchemaOf(outputSchema) };
    super(ChatRequestEvent.type, { model, messages, prompt_args: promptArgs, ...schema });
    if (outputSchema !== undefined && isZod(outputSchema)) noteSchema(this, outputSchema);
  }

  get model(): string {
    return this.attributes['model'] as string;
  }

  get messages(): readonly ChatMessage[] {
    return (this.attributes['messages'] ?? []) as readonly ChatMessage[];
  }

  get promptArgs(): Readonly<Record<string, unknown>> {
    return (this.attributes['prompt_args'] ?? {}) as Readonly<Record<string, unknown>>;
  }

  get outputSchema(): JsonSchema | undefined {
    return this.attributes['output_schema'] as JsonSchema | undefined;
  }
}

export interface ChatResponseOptions {
  /** Id of the `ChatRequestEvent` this answers. */
  readonly requestId: string;
  /** The message of the model; tools that it asked for have been called. */
  readonly response: ChatMessage;
  /** Attempts behind the first one. @defaultValue 0 */
  readonly retryCount?: number | undefined;
  /** Time between the attempts, in seconds. @defaultValue 0 */
  readonly totalRetryWaitSec?: number | undefined;
}

/**
 * The answer of a chat model. `T` is the type that the output schemas of the agent's chat models give; unknown where
 * none declares one.
 *
 * @example
 * import * as z from 'zod';
 * const scorer = agent<string, number>('scorer')
 *   .prompt('ask', 'Score this review from 1 to 5: {text}')
 *   .chatModel('model', { connection: 'default', prompt: 'ask', outputSchema: z.object({ score: z.int() }) })
 *   .on(InputEvent, ({ input: text }, ctx) => {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { text } }));
 *   })
 *   .on(ChatResponseEvent, ({ output }, ctx) => ctx.output(output.score));
 * const harness = await AgentHarness.open(scorer, { models: { default: scriptedChatModel(['{"score":4}']) } });
 * console.log((await harness.run('Works well.')).outputs); // prints [ 4 ]
 */
export class ChatResponseEvent<T = unknown> extends Event {
  static override readonly type = EventType.ChatResponseEvent;

  constructor(options: ChatResponseOptions) {
    const { requestId, response, retryCount = 0, totalRetryWaitSec = 0 } = options;
    super(ChatResponseEvent.type, { request_id: requestId, response, retry_count: retryCount, total_retry_wait_sec: totalRetryWaitSec });
  }

  get requestId(): string {
    return this.attributes['request_id'] as string;
  }

  get response(): ChatMessage {
    return this.attributes['response'] as ChatMessage;
  }

  /** The structured output, as the schema gave it. Throws a `TypeError` when there was no output schema. */
  get output(): T {
    const structured = this.response.extra_args?.['structured_output'];
    if (structured === undefined)
      throw new TypeError('Expected a structured output: give the ChatRequestEvent an `outputSchema`, or read `response`');
    return structured as T; // the chat action checked it against the schema
  }

  /**
   * The answer as a schema reads it: for requests that name their schema themselves, which no type can follow. Throws a
   * `TypeError` when it does not fit.
   *
   * @example
   * import * as z from 'zod';
   * const scorer = agent<string, number>('scorer')
   *   .on(ChatResponseEvent, (event, ctx) => ctx.output(event.outputAs(z.object({ score: z.int() })).score));
   */
  outputAs<S extends z.ZodType>(schema: S): z.output<S> {
    const checked = checkZod(schema, jsonOf(this.response.content));
    if (checked.success) return checked.data as z.output<S>; // it is the schema's own answer
    throw new TypeError(`Expected the answer to fit the schema, got: ${reasonOf(checked.error.issues)}`);
  }

  get retryCount(): number {
    return (this.attributes['retry_count'] ?? 0) as number;
  }

  get totalRetryWaitSec(): number {
    return (this.attributes['total_retry_wait_sec'] ?? 0) as number;
  }
}

/** A tool call as an event carries it; `original_id` is the provider's own id. */
export interface RequestedToolCall extends ToolCall {
  readonly original_id?: string | undefined;
}

/**
 * Asks for tools; the built-in tool action answers with a `ToolResponseEvent`.
 *
 * @example
 * const call = { id: '1', function: { name: 'stock', arguments: { article: 'mug' } } };
 * const request = new ToolRequestEvent({ model: 'model', toolCalls: [call] });
 * console.log(request.toolCalls[0]?.function.name); // prints stock
 */
export class ToolRequestEvent extends Event {
  static override readonly type = EventType.ToolRequestEvent;

  constructor(options: { readonly model: string; readonly toolCalls: readonly RequestedToolCall[] }) {
    super(ToolRequestEvent.type, { model: options.model, tool_calls: options.toolCalls });
  }

  get model(): string {
    return this.attributes['model'] as string;
  }

  get toolCalls(): readonly RequestedToolCall[] {
    return this.attributes['tool_calls'] as readonly RequestedToolCall[];
  }
}

export interface ToolResponseOptions {
  /** Id of the `ToolRequestEvent` this answers. */
  readonly requestId: string;
  /** By tool call id: what the tool returned, or the sentence that tells the model of its failure. */
  readonly responses: Readonly<Record<string, unknown>>;
  /** By tool call id: whether the tool has returned. */
  readonly success: Readonly<Record<string, boolean>>;
  /** By tool call id: why a tool failed. @defaultValue none has */
  readonly error?: Readonly<Record<string, string>> | undefined;
  /** By tool call id: the provider's own id. @defaultValue none is known */
  readonly externalIds?: Readonly<Record<string, string>> | undefined;
}

/**
 * What the tools of a `ToolRequestEvent` returned, or why they failed, by the id of the tool call.
 *
 * @example
 * const clerk = agent<string, unknown>('clerk')
 *   .tool('stock', { description: 'Pieces left', parameters: { type: 'object' }, execute: () => 3 })
 *   .on(InputEvent, (_event, ctx) => {
 *     const call = { id: '1', function: { name: 'stock', arguments: {} } };
 *     ctx.sendEvent(new ToolRequestEvent({ model: 'none', toolCalls: [call] }));
 *   })
 *   .on(ToolResponseEvent, ({ responses, success }, ctx) => ctx.output([responses, success]));
 * console.log((await (await AgentHarness.open(clerk)).run('mug')).outputs); // prints [ [ { '1': 3 }, { '1': true } ] ]
 */
export class ToolResponseEvent extends Event {
  static override readonly type = EventType.ToolResponseEvent;

  constructor(options: ToolResponseOptions) {
    const { requestId, responses, success, error = {}, externalIds = {} } = options;
    super(ToolResponseEvent.type, { request_id: requestId, responses, success, error, external_ids: externalIds });
  }

  get requestId(): string {
    return this.attributes['request_id'] as string;
  }

  get responses(): Readonly<Record<string, unknown>> {
    return this.attributes['responses'] as Readonly<Record<string, unknown>>;
  }

  get success(): Readonly<Record<string, boolean>> {
    return this.attributes['success'] as Readonly<Record<string, boolean>>;
  }

  get error(): Readonly<Record<string, string>> {
    return (this.attributes['error'] ?? {}) as Readonly<Record<string, string>>;
  }

  get externalIds(): Readonly<Record<string, string>> {
    return (this.attributes['external_ids'] ?? {}) as Readonly<Record<string, string>>;
  }
}

export interface ChatErrorOptions {
  /** Id of the `ChatRequestEvent` that is not answered. */
  readonly requestId: string;
  /** Name of the chat model that was asked. */
  readonly model: string;
  /** Whether the model could not be asked, or gave what can not be read. */
  readonly problemCategory: ProblemCategory;
  /** The error's code, or the name of its class. */
  readonly errorType: string;
  /** The error's own message. */
  readonly errorMessage: string;
  /** Whether trying again without a change can help. @defaultValue nobody knows */
  readonly retryable?: boolean | undefined;
  /** The HTTP status that the provider answered with. @defaultValue none */
  readonly status?: number | undefined;
  /** The code of what caused the error. @defaultValue none */
  readonly causeCode?: string | undefined;
}

/** In the words of Flink Agents. */
export type ProblemCategory = 'model_call_failed' | 'model_output_parse_error';

/**
 * Says that a chat request gets no answer, since its model failed and `errorHandling` is `'ignore'`. Flink Agents,
 * which has no such event, ends the run in silence there; the attributes have the names that it gives them in its log.
 *
 * @example
 * const messages = [{ role: 'user', content: 'Score this: works well.' }] as const;
 * const scorer = agent<string, string>('scorer')
 *   .chatModel('model', { connection: 'default' })
 *   .onError('ignore')
 *   .on(InputEvent, (_event, ctx) => ctx.sendEvent(new ChatRequestEvent({ model: 'model', messages })))
 *   .on(ChatErrorEvent, ({ errorType, retryable }, ctx) => ctx.output(`${errorType} ${String(retryable)}`));
 * const model = scriptedChatModel([new StreamError('MODEL_REFUSED', 'I do not score reviews')]);
 * const harness = await AgentHarness.open(scorer, { models: { default: model } });
 * console.log((await harness.run('review 7')).outputs); // prints [ 'MODEL_REFUSED false' ]
 */
export class ChatErrorEvent extends Event {
  static override readonly type = '_chat_error_event';

  constructor(options: ChatErrorOptions) {
    const { requestId, model, problemCategory, errorType, errorMessage, retryable, status, causeCode } = options;
    const facts = { ...(retryable === undefined ? {} : { retryable }), ...(status === undefined ? {} : { status }), ...(causeCode === undefined ? {} : { causeCode }) };
    super(ChatErrorEvent.type, { request_id: requestId, model, problemCategory, errorType, errorMessage, ...facts });
  }

  get requestId(): string {
    return this.attributes['request_id'] as string;
  }

  get model(): string {
    return this.attributes['model'] as string;
  }

  get problemCategory(): ProblemCategory {
    return this.attributes['problemCategory'] as ProblemCategory;
  }

  get errorType(): string {
    return this.attributes['errorType'] as string;
  }

  get errorMessage(): string {
    return this.attributes['errorMessage'] as string;
  }

  get retryable(): boolean | undefined {
    return this.attributes['retryable'] as boolean | undefined;
  }

  get status(): number | undefined {
    return this.attributes['status'] as number | undefined;
  }

  get causeCode(): string | undefined {
    return this.attributes['causeCode'] as string | undefined;
  }
}

/** The same event with id and lineage; those it had are overwritten. @defaultValue attributes and class are the event's own */
export const stampEvent = <E extends Event>(
  event: E,
  stamp: EventStamp,
  attributes: Attributes = event.attributes,
  type: EventClass = event.constructor as unknown as EventClass,
): E => revived(type, event.type, attributes, stamp) as E; // made of the event's class, or of one that extends it

/** Plain data; what is undefined is left out. */
export const eventToJson = (event: Event): EventJson => {
  const { id, type, attributes, upstreamEventId, upstreamActionName, sourceTimestamp } = event;
  const json: Writable<EventJson> = id === undefined ? { type, attributes } : { id, type, attributes };
  if (upstreamEventId !== undefined) json.upstreamEventId = upstreamEventId;
  if (upstreamActionName !== undefined) json.upstreamActionName = upstreamActionName;
  if (sourceTimestamp !== undefined) json.sourceTimestamp = sourceTimestamp;
  return json;
};

/** The class of a type, `Event` when there is none. @defaultValue classes are ours */
export const classOf = (type: string, classes: ReadonlyMap<string, EventClass> = builtInClasses): EventClass => classes.get(type) ?? Event;

/** Makes an event of plain data, of the class that has its type. */
export const eventFromJson = (json: EventJson, classes?: ReadonlyMap<string, EventClass>): Event =>
  revived(classOf(json.type, classes), json.type, json.attributes, json);

export const builtInClasses: ReadonlyMap<string, EventClass> = new Map<string, EventClass>(
  [InputEvent, OutputEvent, ChatRequestEvent, ChatResponseEvent, ChatErrorEvent, ToolRequestEvent, ToolResponseEvent].map((each) => [
    each.type,
    each,
  ]),
);

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text; // An answer that was no JSON is text.
  }
};

type Writable<T> = { -readonly [P in keyof T]: T[P] };

/** An event of a class, made of its parts: subclasses add accessors over the attributes only, so no constructor need run. */
const revived = (type: EventClass, name: string, attributes: Attributes, stamp: Partial<EventStamp>): Event => {
  const event = Object.create(type.prototype) as Writable<Event>;
  event.type = name;
  event.attributes = attributes;
  event.id = stamp.id;
  event.upstreamEventId = stamp.upstreamEventId;
  event.upstreamActionName = stamp.upstreamActionName;
  event.sourceTimestamp = stamp.sourceTimestamp;
  return event;
};
