/**
 * Which class an event's type has: the built-in ones, or those that a user's agent brings. Events are made of plain
 * data by it.
 */
import { ChatErrorEvent, ChatRequestEvent, ChatResponseEvent } from './chat-events.ts';
import { Event, InputEvent, OutputEvent, revived, type Attributes, type EventClass, type EventJson } from './event.ts';
import { ToolRequestEvent, ToolResponseEvent } from './tool-events.ts';

export const builtInClasses: ReadonlyMap<string, EventClass> = new Map<string, EventClass>(
  [
    InputEvent,
    OutputEvent,
    ChatRequestEvent,
    ChatResponseEvent,
    ChatErrorEvent,
    ToolRequestEvent,
    ToolResponseEvent,
  ].map((each) => [each.type, each]),
);

/** The class of a type, `Event` when there is none. @defaultValue classes are ours */
export const classOf = (type: string, classes: ReadonlyMap<string, EventClass> = builtInClasses): EventClass =>
  classes.get(type) ?? Event;

/** Makes an event of plain data, of the class that has its type. @defaultValue attributes are those of the data */
export const eventFromJson = (
  json: EventJson,
  classes?: ReadonlyMap<string, EventClass>,
  attributes: Attributes = json.attributes,
): Event => revived(classOf(json.type, classes), json.type, attributes, json);
