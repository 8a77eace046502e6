/** What an action sees: events, memory, and what an execution is derived from. */
import { describe, expect, it } from 'vitest';
import { Event, InputEvent, OutputEvent, stampEvent } from '../../../../lib/agents/events/event.ts';
import { ActionContext } from '../../../../lib/agents/runs/runner-context.ts';
import type { ActionHost } from '../../../../lib/agents/contract.ts';
import { agent } from '../../../../lib/agents/definition/agent.ts';
import { AgentPlan } from '../../../../lib/agents/plan/plan.ts';
import { host, TestMetrics } from '../drive.ts';
import { Paid, action, trigger, contextOf, working } from '../context-fixture.ts';

describe('sendEvent', () => {
  it('buffers plain data with derived ids and lineage, identical siblings apart', () => {
    const context = contextOf({ timestamp: 77 });
    const sent = context.sendEvent(new OutputEvent({ n: 1 }));
    context.sendEvent(new OutputEvent({ n: 1 }));
    expect(sent).toBeInstanceOf(OutputEvent);
    const { events } = context.result();
    expect(events).toEqual([
      {
        id: sent.id,
        type: '_output_event',
        attributes: { output: { n: 1 } },
        upstreamEventId: 'e1',
        upstreamActionName: 'act',
        sourceTimestamp: 77,
      },
      expect.objectContaining({ type: '_output_event', attributes: { output: { n: 1 } } }),
    ]);
    expect(events[0]?.id).not.toBe(events[1]?.id);
    const again = contextOf({ timestamp: 77 });
    again.sendEvent(new OutputEvent({ n: 1 }));
    expect(again.result().events[0]).toEqual(events[0]);
  });

  it('has no timestamp when the input has none', () => {
    const context = contextOf();
    context.sendEvent(new Event('x'));
    expect(context.result().events[0]).not.toHaveProperty('sourceTimestamp');
    expect(context.timestamp).toBeUndefined();
  });

  it('keeps what was sent, whatever becomes of the object', () => {
    const context = contextOf();
    const value = { list: [1] };
    context.sendEvent(new OutputEvent(value));
    value.list.push(2);
    expect(context.result().events[0]?.attributes).toEqual({ output: { list: [1] } });
  });

  it('refuses an event with fields of its own, which would be lost', () => {
    class Due extends Event {
      static override readonly type: string = 'due';
      constructor(readonly amount: number) {
        super('due', {});
      }
    }
    const knowing = AgentPlan.compile(
      agent<string, unknown>('knowing')
        .on(InputEvent, 'act', async () => {})
        .on(Due, () => {}),
    );
    const context = new ActionContext(host({ action, event: trigger }), knowing);
    expect(() => context.sendEvent(new Due(7))).toThrow(/'due'.*`amount`.*put it into attributes/);
    expect(() => contextOf().sendEvent(Object.assign(new OutputEvent(1), { extra: 1 }))).toThrow(/`extra`/);
    expect(context.result().events).toEqual([]);
  });

  it('gives an event the class that its type has in the agent, and refuses one that the agent does not know', () => {
    class Refund extends Paid {}
    class Other extends Event {
      static override readonly type: string = 'other';
    }
    const context = contextOf();
    expect(context.sendEvent(new Paid(3)).amount).toBe(3);
    expect(context.sendEvent(new Event('paid', { amount: 4 }))).toBeInstanceOf(Paid);
    expect(() => context.sendEvent(new Refund(3))).toThrow(/agent 'known' to know the class `Refund`.*`events`/);
    expect(() => context.sendEvent(new Other('other'))).toThrow(/`Other`/);
    expect(context.sendEvent(new Event('any')).type).toBe('any');
  });

  it('takes outputs by their value', () => {
    const context = contextOf();
    context.output({ n: 1 });
    expect(context.result().events).toMatchObject([{ type: '_output_event', attributes: { output: { n: 1 } } }]);
  });

  it('refuses at once what is not serialisable, not an event, or the triggering event', () => {
    const context = contextOf();
    expect(() => context.sendEvent(new Event('x', { fn: () => {} }))).toThrow(
      expect.objectContaining({ code: 'NOT_SERIALISABLE' }),
    );
    expect(() => context.sendEvent({ type: 'x', attributes: {} } as never)).toThrow(/`event`/);
    expect(() => context.sendEvent(trigger)).toThrow("action 'act' can not emit its triggering event e1");
    expect(() => context.sendEvent(stampEvent(new Event('other'), { id: 'e1' }))).toThrow(/triggering event/);
    expect(context.result().events).toEqual([]);
  });
});

