/**
 * Events: what an agent's actions are triggered by and what they send. The type strings, attribute names and JSON form
 * are those of Flink Agents, so events can cross between the two. An event is made without an id; when it is sent, the
 * runner context stamps it with an id derived from the action execution and its ordinal, and with its lineage, so a
 * replayed action makes the same events (I6).
 */
import type { Timestamp } from '../../core/element.ts';
import { refusal } from '../../core/options.ts';

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

/** @internal An attribute that the class of the event has: as its constructor was given it. */
export const attributeOf = <T>({ attributes }: Event, name: string): T => attributes[name] as T;

/**
 * A class of events with a fixed type: one of ours, or a user's `class Paid extends Event { static override readonly
 * type = 'paid' }`.
 */
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
    return attributeOf(this, 'input');
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
    return attributeOf(this, 'output');
  }
}

/**
 * The same event with id and lineage; those it had are overwritten. @defaultValue attributes and class are the event's
 * own
 */
export const stampEvent = <E extends Event>(
  event: E,
  stamp: EventStamp,
  attributes: Attributes = event.attributes,
  type: EventClass = event.constructor as unknown as EventClass, // The class of an event is one.
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

/** @internal How many fields an event has of its own. */
export const fieldCount = (event: Event): number => {
  let count = 0;
  for (const field in event) if (Object.hasOwn(event, field)) count += 1;
  return count;
};

type Writable<T> = { -readonly [P in keyof T]: T[P] };

/**
 * An event of a class, made of its parts: subclasses add accessors over the attributes only, so no constructor need
 * run.
 */
export const revived = (type: EventClass, name: string, attributes: Attributes, stamp: Partial<EventStamp>): Event => {
  // It has the prototype of an event, and gets its fields here.
  const event = Object.create(type.prototype) as Writable<Event>;
  event.type = name;
  event.attributes = attributes;
  event.id = stamp.id;
  event.upstreamEventId = stamp.upstreamEventId;
  event.upstreamActionName = stamp.upstreamActionName;
  event.sourceTimestamp = stamp.sourceTimestamp;
  return event;
};
