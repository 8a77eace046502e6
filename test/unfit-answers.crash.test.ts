/**
 * Each paid answer is journaled, one that does not fit too: attempts are counted over crashes, so an input never costs
 * more than it may.
 */
import {
  agent,
  ChatRequestEvent,
  ChatResponseEvent,
  InputEvent,
  MemoryStorage,
  outputTag,
  StreamExecutionEnvironment,
  type ChatMessage,
  type ChatRequest,
  type DeadLetter,
} from 'millrace';
import * as z from 'zod';
import { expect, test } from 'vitest';
import { Ledger, later, once } from './stories/story.ts';

const letters = outputTag<DeadLetter<string>>('letters');

test('[answer, ABORT, answer, ABORT, answer, ABORT ...]: three answers, then the dead letter', async () => {
  const storage = new MemoryStorage();
  const dead = new Ledger<DeadLetter<string>>();
  const paid: ChatRequest[] = [];
  let left = 0;
  let isHanging = false;
  // One answer in each life; the next request hangs until the process dies.
  const chat = async (request: ChatRequest): Promise<ChatMessage> => {
    if (left === 0) {
      isHanging = true;
      return new Promise(() => {});
    }
    left -= 1;
    paid.push(request);
    return { role: 'assistant', content: `sorry ${paid.length}` };
  };
  const start = () => {
    const asker = agent<string, number>('asker')
      .onError('retry', { maxRetries: 2, retryWaitInterval: 1 })
      .chatModel('m', { connection: 'default', outputSchema: z.object({ n: z.number() }) })
      .on(InputEvent, ({ input }, ctx) =>
        ctx.sendEvent(new ChatRequestEvent({ model: 'm', messages: [{ role: 'user', content: input }] })),
      )
      .on(ChatResponseEvent, ({ output }, ctx) => ctx.output(output.n));
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    env.addResource('chat_model_connection', 'default', { chat });
    const out = env
      .fromCollection(['x'])
      .keyBy((text) => text)
      .applyAgent(asker, { deadLetters: letters });
    out.sinkTo(new Ledger<number>().sink());
    out.sideOutput(letters).sinkTo(dead.sink(), 'dead');
    return env.executeAsync('unfit');
  };
  for (let life = 1; life <= 5 && dead.values.length === 0; life += 1) {
    [left, isHanging] = [1, false];
    const job = await start();
    const done = job.done.then(
      () => true,
      () => true,
    );
    let isDone = false;
    void done.then(() => (isDone = true));
    while (!isHanging && !isDone) await later(2);
    await job.cancel().catch(() => {});
    await done;
  }
  expect(paid).toHaveLength(3);
  expect(dead.values).toMatchObject([
    { input: 'x', error: { code: 'ACTION_FAILED', retryable: false, cause: { code: 'MODEL_RESPONSE' } } },
  ]);
  // Each request has what was wrong with the answers before, the same after a crash as without one.
  expect(paid.map(({ messages }) => messages.map(({ role }) => role).join(' '))).toEqual([
    'user',
    'user assistant user',
    'user assistant user assistant user',
  ]);
  expect(paid[2]?.messages.map(({ content }) => content.split('\n')[0])).toEqual([
    'x',
    'sorry 1',
    'Your answer does not fit what was asked for:',
    'sorry 2',
    'Your answer does not fit what was asked for:',
  ]);
});
