/** An agent that asks a scripted model, driven without a job. */
import { StreamError } from '../../../lib/core/errors.ts';
import type { ChatMessage, ChatModelConnection, ChatOptions, ChatRequest } from '../../../lib/core/model.ts';
import { agent, type AgentBuilder } from '../../../lib/agents/definition/agent.ts';
import type { ChatModelSetup } from '../../../lib/agents/contract.ts';
import { ChatRequestEvent, ChatResponseEvent, type ChatRequestOptions } from '../../../lib/agents/events/chat-events.ts';
import { InputEvent, OutputEvent } from '../../../lib/agents/events/event.ts';
import type { DrivenRun } from './drive.ts';

export type Reply = Partial<ChatMessage> | Error;

/** Answers from a script, the last line again and again, and remembers what it was asked. */
export class ScriptedModel implements ChatModelConnection {
  readonly requests: ChatRequest[] = [];
  readonly options: ChatOptions[] = [];
  readonly #script: readonly Reply[];

  constructor(...script: readonly Reply[]) {
    this.#script = script;
  }

  async chat(request: ChatRequest, options: ChatOptions): Promise<ChatMessage> {
    const reply = this.#script[Math.min(this.requests.length, this.#script.length - 1)] ?? {};
    this.requests.push(request);
    this.options.push(options);
    if (reply instanceof Error) throw reply;
    return { role: 'assistant', content: '', ...reply };
  }
}

export const wants = (...names: readonly string[]): Reply => ({
  tool_calls: names.map((name, index) => ({ id: `c${index}`, function: { name, arguments: { n: index } } })),
});

export const down = (): StreamError => new StreamError('MODEL_UNAVAILABLE', 'down');

export interface Setup {
  readonly request?: Partial<ChatRequestOptions>;
  readonly setup?: Partial<ChatModelSetup>;
  readonly more?: (builder: AgentBuilder<string, unknown>) => AgentBuilder<string, unknown>;
}

export const asking = (
  model: ChatModelConnection,
  { request = {}, setup = {}, more = (each) => each }: Setup = {},
): AgentBuilder<string, unknown> =>
  more(
    agent<string, unknown>('asker')
      .resource('chat_model_connection', 'link', model)
      .chatModel('m', { connection: 'link', ...setup })
      .on(
        InputEvent,
        (event, ctx) =>
          void ctx.sendEvent(
            new ChatRequestEvent({ model: 'm', messages: [{ role: 'user', content: event.input }], ...request }),
          ),
      )
      .on(
        ChatResponseEvent,
        (event, ctx) =>
          void ctx.sendEvent(
            new OutputEvent(event.response.extra_args?.['structured_output'] ?? event.response.content),
          ),
      ),
  );

export const typesOf = ({ events }: DrivenRun): string[] =>
  events.map(({ type }) => type.slice(1).replace('_event', ''));
