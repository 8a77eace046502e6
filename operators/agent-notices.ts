/** What whoever runs the job is told about an agent: counted each time, and logged once per topic. */
import type { OperatorContext } from '../lib/core/operator.ts';
import { ChatErrorEvent } from '../lib/agents/events/chat-events.ts';
import type { Event } from '../lib/agents/events/event.ts';
import type { Warnings } from '../lib/agents/warnings.ts';

export class AgentNotices {
  readonly #context: OperatorContext<never>;
  readonly #agentName: string;
  readonly #warnings: Warnings;

  constructor(context: OperatorContext<never>, agentName: string, warnings: Warnings) {
    this.#context = context;
    this.#agentName = agentName;
    this.#warnings = warnings;
  }

  /** An event that triggers nothing is lost; a misspelt type looks just like that. */
  unhandled({ type, upstreamActionName }: Event): void {
    if (type === ChatErrorEvent.type) return; // Sent to whom it may concern.
    this.#context.metrics.getCounter('numOfEventsUnhandled').inc();
    const message = `action '${upstreamActionName}' of agent '${this.#agentName}' sent an event of type '${type}', which no action handles`;
    this.#once(`unhandled ${type}`, { type, action: upstreamActionName }, message);
  }

  /** A value of memory met an object. */
  readonly conflict = (path: string): void => {
    this.#context.metrics.getCounter('memoryConflicts').inc();
    const message = `actions of one run set \`${path}\` of short-term memory to a value and to an object; the later one stays`;
    this.#once('memory conflict', { path, key: this.#context.currentKey() }, message);
  };

  #once(topic: string, facts: Readonly<Record<string, unknown>>, message: string): void {
    this.#warnings.once(topic, { agent: this.#agentName, operator: this.#context.uid, ...facts }, message);
  }
}
