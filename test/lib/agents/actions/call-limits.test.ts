import { describe, expect, it, vi } from 'vitest';
import { agent, type AgentBuilder } from '../../../../lib/agents/definition/agent.ts';
import type { ChatModelSetup } from '../../../../lib/agents/contract.ts';
import { CallLimits } from '../../../../lib/agents/actions/call-limits.ts';
import { ChatRequestEvent, ChatResponseEvent } from '../../../../lib/agents/events/chat-events.ts';
import { InputEvent } from '../../../../lib/agents/events/event.ts';
import { ToolResponseEvent } from '../../../../lib/agents/events/tool-events.ts';
import { JobResources } from '../../../../lib/agents/plan/resources.ts';
import { StreamError } from '../../../../lib/core/errors.ts';
import type { ChatMessage, ChatModelConnection, ChatRequest } from '../../../../lib/core/model.ts';
import { applyAgent } from '../../../../operators/apply-agent.ts';
import { WorkHarness } from '../../../operators/work-fixture.ts';

const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 1 });

/** Answers when told to, or after a while, and counts who is inside. */
class Model implements ChatModelConnection {
  inside = 0;
  insideMax = 0;
  readonly asked: string[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #answer: ((content: string, attempt: number) => Promise<string>) | undefined;
  readonly #attempts = new Map<string, number>();

  constructor(answer?: (content: string, attempt: number) => Promise<string>) {
    this.#answer = answer;
  }

  async chat({ messages }: ChatRequest): Promise<ChatMessage> {
    const content = messages.at(-1)?.content ?? '';
    const attempt = (this.#attempts.get(content) ?? 0) + 1;
    this.#attempts.set(content, attempt);
    this.asked.push(content);
    this.inside += 1;
    this.insideMax = Math.max(this.insideMax, this.inside);
    try {
      if (this.#answer === undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      return {
        role: 'assistant',
        content: this.#answer === undefined ? content : await this.#answer(content, attempt),
      };
    } finally {
      this.inside -= 1;
    }
  }

  /** Answers the oldest request. */
  answer(): void {
    this.#waiting.shift()?.();
  }
}

const asking = (setup: Partial<ChatModelSetup>): AgentBuilder<string, string> =>
  agent<string, string>('asker')
    .chatModel('m', { connection: 'link', ...setup })
    .on(
      InputEvent,
      ({ input }, ctx) =>
        void ctx.sendEvent(new ChatRequestEvent({ model: 'm', messages: [{ role: 'user', content: input }] })),
    )
    .on(ChatResponseEvent, ({ response }, ctx) => ctx.output(response.content));

const jobOf = (model: Model): JobResources => new JobResources().add('chat_model_connection', 'link', model);

const open = async (job: JobResources, builder: AgentBuilder<string, string>): Promise<WorkHarness<string, string>> => {
  const compiled = await job.open(builder);
  return WorkHarness.open(applyAgent<string, string>({ agent: compiled, resources: compiled.open }), (value) => value);
};

const outputsOf = ({ outputs }: WorkHarness<string, string>): unknown[] =>
  outputs.map((output) => (output.kind === 'record' ? output.value : output));

const keys = Array.from({ length: 60 }, (_, n) => `k${n}`);
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('concurrency of a chat model', () => {
  it('bounds requests over many keys, in the order in which they came', async () => {
    const model = new Model();
    const harness = await open(jobOf(model), asking({ concurrency: 3 }));
    for (const key of keys) harness.element(key, 1);
    for (let answered = 0; answered < keys.length; answered += 1) {
      await settled(() => expect(model.asked).toHaveLength(Math.min(keys.length, answered + 3)));
      model.answer();
    }
    await settled(() => expect(harness.outputs).toHaveLength(keys.length));
    expect([model.insideMax, model.asked, outputsOf(harness), harness.errors]).toEqual([3, keys, keys, []]);
  });

  it('is shared by all agents of the job that ask this model, and not with another model', async () => {
    const model = new Model();
    const job = jobOf(model);
    const [one, two, other] = [
      await open(job, asking({ concurrency: 2 })),
      await open(job, asking({ concurrency: 2 })),
      await open(job, asking({ concurrency: 2, model: 'big' })),
    ];
    for (const key of ['a', 'b', 'c']) for (const harness of [one, two, other]) harness.element(key, 1);
    await settled(() => expect(model.inside).toBe(4));
    await later(5);
    expect(model.inside).toBe(4);
    for (let answered = 0; answered < 9; answered += 1) {
      await settled(() => expect(model.inside).toBeGreaterThan(0));
      model.answer();
    }
    await settled(() => expect([one, two, other].map(({ outputs }) => outputs.length)).toEqual([3, 3, 3]));
    expect(model.insideMax).toBe(4);
  });

  it('is not used up by a request that waits to be tried again', async () => {
    const model = new Model(async (content, attempt) => {
      if (content === 'bad' && attempt === 1) throw new StreamError('MODEL_UNAVAILABLE', 'down');
      return content;
    });
    const harness = await open(jobOf(model), asking({ concurrency: 1 }).onError('retry', { retryWaitInterval: 60 }));
    for (const key of ['bad', 'x', 'y']) harness.element(key, 1);
    await settled(() => expect(harness.outputs).toHaveLength(3));
    expect([outputsOf(harness), model.asked, model.insideMax]).toEqual([
      ['x', 'y', 'bad'],
      ['bad', 'x', 'y', 'bad'],
      1,
    ]);
  });

  it('is given back by a request that times out; the limit counts from when a request is sent', async () => {
    const model = new Model(async (content) => {
      await later(content === 'hangs' ? 300 : 30);
      return content;
    });
    const harness = await open(jobOf(model), asking({ concurrency: 1, timeout: 100 }).onError('ignore'));
    for (const key of ['hangs', ...keys.slice(0, 5)]) harness.element(key, 1);
    await settled(() => expect(harness.outputs).toHaveLength(5));
    expect([outputsOf(harness), harness.errors]).toEqual([keys.slice(0, 5), []]);
  });
});

it('a tool that takes longer than its limit has failed: the model is told, and the event names it', async () => {
  const told: unknown[] = [];
  const calls = [{ id: '1', function: { name: 'hang', arguments: {} } }];
  const link: ChatModelConnection = {
    chat: async ({ messages }) => {
      const last = messages.at(-1);
      return last?.role === 'tool'
        ? { role: 'assistant', content: last.content }
        : { role: 'assistant', content: '', tool_calls: calls };
    },
  };
  const builder = asking({ tools: ['hang'] })
    .tool('hang', { description: 'hangs', parameters: {}, timeout: 5, execute: () => new Promise(() => {}) })
    .on(ToolResponseEvent, 'look', ({ error }) => void told.push(error['1']));
  const harness = await open(new JobResources().add('chat_model_connection', 'link', link), builder);
  harness.element('a', 1);
  await settled(() => expect(outputsOf(harness)).toEqual(['Tool hang execute failed: it took too long']));
  expect(told).toEqual([expect.stringMatching(/^tool 'hang': durable call `tool-call` \(.*\) took longer than 5 ms$/)]);
});

describe('CallLimits', () => {
  it('lets any number leave as soon as they enter, and each keeps its own bound', () => {
    const limits = new CallLimits();
    const link = {};
    const [wide, narrow] = [limits.of(link, '', 2), limits.of(link, '', 1)];
    const entered: string[] = [];
    wide.enter(() => entered.push('first'));
    for (let n = 0; n < 100_000; n += 1) narrow.enter(() => narrow.leave());
    narrow.enter(() => entered.push('narrow'));
    wide.enter(() => entered.push('wide'));
    expect(entered).toEqual(['first']); // `narrow` came first and needs the model for itself.
    wide.leave();
    expect(entered).toEqual(['first', 'narrow', 'wide']);
    const other = limits.of({}, '', 1);
    other.enter(() => entered.push('other'));
    expect(entered.at(-1)).toBe('other');
  });
});
