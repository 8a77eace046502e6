/** Contexts of actions without a run: one that records, and one that works. */
import { Event, InputEvent, stampEvent } from '../../../lib/agents/events/event.ts';
import { ActionContext } from '../../../lib/agents/runs/runner-context.ts';
import type { ActionHost, PlannedAction } from '../../../lib/agents/contract.ts';
import { agent } from '../../../lib/agents/definition/agent.ts';
import { AgentPlan } from '../../../lib/agents/plan/plan.ts';
import { host, TestWork, type TestJournal } from './drive.ts';

export class Paid extends Event {
  static override readonly type: string = 'paid';
  constructor(amount: number) {
    super('paid', { amount });
  }
  get amount(): number {
    return this.attributes['amount'] as number;
  }
}

export const action: PlannedAction = {
  name: 'act',
  kind: 'async',
  triggers: ['_input_event'],
  config: { top: 3, gone: null },
};
export const trigger = stampEvent(new InputEvent('in'), { id: 'e1' });
export const known = AgentPlan.compile(
  agent<string, unknown>('known')
    .on(InputEvent, 'act', async () => {})
    .on(Paid, () => {}),
);
export const contextOf = (over: Partial<ActionHost> = {}): ActionContext =>
  new ActionContext(host({ action, event: trigger, ...over }), known);
export const working = (id = 'w', journal?: TestJournal): { work: TestWork; context: ActionContext } => {
  const work = new TestWork(id, journal);
  return { work, context: contextOf({ work }) };
};
