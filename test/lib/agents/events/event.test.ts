import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { ChatRequestEvent, ChatResponseEvent } from '../../../../lib/agents/events/chat-events.ts';
import { eventFromJson } from '../../../../lib/agents/events/event-classes.ts';
import {
  Event,
  EventType,
  eventToJson,
  InputEvent,
  OutputEvent,
  stampEvent,
  type EventClass,
} from '../../../../lib/agents/events/event.ts';
import { ToolRequestEvent, ToolResponseEvent } from '../../../../lib/agents/events/tool-events.ts';

const response = { role: 'assistant', content: 'hi' } as const;

describe('wire names', () => {
  it('has the sixteen types of Flink Agents', () => {
    expect(Object.keys(EventType)).toHaveLength(16);
    for (const [name, type] of Object.entries(EventType)) {
      expect(type).toBe(`_${name.replaceAll(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase()}`);
    }
  });

  it.each([
    [new InputEvent(1), '_input_event', ['input']],
    [new OutputEvent(1), '_output_event', ['output']],
    [new ChatRequestEvent({ model: 'm' }), '_chat_request_event', ['model', 'messages', 'prompt_args']],
    [
      new ChatRequestEvent({ model: 'm', outputSchema: { type: 'object' } }),
      '_chat_request_event',
      ['model', 'messages', 'prompt_args', 'output_schema'],
    ],
    [
      new ChatResponseEvent({ requestId: 'r', response }),
      '_chat_response_event',
      ['request_id', 'response', 'retry_count', 'total_retry_wait_sec'],
    ],
    [new ToolRequestEvent({ model: 'm', toolCalls: [] }), '_tool_request_event', ['model', 'tool_calls']],
    [
      new ToolResponseEvent({ requestId: 'r', responses: {}, success: {} }),
      '_tool_response_event',
      ['request_id', 'responses', 'success', 'error', 'external_ids'],
    ],
  ])('%#: %s', (event, type, attributes) => {
    expect(event.type).toBe(type);
    expect(Object.keys(event.attributes)).toEqual(attributes);
    const back = eventFromJson(JSON.parse(JSON.stringify(event)));
    expect(back).toBeInstanceOf(event.constructor);
    expect(eventToJson(back)).toEqual(eventToJson(event));
  });
});

describe('accessors', () => {
  it('read the attributes', () => {
    const request = new ChatRequestEvent({
      model: 'm',
      promptArgs: { a: 1 },
      messages: [response],
      outputSchema: z.object({ n: z.number() }),
    });
    expect([request.model, request.promptArgs, request.messages]).toEqual(['m', { a: 1 }, [response]]);
    expect(request.outputSchema).toMatchObject({
      type: 'object',
      properties: { n: { type: 'number' } },
      required: ['n'],
    });
    const tools = new ToolResponseEvent({
      requestId: 'r',
      responses: { c: 1 },
      success: { c: true },
      externalIds: { c: 'x' },
    });
    expect([tools.requestId, tools.responses, tools.success, tools.error, tools.externalIds]).toEqual([
      'r',
      { c: 1 },
      { c: true },
      {},
      { c: 'x' },
    ]);
  });

  it('give the structured output, or say that none was asked for', () => {
    const structured = { ...response, extra_args: { structured_output: { n: 1 } } };
    expect(new ChatResponseEvent<{ n: number }>({ requestId: 'r', response: structured }).output.n).toBe(1);
    expect(() => new ChatResponseEvent({ requestId: 'r', response }).output).toThrow(/outputSchema/);
  });
});

describe('stampEvent', () => {
  it('overwrites id and lineage and keeps class and attributes', () => {
    const event = stampEvent(new InputEvent({ n: 1 }), { id: 'a' });
    const again = stampEvent(event, { id: 'b', upstreamEventId: 'a', upstreamActionName: 'act', sourceTimestamp: 5 });
    expect(again).toBeInstanceOf(InputEvent);
    expect(again.input).toEqual({ n: 1 });
    expect(eventToJson(again)).toEqual({
      id: 'b',
      type: '_input_event',
      attributes: { input: { n: 1 } },
      upstreamEventId: 'a',
      upstreamActionName: 'act',
      sourceTimestamp: 5,
    });
    expect(event.id).toBe('a');
    expect(new InputEvent(1).id).toBeUndefined();
  });

  it("brings back a user's class by its type, and any other type as Event", () => {
    class Paid extends Event {
      static override readonly type = 'paid';
      constructor(amount: number) {
        super(Paid.type, { amount });
      }
      get amount(): number {
        return this.attributes['amount'] as number;
      }
    }
    const classes = new Map<string, EventClass>([[Paid.type, Paid]]);
    const back = eventFromJson(eventToJson(stampEvent(new Paid(3), { id: 'x' })), classes) as Paid;
    expect(back).toBeInstanceOf(Paid);
    expect(back.amount).toBe(3);
    expect(eventFromJson({ type: 'other', attributes: {} }, classes).constructor).toBe(Event);
  });
});

describe('bad input', () => {
  it.each([[''], ['  '], [undefined], [7]])('refuses the type %j', (type) => {
    expect(() => new Event(type as string)).toThrow(/`type`/);
  });

  it('refuses attributes that are no object, a request without a model, and a schema that is none', () => {
    expect(() => new Event('x', [] as never)).toThrow(/`attributes`/);
    expect(() => new ChatRequestEvent({ model: '' })).toThrow(/`model`/);
    expect(() => new ChatRequestEvent({ model: 'm', outputSchema: 'text' as never })).toThrow(/`outputSchema`/);
  });
});
