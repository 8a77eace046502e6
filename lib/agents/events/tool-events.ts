/** The events by which tools are asked for and answer. Attribute names are those of Flink Agents. */
import type { ToolCall } from '../../core/model.ts';
import { attributeOf, Event, EventType } from './event.ts';

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
    return attributeOf(this, 'model');
  }

  get toolCalls(): readonly RequestedToolCall[] {
    return attributeOf(this, 'tool_calls');
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
    return attributeOf(this, 'request_id');
  }

  get responses(): Readonly<Record<string, unknown>> {
    return attributeOf(this, 'responses');
  }

  get success(): Readonly<Record<string, boolean>> {
    return attributeOf(this, 'success');
  }

  get error(): Readonly<Record<string, string>> {
    return attributeOf<Readonly<Record<string, string>> | undefined>(this, 'error') ?? {};
  }

  get externalIds(): Readonly<Record<string, string>> {
    return attributeOf<Readonly<Record<string, string>> | undefined>(this, 'external_ids') ?? {};
  }
}
