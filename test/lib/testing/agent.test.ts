import {
  agent,
  Agent,
  Action,
  ChatRequestEvent,
  ChatResponseEvent,
  InputEvent,
  outputTag,
  StreamError,
  type DeadLetter,
  type RunnerContext,
} from 'millrace';
import { AgentHarness, ManualClock, scriptedChatModel } from 'millrace/testing';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';

interface Review {
  readonly id: string;
  readonly text: string;
}

const Score = z.object({ score: z.int() });

/** Asks a model, and counts the reviews of a key. */
const scorer = agent<Review, number>('scorer')
  .chatModel('model', { connection: 'default' })
  .onError('retry', { maxRetries: 2, retryWaitInterval: '1m' })
  .on(InputEvent, 'ask', ({ input }, ctx) => {
    const seen = ctx.shortTermMemory.get<number>('stats.count') ?? 0;
    ctx.shortTermMemory.set('stats.count', seen + 1);
    ctx.sendEvent(
      new ChatRequestEvent({ model: 'model', messages: [{ role: 'user', content: input.text }], outputSchema: Score }),
    );
  })
  .on(ChatResponseEvent, 'answer', (event, ctx) => ctx.output((event.output as z.infer<typeof Score>).score));

class Loud extends Agent<string, string> {
  @Action(InputEvent)
  async shout(event: InputEvent<string>, ctx: RunnerContext) {
    const search = ctx.getResource<{ find(text: string): string }>('index', 'words');
    const found = await ctx.durableExecute('find', () => search.find(event.input));
    ctx.output(found.toUpperCase());
  }
}

describe('AgentHarness', () => {
  it('gives outputs, events and memory of each run', async () => {
    const model = scriptedChatModel(['{"score":5}', '{"score":2}', '{"score":1}']);
    const harness = await AgentHarness.open(scorer, { models: { default: model } });
    const { outputs, events, memory } = await harness.run({ id: 'a', text: 'good' }, 'a');
    expect(outputs).toEqual([5]);
    expect(events.map(({ type }) => type)).toEqual([
      '_input_event',
      '_chat_request_event',
      '_chat_response_event',
      '_output_event',
    ]);
    expect(memory).toEqual({ stats: { count: 1 } });
    expect(model.requests[0]?.messages.at(-1)?.content).toBe('good');
    expect((await harness.run({ id: 'a', text: 'bad' }, 'a')).memory).toEqual({ stats: { count: 2 } });
    expect((await harness.run({ id: 'b', text: 'awful' }, ['b', 1])).memory).toEqual({ stats: { count: 1 } });
    expect([harness.memory('a'), harness.memory('nobody')]).toEqual([{ stats: { count: 2 } }, {}]);
    model.assertComplete();
    await harness.close();
  });

  it('skips the waits before another attempt', async () => {
    const model = scriptedChatModel([
      new StreamError('MODEL_UNAVAILABLE', 'busy'),
      new StreamError('MODEL_UNAVAILABLE', 'busy'),
      '{"score":3}',
    ]);
    const harness = await AgentHarness.open(scorer, { models: { default: model } });
    expect((await harness.run({ id: 'a', text: 'good' })).outputs).toEqual([3]);
    expect(harness.operator.now).toBeGreaterThanOrEqual(120_000);
  });

  it('waits for a model that takes time, which the test moves', async () => {
    const clock = new ManualClock();
    const model = scriptedChatModel([{ after: '30s', answer: '{"score":4}' }], { clock });
    const harness = await AgentHarness.open(scorer, { models: { default: model }, clock });
    const run = harness.run({ id: 'a', text: 'good' });
    await harness.advance('29s');
    expect(harness.operator.workOpen).toBe(1);
    await harness.advance('1s');
    expect((await run).outputs).toEqual([4]);
  });

  it('takes classes, resources and inputs that come before the run in front has ended', async () => {
    const words = { find: (text: string) => `found ${text}` };
    const harness = await AgentHarness.open(Loud, { resources: { index: { words } } });
    const runs = await Promise.all([harness.run('a'), harness.run('b')]);
    expect(runs.map(({ outputs }) => outputs)).toEqual([['FOUND A'], ['FOUND B']]);
  });

  it('rejects with what a run fails with, or gives its dead letter', async () => {
    const failing = agent<string, string>('failing').on(InputEvent, 'fail', async () => {
      throw new RangeError('no');
    });
    const harness = await AgentHarness.open(failing);
    await expect(harness.run('a')).rejects.toMatchObject({ code: 'ACTION_FAILED' });
    const deadLetters = outputTag<DeadLetter>('letters');
    const lenient = await AgentHarness.open(failing, { options: { deadLetters } });
    const { outputs, deadLetters: letters } = await lenient.run('a', 'k');
    expect([outputs, letters]).toEqual([[], [expect.objectContaining({ key: 'k', input: 'a', action: 'fail' })]]);
    expect((await lenient.run('b')).deadLetters.length).toBe(1);
  });

  it('an action that was open at a crash goes on, and its journaled calls are not made again', async () => {
    const asked: string[] = [];
    let answer: Promise<string> = new Promise(() => {});
    const slow = agent<string, string>('slow').on(InputEvent, 'ask', async ({ input }, ctx) => {
      await ctx.durableExecute('pay', () => void asked.push('pay'));
      ctx.output(await ctx.durableExecute('ask', () => (asked.push('ask'), answer)));
      ctx.shortTermMemory.set('last', input);
    });
    const { operator } = await AgentHarness.open(slow);
    operator.element('a', 1, 'k');
    await operator.advance(0);
    answer = Promise.resolve('yes');
    await operator.restore(await operator.snapshot());
    expect(await operator.settled()).toEqual([{ kind: 'record', value: 'yes', timestamp: 1 }]);
    expect(asked).toEqual(['pay', 'ask', 'ask']);
  });

  it('refuses what does not exist', async () => {
    await expect(AgentHarness.open(scorer)).rejects.toMatchObject({ code: 'RESOURCE_NOT_FOUND' });
    await expect(AgentHarness.open(scorer, { model: {} } as never)).rejects.toThrow('`model`');
    await expect(AgentHarness.open(scorer, { options: { onErr: 'fail' } as never })).rejects.toThrow('`onErr`');
  });
});