describe('what an execution is derived from', () => {
  it('gives the same time, numbers and ids again, others to another execution', () => {
    const draw = (over: Partial<ActionHost> = {}): unknown[] => {
      const context = contextOf(over);
      return [context.now(), context.random(), context.random(), context.uuid(), context.uuid()];
    };
    expect(draw()).toEqual(draw());
    const values = [draw(), draw({ id: 'other' }), draw({ jobId: 'j2' })].flatMap((each) => each.slice(1));
    expect(new Set(values).size).toBe(12);
    expect(draw()[3]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const context = contextOf();
    for (let i = 0; i < 200; i += 1) {
      const number = context.random();
      expect(number >= 0 && number < 1).toBe(true);
    }
  });

  it('asks for the time of the turn only when the action does; asynchronous ones have that of their submission', () => {
    let asked = 0;
    const context = contextOf({ now: () => (asked += 1) });
    context.sendEvent(new Event('x'));
    expect(asked).toBe(0);
    expect(context.now()).toBe(1);
    expect(working().context.now()).toBe(1_000);
  });
});

describe('memory and the rest', () => {
  it('sees the snapshot and hands over what was written', () => {
    const context = contextOf({
      shortTermMemory: { base: new Map([['a', 1]]), changes: [{ path: 'a', value: 2 }] },
      sensoryMemory: { base: new Map(), changes: [{ path: 's', value: 1 }] },
    });
    expect([
      context.shortTermMemory.get('a'),
      context.getSensoryMemory().get('s'),
      context.shortTermMemory.get('s'),
    ]).toEqual([2, 1, undefined]);
    context.getShortTermMemory().set('b', 1);
    context.sensoryMemory.delete('s');
    expect(context.result()).toEqual({
      events: [],
      shortTermChanges: [{ path: 'b', value: 1 }],
      sensoryChanges: [{ path: 's', deleted: true }],
    });
  });

  it('gives configuration, metrics and resources', () => {
    const metrics = new TestMetrics();
    const resources = { get: (type: string, name: string) => `${type}/${name}` };
    const context = contextOf({ metrics, resources });
    context.actionMetricGroup.getCounter('n').inc(2);
    context.agentMetricGroup.getCounter('n').inc();
    expect(Object.fromEntries(metrics.values)).toEqual({ 'action=act.n': 2, n: 1 });
    expect([
      context.getActionConfigValue('top'),
      context.getActionConfigValue('gone'),
      context.getActionConfigValue('toString'),
    ]).toEqual([3, null, undefined]);
    expect(context.getResource('chat_model', 'm')).toBe('chat_model/m');
  });

  it('refuses every use after the action has ended', () => {
    const { context } = working();
    const memory = context.shortTermMemory;
    context.result();
    for (const use of [
      () => context.sendEvent(new Event('x')),
      () => context.shortTermMemory,
      () => memory.set('a', 1),
      () => memory.get('a'),
      () => context.getResource('tool', 'm'),
      () => context.durableExecute('id', () => 1),
      () => context.random(),
      () => context.signal,
    ]) {
      expect(use).toThrow(/after the action had ended/);
    }
  });
});

it('what a sender does with its event later is nothing that was sent', () => {
  const { context } = working();
  const [list, map] = [['x'], new Map([['a', 1]])];
  const sent = context.sendEvent(new Event('e', { list, map }));
  list.push('y');
  (sent.attributes['map'] as Map<string, number>).set('a', 2);
  expect(context.result().events).toMatchObject([
    { id: sent.id, attributes: { list: ['x'], map: new Map([['a', 1]]) } },
  ]);
});
