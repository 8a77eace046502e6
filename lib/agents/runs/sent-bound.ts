/**
 * How much one execution of an action may send. It waits in memory until the action has ended, so an action that never
 * comes to an end is found here (I10): events count as those of its run do, outputs as the values of a record.
 */
import { StreamError } from '../../core/errors.ts';
import { keyText } from '../../core/key.ts';
import { tooManyValues, valuesMaxDefault } from '../../core/values-bound.ts';
import type { ActionHost, RunningAgent } from '../contract.ts';
import { EventType } from '../events/event.ts';
import { actionFacts } from './action-facts.ts';

export class SentBound {
  #events = 0;
  #outputs = 0;

  /** One more event of this type is sent. Throws when it is one too many. */
  count(type: string, host: ActionHost, agent: RunningAgent): void {
    const { uid, action, key, eventsMax = Number.POSITIVE_INFINITY } = host;
    if (type === EventType.OutputEvent) {
      this.#outputs += 1;
      if (this.#outputs <= valuesMaxDefault) return;
      throw tooManyValues(`action '${action.name}' of agent '${agent.plan.agentName}'`, valuesMaxDefault, {
        uid,
        hint: 'let the action put out some, and send an event to itself for the next ones',
      });
    }
    this.#events += 1;
    if (this.#events <= eventsMax) return;
    const { agentName } = agent.plan;
    const message = `action '${action.name}' of agent '${agentName}' has sent ${eventsMax} events for key ${keyText(key)}, and then one of type '${type}'`;
    throw new StreamError('RUN_EVENTS_EXCEEDED', message, {
      hint: 'the action sends without end; where a run really needs that many events, raise `eventsMax`',
      details: { ...actionFacts(host, agentName), type },
    });
  }
}
